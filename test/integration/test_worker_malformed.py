"""Malformed input: the worker goes on, whoever can be told is told, nothing else is lost."""

import base64

import pytest

import malformed
from celery_worker import StockWorker
from harness import wait_for
from jobs import Jobs, celery_client, celery_message, worker_env

client = pytest.fixture(celery_client)


@pytest.fixture
def jobs(redis_server):
    return Jobs(redis_server)


@pytest.fixture
def worker(spawn, redis_server):
    w = spawn("aion2-worker", env=worker_env(redis_server, LOG_LEVEL="info"))
    w.wait_log("worker.registered")
    return w


@pytest.fixture
def stock(redis_server, tmp_path):
    stock = StockWorker(redis_server, tmp_path / "stock.log")
    yield stock
    stock.stop()


def ending(jobs, task_id, raw):
    """What became of a message, in the words of the data file."""
    document = jobs.document(task_id)
    if document is None:
        kept = [base64.b64decode(entry["b64"]) for entry in jobs.quarantine()]
        return "quarantine" if raw in kept else "nothing"
    if document["status"] == "SUCCESS":
        return f"SUCCESS {document['result']}"
    return f"{document['status']} {document['result']['exc_type']}"


def as_described(found, expected):
    return expected == "any" and found != "nothing" or found.startswith(expected)


def test_each_malformed_message_ends_as_described(worker, jobs, client, stock):
    """A stock worker hears of all of it by our events and goes on, too."""
    client.control.enable_events()
    cases = malformed.load("tasks")
    pushed = []
    for case in cases:
        pushed.append((case, *malformed.task_message(case), jobs.push("test.add", 20, 3)))
        jobs.push(raw=pushed[-1][2])
    good = [entry[3] for entry in pushed]
    assert all(jobs.ended(i)["result"] == 23 for i in good)
    jobs.quiet()
    assert worker.running() and worker.log().count("worker.registered") == 1
    found = {c["case"]: (ending(jobs, i, raw), c["ends"]) for c, i, raw, _ in pushed}
    wrong = {name: pair for name, pair in found.items() if not as_described(*pair)}
    assert not wrong
    assert jobs.counter("quarantined") == jobs.redis.llen("aion2:quarantine")
    assert jobs.counter("taken") == 2 * len(cases)
    stock.must_work()


def test_chords_whose_size_nobody_tells_hold_up_nobody_else(worker, jobs):
    """A part waits a while for it, but a few thousand of them must not fill the worker."""
    body = {"task": "test.sum", "args": [], "kwargs": {}, "options": {"task_id": "sum"},
            "subtask_type": None, "immutable": False}
    parts = [celery_message("test.add", (n,), embed={"chord": body}, group=f"g{n}", group_index=0)
             for n in range(3000)]
    jobs.push_many([text for _, text in parts])
    assert jobs.ended(jobs.push("test.add", 1, 2), 30)["result"] == 3
    jobs.quiet(30)
    assert [d["status"] for d in jobs.documents([i for i, _ in parts])] == ["SUCCESS"] * 3000
    assert worker.running()


def test_what_is_put_aside_keeps_its_bytes(worker, jobs):
    raws = [bytes(range(256)), b"\xff" * 70_000, b"{" * 3, b"\r\n\x00"]
    for raw in raws:
        jobs.push(raw=raw)
    wait_for(lambda: jobs.redis.llen("aion2:quarantine") == len(raws), what="all put aside")
    assert [base64.b64decode(entry["b64"]) for entry in reversed(jobs.quarantine())] == raws
    assert all(entry["reason"] and entry["q"] == "celery" for entry in jobs.quarantine())
    assert jobs.ended(jobs.push("test.add", 1, 1))["result"] == 2
    assert worker.running()
