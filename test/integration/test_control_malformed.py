"""Malformed requests of remote control and malformed events: the worker goes on, and what it publishes
meanwhile does no harm to a stock worker."""

import threading
import time
import uuid

import pytest

import malformed
from celery_worker import StockWorker
from harness import wait_for
from jobs import SEP, Jobs, worker_env

PIDBOX = "/0.celery.pidbox"
EVENTS = "/0.celeryev/"


@pytest.fixture
def jobs(redis_server):
    return Jobs(redis_server)


@pytest.fixture
def worker(spawn, redis_server):
    w = spawn("aion2-worker", env=worker_env(redis_server, LOG_LEVEL="info"))
    w.wait_log("worker.registered")
    return w


class Relay:
    """Hands what our worker publishes to another Redis, where a stock worker listens; what the test
    itself has published, which would end it, stays behind."""

    def __init__(self, source, target):
        self.own = set()
        self.handed = 0  # events
        self._target = target.client()
        self._pubsub = source.client().pubsub()
        self._pubsub.psubscribe(EVENTS + "*", PIDBOX)
        wait_for(lambda: self._pubsub.get_message(timeout=1), 5, "the subscription")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        while not self._stop.is_set():
            message = self._pubsub.get_message(ignore_subscribe_messages=True, timeout=0.1)
            if message and message["data"] not in self.own:
                self._target.publish(message["channel"], message["data"])
                self.handed += malformed.event_count(message["data"])

    def close(self):
        self._stop.set()
        self._thread.join()
        self._pubsub.close()


@pytest.fixture
def relay(redis_server, make_redis, tmp_path):
    """relay.stock is the worker on the other side."""
    other = make_redis()
    relay = Relay(redis_server, other)
    relay.stock = StockWorker(other, tmp_path / "stock.log")
    yield relay
    relay.close()
    relay.stock.stop()


class Pidbox:
    """Remote control as a client without Celery's manners."""

    def __init__(self, jobs, relay):
        self.jobs = jobs
        self.relay = relay

    def send(self, case):
        """Publishes it and returns the key of the list for its answer."""
        oid = str(uuid.uuid4())
        queue = f"{oid}.reply.celery.pidbox"
        self.jobs.redis.sadd("_kombu.binding.reply.celery.pidbox", f"{oid}{SEP}{SEP}{queue}")
        data = malformed.request(case, oid)
        self.relay.own.add(data)
        self.jobs.redis.publish(PIDBOX, data)
        return queue

    def answer(self, queue):
        """ok, error, none, or what else stands in the answer."""
        text = self.jobs.redis.lindex(queue, 0)
        return "none" if text is None else malformed.answer_kind(text)

    def ping(self):
        queue = self.send({})
        wait_for(lambda: self.answer(queue) == "ok", 10, "the answer to a ping")


def watch_events(jobs, relay):
    """Turns task events on, as a monitor does."""
    queue = Pidbox(jobs, relay).send({"with": {"method": "enable_events"}})
    wait_for(lambda: jobs.redis.llen(queue), 10, "task events")


def test_each_malformed_request_is_answered_as_described(worker, jobs, relay):
    pidbox = Pidbox(jobs, relay)
    watch_events(jobs, relay)
    cases = malformed.load("control")
    asked = [(case, pidbox.send(case), jobs.push("test.add", 20, 3)) for case in cases]
    pidbox.ping()
    assert all(jobs.ended(task_id)["result"] == 23 for _, _, task_id in asked)
    # What nobody answers by then, nobody answers.
    time.sleep(0.5)
    found = {case["case"]: (pidbox.answer(queue), case["reply"]) for case, queue, _ in asked}
    wrong = {name: pair for name, pair in found.items() if pair[1] not in (pair[0], "any")}
    assert not wrong
    jobs.quiet()
    assert worker.running() and worker.log().count("worker.registered") == 1
    wait_for(lambda: relay.handed > 2 * len(cases), what="events of all tasks")
    relay.stock.must_work()


def test_malformed_events_disturb_nobody(worker, jobs, relay):
    watch_events(jobs, relay)
    cases = malformed.load("events")
    ids = []
    for case in cases:
        for channel in ("worker.heartbeat", "worker.online", "task.multi"):
            data = malformed.event(case)
            relay.own.add(data)
            jobs.redis.publish(EVENTS + channel, data)
        ids.append(jobs.push("test.add", 20, 3))
    assert all(jobs.ended(task_id)["result"] == 23 for task_id in ids)
    Pidbox(jobs, relay).ping()
    assert worker.running() and worker.log().count("worker.registered") == 1
    wait_for(lambda: relay.handed > 2 * len(cases), what="events of all tasks")
    relay.stock.must_work()


