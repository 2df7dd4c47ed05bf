"""A Python Celery application for tests that need a real worker of the other kind."""

import os
import time

from celery import Celery

app = Celery("lab", broker=os.environ.get("REDIS_URL"), backend=os.environ.get("REDIS_URL"))
app.conf.update(task_default_queue=os.environ.get("TASK_QUEUE", "celery"), worker_hijack_root_logger=False)


@app.task(name="lab.echo")
def echo(*args, **kwargs):
    """What arrived."""
    return {"args": list(args), "kwargs": kwargs}


@app.task(name="test.add")
def add(*numbers):
    """The same as the task of that name in our worker."""
    return sum(numbers)


@app.task(name="lab.fail")
def fail(text):
    raise ValueError(text)


@app.task(name="lab.sleep")
def sleep(seconds):
    time.sleep(seconds)
    return seconds


@app.task(name="lab.flaky", bind=True)
def flaky(self):
    """Succeeds at the second attempt."""
    if self.request.retries == 0:
        raise self.retry(countdown=0.1)
    return "at last"


@app.task(name="app.worker.calculate_power_and_rank_batch", bind=True)
def batch(self):
    """Stands in for the batch: gives back what the beat sent."""
    return {"id": self.request.id, "slot": self.request.get("aion2_slot")}


@app.task(name="test.sum")
def total(numbers):
    """The same as the task of that name in our worker, like the two below."""
    return sum(numbers)


@app.task(name="test.echo")
def echo_as_ours(*args, **kwargs):
    return {"args": list(args), "kwargs": kwargs}


@app.task(name="test.fail")
def fail_as_ours(*_):
    raise ValueError("asked to fail")
