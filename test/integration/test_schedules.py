"""Schedules that are set at run time: what is sent, what is not, and what is told about it."""

import base64
import json
import signal
import time

import pytest
from celery import Celery

from harness import run_program, wait_for
from schedules import TABLE, define, ledger, now, sent, slots_of

NOTES = "aion2:beat:notes"


@pytest.fixture
def ctl(redis_server):
    def run(*args, **kwargs):
        return run_program("aion2ctl", *args, env={"REDIS_URL": redis_server.url}, **kwargs)

    return run


@pytest.fixture
def beat(redis_server, spawn):
    """One beat; its batch has nothing to do for a day."""
    program = spawn("aion2-beat", {"REDIS_URL": redis_server.url, "BATCH_INTERVAL": 86400})
    program.wait_log("event=beat.first_start schedule=batch")
    return program


def why(ctl, at, schedule):
    return json.loads(ctl("why", at, "--schedule", schedule, "--json", check=True).stdout)


def wait_slots(server, task, count, queue="celery"):
    return wait_for(lambda: (s := slots_of(server, task, queue)) and len(s) >= count and s, 20,
                    f"{count} slots of {task}")


# ------------------------------------------------------------------------------------ the table


def test_set_is_noticed_and_says_what_is_sent(redis_server, beat, ctl):
    done = ctl("schedule", "set", "report", "--task", "reports.send", "--args", '[1, "x"]',
               "--kwargs", '{"dry": true}', "--every", "1s", "--queue", "slow", "--priority", 6,
               "--overlap", "queue", "--expires", "5m", check=True)
    assert "report: reports.send every 1 s, next slot" in done.stdout
    listed = "slow\x06\x166"
    wait_slots(redis_server, "reports.send", 2, listed)
    message = sent(redis_server, listed)[0]
    args, kwargs, _ = json.loads(base64.b64decode(message["body"]))
    assert args == [1, "x"] and kwargs == {"dry": True}
    assert message["properties"]["priority"] == 6
    assert message["properties"]["delivery_info"]["routing_key"] == "slow"
    slot = message["headers"]["aion2_slot"]
    expires = time.mktime(time.strptime(message["headers"]["expires"][:19], "%Y-%m-%dT%H:%M:%S"))
    assert 0 <= expires - time.timezone - slot - 300 <= 3 or abs(expires - slot - 300) <= 3
    assert ctl("schedule", "remove", "report").returncode == 0
    count = len(sent(redis_server, listed))
    wait_for(lambda: beat.log().count("event=beat.schedules") >= 3, what="the change")
    later = len(sent(redis_server, listed))
    time.sleep(1.2)
    assert later <= count + 2 and len(sent(redis_server, listed)) == later
    client = redis_server.client()
    assert not client.hexists("aion2:beat:last", "report")
    assert not client.exists("aion2:beat:ledger:report")


def test_a_change_by_hand_is_noticed(redis_server, beat):
    redis_server.client().hset(TABLE, "hand", '{"task":"t.hand","every":1,"overlap":"queue"}')
    wait_slots(redis_server, "t.hand", 2)


def test_what_cannot_be_read_stops_nothing_else(redis_server, beat, ctl):
    client = redis_server.client()
    bad = {"a": "no JSON", "b": "[]", "c": '{"task":"t"}', "d e": '{"task":"t","every":1}',
           "f": '{"task":"t","every":1,"evry":2}', "g": '{"task":"t","cron":"61 * * * *"}',
           "batch": '{"every":-1}', b"\xff\xfe": "{}", "h": '{"task":"t","every":1,"args":' + "[" * 80 + "]" * 80 + "}"}
    for name, text in bad.items():
        client.hset(TABLE, name, text)
    define(redis_server, "good", task="t.good", every=1, overlap="queue")
    wait_slots(redis_server, "t.good", 2)
    assert slots_of(redis_server, "t") == []
    for says in ("evry", "minute", "every", "nested too deep", "the name"):
        assert says in beat.log()
    listed = json.loads(ctl("schedule", "list", "--json", check=True).stdout)
    errors = {s["name"]: s.get("error") for s in listed}
    assert errors["good"] is None and errors["prune"] is None
    assert "evry" in errors["f"] and "minute" in errors["g"] and "every" in errors["batch"]
    shown = ctl("schedule", "show", "g")
    assert shown.returncode == 1 and "minute" in shown.stdout
    assert ctl("schedule", "remove", "g").returncode == 0
    assert not client.hexists(TABLE, "g")


def spoil_list(client, key):
    client.lpush(key, "x")


def spoil_text(client, key):
    client.set(key, "x" * 5000)


@pytest.mark.parametrize("spoil", [spoil_list, spoil_text])
@pytest.mark.parametrize("key", [TABLE, "aion2:schedules:rev", "aion2:beat:gap", "aion2:beat:sent",
                                 "aion2:beat:message", "aion2:beat:ledger:batch", NOTES,
                                 "aion2:beat:periods"])
def test_a_key_of_another_kind_stops_nothing(redis_server, spawn, key, spoil):
    """The built-in schedules go on."""
    spoil(redis_server.client(), key)
    beat = spawn("aion2-beat", {"REDIS_URL": redis_server.url, "BATCH_INTERVAL": 1})
    beat.wait_log("event=beat.sent schedule=batch")


def test_sighup_is_ignored(redis_server, beat):
    beat.signal(signal.SIGHUP)
    define(redis_server, "h", task="t.h", every=1)
    wait_slots(redis_server, "t.h", 1)
    assert beat.running()


@pytest.mark.parametrize("state", ["last", "gap", "sent"])
def test_a_damaged_state_stops_only_its_schedule(redis_server, beat, state):
    redis_server.client().hset(f"aion2:beat:{state}", "bad", "x" * 2000)
    define(redis_server, "bad", task="t.bad", every=1, overlap="queue", since=1)
    define(redis_server, "good", task="t.good", every=1, overlap="queue")
    wait_slots(redis_server, "t.good", 3)
    beat.wait_log("event=beat.cannot_send schedule=bad")
    assert slots_of(redis_server, "t.bad") == []
    assert beat.log().count("event=beat.cannot_send") == 1


@pytest.mark.parametrize("args, says", [
    (["x", "--every", "1s"], "task"),
    (["x", "--task", "t"], "every"),
    (["x", "--task", "t", "--every", "1s", "--cron", "* * * * *"], "cron"),
    (["x", "--task", "t", "--cron", "* * * *"], "five fields"),
    (["x", "--task", "t", "--cron", "* * * * *", "--tz", "Mars/Base"], "Mars/Base"),
    (["x", "--task", "t", "--every", "0"], "--every"),
    (["x", "--task", "t", "--every", "1s", "--args", "{}"], "args"),
    (["x", "--task", "t", "--every", "1s", "--args", "["], "args"),
    (["x", "--task", "t", "--every", "1s", "--missed", "some"], "--missed"),
    (["x", "--task", "t", "--every", "1s", "--missed", "all", "--overlap", "skip"], "overlap"),
    (["x y", "--task", "t", "--every", "1s"], "NAME"),
    ([], "name"),
    (["x", "y"], "name"),
])
def test_what_set_refuses(redis_server, ctl, args, says):
    done = ctl("schedule", "set", *args)
    assert done.returncode == 64 and says in done.stderr
    assert redis_server.client().hgetall(TABLE) == {}


def test_set_changes_only_what_is_given(redis_server, ctl):
    ctl("schedule", "set", "x", "--task", "t", "--every", "10m", "--queue", "q", check=True)
    ctl("schedule", "set", "x", "--cron", "0 4 * * *", "--tz", "Asia/Seoul", check=True)
    stored = json.loads(redis_server.client().hget(TABLE, "x"))
    assert stored.pop("since") > 0
    assert stored == {"task": "t", "queue": "q", "cron": "0 4 * * *", "tz": "Asia/Seoul"}
    ctl("schedule", "set", "x", "--every", "1h", check=True)
    stored = json.loads(redis_server.client().hget(TABLE, "x"))
    assert "cron" not in stored and "tz" not in stored and stored["every"] == 3600


def test_the_table_is_bounded(redis_server, ctl):
    redis_server.client().hset(TABLE, mapping={f"s{i}": "{}" for i in range(1000)})
    done = ctl("schedule", "set", "more", "--task", "t", "--every", "1m")
    assert done.returncode == 1 and "1000" in done.stderr


def test_the_batch_can_be_changed_and_is_built_in_again(redis_server, beat, ctl):
    ctl("schedule", "set", "batch", "--every", "1s", "--overlap", "queue", check=True)
    wait_slots(redis_server, "app.worker.calculate_power_and_rank_batch", 2)
    ctl("schedule", "remove", "batch", check=True)
    shown = json.loads(ctl("schedule", "show", "batch", "--json", check=True).stdout)
    assert shown["every"] == 86400 and not shown["stored"]


def test_list_fits_a_terminal_and_show_is_for_people(redis_server, beat, ctl):
    ctl("schedule", "set", "a-report-of-some-length", "--task", "reports.of.the.day.send",
        "--args", '["x\\u001b[2J"]', "--cron", "0 9 * * mon-fri", "--tz", "America/New_York",
        "--missed", "all", "--missed-max", 7, "--expires", "5m", check=True)
    ctl("schedule", "pause", "a-report-of-some-length", "--reason", "server move", "--by", "kim",
        check=True)
    lines = run_program("aion2ctl", "schedule", "list", check=True, env={
        "REDIS_URL": redis_server.url, "COLUMNS": "80"}).stdout.splitlines()
    assert lines[0].split("  ")[0] == "Schedule" and len(lines) == 4
    assert [line for line in lines if len(line) > 80 or line != line.rstrip()] == []
    (row,) = [line for line in lines if line.startswith("a-rep")]
    assert "never" in row and "paused: serv" in row
    text = ctl("schedule", "show", "a-report-of-some-length", check=True).stdout
    shown = dict(line.split(None, 1) for line in text.partition("\n\n")[0].splitlines()
                 if " slot " not in line)
    assert shown["Task"] == "reports.of.the.day.send" and "\x1b" not in text
    assert shown["When"] == "cron 0 9 * * mon-fri America/New_York"
    assert shown["Queue"] == "celery, priority 0" and shown["Missed"] == "all, at most 7"
    assert shown["Expires"] == "300 s after it was sent"
    assert shown["Paused"].startswith("since 20") and shown["Paused"].endswith(
        " by kim: server move")


# ---------------------------------------------------------------------------- pause, resume, run


def test_pause_and_resume(redis_server, beat, ctl):
    define(redis_server, "p", task="t.p", every=1, overlap="queue")
    wait_slots(redis_server, "t.p", 2)
    ctl("schedule", "pause", "p", "--reason", "server move", "--by", "kim", check=True)
    at_pause = len(slots_of(redis_server, "t.p"))
    entry = wait_for(lambda: (e := ledger(redis_server, "p")[-1]).get("skipped") and e["n"] >= 2 and e)
    # Not one more after the command came back.
    assert len(slots_of(redis_server, "t.p")) == at_pause
    told = why(ctl, entry["slot"], "p")
    assert told["verdict"] == "skipped"
    assert "p was paused by kim since" in told["text"] and "(server move)" in told["text"]
    assert "due in" in why(ctl, now(redis_server) + 100, "p")["text"]
    assert "skipped unless it is resumed" in why(ctl, now(redis_server) + 100, "p")["text"]
    ctl("schedule", "resume", "p", check=True)
    wait_slots(redis_server, "t.p", at_pause + 2)
    assert all(s not in range(entry["slot"], entry["to"] + 1) for s in slots_of(redis_server, "t.p"))
    again = ctl("schedule", "resume", "p")
    assert again.returncode == 0 and "p is not paused" in again.stdout
    assert ctl("schedule", "pause", "nobody").returncode == 1


def test_a_pause_without_a_beat_is_told_as_well(redis_server, spawn, ctl):
    define(redis_server, "p", task="t.p", every=1, overlap="queue", missed="all")
    ctl("schedule", "pause", "p", "--reason", "r", check=True)
    begin = now(redis_server)
    wait_for(lambda: now(redis_server) >= begin + 3)
    ctl("schedule", "resume", "p", check=True)
    resumed = now(redis_server)
    spawn("aion2-beat", {"REDIS_URL": redis_server.url, "BATCH_INTERVAL": 86400})
    assert wait_slots(redis_server, "t.p", 2)[0] > begin + 2
    assert min(slots_of(redis_server, "t.p")) >= resumed
    told = why(ctl, begin + 2, "p")
    assert told["verdict"] == "skipped" and "paused" in told["text"]


def test_run_now(redis_server, beat, ctl):
    define(redis_server, "r", task="t.run", cron="0 4 * * *", args=[5])
    done = ctl("schedule", "run", "r", check=True)
    message = wait_for(lambda: sent(redis_server))[0]
    assert message["headers"]["id"] == done.stdout.strip()
    assert json.loads(base64.b64decode(message["body"]))[0] == [5]
    entry = ledger(redis_server, "r")[-1]
    assert entry["run"] is True and entry["id"] == message["headers"]["id"] and "@" in entry["by"]
    assert redis_server.client().hget("aion2:counters", "sent:r") == b"1"
    assert ctl("schedule", "run", "nobody").returncode == 1


def test_next_in_the_zone_of_the_schedule(redis_server, ctl):
    define(redis_server, "n", task="t", cron="30 2 * * *", tz="Europe/Berlin")
    lines = ctl("schedule", "next", "n", "-n", 3, check=True).stdout.splitlines()
    assert len(lines) == 3 and all(" 02:30:00 CE" in line or "03:00:00 CEST" in line for line in lines)
    assert ctl("schedule", "next", "nobody").returncode == 1
    assert ctl("schedule", "next", "--cron", "x").returncode == 64


def test_monitors_are_told(redis_server, beat):
    """Celery's own event receiver sees a task-sent event for a slot."""
    app = Celery(broker=redis_server.url)
    seen = []

    def take(event):
        seen.append(event)
        receiver.should_stop = len(seen) >= 2

    define(redis_server, "e", task="t.event", every=1, overlap="queue", args=[7])
    with app.connection_for_read() as connection:
        receiver = app.events.Receiver(connection, handlers={"task-sent": take})
        receiver.capture(limit=None, timeout=30)
    app.close()
    assert seen[-1]["name"] == "t.event" and seen[-1]["queue"] == "celery"
    assert seen[-1]["uuid"] in {m["headers"]["id"] for m in sent(redis_server)}


# ------------------------------------------------------------------------------------- overlap


def test_a_predecessor_that_waits_is_not_joined(redis_server, beat, ctl):
    define(redis_server, "o", task="t.o", every=1)
    first = wait_slots(redis_server, "t.o", 1)[0]
    entry = wait_for(lambda: (e := ledger(redis_server, "o")[-1]).get("skipped") and e["n"] >= 2 and e)
    assert slots_of(redis_server, "t.o") == [first]
    told = why(ctl, entry["slot"], "o")
    assert told["verdict"] == "skipped" and "still waited in the queue" in told["text"]
    assert told["id"] == sent(redis_server)[0]["headers"]["id"]
    # A purged message blocks nothing.
    redis_server.client().delete("celery")
    wait_slots(redis_server, "t.o", 1)


def test_a_final_result_ends_the_overlap(redis_server, beat):
    define(redis_server, "o", task="t.o", every=1)
    wait_slots(redis_server, "t.o", 1)
    task_id = sent(redis_server)[0]["headers"]["id"]
    redis_server.client().set(f"celery-task-meta-{task_id}", json.dumps(
        {"status": "FAILURE", "result": {"status": "SUCCESS"}, "task_id": task_id}))
    wait_slots(redis_server, "t.o", 2)


@pytest.mark.parametrize("where", ["unacked", "delayed", "right end", "held"])
def test_a_predecessor_is_found_wherever_it_is(redis_server, beat, where):
    client = redis_server.client()
    define(redis_server, "o", task="t.o", every=1)
    wait_slots(redis_server, "t.o", 1)
    wait_for(lambda: ledger(redis_server, "o")[-1].get("skipped"))
    message = client.lindex("celery", 0)
    parsed = json.loads(message)
    parsed["headers"]["redelivered"] = True
    changed = json.dumps(parsed)
    pipe = client.pipeline()
    pipe.delete("celery")
    if where == "unacked":
        pipe.hset("unacked", parsed["properties"]["delivery_tag"], json.dumps([parsed, "", "celery"]))
    elif where == "delayed":
        pipe.zadd("aion2:delayed", {json.dumps({"q": "celery", "m": changed, "n": "x:1"}): 9e15})
    elif where == "right end":
        pipe.rpush("celery", *["x"] * 50)
        pipe.rpush("celery", changed)
        pipe.lpush("celery", *["x"] * 50)
    else:
        pipe.sadd("aion2:workers", "boot-1")
        pipe.hset("aion2:held:boot-1", "7", "celery\n" + changed)
    pipe.execute()
    moved = now(redis_server)
    wait_for(lambda: ledger(redis_server, "o")[-1].get("to", 0) >= moved + 2, what="further skips")
    client.delete("unacked", "aion2:delayed", "celery", "aion2:held:boot-1")
    wait_slots(redis_server, "t.o", 1)


def test_cancel_ends_the_one_before(pg, redis_server, spawn, ctl):
    """A real worker runs what is cancelled, and goes on with the next."""
    env = {"REDIS_URL": redis_server.url, "DATABASE_URL": pg.url, "TEST_TASKS": 1,
           "WORKER_CONCURRENCY": 1, "BATCH_INTERVAL": 86400}
    spawn("aion2-worker", env)
    spawn("aion2-beat", env)
    define(redis_server, "c", task="test.sleep", args=[60], every=3, overlap="cancel")
    entry = wait_for(lambda: next((e for e in ledger(redis_server, "c") if e.get("cancelled")), None),
                     30, "a cancelled predecessor")
    client = redis_server.client()
    assert client.zscore("aion2:revoked", entry["cancelled"]) is not None

    def revoked():
        doc = client.get(f"celery-task-meta-{entry['cancelled']}")
        return doc and json.loads(doc)["status"] == "REVOKED"

    wait_for(revoked, 20, "the predecessor's REVOKED")
    told = why(ctl, entry["slot"], "c")
    assert f"task {entry['cancelled']}, was cancelled for it" in told["text"]


def test_the_revoke_is_one_that_celery_understands(redis_server, beat):
    listener = redis_server.client().pubsub()
    listener.subscribe("/0.celery.pidbox")
    define(redis_server, "c", task="t.c", every=1, overlap="cancel")
    request = wait_for(lambda: next((m for m in iter(lambda: listener.get_message(timeout=0.1), None)
                                     if m["type"] == "message"), None), 20, "a request")
    envelope = json.loads(request["data"])
    body = json.loads(base64.b64decode(envelope["body"]))
    assert body["method"] == "revoke" and body["arguments"]["terminate"] is True
    assert body["arguments"]["task_id"] == [sent(redis_server)[0]["headers"]["id"]]
    assert envelope["properties"]["delivery_tag"] and envelope["content-type"] == "application/json"
    listener.close()


def test_what_was_missed_before_an_overlap_is_told_apart(redis_server, beat, ctl):
    define(redis_server, "o", task="t.o", every=1)
    first = wait_slots(redis_server, "t.o", 1)[0]
    beat.kill()
    wait_for(lambda: now(redis_server) >= first + 10, 15)
    beat.start()
    run = wait_for(lambda: next((e for e in ledger(redis_server, "o")
                                 if e.get("skipped") == "missed"), None), 20, "the missed slots")
    told = why(ctl, run["slot"] + 3, "o")
    assert told["verdict"] == "missed" and "no beat was running" in told["text"]
    overlap = wait_for(lambda: (e := ledger(redis_server, "o")[-1])["skipped"] == "overlap" and e)
    assert overlap["slot"] == run["to"] + 1


# -------------------------------------------------------------------------------------- missed


def downtime(redis_server, spawn, seconds, **members):
    """A beat sends, dies, and is back after so many slots."""
    define(redis_server, "m", task="t.m", every=1, overlap="queue", **members)
    beat = spawn("aion2-beat", {"REDIS_URL": redis_server.url, "BATCH_INTERVAL": 86400})
    wait_slots(redis_server, "t.m", 2)
    beat.kill()
    last = slots_of(redis_server, "t.m")[-1]
    wait_for(lambda: now(redis_server) >= last + seconds, seconds + 5)
    beat.start()
    wait_for(lambda: slots_of(redis_server, "t.m")[-1] >= last + seconds + 2, 20, "slots afterwards")
    return last


def test_missed_latest_sends_one(redis_server, spawn, ctl):
    last = downtime(redis_server, spawn, 10)
    got = slots_of(redis_server, "t.m")
    after = got[got.index(last) + 1:]
    assert after[0] >= last + 9 and after == list(range(after[0], after[0] + len(after)))
    told = why(ctl, last + 7, "m")
    assert told["verdict"] == "missed" and "no beat was running from about" in told["text"]
    assert "the next one that was sent is that of" in told["text"]


def test_missed_all_sends_each_up_to_its_bound(redis_server, spawn, ctl):
    last = downtime(redis_server, spawn, 6, missed="all", missed_max=3)
    got = slots_of(redis_server, "t.m")
    after = got[got.index(last) + 1:]
    assert after == list(range(after[0], after[0] + len(after))) and last + 3 <= after[0] <= last + 6
    assert why(ctl, after[0], "m")["verdict"] == "sent"
    assert " caught up " in why(ctl, after[0], "m")["text"]


def test_missed_skip_waits_for_the_next(redis_server, spawn, ctl):
    """A slot that is more than a minute old is not sent any more."""
    at = now(redis_server)
    begin = at - at % 86400
    if at - begin < 120:
        pytest.skip("within two minutes of midnight UTC")
    define(redis_server, "m", task="t.m", every=86400, missed="skip", since=begin - 86400 * 3)
    spawn("aion2-beat", {"REDIS_URL": redis_server.url})
    entry = wait_for(lambda: ledger(redis_server, "m"), what="the ledger")[0]
    assert entry["skipped"] == "late" and entry["to"] == begin and entry["n"] == 4
    assert slots_of(redis_server, "t.m") == []
    assert "skips what it missed" in why(ctl, begin, "m")["text"]


def test_why_knows_that_redis_was_down(make_redis, spawn):
    server = make_redis(appendonly=True)
    define(server, "w", task="t.w", every=1, overlap="queue")
    beats = [spawn("aion2-beat", {"REDIS_URL": server.url, "BATCH_INTERVAL": 86400}) for _ in range(2)]
    wait_slots(server, "t.w", 2)
    server.stop()
    down = time.time()
    for beat in beats:
        beat.wait_log("event=redis.down")
    wait_for(lambda: time.time() > down + 4)
    server.start()
    wait_for(lambda: server.client().llen(NOTES) >= 2 and slots_of(server, "t.w")[-1] > down + 5, 20)
    told = json.loads(run_program("aion2ctl", "why", int(down) + 2, "--schedule", "w", "--json",
                                  env={"REDIS_URL": server.url}, check=True).stdout)
    assert told["verdict"] == "missed" and "Redis was down from" in told["text"]


# --------------------------------------------------------------------------- crashes at a point


@pytest.mark.parametrize("point", ["claim.before", "claim.after", "claim.before:2", "claim.after:3"])
def test_a_crash_around_the_claim(redis_server, spawn, point):
    """The beat dies right before or right after the step; the next one goes on where it was."""
    define(redis_server, "k", task="t.k", every=1, overlap="queue", missed="all", since=now(redis_server) + 1)
    env = {"REDIS_URL": redis_server.url, "BATCH_INTERVAL": 86400}
    doomed = spawn("aion2-beat", {**env, "TEST_TASKS": 1, "CRASH_AT": point})
    assert doomed.wait() == -9
    spawn("aion2-beat", env)
    begin = json.loads(redis_server.client().hget(TABLE, "k"))["since"]
    wait_for(lambda: (s := slots_of(redis_server, "t.k")) and s[-1] >= begin + 5, 20, "slots")
    got = slots_of(redis_server, "t.k")
    assert got == list(range(begin, begin + len(got)))
    assert [e["slot"] for e in ledger(redis_server, "k")] == got


def test_health_of_one_schedule(redis_server, beat):
    def check(*name):
        return run_program("aion2-beat", "--healthcheck", *name,
                           env={"REDIS_URL": redis_server.url, "BATCH_INTERVAL": 86400})

    define(redis_server, "h", task="t.h", every=10, overlap="queue")
    wait_for(lambda: redis_server.client().hexists("aion2:beat:last", "h"))
    assert check().returncode == 0 and check("h").returncode == 0
    unknown = check("nobody")
    assert unknown.returncode == 1 and "nobody" in unknown.stderr
    beat.kill()
    redis_server.client().hset("aion2:beat:last", "h", now(redis_server) - 40)
    late = check("h")
    assert late.returncode == 1 and "every 10 s" in late.stderr
    assert check("batch").returncode == 0
