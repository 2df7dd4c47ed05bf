"""Heartbeats run out by Redis' clock. When that jumps, or Redis stands still, nobody has died."""

import pytest

from harness import wait_for
from jobs import Jobs, worker_env

HOUR_MS = 3600 * 1000


@pytest.fixture
def jobs(redis_server):
    return Jobs(redis_server)


@pytest.fixture
def two(spawn, redis_server, jobs):
    """Two workers, each running a task of ten minutes, in a Redis that is not young any more."""
    workers = [spawn("aion2-worker", env=worker_env(redis_server, WORKER_CONCURRENCY="1",
                                                    WORKER_NAME=name)) for name in "ab"]
    for w in workers:
        w.wait_log("worker.registered")
        jobs.push("test.sleep", 600)
    for w in workers:
        w.wait_log("event=task.started")
    wait_for(lambda: jobs.redis.info("server")["uptime_in_seconds"] >= 10, timeout=20,
             what="the end of the time for coming back")
    return workers


def test_a_jump_of_the_clock_kills_nobody(two, jobs):
    """An hour ahead: in one moment all heartbeats have run out."""
    boots = jobs.redis.smembers("aion2:workers")
    seconds, micros = jobs.redis.time()
    with jobs.redis.pipeline() as p:
        for boot in boots:
            p.delete(f"aion2:worker:{boot}")
            p.hset(f"aion2:boot:{boot}", "seen", seconds * 1000 + micros // 1000 - HOUR_MS)
        p.execute()
    wait_for(lambda: jobs.redis.exists(*[f"aion2:worker:{b}" for b in boots]) == 2,
             what="the heartbeats of both")
    assert jobs.redis.smembers("aion2:workers") == boots
    assert jobs.counter("recovered") == 0
    assert not any("worker.declared_dead" in w.log() for w in two)


def test_patience_ends_when_the_clock_goes_back(two, jobs):
    """It was to last until a time that is an hour away now; so would a dead worker's heartbeat."""
    seconds, _ = jobs.redis.time()
    with jobs.redis.pipeline() as p:
        for boot in jobs.redis.smembers("aion2:workers"):
            p.hset(f"aion2:boot:{boot}", "patient", seconds * 1000 + HOUR_MS)
        p.hset("aion2:held:gone", "1", 'celery\n{"task":"test.add","id":"left","args":[1]}')
        p.set("aion2:worker:gone", "{}", px=HOUR_MS)
        p.sadd("aion2:workers", "gone")
        p.execute()
    two[0].kill()
    wait_for(lambda: not jobs.redis.sismember("aion2:workers", "gone"), timeout=30,
             what="the recovery")
