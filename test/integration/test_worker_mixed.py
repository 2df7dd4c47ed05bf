"""A stock Celery worker and ours on one queue."""

import sys
from pathlib import Path

import pytest

from harness import clean_env, start_process, wait_for
from jobs import BATCH, Jobs, celery_client

client = pytest.fixture(celery_client)


@pytest.fixture
def python_worker(redis_server, tmp_path):
    log = tmp_path / "celery.log"
    argv = [sys.executable, "-m", "celery", "-A", "celery_app", "worker", "--pool=solo",
            "--without-gossip", "--without-mingle", "--loglevel=INFO"]
    env = {"REDIS_URL": redis_server.url, "PYTHONDONTWRITEBYTECODE": "1", "C_FORCE_ROOT": "1"}
    proc = start_process(argv, log, clean_env(env), cwd=Path(__file__).parent)
    wait_for(lambda: " ready." in log.read_text(), 30, "the Python worker")
    yield log
    proc.kill()
    proc.wait()


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
