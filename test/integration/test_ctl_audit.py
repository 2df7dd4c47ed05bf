"""aion2ctl audit: silent while everything is accounted for, and only then."""

import json
import signal
import subprocess
import time

import pytest

import harness
from ctl_lab import HARMFUL, json_of, on_a_terminal, redis_ctl, without_colours
from harness import wait_for
from jobs import worker_env

COUNTERS = "aion2:counters"


@pytest.fixture
def ctl(redis_server):
    return redis_ctl(redis_server)


@pytest.fixture
def audit(ctl):
    """The document; code 1 when something is not accounted for."""

    def run(code=0):
        doc = json_of(ctl("audit", "--json"), code)
        assert doc["ok"] is (code == 0)
        return doc

    return run


def differences(doc):
    return {i["name"]: i["difference"] for i in doc["identities"]}


BALANCED = {"holds": 0, "delayed": 0, "dead": 0, "quarantine": 0}


def fill(server):
    """A state that adds up."""
    r = server.client()
    r.hset(COUNTERS, mapping={
        "taken": 100, "done": 50, "retried": 10, "delayed": 5, "requeued": 7, "recovered": 3,
        "quarantined": 4, "due": 11, "delayed_dropped": 1, "dead": 9, "dead_trimmed": 1,
        "dead_retried": 2, "dead_dropped": 3, "quarantine_foreign": 1, "quarantine_trimmed": 1,
        "quarantine_replayed": 1, "quarantine_dropped": 1, "sent:batch": 77})
    r.sadd("aion2:workers", "b1", "b2")
    r.set("aion2:worker:b1", "{}")
    for boot, n in (("b1", 20), ("b2", 1)):
        for i in range(n):
            r.hset(f"aion2:held:{boot}", str(i + 1), "celery\n{}")
    r.zadd("aion2:delayed", {json.dumps({"q": "celery", "m": "{}", "n": f"x:{i}"}): i + 1e13
                             for i in range(3)})
    r.lpush("aion2:dead", *[json.dumps({"at": i}) for i in range(3)])
    r.lpush("aion2:quarantine", *[json.dumps({"at": i}) for i in range(2)])


# -------------------------------------------------------------------------------- with the worker


def test_after_work_of_every_kind_everything_is_accounted_for(redis_server, spawn, ctl, audit):
    spawn("aion2-worker", worker_env(redis_server))
    r = redis_server.client()
    sent = []
    for i in range(30):
        sent.append(json_of_call(ctl, "test.add", "--args", f"[{i}, 1]"))
        sent.append(json_of_call(ctl, "test.add", "--args", "[1]", "--countdown", "1"))
    json_of_call(ctl, "test.fail", "--args", '["retryable"]')
    json_of_call(ctl, "test.fail", "--args", '["permanent"]')
    r.lpush("celery", b"\x00 not JSON", "{}", b"\xff")
    json_of_call(ctl, "test.sleep", "--args", "[600]")
    wait_for(lambda: all(r.exists("celery-task-meta-" + i) for i in sent), 60, "the results")
    wait_for(lambda: r.llen("aion2:dead") >= 2 and r.llen("aion2:quarantine") >= 2, 30, "the ends")
    doc = audit()
    assert differences(doc) == BALANCED and doc["held"]["total"] >= 1
    assert doc["held"]["stranded"] == doc["held"]["mirror_missing"] == doc["redis_lost"] == 0
    assert [w["alive"] for w in doc["workers"]] == [True]
    # And whatever the operator does keeps it so.
    assert ctl("dead", "retry", "--error", "permanent").returncode == 0
    for args in (("dead", "drop", "--all"), ("quarantine", "replay", "--all", "--queue", "aside"),
                 ("quarantine", "drop", "--all")):
        assert ctl(*args).returncode == 0
        assert differences(audit()) == BALANCED


def json_of_call(ctl, *args):
    done = ctl("call", *args)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_it_holds_while_work_goes_on(redis_server, spawn, ctl, audit):
    spawn("aion2-worker", worker_env(redis_server))
    r = redis_server.client()
    tasks = [json.dumps({"task": "test.add", "id": f"t{i}", "args": [i]}) for i in range(3000)]
    looks = []

    def seen_at_work():
        """Looks that found the worker holding messages; it may be done before one begins."""
        r.lpush("celery", *tasks)
        doc = audit()
        assert differences(doc) == BALANCED
        looks.append(doc["held"]["total"])
        return sum(held > 0 for held in looks) >= 5

    wait_for(seen_at_work, 60, "looks at a worker that works")
    pushed = len(looks) * len(tasks)
    wait_for(lambda: int(r.hget(COUNTERS, "done") or 0) == pushed, 60, "all of it done")
    assert differences(audit()) == BALANCED


# ------------------------------------------------------------------------------- what it finds


def test_an_empty_redis_is_in_order(ctl, audit):
    doc = audit()
    assert differences(doc) == BALANCED and doc["workers"] == []
    assert "everything is accounted for" in ctl("audit").stdout


def test_a_state_that_adds_up(redis_server, audit):
    fill(redis_server)
    doc = audit()
    assert differences(doc) == BALANCED
    holds = doc["identities"][0]
    assert (holds["in"], holds["out"], holds["there"]) == (100, 79, 21)
    assert sorted((w["boot"], w["held"], w["alive"]) for w in doc["workers"]) == [
        ("b1", 20, True), ("b2", 1, False)]


@pytest.mark.parametrize("break_it, name, difference", [
    (lambda r: r.hdel("aion2:held:b1", "3"), "holds", 1),
    (lambda r: r.hset("aion2:held:b1", "99", "celery\n{}"), "holds", -1),
    (lambda r: r.hincrby(COUNTERS, "done", 5), "holds", -5),
    (lambda r: r.zremrangebyrank("aion2:delayed", 0, 1), "delayed", 2),
    (lambda r: r.lpop("aion2:dead"), "dead", 1),
    (lambda r: r.hincrby(COUNTERS, "dead_trimmed", -2), "dead", 2),
    (lambda r: r.delete("aion2:quarantine"), "quarantine", 2),
], ids=["lost", "twice", "counted", "delayed", "dead", "trimmed", "quarantine"])
def test_each_difference_is_found(redis_server, ctl, audit, break_it, name, difference):
    fill(redis_server)
    break_it(redis_server.client())
    assert differences(audit(code=1)) == {**BALANCED, name: difference}
    text = ctl("audit")
    assert text.returncode == 1 and "NOT ACCOUNTED FOR" in text.stdout
    assert f"\n{name}: " in text.stdout


def test_members_that_are_not_ours_are_no_difference(redis_server, ctl, audit):
    fill(redis_server)
    r = redis_server.client()
    r.zadd("aion2:delayed", {"junk": 1, b"\xff\x00": 2, '{"q": 1}': 3})
    r.lpush("aion2:dead", "junk", "[]")
    r.rpush("aion2:quarantine", b"\xff")
    r.hset("aion2:held:b1", "tag", "no list")
    doc = audit()
    assert doc["foreign"] == {"held": 1, "delayed": 3, "dead": 2, "quarantine": 1}
    assert "not ours" in ctl("audit").stdout


def test_what_is_held_for_nobody_is_found(redis_server, ctl, audit):
    fill(redis_server)
    r = redis_server.client()
    r.srem("aion2:workers", "b1")
    doc = audit(code=1)
    assert differences(doc) == BALANCED and doc["held"]["stranded"] == 20
    assert {w["boot"]: w["registered"] for w in doc["workers"]} == {"b1": False, "b2": True}
    assert "nobody puts these back" in ctl("audit").stdout


def test_the_mirror_is_compared(redis_server, ctl, audit):
    fill(redis_server)
    r = redis_server.client()
    for i, there in enumerate([True, True, False]):
        value = r.hget("aion2:held:b1", str(i + 1))
        r.hdel("aion2:held:b1", str(i + 1))
        r.hset("aion2:held:b1", f"{i + 1}:tag-{i}", value)
        if there:
            r.hset("unacked", f"tag-{i}", "[]")
    r.zadd("unacked_index", {"tag-0": 1, "other": 2})
    r.hset("unacked", "other", "[]")
    doc = audit()
    assert doc["held"]["mirrored"] == 3 and doc["held"]["mirror_missing"] == 1
    assert doc["held"]["unindexed"] == 1
    assert doc["unacked"] == {"entries": 3, "ours": 2, "others": 1}
    text = ctl("audit").stdout
    assert "a Python client put them back" in text and "unacked_index" in text


def test_steps_that_redis_forgot_are_said(redis_server, ctl, audit):
    fill(redis_server)
    redis_server.client().hset(COUNTERS, "redis_lost", 12)
    assert audit()["redis_lost"] == 12
    assert "12  steps that Redis had confirmed" in ctl("audit").stdout


def test_a_database_from_before_the_counters_is_no_alarm(redis_server, ctl, audit):
    fill(redis_server)
    r = redis_server.client()
    r.hdel(COUNTERS, "due", "delayed_dropped", "dead_trimmed", "dead_retried", "dead_dropped",
           "quarantine_trimmed", "quarantine_replayed", "quarantine_dropped", "quarantine_foreign")
    assert differences(audit()) == {**BALANCED, "delayed": None, "dead": None, "quarantine": None}
    assert ctl("audit").stdout.count("not counted") == 3


def test_a_worker_makes_an_old_database_count(redis_server, spawn, audit):
    r = redis_server.client()
    r.hset(COUNTERS, mapping={"taken": 20, "done": 10, "retried": 4, "delayed": 6, "dead": 5,
                              "quarantined": 0})
    r.zadd("aion2:delayed", {json.dumps({"q": "celery", "m": "{}", "n": i}): 1e14
                             for i in range(3)})
    r.lpush("aion2:dead", *[json.dumps({"at": i}) for i in range(4)])
    assert differences(audit())["dead"] is None
    spawn("aion2-worker", worker_env(redis_server))
    wait_for(lambda: r.scard("aion2:workers") == 1, 30, "the worker")
    assert differences(audit()) == BALANCED


def test_many_boots_and_long_lists(redis_server, audit):
    r = redis_server.client()
    with r.pipeline(transaction=False) as p:
        for i in range(500):
            p.hset(f"aion2:held:boot-{i}", "1", "celery\n{}")
            p.sadd("aion2:workers", f"boot-{i}")
        for i in range(3000):
            p.zadd("aion2:delayed", {json.dumps({"q": "c", "m": "{}", "n": i}): 1e14})
        p.zadd("aion2:delayed", {"junk": 1})
        p.hset(COUNTERS, mapping={"taken": 3500, "retried": 3000, "due": 0})
        p.execute()
    doc = audit()
    assert differences(doc) == BALANCED and doc["foreign"]["delayed"] == 1
    assert len(doc["workers"]) == 500


# --------------------------------------------------------------------------------- how it looks


def test_watching_goes_on_until_interrupted(redis_server):
    proc = subprocess.Popen(
        [harness.bin_dir() / "aion2ctl", "audit", "--watch", "1s", "--json"],
        env=harness.clean_env({"REDIS_URL": redis_server.url}), stdout=subprocess.PIPE, text=True)
    lines = [json.loads(proc.stdout.readline()) for _ in range(2)]
    assert all(doc["ok"] for doc in lines)
    redis_server.client().lpush("aion2:dead", "x")
    redis_server.client().hset(COUNTERS, "dead_trimmed", 1)
    wait_for(lambda: not json.loads(proc.stdout.readline())["ok"], 30, "the difference")
    proc.send_signal(signal.SIGINT)
    assert proc.wait(30) == 1


def test_it_fits_the_terminal(redis_server):
    fill(redis_server)
    redis_server.client().hincrby(COUNTERS, "taken", 123456789)
    env = {"REDIS_URL": redis_server.url}
    for columns in (80, 140):
        text = on_a_terminal(env, "audit", columns=columns, code=1)
        assert "\033[31m" in text
        lines = without_colours(text).splitlines()
        assert max(map(len, lines)) <= 140 and not HARMFUL.search("\n".join(lines))
        assert "123,456,889" in text


def test_keys_of_the_wrong_type(redis_server, ctl):
    redis_server.client().set("aion2:delayed", "x")
    done = ctl("audit")
    assert done.returncode == 1 and "WRONGTYPE" in done.stderr


def test_redis_away(redis_server, ctl):
    redis_server.stop()
    begin = time.monotonic()
    assert ctl("audit").returncode == 69 and time.monotonic() - begin < 30
