"""A stock Celery worker as a process of its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from harness import clean_env, start_process, wait_for
from jobs import Jobs, celery_message


def start_python_worker(redis_server, log, *options):
    """A stock worker; its log tells when it is ready."""
    argv = [sys.executable, "-m", "celery", "-A", "celery_app", "worker", "--loglevel=INFO",
            *options]
    env = {"REDIS_URL": redis_server.url, "PYTHONDONTWRITEBYTECODE": "1", "C_FORCE_ROOT": "1"}
    proc = start_process(argv, log, clean_env(env), cwd=Path(__file__).parent)
    wait_for(lambda: " ready." in log.read_text(), 30, "the Python worker")
    return proc


def stop_python_worker(proc):
    """SIGTERM, as its processes end with it only when it may stop them."""
    proc.terminate()
    try:
        proc.wait(15)
    except subprocess.TimeoutExpired:
        os.killpg(proc.pid, signal.SIGKILL)
        proc.wait()


class StockWorker:
    """A stock worker with gossip on a queue of its own: it hears what ours publishes."""

    def __init__(self, redis_server, log):
        self.jobs = Jobs(redis_server)
        self.proc = start_python_worker(redis_server, log, "--pool=solo", "-Q", "stock")

    def must_work(self):
        """It is there and still takes messages."""
        task_id, text = celery_message("test.add", (40, 2))
        self.jobs.redis.lpush("stock", text)
        wait_for(lambda: self.jobs.document(task_id), 15, "a task of the stock worker")
        assert self.proc.poll() is None

    def stop(self):
        stop_python_worker(self.proc)
