"""What Celery's monitors see of our worker: a real receiver, Celery's State, its command line tool."""

import signal
import sys
from pathlib import Path

import pytest

from harness import clean_env, start_process, wait_for
from jobs import Jobs
from remote_lab import (NODE, Monitor, ask, ask_one, body_of, celery_app, close_app, start_worker)

HERE = Path(__file__).parent
WIRE = HERE.parents[1] / "test" / "data" / "wire"


@pytest.fixture
def jobs(redis_server):
    return Jobs(redis_server)


@pytest.fixture
def app(redis_server):
    made = celery_app(redis_server)
    yield made
    close_app(made)


@pytest.fixture
def monitor(redis_server):
    made = Monitor(redis_server)
    yield made
    made.close()


@pytest.fixture
def worker(spawn, redis_server, monitor):
    made = start_worker(spawn, redis_server)
    monitor.wait_for_event(type="worker-online", hostname=NODE)
    return made


def recorded(name):
    """The members of an event of a real worker."""
    body = body_of((WIRE / f"event-{name}.json").read_text())
    return set(body[0] if isinstance(body, list) else body) - {"utcoffset"}


def members(event):
    return set(event) - {"local_received", "utcoffset"}


# ---------------------------------------------------------------- tasks


def test_a_task_that_succeeds(app, monitor, worker):
    result = app.send_task("test.add", (2, 3))
    assert result.get(timeout=10) == 5
    monitor.wait_for_types(result.id, "task-received", "task-started", "task-succeeded")
    received, started, succeeded = monitor.of(result.id)
    for event in (received, started, succeeded):
        assert members(event) == recorded(event["type"]), event
        assert event["hostname"] == NODE and event["pid"] == worker.pid
    assert (received["name"], received["args"], received["kwargs"]) == ("test.add", "(2, 3)", "{}")
    assert (received["root_id"], received["parent_id"]) == (result.id, None)
    assert (received["retries"], received["eta"], received["expires"]) == (0, None, None)
    assert succeeded["result"] == "5" and 0 <= succeeded["runtime"] < 10
    assert received["clock"] < started["clock"] < succeeded["clock"]
    assert received["timestamp"] <= started["timestamp"] <= succeeded["timestamp"]
    task = monitor.state.tasks[result.id]
    assert (task.name, task.state, task.result) == ("test.add", "SUCCESS", "5")
    assert task.worker.hostname == NODE
    sent = [e for e in monitor.of(result.id, sent=True) if e["type"] == "task-sent"]
    assert len(sent) == 1 and sent[0]["clock"] > 0


def test_results_are_shown_as_python_does(app, monitor, worker):
    result = app.send_task("test.sleep", (0,))
    result.get(timeout=10)
    event = monitor.wait_for_event(type="task-succeeded", uuid=result.id)
    assert event["result"] == "'slept'"


def test_a_task_that_fails(app, jobs, monitor, worker):
    result = app.send_task("test.fail", ("ValueError", "boom"))
    jobs.ended(result.id)
    monitor.wait_for_types(result.id, "task-received", "task-started", "task-failed")
    event = monitor.of(result.id)[-1]
    assert members(event) == recorded("task-failed")
    assert event["exception"] == "ValueError('boom')" and isinstance(event["traceback"], str)
    assert monitor.state.tasks[result.id].state == "FAILURE"


def test_an_unknown_task_fails(app, jobs, monitor, worker):
    result = app.send_task("test.nobody", ())
    jobs.ended(result.id)
    event = monitor.wait_for_event(type="task-failed", uuid=result.id)
    assert "NotRegistered" in event["exception"]


def test_a_task_that_is_tried_again(app, jobs, monitor, worker):
    result = app.send_task("test.fail", ("OperationalError", "not yet"),
                           {"class": "retryable", "succeed_after": 1})
    jobs.ended(result.id)
    once = ("task-received", "task-started")
    monitor.wait_for_types(result.id, *once, "task-retried", *once, "task-succeeded")
    events = monitor.of(result.id)
    assert members(events[2]) == recorded("task-retried")
    assert "not yet" in events[2]["exception"]
    assert events[3]["retries"] == 1


def test_tasks_that_are_revoked(app, jobs, monitor, worker):
    expired = app.send_task("test.add", (1, 1), countdown=1, expires=0.5)
    delayed = app.send_task("test.add", (1, 1), countdown=600)
    running = app.send_task("test.sleep", (600,))
    wait_for(lambda: ask_one(app, "active") and jobs.redis.zcard("aion2:delayed") >= 1)
    ask_one(app, "revoke", {"task_id": [delayed.id]})
    ask_one(app, "revoke", {"task_id": [running.id], "terminate": True, "signal": "KILL"})
    for task, flags in ((expired, (False, True, None)), (delayed, (False, False, None)),
                        (running, (True, False, signal.SIGKILL))):
        assert jobs.ended(task.id)["status"] == "REVOKED"
        event = monitor.wait_for_event(type="task-revoked", uuid=task.id)
        assert members(event) == recorded("task-revoked")
        assert (event["terminated"], event["expired"], event["signum"]) == flags
        assert monitor.state.tasks[task.id].state == "REVOKED"


# ---------------------------------------------------------------- the worker


def test_the_life_of_a_worker(app, monitor, worker):
    beat = monitor.wait_for_event(type="worker-heartbeat", hostname=NODE)
    app.send_task("test.add", (1, 1)).get(timeout=10)
    app.send_task("test.sleep", (3,))
    busy = monitor.wait_for_event(type="worker-heartbeat", hostname=NODE, active=1)
    for event in (beat, busy):
        assert members(event) == recorded("worker-heartbeat")
        assert event["freq"] == 2.0 and len(event["loadavg"]) == 3
        assert event["sw_ident"] == "aion2rank"
    assert busy["processed"] == 2
    assert [w.hostname for w in monitor.state.alive_workers()] == [NODE]
    monitor.wait_for_event(type="worker-heartbeat", hostname=NODE, active=0, processed=2)
    worker.signal(signal.SIGTERM)
    gone = monitor.wait_for_event(type="worker-offline", hostname=NODE)
    assert members(gone) == recorded("worker-offline")
    assert worker.wait() == 0
    assert list(monitor.state.alive_workers()) == []
    after = [e["type"] for e in monitor.events if e["clock"] > gone["clock"]]
    assert "worker-heartbeat" not in after


def test_a_worker_that_was_cut_off_comes_back(monitor, worker, redis_server):
    redis_server.client().execute_command("CLIENT", "KILL", "TYPE", "normal")
    wait_for(lambda: [e["type"] for e in monitor.events].count("worker-online") == 2, 20)


# ---------------------------------------------------------------- on, off, unwatched


def test_task_events_are_switched(app, monitor, spawn, redis_server):
    start_worker(spawn, redis_server, TASK_EVENTS="0")
    quiet = app.send_task("test.add", (1, 1))
    quiet.get(timeout=10)
    monitor.wait_for_event(type="worker-heartbeat")
    assert monitor.of(quiet.id) == []
    assert ask_one(app, "enable_events") == {"ok": "task events enabled"}
    loud = app.send_task("test.add", (1, 1))
    monitor.wait_for_types(loud.id, "task-received", "task-started", "task-succeeded")
    assert ask_one(app, "disable_events") == {"ok": "task events disabled"}
    quiet = app.send_task("test.add", (1, 1))
    quiet.get(timeout=10)
    loud_again = Monitor(redis_server)  # whoever wakes it up does not switch it on
    loud_again.close()
    assert ask_one(app, "ping") and monitor.of(quiet.id) == []


def test_an_unwatched_worker_publishes_nothing_of_tasks(app, jobs, spawn, redis_server):
    start_worker(spawn, redis_server)

    def sent():
        return ask_one(app, "stats")["aion2"]["events_sent"]

    jobs.ended(jobs.push("test.add", 1, 1))
    wait_for(sent, what="events that nobody got")
    before = sent()
    for n in range(200):
        jobs.push("test.add", n, 1)
    jobs.quiet()
    # What was on its way when the first answer came may have gone out, too.
    assert sent() - before <= 3


def test_a_monitor_that_comes_later_sees_what_follows(app, spawn, redis_server):
    start_worker(spawn, redis_server)
    app.send_task("test.add", (1, 1)).get(timeout=10)  # nobody watches: events stop
    monitor = Monitor(redis_server)
    monitor.wait_for_event(type="worker-heartbeat")
    result = app.send_task("test.add", (1, 1))
    monitor.wait_for_types(result.id, "task-received", "task-started", "task-succeeded")
    monitor.close()


def test_a_silent_listener_is_noticed(jobs, spawn, redis_server):
    """One that only subscribes: within a heartbeat."""
    start_worker(spawn, redis_server)
    jobs.ended(jobs.push("test.add", 1, 1))
    listener = redis_server.client().pubsub()
    listener.psubscribe("/0.celeryev/*")
    seen = []

    def types():
        message = listener.get_message(ignore_subscribe_messages=True)
        if message:
            body = body_of(message["data"])
            seen.extend(e["type"] for e in (body if isinstance(body, list) else [body]))
        return seen

    wait_for(lambda: "worker-heartbeat" in types())
    jobs.push("test.add", 1, 1)
    wait_for(lambda: "task-succeeded" in types())
    listener.close()


def test_many_events_arrive_once_and_in_order(app, jobs, monitor, worker):
    ids = [app.send_task("test.add", (n, 1)).id for n in range(300)]
    for task_id in ids:
        monitor.wait_for_types(task_id, "task-received", "task-started", "task-succeeded",
                               timeout=30)
    ours = [e for e in monitor.events if e["hostname"] == NODE]
    clocks = [e["clock"] for e in ours]
    assert clocks == sorted(clocks) and len(set(clocks)) == len(clocks)
    jobs.quiet()


# ---------------------------------------------------------------- Celery's programs


def test_the_dump_of_the_tool(app, jobs, redis_server, worker, tmp_path):
    log = tmp_path / "dump.log"
    dump = start_process(
        [sys.executable, "-u", "-m", "celery", "-b", redis_server.url, "events", "--dump"], log,
        clean_env({"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}))
    wait_for(lambda: f"{NODE} [" in log.read_text(), 30, "a heartbeat in the tool's output")
    result = app.send_task("test.add", (2, 3))
    assert result.get(timeout=10) == 5
    for text in (f"{NODE} [", "heartbeat", "task received: test.add", "task started: test.add",
                 "task succeeded: test.add", result.id):
        wait_for(lambda t=text: t.lower() in log.read_text().lower(), 15, text)
    dump.terminate()
    dump.wait(20)


@pytest.fixture
def start_stock(redis_server, tmp_path):
    """With everything that a worker has by default, gossip and mingle, on a queue of its own."""
    started = []

    def start():
        log = tmp_path / "stock.log"
        started.append(start_process(
            [sys.executable, "-m", "celery", "-A", "celery_app", "worker", "--loglevel=INFO", "-E",
             "-n", "stock@lab", "-c", "1", "-Q", "stock"], log, cwd=HERE,
            env=clean_env({"REDIS_URL": redis_server.url, "PYTHONDONTWRITEBYTECODE": "1",
                           "C_FORCE_ROOT": "1"})))
        wait_for(lambda: " ready." in log.read_text(), 60, "the stock worker")
        return started[-1], log

    yield start
    for proc in started:
        proc.terminate()
        proc.wait(30)


def test_a_stock_worker_lives_beside_ours(app, jobs, spawn, redis_server, start_stock):
    """Whatever ours publishes and answers, a worker of Celery's own goes on, and learns of revokes."""
    worker = start_worker(spawn, redis_server)
    revoked = "00000000-dead-beef-0000-000000000001"
    ask_one(app, "revoke", {"task_id": revoked})
    stock, log = start_stock()
    assert "sync with 1 nodes" in log.read_text()
    assert revoked in ask_one(app, "revoked", node="stock@lab"), "it took our revoked ids"
    only_stock = "00000000-dead-beef-0000-000000000002"
    ask_one(app, "revoke", {"task_id": only_stock}, node="stock@lab")
    second = start_worker(spawn, redis_server, "second@lab")
    wait_for(lambda: only_stock in ask_one(app, "revoked", node="second@lab"),
             what="our worker to learn what only the stock worker knows")
    for n in range(30):
        app.send_task("test.add", (n, 1))
    app.send_task("test.fail", ("ValueError", 'b"o\'o\nm 안녕'))
    app.send_task("test.crash", ())
    doomed = app.send_task("test.sleep", (600,))
    late = app.send_task("test.add", (1, 1), countdown=600)
    wait_for(lambda: any(t["id"] == doomed.id for n in (NODE, "second@lab")
                         for t in ask_one(app, "active", node=n)))
    app.control.revoke([doomed.id, late.id], terminate=True, signal="SIGKILL")
    for method in ("heartbeat", "enable_events", "disable_events", "enable_events", "pool_grow"):
        app.control.broadcast(method)
    app.control.broadcast("add_consumer", {"queue": "new"}, destination=[NODE])
    assert jobs.ended(doomed.id)["status"] == "REVOKED", "the running one"
    assert jobs.ended(late.id)["status"] == "REVOKED", "the delayed one"
    # Not to everybody: a stock worker that is alone in its election dies of that by itself.
    assert ask_one(app, "election", {"id": "1", "topic": "task", "action": None}) is None
    second.stop()
    worker.kill()
    worker.start()
    wait_for(lambda: ask_one(app, "ping") == {"ok": "pong"}, 20)
    assert stock.poll() is None, log.read_text()[-4000:]
    assert ask(app, "ping", destination=["stock@lab"]), log.read_text()[-4000:]
    echo = app.send_task("lab.echo", (1,), queue="stock")
    assert echo.get(timeout=20) == {"args": [1], "kwargs": {}}
    text = log.read_text()
    for bad in ("Traceback", "Unrecoverable", "ERROR", "CRITICAL", "Substantial drift"):
        assert bad not in text, text[-4000:]
