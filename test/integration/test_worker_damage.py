"""Keys that hold what they should not, and more than they should: no message is lost of it."""

import json

import pytest

from harness import wait_for
from jobs import Jobs, worker_env

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
