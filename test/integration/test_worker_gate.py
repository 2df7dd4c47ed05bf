"""Tasks that may not begin at once: one at a time in the fleet, so many a second, expired while they
waited."""

from datetime import datetime
import itertools

import pytest

from harness import wait_for
from jobs import Jobs, celery_client, worker_env

client = pytest.fixture(celery_client)


@pytest.fixture
def jobs(redis_server):
    return Jobs(redis_server)


def events(worker, name):
    """When each task had it: id -> unix time."""
    found = {}
    for line in worker.log().splitlines():
        if f"event={name} " in line:
            at = datetime.fromisoformat(line[3:].split("Z ")[0]).timestamp()
            found[line.split(' id="')[1].split('"')[0]] = at
    return found


def runs(workers):
    """(begin, end) of every task, in the order of their begins."""
    begins = dict(itertools.chain(*(events(w, "task.started").items() for w in workers)))
    ends = dict(itertools.chain(*(events(w, "task.succeeded").items() for w in workers)))
    return sorted((begins[i], ends[i]) for i in ends)


def test_a_singleton_runs_alone_in_the_fleet(spawn, jobs, redis_server):
    workers = [spawn("aion2-worker", env=worker_env(redis_server)) for _ in range(2)]
    for w in workers:
        w.wait_log("worker.registered")
    singles = [jobs.push("test.single", 0.2) for _ in range(6)]
    others = [jobs.push("test.add", n) for n in range(20)]
    for task_id in others:
        jobs.ended(task_id)
    for task_id in singles:
        assert jobs.ended(task_id, 30)["status"] == "SUCCESS"
    jobs.quiet()
    alone = [r for r in runs(workers) if r[1] - r[0] > 0.19]
    assert len(alone) == 6
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(alone))


def test_the_claim_of_a_killed_worker_ends_with_it(spawn, jobs, redis_server):
    w = spawn("aion2-worker", env=worker_env(redis_server))
    first = jobs.push("test.single", 600)
    wait_for(lambda: f'event=task.started id="{first}"' in w.log(), what="the first")
    second = jobs.push("test.single", 0)
    wait_for(lambda: jobs.held_count() == 2, what="the second to wait")
    jobs.redis.hdel(f"aion2:held:{next(iter(jobs.held()))}", "1")  # the first one's hold
    assert jobs.ended(second)["status"] == "SUCCESS"


def test_a_crowd_of_singletons_holds_up_nobody(spawn, jobs, redis_server):
    """More than may wait in the worker; what comes behind them runs at once."""
    w = spawn("aion2-worker", env=worker_env(redis_server))
    first = jobs.push("test.single", 600)
    wait_for(lambda: f'event=task.started id="{first}"' in w.log(), what="the first")
    for _ in range(30):
        jobs.push("test.single", 600)
    for n in range(30):
        assert jobs.ended(jobs.push("test.add", n))["result"] == n
    assert jobs.held_count() <= 1 + 4
    assert jobs.differences() == {}
    # those that wait elsewhere come back one after the other, not all of them every second
    due = sorted(score for _, score in jobs.redis.zrange("aion2:delayed", 0, -1, withscores=True))
    assert len(due) >= 24 and due[-1] - due[0] > 3000


def test_a_rate_limit_spreads_a_task_and_no_other(client, spawn, jobs, redis_server):
    w = spawn("aion2-worker", env=worker_env(redis_server))
    w.wait_log("worker.registered")
    wait_for(lambda: client.control.ping(timeout=0.3), what="remote control")
    (reply,) = client.control.rate_limit("test.echo", "10/s", reply=True)
    assert "ok" in next(iter(reply.values()))
    limited = [jobs.push("test.echo", n) for n in range(15)]
    others = [jobs.push("test.add", n) for n in range(15)]
    for task_id in others + limited:
        assert jobs.ended(task_id, 30)["status"] == "SUCCESS"
    jobs.quiet()
    begins = sorted(events(w, "task.started")[i] for i in limited)
    assert all(b - a > 0.09 for a, b in itertools.pairwise(begins)), begins
    assert jobs.differences() == {}


def test_what_expires_while_it_waits_is_not_run(spawn, jobs, redis_server):
    w = spawn("aion2-worker", env=worker_env(redis_server))
    first = jobs.push("test.single", 1.5)
    wait_for(lambda: f'event=task.started id="{first}"' in w.log(), what="the first")
    late = jobs.push("test.single", 0, expires=0.5)
    doc = jobs.ended(late)
    assert doc["status"] == "REVOKED" and doc["result"]["exc_message"] == ["expired"]
    assert late not in events(w, "task.started")
    jobs.quiet()


def test_what_waits_goes_back_in_a_stop(spawn, jobs, redis_server):
    w = spawn("aion2-worker", env=worker_env(redis_server, SHUTDOWN_GRACE="0"))
    first = jobs.push("test.single", 600)
    wait_for(lambda: f'event=task.started id="{first}"' in w.log(), what="the first")
    jobs.push("test.single", 600)
    wait_for(lambda: jobs.held_count() == 2, what="the second to wait")
    assert w.stop() == 0
    assert jobs.waiting() == 2 and jobs.held_count() == 0
    assert jobs.differences() == {}
