"""aion2ctl events: follows a stock Celery worker, ours, and whatever somebody publishes."""

import json
import re
import signal
import subprocess
import time

import pytest

import harness
from ctl_lab import (HARMFUL, HOSTILE, on_a_terminal, redis_ctl, start_celery, stock_worker, stop,
                     without_colours)
from harness import wait_for
from jobs import worker_env

__all__ = ["stock_worker"]

CHANNEL = "/0.celeryev/"


@pytest.fixture
def ctl(redis_server):
    return redis_ctl(redis_server)


def listeners(server):
    return sum(c["psub"] != "0" for c in server.client().client_list())


@pytest.fixture
def follow(redis_server):
    """Starts aion2ctl events; it has subscribed when this returns."""
    started = []

    def start(*args):
        before = listeners(redis_server)
        started.append(subprocess.Popen(
            [harness.bin_dir() / "aion2ctl", "events", *args],
            env=harness.clean_env({"REDIS_URL": redis_server.url}), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        wait_for(lambda: listeners(redis_server) > before, 30, "the subscription")
        return started[-1]

    yield start
    for proc in started:
        proc.kill()
        proc.communicate()


def publish(server, body, key="task.multi", **envelope):
    whole = {"body": json.dumps(body), "content-type": "application/json",
             "content-encoding": "utf-8", "headers": {"hostname": "n"},
             "properties": {"delivery_info": {"exchange": "celeryev", "routing_key": key},
                            "delivery_tag": "t", "delivery_mode": 1}, **envelope}
    server.client().publish(CHANNEL + key, json.dumps(whole))


def event(kind, **members):
    return {"type": kind, "hostname": "w@h", "timestamp": time.time(), "clock": 1, **members}


def end(proc, code=0):
    out, err = proc.communicate(timeout=60)
    assert proc.returncode == code, (proc.returncode, out, err)
    return out, err


# ------------------------------------------------------------------------------- real workers


def test_a_stock_worker_is_followed(redis_server, ctl, follow, stock_worker):
    proc = follow("--type", "task-*", "--count", "8", "--for", "60s", "--json")
    ok = ctl("call", "lab.echo").stdout.strip()
    bad = ctl("call", "lab.fail", "--args", '["x"]').stdout.strip()
    events = [json.loads(line) for line in end(proc)[0].splitlines()]
    seen = {(e["type"], e["uuid"]) for e in events}
    assert seen == {(f"task-{t}", i) for i, ts in ((ok, "sent received started succeeded"),
                                                  (bad, "sent received started failed"))
                    for t in ts.split()}
    (failed,) = [e for e in events if e["type"] == "task-failed"]
    assert failed["exception"] == "ValueError('x')" and failed["hostname"] == "w1@lab"


def test_lines_have_the_name_of_the_task(redis_server, ctl, follow, stock_worker):
    proc = follow("--task", "lab.*", "--type", "task-succeeded", "--count", "1", "--for", "60s")
    task = ctl("call", "lab.echo").stdout.strip()
    out, _ = end(proc)
    assert re.fullmatch(rf"[0-9:.]{{12}}  task-succeeded    w1@lab {{14}}lab\.echo\[{task}\]  "
                        rf"runtime=\d+\.\d+s result=.*\n", out), out


def test_workers_that_tell_nothing_are_asked_to(redis_server, ctl, follow, tmp_path):
    worker = start_celery(redis_server, tmp_path / "log", "--pool=solo", "--without-mingle",
                          "--without-gossip")
    try:
        assert end(follow("--type", "task-received", "--for", "1s"))[0] == ""
        proc = follow("--enable", "--type", "task-received", "--count", "1", "--for", "60s")
        wait_for(lambda: ctl("call", "lab.echo").returncode == 0 and proc.poll() is not None, 60,
                 "the event", interval=0.2)
        assert "lab.echo" in end(proc)[0]
    finally:
        stop(worker)


def test_our_worker_tells_as_soon_as_somebody_listens(redis_server, spawn, ctl, follow):
    spawn("aion2-worker", worker_env(redis_server))
    wait_for(lambda: ctl("inspect").returncode == 0, 30, "the worker")
    assert ctl("call", "test.add", "--args", "[1]", "--wait", "30").returncode == 0
    proc = follow("--type", "task-*", "--count", "4", "--for", "60s", "--json")
    task = ctl("call", "test.add", "--args", "[1, 2]").stdout.strip()
    events = [json.loads(line) for line in end(proc)[0].splitlines()]
    # A fast worker may be done before the sender has told that it sent the task.
    assert sorted(e["type"] for e in events if e["uuid"] == task) == [
        "task-received", "task-sent", "task-started", "task-succeeded"]


# ------------------------------------------------------------------------------ what is shown


def test_single_events_and_arrays(redis_server, follow):
    proc = follow("--count", "3", "--json")
    publish(redis_server, event("worker-online"), "worker.online")
    publish(redis_server, [event("task-started", uuid="a"), event("task-started", uuid="b")])
    assert [json.loads(line).get("uuid") for line in end(proc)[0].splitlines()] == [None, "a", "b"]


def test_heartbeats_only_when_asked_for(redis_server, follow):
    plain, all_of_them = follow("--count", "1"), follow("--heartbeats", "--count", "2")
    named = follow("--type", "worker-heartbeat", "--count", "1")
    publish(redis_server, event("worker-heartbeat", active=3), "worker.heartbeat")
    publish(redis_server, event("worker-offline"), "worker.offline")
    assert "heartbeat" not in end(plain)[0] and "active=3" in end(all_of_them)[0]
    assert "active=3" in end(named)[0]


def test_filters(redis_server, follow):
    by = {"--id": "i1", "--task": "rep*", "--node": "w2@*", "--type": "task-failed"}
    procs = [follow(option, value, "--count", "1", "--json") for option, value in by.items()]
    publish(redis_server, [
        event("task-received", uuid="i0", name="other", n=0),
        event("task-received", uuid="i1", name="other", n=1),
        event("task-received", uuid="i2", name="reports.send", n=2),
        event("task-received", uuid="i3", name="other", n=3, hostname="w2@x"),
        event("task-failed", uuid="i4", n=4)])
    assert [json.loads(end(proc)[0])["n"] for proc in procs] == [1, 2, 3, 4]


def test_dump_has_every_member_on_one_line(redis_server, follow):
    proc = follow("--dump", "--count", "1")
    publish(redis_server, event("task-failed", uuid="u", traceback="a\nb", extra={"x": [1]}))
    out, _ = end(proc)
    assert out.count("\n") == 1 and 'traceback="a\\u000ab"' in out and 'extra={"x":[1]}' in out


def test_hostile_events_are_harmless(redis_server, follow):
    body = [event(HOSTILE), event("task-sent", uuid=HOSTILE, name=HOSTILE, queue=HOSTILE),
            event("task-failed", uuid="x" * 10000, exception=HOSTILE * 1000),
            {"type": "task-started", HOSTILE: HOSTILE, "hostname": HOSTILE, "timestamp": 1e300},
            event("end")]
    for option in ("--dump", "--json", "--heartbeats"):
        proc = follow(option, "--count", "5")
        publish(redis_server, body)
        out, _ = end(proc)
        assert not HARMFUL.search(out.replace("\n", "")) and out.count("\n") == 5, out


def test_what_is_no_event_is_counted_and_passed_over(redis_server, follow):
    proc = follow("--count", "1")
    r = redis_server.client()
    for junk in (b"", b"\xff", b"{", b"[]", b"7", b'{"body": "x"}', b'{"body": "e30=", "properties":'
                 b' {"body_encoding": "base64"}}', b"x" * 100000):
        r.publish(CHANNEL + "task.multi", junk)
    publish(redis_server, [7, "x", None, {}, {"type": 7}])
    publish(redis_server, event("task-started", uuid="u"), **{"content-type": "text/plain"})
    publish(redis_server, event("worker-online"))
    out, err = end(proc)
    assert "worker-online" in out and "14 publications were no events" in err


def test_another_database_is_another_channel(redis_server, follow):
    proc = follow("--count", "1")
    redis_server.client().publish("/1.celeryev/worker.online", "{}")
    publish(redis_server, event("worker-online", hostname="right@db"))
    assert "right@db" in end(proc)[0]


# ------------------------------------------------------------------------------------ ending


def test_time_and_count(ctl):
    assert ctl("events", "--for", "1s").returncode == 0
    assert ctl("events", "--for", "1s", "--count", "1").returncode == 2


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_interrupting_is_a_good_end(redis_server, follow, sig):
    proc = follow()
    proc.send_signal(sig)
    assert end(proc)[0] == ""


def test_a_restart_of_redis_is_survived(redis_server, follow):
    proc = follow("--count", "1", "--for", "100s")
    redis_server.restart()
    wait_for(lambda: listeners(redis_server) == 1, 30, "the new subscription")
    publish(redis_server, event("worker-online"))
    out, err = end(proc)
    assert "worker-online" in out and "the connection broke" in err


def test_a_reader_that_goes_away_ends_it(redis_server, follow):
    proc = follow()
    proc.stdout.close()
    wait_for(lambda: publish(redis_server, event("worker-online")) or proc.poll() is not None, 30,
             "the end")


def test_wrong_words_and_redis_away(redis_server, ctl):
    for args in (("x",), ("--count", "0"), ("--for", "never"), ("--sideways",)):
        assert ctl("events", *args).returncode == 64
    redis_server.stop()
    done = ctl("events")
    assert done.returncode == 69 and "Redis" in done.stderr


def test_it_fits_the_terminal(redis_server):
    import threading
    env = {"REDIS_URL": redis_server.url}
    for columns in (80, 140):
        before = threading.Event()

        def tell():
            while not before.wait(0.1):
                publish(redis_server, [event("task-failed", uuid="8a814565-3f5f-4fad", name="n" * 90,
                                             exception="x" * 300, hostname="w" * 60)])

        teller = threading.Thread(target=tell)
        teller.start()
        try:
            text = on_a_terminal(env, "events", "--count", "2", columns=columns)
        finally:
            before.set()
            teller.join()
        lines = without_colours(text).splitlines()
        assert len(lines) == 2 and "\033[31m" in text
        assert all(len(line) <= columns and "…" in line for line in lines)
