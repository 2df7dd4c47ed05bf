"""Keys that hold what they should not, and more than they should: no message is lost of it."""

import json
import re

import pytest

from harness import wait_for
from jobs import SEP, Jobs, celery_message, worker_env

MIB = 1 << 20


@pytest.fixture
def jobs(redis_server):
    return Jobs(redis_server)


@pytest.fixture
def worker(spawn, redis_server):
    w = spawn("aion2-worker", env=worker_env(redis_server))
    w.wait_log("worker.registered")
    return w


@pytest.mark.parametrize("key", ["aion2:counters", "aion2:losses", "aion2:recoveries"])
def test_what_cannot_count_costs_no_message(worker, jobs, key):
    jobs.redis.set(key, "not a hash")
    assert jobs.ended(jobs.push("test.add", 1, 2))["result"] == 3
    wait_for(lambda: jobs.held_count() == 0, what="the end of the hold")
    assert jobs.ended(jobs.push("test.add", 3, 4))["result"] == 7  # after the first one's answer
    assert "redis.down role=main" not in worker.log()


def test_a_result_takes_the_place_of_what_is_no_result(worker, jobs):
    jobs.redis.lpush("celery-task-meta-mine", "not a document")
    jobs.push("test.add", 1, 2, id="mine")
    wait_for(lambda: jobs.redis.type("celery-task-meta-mine") == "string", what="the result")
    assert jobs.ended("mine")["result"] == 3
    jobs.quiet()


@pytest.mark.parametrize(
    "key, message, length",
    [
        ("aion2:dead", '{"task":"test.fail","id":"mine"}', "llen"),
        ("aion2:quarantine", "no JSON", "llen"),
        ("aion2:delayed", '{"task":"test.add","id":"mine","eta":"2999-01-01T00:00:00"}', "zcard"),
    ],
)
def test_a_message_stays_held_until_it_can_go_where_it_belongs(worker, jobs, key, message, length):
    jobs.redis.set(key, "neither a list nor a set")
    jobs.push(raw=message)
    wait_for(lambda: "WRONGTYPE" in worker.log(), what="the refusal")
    jobs.redis.delete(key)
    wait_for(lambda: getattr(jobs.redis, length)(key) == 1, what="the entry")
    wait_for(lambda: jobs.held_count() == 0, what="the end of the hold")
    assert jobs.balance() == 0


def test_a_delayed_message_whose_list_is_no_list_is_set_aside(worker, jobs):
    jobs.redis.set("wrong", "a text")
    member = json.dumps({"q": "wrong", "m": '{"task":"test.add","id":"mine"}', "n": "1"})
    jobs.redis.zadd("aion2:delayed", {member: 0})
    (entry,) = wait_for(jobs.quarantine, what="the entry in quarantine")
    assert entry["text"] == member and "cannot be written" in entry["reason"]
    assert jobs.redis.zcard("aion2:delayed") == 0
    assert jobs.ended(jobs.push("test.add", 1))["result"] == 1


def test_dead_letters_have_a_limit_of_bytes(worker, jobs):
    """The oldest make room; small ones do not have to."""
    for n in range(5):
        jobs.redis.lpush("aion2:dead", json.dumps({"id": f"old{n}", "b64": "x" * 16 * MIB}))
        jobs.redis.hincrby("aion2:counters", "dead", 1)
    small = jobs.push("test.fail")
    jobs.ended(small)
    wait_for(lambda: jobs.redis.llen("aion2:dead") == 6, what="the small letter")
    large = jobs.push("test.fail", kwargs={"filler": "x" * 8192})
    jobs.ended(large)
    jobs.quiet()
    ids = [d["id"] for d in jobs.dead()]
    assert ids[:3] == [large, small, "old4"] and "old0" not in ids
    assert jobs.redis.memory_usage("aion2:dead", samples=0) <= 64 * MIB


def test_a_full_redis_stops_no_worker(worker, jobs):
    """What ends a message makes room, and nobody takes the worker for dead."""
    ids = [jobs.push("test.sleep", 0.3) for _ in range(6)]
    wait_for(lambda: "event=task.started" in worker.log(), what="the first task")
    jobs.redis.config_set("maxmemory", 1)
    for task_id in ids:
        assert jobs.ended(task_id)["status"] == "SUCCESS"
    key = "aion2:worker:" + jobs.redis.smembers("aion2:workers").pop()
    for _ in range(2):
        wait_for(lambda: jobs.redis.pttl(key) < 9000, what="an older heartbeat")
        wait_for(lambda: jobs.redis.pttl(key) > 9000, what="a renewed heartbeat")
    assert "redis.down role=main" not in worker.log()
    jobs.redis.config_set("maxmemory", 0)
    jobs.quiet()


def test_idle_worker_sends_two_scripts_for_each_heartbeat(worker, redis_server, jobs):
    wait_for(lambda: jobs.redis.info("clients")["blocked_clients"] == 4, what="the waiting")
    beats = between = 0
    with redis_server.client(decode_responses=True).monitor() as monitor:
        while beats < 4:
            command = monitor.next_command()["command"]
            if command.startswith("EVALSHA"):
                beats += "stopping" in command
                between += beats > 0
    assert between <= 2 * (beats - 1) + 1


# ---------------------------------------------------------------------- what a dead worker leaves


def leave_holds(jobs, boot, holds):
    """A worker that has died: registered, without a heartbeat, with these holds."""
    with jobs.redis.pipeline() as p:
        p.hset(f"aion2:held:{boot}", mapping=holds)
        p.hincrby("aion2:counters", "taken", len(holds))
        p.sadd("aion2:workers", boot)
        p.execute()


def test_one_list_that_cannot_be_written_stops_no_worker(worker, jobs):
    """What a dead worker held for it stays held; everything else goes on."""
    jobs.redis.config_set("save", "")
    wait_for(lambda: jobs.redis.info("server")["uptime_in_seconds"] >= 10, timeout=20,
             what="the end of the time for coming back")
    jobs.redis.set("wrong", "a text")
    leave_holds(jobs, "gone", {
        "1": 'wrong\n{"task":"test.add","id":"stuck","args":[1]}',
        "2": 'celery\n{"task":"test.add","id":"fine","args":[2]}',
    })
    assert jobs.ended("fine")["result"] == 2
    assert jobs.ended(jobs.push("test.add", 3))["result"] == 3
    assert "redis.down role=main" not in worker.log()
    assert jobs.redis.hkeys("aion2:held:gone") == ["1"]
    assert jobs.balance() == 0
    jobs.redis.delete("wrong")
    wait_for(lambda: jobs.redis.llen("wrong") == 1, what="the message on its list")
    wait_for(lambda: not jobs.redis.sismember("aion2:workers", "gone"), what="its end")
    assert jobs.balance() == 0


def test_copies_of_many_holds_are_looked_for_once(worker, jobs):
    """Somebody has deleted kombu's record, and a worker dies: its list is not read for every hold."""
    wait_for(lambda: jobs.redis.info("server")["uptime_in_seconds"] >= 10, timeout=20,
             what="the end of the time for coming back")
    jobs.redis.config_resetstat()
    leave_holds(jobs, "gone", {
        f"{n}:tag{n}": f'celery{SEP}3\n{{"task":"test.add","id":"id{n}","args":[{n}]}}'
        for n in range(1, 101)
    })
    for n in range(1, 101):
        assert jobs.ended(f"id{n}")["result"] == n
    assert jobs.redis.info("commandstats")["cmdstat_lrange"]["calls"] < 20
    jobs.quiet()


def test_an_urgent_list_that_is_none_holds_nobody_up(worker, jobs):
    jobs.redis.set("celery", "a text")
    task_id = jobs.push("test.add", 1, 2, queue=f"celery{SEP}9")
    assert jobs.ended(task_id)["result"] == 3


def test_another_workers_broken_holds_cost_no_message(worker, jobs):
    """They are looked through when a message says that it was delivered before."""
    jobs.redis.set("aion2:held:other", "a text")
    jobs.redis.set("aion2:worker:other", "{}", ex=600)
    jobs.redis.sadd("aion2:workers", "other")
    task_id, text = celery_message("test.add", [1, 2])
    message = json.loads(text)
    message["headers"]["redelivered"] = True
    message["properties"]["delivery_info"]["redelivered"] = True
    jobs.redis.lpush("celery", json.dumps(message))
    assert jobs.ended(task_id)["result"] == 3


def test_large_delayed_messages_come_in_parts(worker, jobs):
    """Redis does nothing else while a step runs."""
    text = {"task": "test.add", "args": [1], "kwargs": {"filler": "x" * 6 * MIB}}
    members = {}
    for n in range(6):
        m = json.dumps({**text, "id": f"id{n}"})
        members[json.dumps({"q": "celery", "m": m, "n": str(n), "id": f"id{n}"})] = 0
    jobs.redis.hincrby("aion2:counters", "delayed", len(members))
    jobs.redis.zadd("aion2:delayed", members)
    for n in range(6):
        jobs.ended(f"id{n}", timeout=30)
    moved = [int(n) for n in re.findall(r"event=delayed.due messages=(\d+)", worker.log())]
    assert sum(moved) == 6 and max(moved) == 3


def test_large_messages_are_not_popped_to_be_put_back(spawn, redis_server, jobs):
    """A small one in front of them does not make a take reach for all of them."""
    w = spawn("aion2-worker", env=worker_env(redis_server, WORKER_CONCURRENCY="8"))
    w.wait_log("worker.registered")
    wait_for(lambda: w.log().count("event=child.started") == 8, what="the children")
    ids = [jobs.push("test.sleep", 1) for _ in range(8)]
    for task_id in ids:
        jobs.ended(task_id)
    jobs.redis.config_resetstat()
    with jobs.redis.pipeline() as p:
        p.lpush("celery", '{"task":"test.add","id":"small","args":[1]}')
        for n in range(8):
            p.lpush("celery", json.dumps({"task": "test.add", "id": f"large{n}", "args": [n],
                                          "kwargs": {"filler": "x" * 5 * MIB}}))
        p.execute()
    for task_id in ["small"] + [f"large{n}" for n in range(8)]:
        jobs.ended(task_id, timeout=30)
    pushed = jobs.redis.info("commandstats").get("cmdstat_rpush", {"calls": 0})["calls"]
    assert pushed - jobs.counter("requeued") <= 2
    jobs.quiet()


def test_memory_of_large_messages_is_given_back(worker, jobs):
    """Few of them do it; an idle worker is small again."""
    with open(f"/proc/{worker.proc.pid}/statm", encoding="ascii") as f:
        before = int(f.read().split()[1])
    for n in range(6):
        jobs.push("test.add", 1, id=f"large{n}", kwargs={"filler": "x" * (5 + n) * MIB})
    for n in range(6):
        jobs.ended(f"large{n}", timeout=30)

    def grown_by_mib():
        with open(f"/proc/{worker.proc.pid}/statm", encoding="ascii") as f:
            return (int(f.read().split()[1]) - before) * 4096 / MIB

    wait_for(lambda: grown_by_mib() < 12, what="the small worker")
