"""aion2ctl status: what it says is what is there, also when half of it is missing."""

import json
import os
import pty
import re
import signal
import subprocess
import unicodedata

import pytest

import harness
from harness import wait_for

TASK = "app.worker.calculate_power_and_rank_batch"
ESC = "\033"


@pytest.fixture
def status(ctl):
    """The document of --json."""

    def run(code=0):
        done = ctl("status", "--json")
        assert done.returncode == code, done.stderr
        assert done.stdout.count("\n") == 1 and ESC not in done.stdout
        return json.loads(done.stdout)

    return run


def now_s(server):
    return server.client().time()[0]


def insert_runs(pg, n, **columns):
    """Runs 10 minutes apart, the newest now."""
    values = {"state": "success", "processed": 100, "failed": 0, "servers": 2, "error": None,
              **columns}
    for i in range(n):
        pg.query(
            "INSERT INTO batch_runs (task_id, attempt, owner, state, rules_version, started_at,"
            " finished_at, processed, failed, servers, entries, error) SELECT gen_random_uuid(), 2,"
            " gen_random_uuid(), %(state)s, 1, now() - %(age)s * interval '10 minutes', now()"
            " - %(age)s * interval '10 minutes' + interval '1.5 s', %(processed)s, %(failed)s,"
            " %(servers)s, 100, %(error)s", {**values, "age": n - 1 - i})


def set_ranking(pg, age_s, entries=1234567):
    pg.query("DELETE FROM ranking_state")
    pg.query("INSERT INTO ranking_state (run_id, generated_at, entries, previous_run_id)"
             " VALUES (3, now() - %s * interval '1 second', %s, 2)", (age_s, entries))


def width(line):
    """Columns that a line takes on a terminal."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)


def fill_redis(server):
    """One of everything that can be there."""
    r = server.client()
    now = now_s(server)
    r.lpush("celery", "a", "b")
    r.lpush("celery\x06\x166", "c")
    r.zadd("aion2:delayed", {"later": (now + 600) * 1000, "sooner": (now + 100) * 1000})
    r.lpush("aion2:quarantine", "q")
    r.lpush("aion2:dead", *range(10000))
    r.hset("aion2:counters", mapping={"taken": 12345678, "done": 12345677, "sent:batch": 99})
    r.sadd("aion2:workers", "boot-1", "boot-2")
    r.hset("aion2:held:boot-1", mapping={"1": "x", "2": "y"})
    r.set("aion2:worker:boot-1", json.dumps({
        "name": "aion2@h1", "pid": 77, "children": 2, "stopping": True,
        "running": [{"id": "task-7", "task": TASK, "since": now - 75}]}))
    r.hset("aion2:beats", "beat-1",
           json.dumps({"host": "h1", "pid": 5, "interval": 600, "seen": now}))
    r.hset("aion2:beats", "beat-2",
           json.dumps({"host": "h2", "pid": 6, "interval": 600, "seen": now - 40}))
    r.hset("aion2:beat:last", "batch", now - now % 600)
    r.lpush("aion2:beat:ledger:batch",
            json.dumps({"slot": now - now % 600, "sent_at": now, "id": "i", "missed": 3}))


# ----------------------------------------------------------------------------------- what it says


def test_an_empty_installation(ctl, status):
    doc = status()
    assert doc["redis"]["reachable"] and doc["postgresql"]["reachable"]
    assert re.match(r"7\.", doc["redis"]["version"]) and doc["postgresql"]["version"]
    assert doc["workers"] == [] and doc["beats"] == [] and doc["runs"] == []
    assert doc["ranking"] is None and doc["counters"] == {}
    assert doc["queue"]["ready"] == doc["queue"]["held"] == doc["queue"]["delayed"] == 0
    assert doc["schedule"]["interval_s"] == 600 and 0 < doc["schedule"]["next_in_s"] <= 600
    text = ctl("status")
    assert text.returncode == 0 and text.stdout.count("NONE") == 2


def test_what_is_in_redis(redis_server, status):
    fill_redis(redis_server)
    doc = status()
    queue = doc["queue"]
    assert queue["name"] == "celery" and queue["ready"] == 3 and queue["held"] == 2
    assert [(q["priority"], q["length"]) for q in queue["ready_by_priority"]] == [
        (0, 2), (3, 0), (6, 1), (9, 0)]
    assert queue["delayed"] == 2 and 90 < queue["delayed_next_in_s"] <= 100
    assert queue["quarantine"] == 1 and queue["dead"] == 10000
    assert doc["counters"] == {"taken": 12345678, "done": 12345677, "sent:batch": 99}
    workers = {w["boot"]: w for w in doc["workers"]}
    assert workers["boot-1"]["alive"] and not workers["boot-2"]["alive"]
    assert workers["boot-1"]["held"] == 2 and workers["boot-1"]["name"] == "aion2@h1"
    (task,) = workers["boot-1"]["running"]
    assert task["id"] == "task-7" and 75 <= task["for_s"] < 90
    assert {b["boot"]: b["alive"] for b in doc["beats"]} == {"beat-1": True, "beat-2": False}
    schedule = doc["schedule"]
    assert schedule["next_slot"] % 600 == 0 and not schedule["late"]
    assert schedule["last_slot"] % 600 == 0 and schedule["last_sent"]["missed"] == 3


def test_what_is_in_postgresql(pg, status):
    insert_runs(pg, 7, state="failed", error="x" * 1000, failed=3)
    set_ranking(pg, 700)
    doc = status()
    assert len(doc["runs"]) == 5
    ids = [r["id"] for r in doc["runs"]]
    assert ids == sorted(ids, reverse=True)
    run = doc["runs"][0]
    assert run["state"] == "failed" and run["took_s"] == 1.5 and run["attempt"] == 2
    assert (run["processed"], run["failed"], run["servers"]) == (100, 3, 2)
    assert len(run["error"]) == 400 and run["started_at"].endswith("Z")
    ranking = doc["ranking"]
    assert (ranking["run_id"], ranking["entries"], ranking["previous_run_id"]) == (3, 1234567, 2)
    assert 700 <= ranking["age_s"] < 730 and 0 <= ranking["next_in_s"] <= 600


@pytest.mark.parametrize("age_s, interval, stale", [(1000, 600, False), (1300, 600, True),
                                                    (1300, 3600, False), (9, 2, True)])
def test_stale_is_older_than_two_intervals(pg, env, ctl, status, age_s, interval, stale):
    env["BATCH_INTERVAL"] = interval
    set_ranking(pg, age_s)
    assert status()["ranking"]["stale"] is stale
    assert ("STALE" in ctl("status").stdout) is stale


def test_the_interval_is_what_the_beats_say(redis_server, pg, status):
    now = now_s(redis_server)
    redis_server.client().hset(
        "aion2:beats", "b", json.dumps({"host": "h", "pid": 1, "interval": 3600, "seen": now}))
    set_ranking(pg, 1300)
    doc = status()
    assert doc["schedule"]["interval_s"] == 3600 and doc["schedule"]["next_slot"] % 3600 == 0
    assert doc["ranking"]["stale"] is False


def test_stale_goes_by_the_timetable_when_there_is_one(redis_server, pg, status):
    redis_server.client().hset("aion2:schedules", "batch", '{"cron": "30 3 * * *"}')
    set_ranking(pg, 20 * 3600)
    assert status()["ranking"]["stale"] is False and status()["schedule"]["gap_s"] == 86400
    set_ranking(pg, 49 * 3600)
    assert status()["ranking"]["stale"] is True


def test_a_slot_that_is_late_is_called_so(redis_server, ctl, status):
    redis_server.client().hset("aion2:beat:last", "batch", now_s(redis_server) - 5000)
    assert status()["schedule"]["late"] is True
    assert "LATE" in ctl("status").stdout


def test_task_queue_names_the_lists(env, redis_server, status):
    env["TASK_QUEUE"] = "other"
    redis_server.client().lpush("other", "a")
    assert status()["queue"]["ready"] == 1


def test_with_the_real_beat(redis_server, spawn, status):
    beat = spawn("aion2-beat", {"REDIS_URL": redis_server.url})
    beat.wait_log("event=beat.first_start")
    doc = status()
    assert [b["pid"] for b in doc["beats"]] == [beat.pid]
    assert doc["schedule"]["last_slot"] + 600 == doc["schedule"]["next_slot"]


def test_with_the_real_worker(env, spawn, ctl, status):
    worker = spawn("aion2-worker", env)
    wait_for(lambda: [w["pid"] for w in status()["workers"]] == [worker.pid], 30, "the worker")
    (shown,) = status()["workers"]
    assert shown["alive"] and shown["running"] == [] and shown["children"] == 2
    assert f"pid {worker.pid}" in ctl("status").stdout


def test_a_running_task_is_shown(env, spawn, ctl, status):
    spawn("aion2-worker", {**env, "TEST_TASKS": "1"})
    assert ctl("call", "test.sleep", "--args", "[60]", "--id", "long-nap").returncode == 0

    def running():
        return [task for w in status()["workers"] for task in w["running"]]

    (task,) = wait_for(running, 30, "the running task")
    assert (task["id"], task["task"]) == ("long-nap", "test.sleep") and 0 <= task["for_s"] < 60
    assert status()["queue"]["held"] == 1
    assert re.search(r"0:\d\d  test\.sleep +long-nap", ctl("status").stdout)


# --------------------------------------------------------------------------- what is broken


def test_a_task_that_is_tried_again_shows_its_timetable(env, redis_server, spawn, ctl, status):
    worker = spawn("aion2-worker", env={**env, "TEST_TASKS": "1"})
    worker.wait_log("worker.registered")
    redis_server.client().lpush("celery", json.dumps(
        {"task": "test.fail", "id": "again", "kwargs": {"class": "retryable"}}))
    retry = wait_for(lambda: status().get("retries"), what="the retry")[0]
    assert retry["id"] == "again" and 50 < retry["in_s"] <= 60
    assert retry["timetable"].startswith("attempt 1 of 4 failed; next at ")
    assert retry["timetable"].endswith("then 120 s, 240 s")
    shown = ctl("status").stdout
    assert "again" in shown and "attempt 1 of 4 failed, then 120 s, 240 s" in shown


def test_redis_down(redis_server, pg, ctl, status):
    insert_runs(pg, 1)
    set_ranking(pg, 10)
    redis_server.stop()
    doc = status(code=69)
    assert doc["redis"]["reachable"] is False and "Redis" in doc["redis"]["error"]
    assert "workers" not in doc and "queue" not in doc and "schedule" not in doc
    assert doc["ranking"]["stale"] is False and 0 <= doc["ranking"]["next_in_s"] <= 600
    assert len(doc["runs"]) == 1
    text = ctl("status")
    assert text.returncode == 69 and "DOWN" in text.stdout and "run 3" in text.stdout


def test_redis_hangs(redis_server, status):
    redis_server.pause()
    assert status(code=69)["redis"]["reachable"] is False
    redis_server.resume()


def test_redis_wants_a_password(make_redis, env, status):
    env["REDIS_URL"] = make_redis(options={"requirepass": "secret"}).url
    assert "NOAUTH" in status(code=69)["redis"]["error"]


def test_postgresql_down(env, redis_server, ctl, status):
    fill_redis(redis_server)
    env["DATABASE_URL"] = "postgresql://postgres:hidden@127.0.0.1:1/none"
    doc = status(code=69)
    assert doc["postgresql"]["reachable"] is False and doc["postgresql"]["error"]
    assert "runs" not in doc and "ranking" not in doc
    assert doc["queue"]["ready"] == 3 and len(doc["workers"]) == 2
    text = ctl("status")
    assert text.returncode == 69 and "DOWN" in text.stdout and "aion2@h1" in text.stdout
    assert "hidden" not in text.stdout + json.dumps(doc)


def test_postgresql_hangs(pg, status):
    os.kill(pg.cluster.proc.pid, signal.SIGSTOP)
    try:
        assert status(code=69)["postgresql"]["reachable"] is False
    finally:
        os.kill(pg.cluster.proc.pid, signal.SIGCONT)


def test_both_down(env, redis_server, ctl):
    redis_server.stop()
    env["DATABASE_URL"] = "postgresql://127.0.0.1:1/none"
    done = ctl("status")
    assert done.returncode == 69 and done.stdout.count("DOWN") == 2


def test_a_database_without_schema(env, pg_empty, ctl, status):
    env["DATABASE_URL"] = pg_empty.url
    doc = status(code=1)
    assert doc["postgresql"]["reachable"] is True
    assert "aion2ctl migrate" in doc["postgresql"]["error"]
    assert "aion2ctl migrate" in ctl("status").stdout


def test_keys_of_the_wrong_kind_or_content_do_not_hide_the_rest(redis_server, status):
    fill_redis(redis_server)
    r = redis_server.client()
    r.delete("aion2:counters", "aion2:dead", "celery")
    for key in ("aion2:counters", "aion2:dead", "celery"):
        r.set(key, "wrong kind")
    r.hset("aion2:beats", mapping={"bad-1": b"\xff\xfe", "bad-2": "[]", b"\xff": "{}", "bad-3": ""})
    r.hset("aion2:beat:last", "batch", "soon")
    r.delete("aion2:delayed")
    r.zadd("aion2:delayed", {"never": float("inf")})
    r.lpush("aion2:beat:ledger:batch", b"\x00not JSON")
    r.set("aion2:worker:boot-1", "[1, 2]")
    r.set("aion2:worker:boot-2", '{"boot": 7, "running": {"id": 1}, "children": "many"}')
    doc = status()
    assert doc["queue"]["ready"] == 1 and doc["queue"]["quarantine"] == 1
    assert {b["boot"] for b in doc["beats"]} == {"beat-1", "beat-2"}
    assert {w["boot"] for w in doc["workers"]} == {"boot-1", "boot-2"}
    assert "last_slot" not in doc["schedule"]
    assert doc["queue"]["delayed"] == 1 and "delayed_next_in_s" not in doc["queue"]


# ------------------------------------------------------------------------------------ how it looks


def on_a_terminal(env, **more):
    """stdout of aion2ctl status when that is a pseudo terminal."""
    master, slave = pty.openpty()
    proc = subprocess.Popen(
        [harness.bin_dir() / "aion2ctl", "status"], stdin=subprocess.DEVNULL, stdout=slave,
        env=harness.clean_env({**env, "TERM": "xterm", **more}))
    os.close(slave)
    data = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:  # what a pseudo terminal says at its end
            break
        data += piece
    os.close(master)
    assert proc.wait(30) == 0
    return data.decode().replace("\r\n", "\n")


def test_colours_on_a_terminal_only(env, redis_server, ctl):
    fill_redis(redis_server)
    coloured = on_a_terminal(env)
    assert f"{ESC}[32m" in coloured
    assert ESC not in on_a_terminal(env, NO_COLOR="1")
    assert ESC not in on_a_terminal(env, TERM="dumb")
    plain = ctl("status").stdout
    assert ESC not in plain

    def skeleton(text):
        return re.sub(r"\d+", "0", re.sub(ESC + r"\[\d+m", "", text))

    assert skeleton(coloured) == skeleton(plain)


def test_it_fits_80_columns(env, pg, redis_server, ctl):
    fill_redis(redis_server)
    long = "긴" * 200
    r = redis_server.client()
    now = now_s(redis_server)
    r.set("aion2:worker:boot-2", json.dumps({
        "name": long, "pid": 4194304, "children": 256, "stopping": True,
        "running": [{"id": long, "task": long, "since": now - 10**7}] * 20}))
    for i in range(30):
        r.sadd("aion2:workers", f"many-{i}")
        r.hset("aion2:beats", f"many-{i}", json.dumps({"host": long, "pid": i, "seen": now}))
        r.hset("aion2:counters", f"{long}{i}", 2**53 - 1)
    insert_runs(pg, 5, processed=123456789, failed=12345678, servers=99999, error=long)
    set_ranking(pg, 10**8, entries=10**9)
    lines = ctl("status").stdout.splitlines()
    assert [line for line in lines if width(line) > 80] == []
    assert len(lines) < 90
    assert any("and 24 more" in line for line in lines)  # of 32 workers


def test_text_from_outside_cannot_command_the_terminal(env, pg, redis_server, ctl):
    evil = f"{ESC}[2J{ESC}]0;owned\a\r\n\u009b31m\u202eabc"
    now = now_s(redis_server)
    r = redis_server.client()
    r.sadd("aion2:workers", "boot", evil)
    r.set("aion2:worker:boot", json.dumps(
        {"name": evil, "pid": 1, "running": [{"id": evil, "task": evil, "since": now}]}))
    r.hset("aion2:beats", evil, json.dumps({"host": evil, "pid": 1, "seen": now}))
    r.hset("aion2:counters", evil, 1)
    insert_runs(pg, 1, state="failed", error=evil)
    text = ctl("status").stdout
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)
    assert text.count("abc") == 6


def test_wrong_words(ctl):
    assert ctl("status", "--yaml").returncode == 64
    done = ctl("status", "now")
    assert done.returncode == 64 and "now" in done.stderr
    helped = ctl("status", "--help")
    assert helped.returncode == 0
    assert "Examples:" in helped.stdout and "Exit codes:" in helped.stdout


# ------------------------------------------------------------------- schedules, queues, conservation


def test_conservation_is_shown(redis_server, ctl, status):
    r = redis_server.client()
    assert status()["conservation"]["ok"] and "all accounted for" in ctl("status").stdout
    r.sadd("aion2:workers", "b")
    r.hset("aion2:held:b", mapping={"1": "celery\n{}", "2:tag": "celery\n{}"})
    r.hset("aion2:counters", mapping={"taken": 12, "done": 10, "redis_lost": 4})
    doc = status()
    assert doc["conservation"] == {"ok": True, "redis_lost": 4, "differences": {
        "holds": 0, "delayed": 0, "dead": 0, "quarantine": 0}}
    assert "Redis forgot 4 steps" in ctl("status").stdout
    r.hincrby("aion2:counters", "taken", 3)
    assert status()["conservation"]["differences"]["holds"] == 3
    text = ctl("status").stdout
    assert "NOT ALL ACCOUNTED FOR" in text and "holds +3" in text
    assert max(map(width, text.splitlines())) <= 80


def test_other_queues_are_shown(redis_server, ctl, status):
    r = redis_server.client()
    r.sadd("aion2:workers", "b")
    r.set("aion2:worker:b", json.dumps({"name": "w", "queues": ["celery", "fast", "slow"]}))
    r.lpush("fast", "1", "2")
    assert status()["other_queues"] == [{"name": "fast", "ready": 2}, {"name": "slow", "ready": 0}]
    assert "also fast 2   slow 0" in ctl("status").stdout


def test_a_paused_schedule_and_a_timetable(redis_server, ctl, status):
    assert status()["schedules"] == {"stored": 0, "paused": []}
    redis_server.client().hset("aion2:schedules", "batch", '{"cron": "30 3 * * *"}')
    now = now_s(redis_server)
    redis_server.client().hset("aion2:beat:last", "batch", now - 20 * 3600)
    doc = status()
    assert doc["schedule"]["when"] == "cron 30 3 * * * UTC" and not doc["schedule"]["late"]
    assert doc["schedule"]["next_slot"] % 86400 == 12600 and "interval_s" not in doc["schedule"]
    redis_server.client().hset("aion2:beat:last", "batch", now - 100 * 3600)
    assert status()["schedule"]["late"] is True and "LATE" in ctl("status").stdout
    assert ctl("schedule", "pause", "batch", "--reason", "moving").returncode == 0
    doc = status()
    assert doc["schedules"]["paused"][0]["reason"] == "moving" and not doc["schedule"]["late"]
    assert "batch PAUSED: moving" in ctl("status").stdout


def test_broken_definitions_hide_nothing(redis_server, status):
    r = redis_server.client()
    r.hset("aion2:schedules", mapping={"a": "{", "b": '{"paused": 7}', b"\xff": '{"paused": {}}',
                                       "batch": "[]", "c": '{"paused": {"reason": 7}}'})
    doc = status()
    assert doc["schedules"]["stored"] == 5
    assert [p["name"] for p in doc["schedules"]["paused"]] == ["c"]
    r.delete("aion2:schedules")
    r.set("aion2:schedules", "x")
    assert "schedules" not in status() and status()["conservation"]["ok"]
