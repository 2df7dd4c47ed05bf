"""aion2ctl inspect: a stock Celery worker answers it as it answers Celery's own tool."""

import base64
import json
import re
import subprocess
import time
import uuid

import pytest
from celery import Celery

import harness
from ctl_lab import (ESC, HARMFUL, HOSTILE, json_of, on_a_terminal, redis_ctl, stock_worker,
                     without_colours)
from harness import wait_for
from jobs import worker_env

__all__ = ["stock_worker"]

METHODS = ["ping", "active", "reserved", "scheduled", "revoked", "registered", "stats", "queues",
           "conf", "report"]


@pytest.fixture
def ctl(redis_server):
    return redis_ctl(redis_server)


@pytest.fixture
def app(redis_server):
    made = Celery("client", broker=redis_server.url, set_as_current=False)
    yield made
    made.close()


@pytest.fixture
def client(app):
    return lambda name, *args, **options: app.send_task(name, args, **options)


def no_traces(server):
    keys = [k for k in server.client().keys("*reply*") if b"pidbox" in k]
    return not keys


def answer(server, value, node="n1@h", envelope=None, ticket=None):
    """Plays a worker: waits for one request and answers it with value."""
    r = server.client()
    sub = r.pubsub()
    sub.subscribe("/0.celery.pidbox")
    sub.get_message(timeout=5)

    def run():
        message = next(m for m in sub.listen() if m["type"] == "message")
        request = json.loads(message["data"])
        body = json.loads(base64.b64decode(request["body"]))
        reply_to = body["reply_to"]["routing_key"]
        binding = r.smembers("_kombu.binding.reply.celery.pidbox")
        assert any(m.startswith(reply_to.encode() + b"\x06\x16\x06\x16") for m in binding)
        reply = envelope if envelope is not None else {
            "body": json.dumps({node: value}), "content-type": "application/json",
            "content-encoding": "utf-8", "headers": {"ticket": ticket or body["ticket"]},
            "properties": {"delivery_tag": "x"}}
        r.lpush(f"{reply_to}.reply.celery.pidbox", json.dumps(reply))
        return body

    return run


# --------------------------------------------------------------------- with a real Celery worker


def test_a_stock_worker_answers_every_method(ctl, redis_server, stock_worker):
    for method in METHODS:
        doc = json_of(ctl("inspect", method, "--json"))
        assert list(doc) == ["w1@lab"], method
        text = ctl("inspect", method)
        assert text.returncode == 0 and "1 node answered" in text.stdout, method
    assert json_of(ctl("inspect", "--json")) == {"w1@lab": {"ok": "pong"}}
    assert "test.add" in json_of(ctl("inspect", "registered", "--json"))["w1@lab"]
    assert no_traces(redis_server)


def test_the_same_answers_as_celerys_tool(ctl, redis_server, stock_worker, app, client):
    client("lab.echo", 1, countdown=600)
    wait_for(lambda: json_of(ctl("inspect", "scheduled", "--json"))["w1@lab"], what="the task")
    asked = app.control.inspect(timeout=5, destination=["w1@lab"])
    assert json_of(ctl("inspect", "scheduled", "--json")) == asked.scheduled()
    assert json_of(ctl("inspect", "queues", "--json")) == asked.active_queues()
    assert json_of(ctl("inspect", "conf", "--json")) == asked.conf()
    mine, theirs = json_of(ctl("inspect", "stats", "--json"))["w1@lab"], asked.stats()["w1@lab"]
    assert set(mine) == set(theirs) and mine["pid"] == theirs["pid"]


def test_what_runs_waits_and_is_scheduled(ctl, redis_server, stock_worker, app, client):
    running = [client("lab.sleep", 60).id for _ in range(2)]
    later = client("lab.echo", "x", countdown=600).id
    client("lab.sleep", 61)
    wait_for(lambda: ctl("inspect", "reserved").stdout.count("lab.sleep") == 1, 30, "prefetching")
    text = ctl("inspect", "active").stdout
    assert all(i in text for i in running) and text.count("[60] {}") == 2
    assert re.search(r"lab\.sleep +[0-9a-f-]{36} +0:\d\d +\d+ +\[60\] \{\}", text)
    assert re.search(rf"w1@lab +\S+ +(10:00|9:\d\d) +lab\.echo +{later}",
                     ctl("inspect", "scheduled").stdout)
    app.control.revoke(running + [later], terminate=True, signal="SIGKILL")
    wait_for(lambda: ctl("inspect", "revoked").stdout.count("w1@lab") == 3, what="the revokes")


def test_everybody_has_answered_so_it_does_not_wait(ctl, redis_server, stock_worker):
    begin = time.monotonic()
    json_of(ctl("inspect", "--timeout", "60", "--json"))
    assert time.monotonic() - begin < 30 * harness.TIMEOUT_SCALE


def test_one_node_only(ctl, redis_server, stock_worker):
    assert list(json_of(ctl("inspect", "--node", "w1@lab", "--json"))) == ["w1@lab"]
    nobody = ctl("inspect", "--node", "w2@lab")
    assert nobody.returncode == 69 and "nobody answered within 1 s" in nobody.stderr
    assert nobody.stdout == "" and no_traces(redis_server)


# ------------------------------------------------------------------------------- what is odd


def test_without_workers_it_says_so_at_once(ctl, redis_server):
    done = ctl("inspect", "--timeout", "60")
    assert done.returncode == 69 and "no worker listens" in done.stderr
    assert no_traces(redis_server)


def run_with_answer(redis_server, ctl, *args, **kwargs):
    play = answer(redis_server, **kwargs)
    proc = subprocess.Popen([harness.bin_dir() / "aion2ctl", "inspect", *args],
                            env=harness.clean_env({"REDIS_URL": redis_server.url}),
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    body = play()
    out, err = proc.communicate(timeout=60)
    return proc.returncode, out, err, body


def test_an_error_of_a_node_is_said(redis_server, ctl):
    code, out, _err, body = run_with_answer(redis_server, ctl, "active",
                                            value={"error": "KeyError('active')"})
    assert code == 1 and "n1@h  KeyError('active')" in out and body["method"] == "active"


def test_hostile_answers_are_harmless(redis_server, ctl):
    task = {"id": HOSTILE, "name": HOSTILE, "args": [HOSTILE], "kwargs": HOSTILE,
            "time_start": 1e300, "worker_pid": "x", "hostname": 7}
    for method, value in [("active", [task, 7, None, [], "x"]), ("ping", {"ok": HOSTILE}),
                          ("conf", {HOSTILE: HOSTILE}), ("report", {"ok": HOSTILE}),
                          ("stats", {"total": {"a": 1e300, "b": "x"}, "pool": [], "uptime": -1}),
                          ("scheduled", [{"eta": HOSTILE, "request": task}]),
                          ("queues", [{"name": HOSTILE}]), ("revoked", [HOSTILE, 7]),
                          ("stats", []), ("active", 7), ("ping", None)]:
        code, out, _err, _ = run_with_answer(redis_server, ctl, method, value=value,
                                             node="n\033[1m@h")
        assert code == 0 and not HARMFUL.search(out), (method, out)
        code, out, _err, _ = run_with_answer(redis_server, ctl, method, "--json", value=value,
                                             node="n\033[1m@h")
        assert code == 0 and not HARMFUL.search(out)
        assert json.loads(out) == {"n\033[1m@h": value}


@pytest.mark.parametrize("bad", [{}, [], {"body": "x"}, {"body": "[]", "headers": {}},
                                 {"body": '{"a": 1, "b": 2}', "headers": {"ticket": "t"}}])
def test_answers_that_are_none_are_passed_over(redis_server, ctl, bad):
    code, out, err, _ = run_with_answer(redis_server, ctl, value=None, envelope=bad)
    assert code == 69 and out == "" and "nobody answered" in err and no_traces(redis_server)


def test_an_answer_to_somebody_elses_question_does_not_count(redis_server, ctl):
    code, _out, err, _ = run_with_answer(redis_server, ctl, value={"ok": "pong"},
                                         ticket=str(uuid.uuid4()))
    assert code == 69 and "nobody answered" in err


def test_interrupting_cleans_up(redis_server, ctl):
    sub = redis_server.client().pubsub()
    sub.subscribe("/0.celery.pidbox")
    sub.get_message(timeout=5)
    proc = subprocess.Popen([harness.bin_dir() / "aion2ctl", "inspect", "--timeout", "60"],
                            env=harness.clean_env({"REDIS_URL": redis_server.url}),
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: sub.get_message(timeout=1), what="the question")
    proc.terminate()
    _out, err = proc.communicate(timeout=30)
    assert proc.returncode == 130 and "interrupted" in err and no_traces(redis_server)


@pytest.mark.parametrize("args", [("sideways",), ("ping", "more"), ("--timeout", "0"),
                                  ("--timeout", "61"), ("ping", "--sideways")])
def test_wrong_words(redis_server, ctl, args):
    done = ctl("inspect", *args)
    assert done.returncode == 64 and done.stdout == "" and done.stderr.startswith("aion2ctl inspect")


def test_redis_away(redis_server, ctl):
    redis_server.stop()
    done = ctl("inspect")
    assert done.returncode == 69 and "Redis" in done.stderr


def test_it_fits_the_terminal(redis_server, stock_worker, client):
    task = client("lab.sleep", 60).id
    env = {"REDIS_URL": redis_server.url}

    def shown(columns):
        text = on_a_terminal(env, "inspect", "active", columns=columns)
        assert ESC in text
        lines = without_colours(text).splitlines()
        assert max(len(line) for line in lines) <= columns
        return lines[1]

    wait_for(lambda: task in shown(140) and "lab.sleep" in shown(140), what="the task")
    assert task in shown(80) and "…" in shown(60)


# --------------------------------------------------------------------------------- with our worker


def test_our_worker_answers_every_method(ctl, redis_server, spawn):
    worker = spawn("aion2-worker", worker_env(redis_server, WORKER_NAME="aion2@lab",
                                              WORKER_CONCURRENCY="1"))
    wait_for(lambda: ctl("inspect").returncode == 0, 30, "the worker")
    for method in METHODS:
        assert list(json_of(ctl("inspect", method, "--json"))) == ["aion2@lab"], method
        assert "1 node answered" in ctl("inspect", method).stdout, method
    assert ctl("call", "test.sleep", "--args", "[600]", "--id", "long").returncode == 0
    assert ctl("call", "test.add", "--countdown", "1h", "--id", "later").returncode == 0
    running = wait_for(lambda: json_of(ctl("inspect", "active", "--json"))["aion2@lab"], 30, "it")
    assert running[0]["id"] == "long" and running[0]["args"] == [600]
    assert re.search(r"aion2@lab +test\.sleep +long +0:\d\d +\d+ +\[600\] \{\}",
                     ctl("inspect", "active").stdout)
    (stats,) = json_of(ctl("inspect", "stats", "--json")).values()
    assert stats["pid"] == worker.pid and stats["pool"]["max-concurrency"] == 1
    assert "test.sleep" in ctl("inspect", "registered").stdout
    assert ctl("inspect", "queues").stdout.splitlines()[1].split()[:2] == ["aion2@lab", "celery"]


def test_a_fleet_of_both_kinds(ctl, redis_server, spawn, stock_worker):
    spawn("aion2-worker", worker_env(redis_server, WORKER_NAME="aion2@lab"))
    wait_for(lambda: len(json_of(ctl("inspect", "--json"))) == 2, 30, "both")
    for method in METHODS:
        doc = json_of(ctl("inspect", method, "--json"))
        assert sorted(doc) == ["aion2@lab", "w1@lab"], method
        assert "2 nodes answered" in ctl("inspect", method).stdout, method
