"""A stock Celery worker and ours on one queue."""

import pytest

from harness import wait_for
from celery_worker import start_python_worker, stop_python_worker
from jobs import BATCH, Jobs, celery_client, celery_message, worker_env

client = pytest.fixture(celery_client)

FLEET_MESSAGES = 10_000


@pytest.fixture
def python_worker(redis_server, tmp_path):
    log = tmp_path / "celery.log"
    proc = start_python_worker(redis_server, log, "--pool=solo", "--without-gossip",
                               "--without-mingle")
    yield log
    proc.kill()
    proc.wait()


@pytest.fixture
def stock_worker(redis_server, tmp_path):
    """With everything that a worker has by default: two processes, gossip, mingle."""
    log = tmp_path / "celery.log"
    proc = start_python_worker(redis_server, log, "-c", "2")
    yield log
    stop_python_worker(proc)


def test_each_task_runs_once_whoever_takes_it(env, client, spawn, redis_server, python_worker):
    """Both know the batch; their answers differ, so each result tells who ran it."""
    jobs = Jobs(redis_server)
    spawn("aion2-worker", env=env).wait_log("worker.registered")
    results = [client.send_task(BATCH) for _ in range(40)]
    answers = [r.get(timeout=30) for r in results]
    by_python = [a for a in answers if "slot" in a]
    by_us = [a for a in answers if "status" in a]
    assert len(by_python) + len(by_us) == 40
    assert jobs.counter("done") == len(by_us)
    wait_for(
        lambda: python_worker.read_text().count("succeeded in") == len(by_python),
        what="the Python worker's own count",
    )
    jobs.quiet()


def test_a_shared_queue_of_ten_thousand_tasks(spawn, redis_server, stock_worker):
    """A stock worker and ours beside each other, all defaults: none lost, each result right."""
    jobs = Jobs(redis_server)
    spawn("aion2-worker", env=worker_env(redis_server, LOG_LEVEL="info")).wait_log(
        "worker.registered")
    ids, texts = zip(*(celery_message("test.add", (n, 1)) for n in range(FLEET_MESSAGES)))
    jobs.push_many(texts)
    wait_for(lambda: jobs.waiting() == 0, 60, "the queue to be empty")
    wait_for(lambda: all(jobs.documents(ids)), 30, "every result", interval=0.2)
    jobs.quiet()
    for n, document in enumerate(jobs.documents(ids)):
        assert (document["status"], document["result"]) == ("SUCCESS", n + 1)
    by_us = jobs.counter("done")
    wait_for(
        lambda: stock_worker.read_text().count("succeeded in") == FLEET_MESSAGES - by_us,
        what="the Python worker's own count",
    )
    assert 0 < by_us < FLEET_MESSAGES
    assert not jobs.redis.exists("unacked", "unacked_index")
