"""Everything at once: a burst of messages while workers are killed again and again."""

import json
import os
import random
import threading
import time

import pytest

from harness import TIMEOUT_SCALE, children_of, wait_for
from jobs import Jobs, worker_env


class Published:
    """Counts the final documents that Redis publishes, by task id."""

    def __init__(self, redis_server):
        self.statuses = {}
        self._pubsub = redis_server.client(decode_responses=True).pubsub()
        self._pubsub.psubscribe("celery-task-meta-*")
        self._pubsub.get_message(timeout=5)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self):
        while not self._stop.is_set():
            message = self._pubsub.get_message(ignore_subscribe_messages=True, timeout=0.2)
            if message:
                doc = json.loads(message["data"])
                self.statuses.setdefault(doc["task_id"], set()).add(doc["status"])

    def close(self):
        self._stop.set()
        self._thread.join()
        self._pubsub.close()


def storm(spawn, redis_server, messages, kills, worker_count=3, seed=1):
    """Sends messages in a burst and kills `kills` processes; every message must end once."""
    jobs, dice = Jobs(redis_server), random.Random(seed)
    published = Published(redis_server)
    env = worker_env(redis_server, WORKER_CONCURRENCY="3")
    workers = [spawn("aion2-worker", env=env) for _ in range(worker_count)]
    ids = [jobs.push("test.sleep", dice.choice([0, 0.005, 0.05]), kwargs={"n": n})
           for n in range(messages)]
    for n in range(kills):
        victim = dice.choice(workers)
        progress = jobs.counter("taken")
        wait_for(
            lambda: jobs.counter("taken") > progress or jobs.counter("done") >= messages,
            30, "some progress",
        )
        victim.kill()
        victim.start()
    wait_for(lambda: jobs.counter("done") == messages, 60 + messages / 20, "the end of all tasks")
    jobs.quiet(30)
    documents = [jobs.document(i) for i in ids]
    published.close()
    assert all(d and d["status"] == "SUCCESS" for d in documents)
    assert all(published.statuses[i] == {"SUCCESS"} for i in ids)
    assert jobs.counter("done") == messages and jobs.counter("dead") == 0
    assert jobs.counter("recovered") + messages == jobs.counter("taken")
    assert not jobs.redis.exists("aion2:recoveries") and not jobs.redis.exists("aion2:losses")
    for w in workers:
        assert w.stop() == 0
    assert jobs.redis.keys("aion2:held*") == [] and jobs.redis.scard("aion2:workers") == 0
    return jobs


def test_burst_with_killed_workers(spawn, make_redis):
    jobs = storm(spawn, make_redis(), messages=200, kills=6)
    assert jobs.counter("recovered") > 0  # otherwise nothing was tested


def test_burst_with_killed_children(spawn, redis_server):
    """Killed between and in the middle of tasks: one loss is repaired, a second one is told."""
    jobs = Jobs(redis_server)
    w = spawn("aion2-worker", env=worker_env(redis_server, WORKER_CONCURRENCY="4"))
    ids = [jobs.push("test.sleep", 0.02) for _ in range(200)]
    hit = set()
    for _ in range(8):
        done = jobs.counter("done")
        wait_for(lambda: jobs.counter("done") > done or done == 200, what="progress")
        started = [line for line in w.log().splitlines() if "event=task.started" in line][-1]
        task_id = started.split('id="')[1][:36]
        child = int(started.split(" child=")[1].split()[0])
        if task_id not in hit and child in children_of(w.pid):
            hit.add(task_id)
            try:
                os.kill(child, 9)
            except ProcessLookupError:
                pass
    ends = {task_id: jobs.ended(task_id, 30)["status"] for task_id in ids}
    jobs.quiet()
    assert jobs.counter("done") == 200
    twice = [i for i, status in ends.items() if status == "FAILURE"]
    assert all(f'event=task.lost id="{i}"' in w.log() for i in twice)
    assert len(twice) <= 4  # eight kills


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_soak(spawn, make_redis):
    """Minutes of it, with Redis restarting in between; memory must stay where it was."""
    redis_server = make_redis(appendonly=True)
    jobs, dice = Jobs(redis_server), random.Random(2)
    env = worker_env(redis_server, WORKER_CONCURRENCY="4", LOG_LEVEL="warn")
    workers = [spawn("aion2-worker", env=env) for _ in range(3)]
    seconds = float(os.environ.get("AION2_SOAK_SECONDS", "120")) * TIMEOUT_SCALE
    until, sent, first_rss = time.monotonic() + seconds, [], None
    while time.monotonic() < until:
        sent += [jobs.push("test.sleep", dice.choice([0, 0.01])) for _ in range(200)]
        deed = dice.randrange(4)
        if deed == 0:
            victim = dice.choice(workers[1:])
            victim.kill()
            victim.start()
        elif deed == 1:
            redis_server.kill()
            redis_server.start()
        elif deed == 2:
            jobs.redis.client_kill_filter(_type="normal", skipme=True)
        wait_for(lambda: jobs.waiting() == 0, 60, "the round's end")
        first_rss = first_rss or workers[0].rss_kb()
    jobs.quiet(60)
    assert all(jobs.document(i)["status"] == "SUCCESS" for i in sent)
    assert jobs.counter("done") == len(sent)
    assert workers[0].rss_kb() < first_rss + 8 * 1024
