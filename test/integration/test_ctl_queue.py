"""aion2ctl queue: what waits, for how long, who holds it; purging."""

import json

import pytest

from ctl_lab import HARMFUL, HOSTILE, json_of, on_a_terminal, redis_ctl, without_colours
from harness import wait_for
from jobs import worker_env

SEP = "\x06\x16"


@pytest.fixture
def ctl(redis_server):
    return redis_ctl(redis_server)


def queue_of(doc, name):
    (found,) = [q for q in doc["queues"] if q["name"] == name]
    return found


def heartbeat(server, boot, held=0, **info):
    r = server.client()
    r.sadd("aion2:workers", boot)
    if info:
        r.set(f"aion2:worker:{boot}", json.dumps(info))
    for i in range(held):
        r.hset(f"aion2:held:{boot}", str(i + 1), "celery\n{}")


# ------------------------------------------------------------------------------------- list


def test_an_empty_redis(ctl):
    doc = json_of(ctl("queue", "--json"))
    assert queue_of(doc, "celery")["ready"] == 0 and doc["held"] == {"workers": [], "count": 0}
    assert doc["delayed"] == {"count": 0} and doc["dead"] == doc["quarantine"] == 0
    assert ctl("queue").returncode == 0


def test_every_priority_and_every_queue(redis_server, ctl):
    for priority, n in ((0, 3), (4, 2), (6, 1), (9, 4)):
        for _ in range(n):
            assert ctl("call", "t", "--priority", priority).returncode == 0
    ctl("call", "x", "--queue", "named")
    heartbeat(redis_server, "b", name="w", queue="third", queues=["third", "fourth"])
    redis_server.client().lpush("fourth", "{}")
    doc = json_of(ctl("queue", "list", "named", "celery", "--json"))
    assert [q["name"] for q in doc["queues"]] == ["celery", "named", "third", "fourth"]
    celery = queue_of(doc, "celery")
    assert celery["ready"] == 10 and 0 <= celery["oldest_s"] < 60
    assert [(x["priority"], x["length"]) for x in celery["lists"]] == [(0, 3), (3, 2), (6, 1), (9, 4)]
    assert queue_of(doc, "named")["lists"][0]["task"] == "x"
    assert queue_of(doc, "fourth")["ready"] == 1 and "oldest_s" not in queue_of(doc, "fourth")


def test_ages(redis_server, ctl):
    r = redis_server.client()
    now = r.time()[0]
    r.lpush("celery", json.dumps({"task": "t", "aion2_slot": now - 500}),
            json.dumps({"task": "t", "aion2_slot": now - 100}))
    r.lpush("celery" + SEP + "9", json.dumps({"task": "t", "aion2_slot": now - 7000}))
    celery = queue_of(json_of(ctl("queue", "--json")), "celery")
    assert 500 <= celery["lists"][0]["oldest_s"] < 560 and 7000 <= celery["oldest_s"] < 7060
    assert "1:56:4" in ctl("queue").stdout


def test_delayed_held_and_put_aside(redis_server, ctl):
    r = redis_server.client()
    now = r.time()[0]
    r.zadd("aion2:delayed", {"x" * 100000: (now + 600) * 1000, "later": (now + 700) * 1000})
    r.lpush("aion2:dead", "1", "2")
    r.lpush("aion2:quarantine", "1")
    heartbeat(redis_server, "b1", held=3, name="aion2@one",
              running=[{"since": now - 10}, {"since": now - 75}, {"since": "x"}])
    heartbeat(redis_server, "b2", held=2)
    doc = json_of(ctl("queue", "--json"))
    assert doc["delayed"]["count"] == 2 and 590 < doc["delayed"]["next_in_s"] <= 600
    assert (doc["dead"], doc["quarantine"], doc["held"]["count"]) == (2, 1, 5)
    workers = {w["boot"]: w for w in doc["held"]["workers"]}
    assert workers["b1"]["alive"] and 75 <= workers["b1"]["oldest_s"] < 135
    assert not workers["b2"]["alive"] and workers["b2"]["held"] == 2
    text = ctl("queue").stdout
    assert "silent" in text and "aion2@one" in text and "next in 9:5" in text or "10:00" in text


def test_with_a_worker(redis_server, spawn, ctl):
    spawn("aion2-worker", worker_env(redis_server, TASK_QUEUE="mine"))
    assert ctl("call", "test.sleep", "--args", "[600]", "--queue", "mine").returncode == 0

    def worker():
        (only,) = json_of(ctl("queue", "--json"))["held"]["workers"]
        return only if only["held"] == 1 and "oldest_s" in only else None

    assert wait_for(worker, 30, "the task")["alive"]
    assert "mine" in [q["name"] for q in json_of(ctl("queue", "--json"))["queues"]]


def test_keys_of_the_wrong_type_hide_nothing(redis_server, ctl):
    r = redis_server.client()
    for key in ("celery", "aion2:delayed", "aion2:dead"):
        r.set(key, "x")
    r.lpush("celery" + SEP + "3", "{}")
    heartbeat(redis_server, "b", name=7, running="x", queues={"a": 1}, queue=[])
    r.set("aion2:held:b", "x")
    doc = json_of(ctl("queue", "--json"))
    assert queue_of(doc, "celery")["lists"][0]["length"] is None
    assert queue_of(doc, "celery")["ready"] == 1
    assert doc["delayed"]["count"] is None and doc["dead"] is None and doc["quarantine"] == 0
    text = ctl("queue")
    assert text.returncode == 0 and "no list" in text.stdout and "dead ?" in text.stdout


# ------------------------------------------------------------------------------------- show


def test_the_order_in_which_they_will_be_taken(redis_server, ctl):
    for name, priority in (("c", 9), ("a", 0), ("b", 0), ("d", 9)):
        ctl("call", name, "--priority", priority)
    doc = json_of(ctl("queue", "show", "--json"))
    assert [(m["task"], m["priority"]) for m in doc["messages"]] == [
        ("a", 0), ("b", 0), ("c", 9), ("d", 9)]
    assert doc["ready"] == 4
    limited = json_of(ctl("queue", "show", "celery", "--limit", "3", "--json"))
    assert [m["task"] for m in limited["messages"]] == ["a", "b", "c"]
    assert "the next 3 of 4" in ctl("queue", "show", "--limit", "3").stdout


def test_all_kinds_of_messages(redis_server, ctl):
    r = redis_server.client()
    r.lpush("celery", json.dumps({"task": HOSTILE[:40], "id": HOSTILE}), b"\xff", "x" * 70000, "[]",
            json.dumps({"task": "t", "retries": 2, "eta": "2030-01-01T00:00:00"}), "")
    doc = json_of(ctl("queue", "show", "--json"))
    assert len(doc["messages"]) == 6
    (t,) = [m for m in doc["messages"] if m.get("task") == "t"]
    assert t["retries"] == 2 and t["eta"].startswith("2030-01-01T00:00:00")
    assert [m["bytes"] for m in doc["messages"]][2] == 70000
    text = ctl("queue", "show")
    assert text.returncode == 0 and not HARMFUL.search(text.stdout)
    assert "too long" in text.stdout


def test_looking_takes_nothing(redis_server, ctl):
    ctl("call", "t")
    before = redis_server.client().lrange("celery", 0, -1)
    ctl("queue", "show"), ctl("queue"), ctl("queue", "purge", "celery")
    assert redis_server.client().lrange("celery", 0, -1) == before


# ---------------------------------------------------------------------------------- delayed


def test_what_waits_for_its_time(redis_server, spawn, ctl):
    spawn("aion2-worker", worker_env(redis_server))
    for task, countdown in (("c", "3h"), ("a", "1h"), ("b", "2h")):
        ctl("call", "test.add", "--id", task, "--countdown", countdown, "--priority", "9")
    doc = wait_for(lambda: (lambda d: d if d["count"] == 3 else None)(
        json_of(ctl("queue", "delayed", "--json"))), 30, "the messages")
    assert [m["id"] for m in doc["messages"]] == ["a", "b", "c"]
    assert 3500 < doc["messages"][0]["due_in_s"] <= 3600
    assert doc["messages"][0]["queue"] == "celery" + SEP + "9"
    text = ctl("queue", "delayed", "--limit", "2").stdout
    assert "celery (priority 9)" in text and "the first of 3" in text and text.count("test.add") == 2


def test_strange_members_of_the_delayed_set(redis_server, ctl):
    r = redis_server.client()
    r.zadd("aion2:delayed", {"junk": float("inf"), b"\xff": float("-inf"), "x" * 70000: 1,
                             json.dumps({"q": HOSTILE, "m": HOSTILE}): 2, '{"q": 1}': 3,
                             json.dumps({"q": "celery", "m": json.dumps({"task": "t"})}): 4})
    doc = json_of(ctl("queue", "delayed", "--json"))
    assert doc["count"] == len(doc["messages"]) == 6
    assert sum("fault" in m for m in doc["messages"]) == 4
    text = ctl("queue", "delayed")
    assert text.returncode == 0 and not HARMFUL.search(text.stdout)


# ------------------------------------------------------------------------------------ purge


def test_purge_wants_a_yes(redis_server, ctl):
    for priority in (0, 3, 6, 9):
        ctl("call", "t", "--priority", priority)
    r = redis_server.client()
    r.lpush("celery2", "other")
    asked = ctl("queue", "purge", "celery")
    assert asked.returncode == 64 and "4 messages" in asked.stderr and "--yes" in asked.stderr
    assert r.llen("celery") == 1
    assert json_of(ctl("queue", "purge", "celery", "--yes", "--json")) == {"purged": 4}
    assert not r.exists(*["celery" + s for s in ("", SEP + "3", SEP + "6", SEP + "9")])
    assert r.llen("celery2") == 1 and r.hget("aion2:counters", "purged") == b"4"
    assert ctl("queue", "purge", "celery", "--yes").stdout == "purged 0 messages\n"


def test_purge_of_what_is_no_list_does_nothing(redis_server, ctl):
    r = redis_server.client()
    r.lpush("celery", "1")
    r.set("celery" + SEP + "9", "x")
    done = ctl("queue", "purge", "celery", "--yes")
    assert done.returncode == 1 and "WRONGTYPE" in done.stderr and r.llen("celery") == 1


@pytest.mark.parametrize("args", [
    ("purge",), ("purge", "a", "b", "--yes"), ("purge", ""), ("show", "a", "b"),
    ("show", "--limit", "0"), ("list", "x" * 201), ("list", ""), ("empty",), ("--sideways",)])
def test_wrong_words(redis_server, ctl, args):
    done = ctl("queue", *args)
    assert done.returncode == 64 and done.stdout == "" and "aion2ctl queue" in done.stderr


def test_redis_away(redis_server, ctl):
    redis_server.stop()
    for args in ((), ("show",), ("delayed",), ("purge", "celery", "--yes")):
        done = ctl("queue", *args)
        assert done.returncode == 69 and "Redis" in done.stderr


def test_it_fits_the_terminal(redis_server, ctl):
    for i in range(3):
        heartbeat(redis_server, f"b{i}", held=i, name="aion2@a-machine-with-a-long-name-" * 2,
                  queue="a-queue-with-a-long-name-" * 2 + str(i))
        ctl("call", "app.worker.calculate_power_and_rank_batch")
    env = {"REDIS_URL": redis_server.url}
    for args in ((), ("show",)):
        for columns in (80, 140):
            lines = without_colours(
                on_a_terminal(env, "queue", *args, columns=columns)).splitlines()
            assert max(map(len, lines)) <= columns, lines
