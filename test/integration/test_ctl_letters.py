"""aion2ctl dead and quarantine: what they show is what is there, what they move is whole."""

import base64
import json
import re
import uuid

import pytest

from ctl_lab import HARMFUL, HOSTILE, json_of, on_a_terminal, redis_ctl, without_colours
from harness import TEST_DATA, wait_for

DEAD, QUARANTINE, COUNTERS = "aion2:dead", "aion2:quarantine", "aion2:counters"
META = "celery-task-meta-"


@pytest.fixture
def ctl(redis_server):
    return redis_ctl(redis_server)


def now_s(server):
    return server.client().time()[0]


def plain(task, task_id, **more):
    return json.dumps({"task": task, "id": task_id, **more})


def protocol_2(task, task_id, priority=0, queue="celery", **headers):
    body = base64.b64encode(json.dumps([[1, "x"], {}, {}]).encode()).decode()
    return json.dumps({
        "body": body, "content-encoding": "utf-8", "content-type": "application/json",
        "headers": {"lang": "py", "task": task, "id": task_id, "retries": 3, **headers},
        "properties": {"correlation_id": task_id, "delivery_mode": 2, "priority": priority,
                       "delivery_info": {"exchange": "", "routing_key": queue},
                       "body_encoding": "base64", "delivery_tag": str(uuid.uuid4())}})


def add_dead(server, task="t", error="ValueError: no", age=0, message=None, task_id=None, **more):
    task_id = task_id or str(uuid.uuid4())
    message = plain(task, task_id) if message is None else message
    raw = message if isinstance(message, bytes) else message.encode()
    server.client().lpush(DEAD, json.dumps({
        "at": now_s(server) - age, "id": task_id, "task": task, "error": error, "retries": 3,
        "b64": base64.b64encode(raw).decode(), **more}))
    return task_id


def add_quarantined(server, data, reason="not JSON", queue="celery", age=0, **more):
    server.client().lpush(QUARANTINE, json.dumps({
        "at": now_s(server) - age, "reason": reason, "q": queue,
        "b64": base64.b64encode(data).decode(), **more}))


def ids(doc):
    return [letter.get("id") for letter in doc["letters"]]


def counters(server):
    return {k.decode(): int(v) for k, v in server.client().hgetall(COUNTERS).items()}


# ------------------------------------------------------------------------------ with the worker


def test_a_task_that_failed_is_seen_and_tried_again(redis_server, env, spawn, ctl):
    spawn("aion2-worker", {**env, "TEST_TASKS": "1"})
    task = str(uuid.uuid4())
    assert ctl("call", "test.fail", "--id", task, "--priority", "5", "--wait", "60").returncode == 1
    (letter,) = json_of(ctl("dead", "list", "--json"))["letters"]
    assert letter["id"] == task and letter["task"] == "test.fail"
    assert letter["queue"] == "celery\x06\x163"
    assert json.loads(redis_server.client().get(META + task))["status"] == "FAILURE"
    done_before = counters(redis_server)["done"]
    assert ctl("dead", "retry", task).returncode == 0
    # It fails again, which makes another dead letter of the same task.
    wait_for(lambda: counters(redis_server)["done"] > done_before, 30, "the second failure")
    assert ids(json_of(ctl("dead", "list", "--json"))) == [task]
    now = counters(redis_server)
    assert (now["dead"], now["dead_retried"]) == (2, 1)
    assert now["dead"] == now["dead_retried"] + redis_server.client().llen(DEAD)


def test_what_nobody_can_read_is_seen_and_comes_back_byte_by_byte(redis_server, env, spawn, ctl):
    spawn("aion2-worker", env)
    raw = b"\x80\x04\x95 not JSON " + bytes(range(256))
    redis_server.client().lpush("celery\x06\x166", raw)
    wait_for(lambda: redis_server.client().llen(QUARANTINE), 30, "the quarantine")
    (entry,) = json_of(ctl("quarantine", "list", "--json"))["letters"]
    assert entry["bytes"] == len(raw) and entry["queue"] == "celery\x06\x166"
    assert ctl("quarantine", "replay", "--all", "--queue", "aside").returncode == 0
    assert redis_server.client().lrange("aside", 0, -1) == [raw]
    assert counters(redis_server)["quarantine_replayed"] == 1


# ------------------------------------------------------------------------------------- listing


def test_the_newest_come_first_and_a_limit_cuts_the_rest(redis_server, ctl):
    made = [add_dead(redis_server, age=100 - i) for i in range(120)]
    doc = json_of(ctl("dead", "list", "--json"))
    assert ids(doc) == made[::-1][:50] and (doc["total"], doc["matched"]) == (120, 120)
    assert ids(json_of(ctl("dead", "list", "--limit", "1000", "--json"))) == made[::-1]
    text = ctl("dead", "list", "--limit", "3").stdout
    assert "the newest 3 of 120" in text and "120 dead letters" in text
    assert [i for i in made if i in text] == made[-3:]


def test_filters(redis_server, ctl):
    a = add_dead(redis_server, task="reports.weekly", error="OperationalError: refused", age=9000)
    b = add_dead(redis_server, task="reports.daily", error="ValueError: Boom", age=100)
    c = add_dead(redis_server, task="batch", error="WorkerLostError: signal 9", age=10)

    def listed(*args):
        return ids(json_of(ctl("dead", "list", *args, "--json")))

    assert listed() == [c, b, a]
    assert listed("--task", "reports.*") == [b, a]
    assert listed("--task", "reports.daily") == [b]
    assert listed("--error", "boom") == [b]
    assert listed("--older", "1m") == [b, a] and listed("--older", "2h") == [a]
    assert listed("--task", "reports.*", "--older", "2h", "--error", "refused") == [a]
    assert listed(c) == [c] and listed("--error", "no such") == []


def test_nothing_is_said_to_be_nothing(redis_server, ctl):
    assert ctl("dead", "list").stdout == "0 dead letters\n"
    assert ctl("quarantine").stdout == "0 quarantined messages\n"
    assert json_of(ctl("dead", "--json"))["letters"] == []


def test_hostile_entries_are_harmless(redis_server, ctl):
    r = redis_server.client()
    add_dead(redis_server, task=HOSTILE, error=HOSTILE, message=HOSTILE, task_id=HOSTILE)
    for key in (DEAD, QUARANTINE):
        r.lpush(key, b"\xff\xfe", "{}", "[]", "7", '{"at": 1e300, "id": 7, "task": [], "b64": "?"}',
                '{"at": -5, "error": null, "retries": "x", "key": 9, "bytes": -1}', "{" * 1000,
                json.dumps({"at": 0, "id": "x" * 10000, "task": HOSTILE * 100, "b64": ""}))
    add_quarantined(redis_server, HOSTILE.encode(), reason=HOSTILE, queue=HOSTILE)
    for command in ("dead", "quarantine"):
        listed = ctl(command, "list")
        assert listed.returncode == 0 and not HARMFUL.search(listed.stdout)
        for letter in json_of(ctl(command, "list", "--json"))["letters"]:
            shown = ctl(command, "show", letter["handle"])
            assert shown.returncode == 0 and not HARMFUL.search(shown.stdout), shown.stdout
            json_of(ctl(command, "show", letter["handle"], "--json"))


def test_it_fits_the_terminal(redis_server):
    for i in range(5):
        add_dead(redis_server, task="app.worker.calculate_power_and_rank_batch",
                 error="OperationalError: 연결할 수 없습니다 " + "x" * 200, age=10 ** i)
        add_quarantined(redis_server, b"x" * 10 ** i, reason="y" * 200, queue="celery\x06\x169")
    env = {"REDIS_URL": redis_server.url}
    for command in ("dead", "quarantine"):
        for columns in (40, 80, 140):
            lines = without_colours(
                on_a_terminal(env, command, "list", columns=columns)).splitlines()
            assert max(map(width, lines)) <= columns or columns == 40, lines
            assert len(lines) == 7


def width(line):
    import unicodedata
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)


# ------------------------------------------------------------------------------------- showing


def test_show_has_everything(redis_server, ctl):
    task = add_dead(redis_server, task="lab.echo", message=protocol_2("lab.echo", "i"))
    text = ctl("dead", "show", task).stdout
    for part in (task, "lab.echo", "ValueError: no", 'Args      [1,"x"]', '"lang": "py"'):
        assert part in text
    doc = json_of(ctl("dead", "show", task, "--json"))
    assert base64.b64decode(doc["b64"]).startswith(b"{") and len(doc["handle"]) == 16


def test_bytes_are_shown_as_hex_when_they_are_no_text(redis_server, ctl):
    add_quarantined(redis_server, bytes(range(256)))
    add_quarantined(redis_server, "읽을 수 있는\n두 줄".encode(), reason="text")
    (hexed, texted) = json_of(ctl("quarantine", "list", "--json"))["letters"][::-1]
    shown = ctl("quarantine", "show", hexed["handle"][:6]).stdout
    assert "00000040  40 41 42" in shown and "|@ABCDEFGHIJKLMNO|" in shown
    assert "000000f0  f0" in shown
    assert "  읽을 수 있는\n  두 줄\n" in ctl("quarantine", "show", texted["handle"]).stdout
    cut = ctl("quarantine", "show", hexed["handle"], "--bytes", "17").stdout
    assert "239 more bytes" in cut and "00000020" not in cut


def test_out_writes_the_bytes(redis_server, ctl, tmp_path):
    data = bytes(range(256)) * 100
    add_quarantined(redis_server, data)
    (letter,) = json_of(ctl("quarantine", "list", "--json"))["letters"]
    target = tmp_path / "message"
    assert ctl("quarantine", "show", letter["handle"], "--out", target).returncode == 0
    assert target.read_bytes() == data and target.stat().st_mode & 0o777 == 0o600
    again = ctl("quarantine", "show", letter["handle"], "--out", target)
    assert again.returncode == 1 and "exists" in again.stderr


def test_an_oversized_message_is_read_from_its_key(redis_server, ctl, tmp_path):
    r = redis_server.client()
    data = bytes(range(256)) * 70000
    r.set("aion2:oversized:1:2", data)
    add_quarantined(redis_server, b"", reason="longer than 16777216 bytes", bytes=len(data),
                    key="aion2:oversized:1:2")
    (letter,) = json_of(ctl("quarantine", "list", "--json"))["letters"]
    assert letter["bytes"] == len(data) and letter["key"] == "aion2:oversized:1:2"
    assert "17.1 MiB" in ctl("quarantine", "list").stdout
    target = tmp_path / "big"
    assert ctl("quarantine", "show", letter["handle"], "--out", target).returncode == 0
    assert target.read_bytes() == data
    back = ctl("quarantine", "replay", "--all")
    assert back.returncode == 1 and "longer than a message may be" in back.stderr
    assert ctl("quarantine", "drop", "--all").returncode == 0
    assert not r.exists("aion2:oversized:1:2", QUARANTINE)


# -------------------------------------------------------------------------------- putting back


def test_a_retried_message_is_as_if_never_tried(redis_server, ctl):
    r = redis_server.client()
    task = str(uuid.uuid4())
    add_dead(redis_server, task_id=task, message=protocol_2(
        "t", task, priority=4, eta="2020-01-01T00:00:00+00:00", expires="2020-01-01T00:00:00"))
    r.hset("aion2:losses", task, 2)
    r.set(META + task, json.dumps({"status": "FAILURE", "result": None, "task_id": task}))
    assert ctl("dead", "retry", task).stdout == "retried 1 of 1 dead letter\n"
    (message,) = map(json.loads, r.lrange("celery\x06\x163", 0, -1))
    headers = message["headers"]
    assert headers["retries"] == 0 and headers["eta"] is None and headers["expires"] is None
    assert headers["id"] == task and json.loads(base64.b64decode(message["body"]))[0] == [1, "x"]
    assert not r.exists(META + task, "aion2:losses", DEAD)
    assert counters(redis_server) == {"dead_retried": 1}


def test_a_success_and_an_expiry_to_come_stay(redis_server, ctl):
    r = redis_server.client()
    task = add_dead(redis_server, task_id="done",
                    message=plain("t", "done", expires="2090-01-01T00:00:00", retries=3))
    r.set(META + task, json.dumps({"status": "SUCCESS", "result": 1, "task_id": task}))
    assert ctl("dead", "retry", task).returncode == 0
    (message,) = map(json.loads, r.lrange("celery", 0, -1))
    assert message["expires"] == "2090-01-01T00:00:00" and message["retries"] == 0
    assert r.exists(META + task)


@pytest.mark.parametrize("message, queue, options", [
    (plain("t", "i"), "celery", ()),
    (protocol_2("t", "i"), "celery", ()),
    (protocol_2("t", "i", queue="other", priority=9), "other\x06\x169", ()),
    (protocol_2("t", "i", queue="other"), "mine", ("--queue", "mine")),
    (b"\x00\xff not JSON at all", "celery", ()),
], ids=["plain", "kombu", "priority", "queue", "bytes"])
def test_where_it_goes(redis_server, ctl, message, queue, options):
    add_dead(redis_server, message=message)
    assert ctl("dead", "retry", "--all", *options).returncode == 0
    r = redis_server.client()
    assert r.llen(queue) == 1 and not r.exists(DEAD)
    if isinstance(message, bytes):
        assert r.lindex(queue, 0) == message


def test_it_goes_to_the_list_that_the_entry_names(redis_server, ctl):
    add_dead(redis_server, message=protocol_2("t", "i"), q="elsewhere\x06\x166")
    assert ctl("dead", "retry", "--all").returncode == 0
    assert redis_server.client().llen("elsewhere\x06\x166") == 1


def test_the_oldest_waits_no_longer_than_the_others(redis_server, ctl):
    made = [add_dead(redis_server) for _ in range(130)]
    assert ctl("dead", "retry", "--all").stdout == "retried 130 of 130 dead letters\n"
    queued = [json.loads(m)["id"] for m in redis_server.client().lrange("celery", 0, -1)]
    assert queued[::-1] == made


def test_only_what_is_meant_is_changed(redis_server, ctl):
    keep = [add_dead(redis_server, task="keep") for _ in range(60)]
    for i in range(120):
        add_dead(redis_server, task="go" if i % 2 else "keep", task_id=f"{i}")
    dry = json_of(ctl("dead", "drop", "--task", "go", "--dry-run", "--json"))
    assert (dry["total"], dry["matched"], dry["changed"], dry["dry_run"]) == (180, 60, 60, True)
    assert redis_server.client().llen(DEAD) == 180 and counters(redis_server) == {}
    done = json_of(ctl("dead", "drop", "--task", "go", "--json"))
    assert (done["changed"], done["refused"], done["vanished"]) == (60, 0, 0)
    left = ids(json_of(ctl("dead", "list", "--limit", "1000", "--json")))
    assert left == [str(i) for i in range(118, -1, -2)] + keep[::-1]
    assert counters(redis_server) == {"dead_dropped": 60}


def test_a_queue_that_is_no_list_keeps_the_letter(redis_server, ctl):
    redis_server.client().set("celery", "no list")
    add_dead(redis_server)
    done = ctl("dead", "retry", "--all")
    assert done.returncode == 1 and "stay where they are" in done.stderr
    assert "WRONGTYPE" in done.stderr and redis_server.client().llen(DEAD) == 1
    assert counters(redis_server) == {}


def test_a_redis_without_memory_keeps_the_letter(redis_server, ctl):
    add_dead(redis_server)
    redis_server.client().config_set("maxmemory", "1mb")
    done = ctl("dead", "retry", "--all")
    assert done.returncode == 69 and "OOM" in done.stderr
    assert redis_server.client().llen(DEAD) == 1


def test_quarantined_bytes_go_back_intact(redis_server, ctl):
    pieces = [b'{"task": "t", "retries": 7}  ', b"\x00\xff", b" ", "안녕".encode()]
    for i, data in enumerate(pieces):
        add_quarantined(redis_server, data, queue="celery\x06\x163" if i % 2 else "celery")
    assert ctl("quarantine", "replay", "--all").returncode == 0
    r = redis_server.client()
    assert r.lrange("celery", 0, -1) == [b" ", pieces[0]]
    assert r.lrange("celery\x06\x163", 0, -1) == [pieces[3], pieces[1]]
    assert counters(redis_server) == {"quarantine_replayed": 4}


def test_a_foreign_member_of_the_delayed_set_needs_a_queue(redis_server, ctl):
    add_quarantined(redis_server, b"", queue="aion2:delayed", text='{"task": "t"}')
    done = ctl("quarantine", "replay", "--all")
    assert done.returncode == 1 and "--queue" in done.stderr
    assert ctl("quarantine", "replay", "--all", "--queue", "celery").returncode == 0
    assert redis_server.client().lrange("celery", 0, -1) == [b'{"task": "t"}']


def test_reasons_filter_the_quarantine(redis_server, ctl):
    add_quarantined(redis_server, b"a", reason="not JSON: nested too deep", age=100)
    add_quarantined(redis_server, b"b", reason="no id")
    assert json_of(ctl("quarantine", "drop", "--reason", "DEEP", "--json"))["changed"] == 1
    assert json_of(ctl("quarantine", "list", "--json"))["letters"][0]["reason"] == "no id"
    assert counters(redis_server) == {"quarantine_dropped": 1}


def test_two_at_once_never_do_it_twice(redis_server, ctl, tmp_path):
    import concurrent.futures
    for _ in range(300):
        add_dead(redis_server)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        runs = [pool.submit(ctl, "dead", "retry", "--all", "--json") for _ in range(3)]
        docs = [json_of(run.result()) for run in runs]
    queued = [json.loads(m)["id"] for m in redis_server.client().lrange("celery", 0, -1)]
    assert len(queued) == len(set(queued)) == sum(d["changed"] for d in docs)
    # One that others overtook may pass over entries; a second look gets them.
    ctl("dead", "retry", "--all")
    assert redis_server.client().llen("celery") == 300
    assert counters(redis_server) == {"dead_retried": 300}


@pytest.mark.parametrize("args, code, says", [
    (("dead", "retry"), 64, "say which"),
    (("dead", "drop", "--json"), 64, "say which"),
    (("dead", "show"), 64, "say which"),
    (("dead", "show", "none"), 1, "no dead letter of that name"),
    (("dead", "retry", "none"), 1, "no dead letter of that name"),
    (("quarantine", "drop", "abcdef01"), 1, "no quarantined message of that name"),
    (("dead", "list", "--older", "soon"), 64, "--older"),
    (("dead", "list", "--limit", "0"), 64, "--limit"),
    (("dead", "bury"), 64, "bury"),
    (("quarantine", "list", "--task", "x"), 64, "task"),
])
def test_wrong_words(redis_server, ctl, args, code, says):
    done = ctl(*args)
    assert done.returncode == code and says in done.stderr and done.stdout in ("", done.stdout)


def test_keys_of_the_wrong_type(redis_server, ctl):
    redis_server.client().set(DEAD, "x")
    done = ctl("dead", "list")
    assert done.returncode == 1 and "WRONGTYPE" in done.stderr


def test_redis_away(redis_server, ctl):
    redis_server.stop()
    for args in (("dead", "list"), ("dead", "show", "x"), ("quarantine", "drop", "--all")):
        done = ctl(*args)
        assert done.returncode == 69 and re.search(r"Redis", done.stderr)


def test_an_answer_that_cannot_be_written_is_a_failure(redis_server):
    import subprocess
    import harness
    add_dead(redis_server)
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run([harness.bin_dir() / "aion2ctl", "dead", "list"], stdout=full,
                              env=harness.clean_env({"REDIS_URL": redis_server.url}),
                              stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert done.returncode == 1 and "cannot write" in done.stderr


@pytest.mark.parametrize("name", ["protocol1-eta", "zlib", "gzip", "bzip2", "body-plain", "expires-datetime",
                                  "timelimits", "chain", "unicode", "pickle", "retry"])
def test_messages_of_every_form_keep_their_meaning(redis_server, ctl, name):
    path = TEST_DATA / "wire" / f"task-message-{name}.json"
    if not path.exists():
        pytest.skip("no such recording")
    before = json.loads(path.read_text())
    add_dead(redis_server, message=path.read_text().strip(), task_id="x")
    assert ctl("dead", "retry", "x").returncode == 0
    list_of = "celery"
    (after,) = map(json.loads, redis_server.client().lrange(list_of, 0, -1))
    assert after["content-type"] == before["content-type"]
    if name == "protocol1-eta":
        old, new = (json.loads(base64.b64decode(m["body"])
                               if m["properties"]["body_encoding"] == "base64" else m["body"])
                    for m in (before, after))
        assert new == {**old, "eta": None, "retries": 0, "expires": new["expires"]}
        return
    assert after["body"] == before["body"]
    changed = {k for k in before["headers"] if after["headers"][k] != before["headers"][k]}
    assert changed <= {"retries", "eta", "expires"} and set(after["headers"]) == set(before["headers"])
    assert after["properties"] == before["properties"]
    if name != "pickle":
        assert after["headers"]["retries"] == 0 and after["headers"]["eta"] is None
