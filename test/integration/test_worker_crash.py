"""Processes that die: a child, a supervisor, a worker told to stop. No task is lost, none is
counted twice."""

import os
import signal
import time

import billiard.exceptions
import pytest

from harness import children_of, wait_for
from jobs import Jobs, celery_client, worker_env

RECOVERY_S = 15  # the promise: a killed worker's tasks run again within this time

client = pytest.fixture(celery_client)


@pytest.fixture
def jobs(redis_server):
    return Jobs(redis_server)


def child_running(worker):
    """The pid of the child that has logged the start of a task last."""
    starts = [line for line in worker.log().splitlines() if "event=task.started" in line]
    return int(starts[-1].split(" child=")[1].split()[0])


def start_and_run(spawn, jobs, redis_server, task_id, *args, **env):
    """A worker that is running task_id."""
    w = spawn("aion2-worker", env=worker_env(redis_server, **env))
    wait_for(lambda: f'event=task.started id="{task_id}"' in w.log(), what="the start of the task")
    return w


# ------------------------------------------------------------------------------------ children


def test_killed_child_costs_one_repetition(spawn, redis_server, jobs):
    task_id = jobs.push("test.sleep", 1.5)
    w = start_and_run(spawn, jobs, redis_server, task_id)
    os.kill(child_running(w), signal.SIGKILL)
    wait_for(lambda: jobs.redis.hget("aion2:losses", task_id) == "1", what="the count")
    assert jobs.redis.ttl("aion2:losses") > 0  # another's worker may finish it and say nothing
    assert jobs.ended(task_id)["status"] == "SUCCESS"
    jobs.quiet()
    assert jobs.counter("requeued") == 1
    assert not jobs.redis.exists("aion2:losses")
    assert "task.lost" in w.log()


def test_a_task_that_kills_its_child_is_given_up_the_second_time(client, spawn, redis_server, jobs):
    w = spawn("aion2-worker", env=worker_env(redis_server))
    result = client.send_task("test.crash")
    with pytest.raises(billiard.exceptions.WorkerLostError, match="signal 9"):
        result.get(timeout=20)
    jobs.quiet()
    (dead,) = jobs.dead()
    assert dead["id"] == result.id and "signal 9" in dead["error"]
    assert not jobs.redis.exists("aion2:losses")
    assert w.log().count("event=task.started") == 2
    assert client.send_task("test.add", (1,)).get(timeout=20) == 1


def test_idle_children_that_die_are_replaced(spawn, redis_server, jobs):
    w = spawn("aion2-worker", env=worker_env(redis_server))
    before = wait_for(lambda: len(children_of(w.pid)) == 2 and set(children_of(w.pid)))
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: len(set(children_of(w.pid)) - before) == 2, what="new children")
    assert jobs.ended(jobs.push("test.add", 1))["result"] == 1


# --------------------------------------------------------------------------------- supervisors


@pytest.mark.parametrize("rescuer", ["second worker", "restarted worker"])
def test_killed_worker_s_task_runs_again_in_time(spawn, redis_server, jobs, rescuer):
    task_id = jobs.push("test.sleep", 2)
    w = start_and_run(spawn, jobs, redis_server, task_id)
    child = child_running(w)
    if rescuer == "second worker":
        other = spawn("aion2-worker", env=worker_env(redis_server))
        other.wait_log("worker.registered")
    killed_at = time.monotonic()
    w.kill()
    wait_for(lambda: not os.path.exists(f"/proc/{child}"), 5, "the end of the child")
    if rescuer == "restarted worker":
        w.start()
    rescuing = other if rescuer == "second worker" else w
    starts = 1 if rescuer == "second worker" else 2
    begun = lambda: rescuing.log().count("event=task.started") == starts  # noqa: E731
    wait_for(begun, RECOVERY_S - (time.monotonic() - killed_at), "the second run")
    assert jobs.ended(task_id)["status"] == "SUCCESS"
    jobs.quiet()
    assert jobs.counter("recovered") == 1
    assert not jobs.redis.exists("aion2:recoveries")
    assert jobs.redis.scard("aion2:workers") == 1


def test_message_that_kills_every_worker_is_given_up(spawn, redis_server, jobs):
    """Ten workers that died of it are made up; the eleventh does not try."""
    raw = '{"task":"test.add","id":"poison","args":[1]}'
    for i in range(10):
        jobs.redis.sadd("aion2:workers", f"gone{i}")
        jobs.redis.hset(f"aion2:held:gone{i}", "1", "nowhere\n" + raw)
    jobs.redis.hincrby("aion2:counters", "taken", 11)
    wait_for(lambda: jobs.redis.info("server")["uptime_in_seconds"] >= 10, 15, "Redis' old age")
    w = spawn("aion2-worker", env=worker_env(redis_server))
    wait_for(lambda: jobs.redis.llen("nowhere") == 10, what="the recovery")
    assert jobs.redis.ttl("aion2:recoveries") > 0  # the same
    jobs.redis.delete("nowhere")
    jobs.push(raw=raw)
    doc = jobs.ended("poison")
    assert doc["result"]["exc_type"] == "WorkerLostError"
    assert "event=task.started" not in w.log()
    assert not jobs.redis.exists("aion2:recoveries")


def test_worker_declared_dead_begins_anew(spawn, redis_server, jobs):
    """Stopped for longer than a heartbeat lasts: what it ran belongs to the other one now."""
    task_id = jobs.push("test.sleep", 3)
    w = start_and_run(spawn, jobs, redis_server, task_id)
    other = spawn("aion2-worker", env=worker_env(redis_server))
    other.wait_log("worker.registered")
    w.signal(signal.SIGSTOP)
    try:
        wait_for(lambda: "event=task.started" in other.log(), RECOVERY_S, "the second run")
    finally:
        w.signal(signal.SIGCONT)
    assert jobs.ended(task_id)["status"] == "SUCCESS"
    w.wait_log("worker.declared_dead")
    wait_for(lambda: jobs.redis.scard("aion2:workers") == 2, what="both to be registered")
    jobs.quiet()
    assert jobs.counter("done") == 1


# ------------------------------------------------------------------------------------- the end


def test_sigterm_lets_the_running_task_finish(spawn, redis_server, jobs):
    running = jobs.push("test.sleep", 1)
    w = start_and_run(spawn, jobs, redis_server, running, WORKER_CONCURRENCY="1")
    waiting = [jobs.push("test.add", i) for i in range(3)]
    assert w.stop() == 0
    assert jobs.document(running)["status"] == "SUCCESS"
    assert jobs.waiting() == len(waiting) and jobs.held_count() == 0 and jobs.balance() == 0
    assert jobs.redis.scard("aion2:workers") == 0


def test_sigterm_puts_back_what_does_not_finish_in_time(spawn, redis_server, jobs):
    first, second = jobs.push("test.sleep", 600), jobs.push("test.sleep", 600)
    w = spawn("aion2-worker", env=worker_env(redis_server, SHUTDOWN_GRACE="1"))
    wait_for(lambda: w.log().count("event=task.started") == 2, what="two tasks running")
    last = jobs.push("test.add", 1)
    assert w.stop() == 0
    ids = [t.split('"id": "')[1][:36] for t in jobs.redis.lrange("celery", 0, -1)]
    assert ids == [last, second, first]  # taken again from the right, in the old order
    assert jobs.counter("requeued") == 2 and jobs.balance() == 0
    assert jobs.redis.keys("aion2:held*") == []


def test_second_sigterm_ends_at_once(spawn, redis_server, jobs):
    task_id = jobs.push("test.sleep", 600)
    w = start_and_run(spawn, jobs, redis_server, task_id, SHUTDOWN_GRACE="600")
    w.signal(signal.SIGTERM)
    w.wait_log("worker.stopping")
    w.signal(signal.SIGTERM)
    assert w.wait() == 0
    assert jobs.waiting() == 1 and jobs.balance() == 0


def test_sigint_to_the_whole_group_is_graceful_too(spawn, redis_server, jobs):
    """What Ctrl-C does: children get the signal as well."""
    task_id = jobs.push("test.sleep", 1)
    w = start_and_run(spawn, jobs, redis_server, task_id)
    os.killpg(w.pid, signal.SIGINT)
    assert w.wait() == 0
    assert jobs.document(task_id)["status"] == "SUCCESS"


def test_nothing_is_lost_when_messages_arrive_during_the_stop(spawn, redis_server, jobs):
    """Sent while the worker decides to stop: run or still there, never in between."""
    sent = 0
    for _ in range(5):
        w = spawn("aion2-worker", env=worker_env(redis_server))
        w.wait_log("worker.registered")
        w.signal(signal.SIGTERM)
        while w.running():
            jobs.push("test.add", 1)
            sent += 1
        assert w.wait() == 0
        assert jobs.held_count() == 0 and jobs.balance() == 0
    assert jobs.counter("done") + jobs.waiting() == sent


def test_stop_with_redis_away_does_not_hang(spawn, redis_server, jobs):
    w = spawn("aion2-worker", env=worker_env(redis_server))
    w.wait_log("worker.registered")
    redis_server.kill()
    assert w.stop() == 0
