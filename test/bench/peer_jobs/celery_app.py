"""The tasks as a Celery application has them; every setting but the addresses is Celery's default."""
import os
import time

from celery import Celery

app = Celery("peer", broker=os.environ["PEER_REDIS_URL"], backend=os.environ["PEER_REDIS_URL"])


@app.task(name="test.noop")
def noop():
    return None


@app.task(name="test.clock")
def clock():
    return time.time()
