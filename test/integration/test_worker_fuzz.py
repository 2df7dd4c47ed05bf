"""Mutations of recorded messages against a running worker: it neither ends nor stalls, and loses
nothing of what comes between them."""

import json
import os
import uuid

import pytest

import malformed
from harness import TEST_DATA, wait_for
from jobs import Jobs, celery_message, worker_env
from mutate import Mutator

ROUND = 5_000
REQUESTS = 3_000
# Recorded requests that do what they say: without mutations, no worker would be left.
OBEYED = ("shutdown", "cancel-consumer", "pool-grow", "pool-shrink", "pool-restart", "terminate")
GOOD_EVERY = 25
SOAK_ROUNDS = int(os.environ.get("AION2_FUZZ_MESSAGES", "1000000")) // ROUND


def recorded_messages():
    """What clients send, for tasks that our worker has."""
    texts = [path.read_text(encoding="utf-8")
             for path in sorted((TEST_DATA / "wire").glob("task-message-*.json"))]
    known = [text.replace("lab.add", "test.add").replace("lab.xsum", "test.add")
             .replace("lab.echo", "test.noop").replace("lab.sleep", "test.noop") for text in texts]
    return known + [celery_message("test.add", (1, 2))[1], '{"task":"test.add","id":"a","args":[1]}']


def recorded(pattern):
    """Recorded requests or events, without the time at which they expired."""
    for path in sorted((TEST_DATA / "wire").glob(pattern)):
        envelope = json.loads(path.read_text(encoding="utf-8"))
        envelope["headers"].pop("expires", None)
        if not any(name in path.name for name in OBEYED):
            yield json.dumps(envelope)


def publish_round(jobs, worker, mutator, channels, count=REQUESTS):
    """Wrong publications with good tasks between them; then a ping is still answered."""
    boots, good = jobs.redis.smembers("aion2:workers"), []
    for n in range(count):
        jobs.redis.publish(mutator.dice.choice(channels), mutator.make())
        if n % GOOD_EVERY == 0:
            good.append(celery_message("test.add", (n, 7)))
            jobs.redis.lpush("celery", good[-1][1])
    wait_for(lambda: all(jobs.documents([i for i, _ in good])) or worker.must_run(), 60,
             "the good tasks")
    documents = jobs.documents([task_id for task_id, _ in good])
    assert [d["result"] for d in documents] == [n * GOOD_EVERY + 7 for n in range(len(good))]
    oid = str(uuid.uuid4())
    jobs.redis.publish("/0.celery.pidbox", malformed.request({}, oid))
    wait_for(lambda: jobs.redis.llen(f"{oid}.reply.celery.pidbox"), 15, "the answer to a ping")
    jobs.audit()
    assert jobs.redis.smembers("aion2:workers") == boots


def run_round(jobs, worker, mutator):
    """One round of wrong messages with good ones between them; every good one must come out."""
    taken, boots = jobs.counter("taken"), jobs.redis.smembers("aion2:workers")
    texts, good = [], []
    for n in range(ROUND):
        texts.append(mutator.make())
        if n % GOOD_EVERY == 0:
            good.append(celery_message("test.add", (n, 7)))
            texts.append(good[-1][1])
    jobs.push_many(texts)
    ids = [task_id for task_id, _ in good]
    # A few may be held for longer: parts of a chord whose size nobody has told.
    wait_for(lambda: jobs.waiting() == 0 and all(jobs.documents(ids)) or worker.must_run(), 120,
             "the end of the round", interval=0.1)
    documents = jobs.documents(ids)
    assert [d and d["result"] for d in documents] == [n * GOOD_EVERY + 7 for n in range(len(good))]
    assert jobs.counter("taken") - taken >= len(texts)
    jobs.audit()
    assert jobs.redis.smembers("aion2:workers") == boots


def forget_results(jobs):
    keys = list(jobs.redis.scan_iter("celery-task-meta-*", count=10_000))
    for start in range(0, len(keys), 10_000):
        jobs.redis.unlink(*keys[start:start + 10_000])


@pytest.fixture
def jobs(redis_server):
    return Jobs(redis_server)


@pytest.fixture
def worker(spawn, redis_server):
    w = spawn("aion2-worker", env=worker_env(redis_server, LOG_LEVEL="error"))
    wait_for(lambda: redis_server.client().scard("aion2:workers") or w.must_run(), 15, "the worker")
    return w


def test_mutated_messages(worker, jobs):
    run_round(jobs, worker, Mutator(recorded_messages(), seed=1))
    ends = jobs.counters()
    assert min(ends["quarantined"], ends["dead"], ends["done"] - ends["dead"]) > ROUND / 20


def test_mutated_requests(worker, jobs):
    publish_round(jobs, worker, Mutator(recorded("pidbox-*-request.json"), seed=3),
                  ["/0.celery.pidbox"])


def test_mutated_events(worker, jobs):
    publish_round(jobs, worker, Mutator(recorded("event-*.json"), seed=4),
                  ["/0.celeryev/worker.heartbeat", "/0.celeryev/task.multi", "/0.celery.pidbox"])


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_million_mutated_messages(worker, jobs):
    mutator, first_rss = Mutator(recorded_messages(), seed=2), None
    for _ in range(SOAK_ROUNDS):
        run_round(jobs, worker, mutator)
        forget_results(jobs)
        first_rss = first_rss or worker.rss_kb()
    assert worker.rss_kb() < first_rss + 16 * 1024


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("pattern, channels", [
    ("pidbox-*-request.json", ["/0.celery.pidbox"]),
    ("event-*.json", ["/0.celeryev/worker.heartbeat", "/0.celery.pidbox"]),
])
def test_many_mutated_publications(worker, jobs, pattern, channels):
    mutator = Mutator(recorded(pattern), seed=6)
    for _ in range(SOAK_ROUNDS // 5):
        publish_round(jobs, worker, mutator, channels)
        forget_results(jobs)
