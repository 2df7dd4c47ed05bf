"""aion2ctl call: the message is one that Celery workers take; waiting survives what may happen."""

import base64
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import pytest

import harness
from harness import run_program, wait_for

HERE = Path(__file__).resolve().parent
META = "celery-task-meta-"


@pytest.fixture
def call(redis_server):
    def run(*args, **kwargs):
        env = {"REDIS_URL": redis_server.url, **kwargs.pop("env", {})}
        return run_program("aion2ctl", "call", *args, env=env, **kwargs)

    return run


@pytest.fixture
def start_call(redis_server):
    """Starts aion2ctl call and leaves it running: a Popen."""
    started = []

    def start(*args, stderr=subprocess.PIPE):
        started.append(
            subprocess.Popen(
                [harness.bin_dir() / "aion2ctl", "call", *args],
                env=harness.clean_env({"REDIS_URL": redis_server.url, "TERM": "xterm"}),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        )
        return started[-1]

    yield start
    for proc in started:
        proc.kill()
        proc.communicate()


@pytest.fixture
def celery_worker(redis_server, tmp_path):
    """A stock Celery worker with the tasks of celery_app.py."""
    log = tmp_path / "celery.log"
    argv = [sys.executable, "-m", "celery", "-A", "celery_app", "worker", "--pool=solo",
            "--without-mingle", "--without-gossip", "--loglevel=INFO"]
    proc = harness.start_process(
        argv, log, cwd=HERE,
        env=harness.clean_env({"REDIS_URL": redis_server.url, "PYTHONDONTWRITEBYTECODE": "1",
                               "C_FORCE_ROOT": "1"}))
    wait_for(lambda: "ready." in log.read_text(), 60, "the Celery worker")
    yield proc
    proc.terminate()
    try:
        proc.wait(20)
    except subprocess.TimeoutExpired:
        proc.kill()
        proc.wait()


def sent(server, queue="celery"):
    return [json.loads(m) for m in reversed(server.client().lrange(queue, 0, -1))]


def finish(server, task_id, status, result, publish=True):
    """What a worker does at the end of a task."""
    doc = json.dumps({"status": status, "result": result, "traceback": None, "children": [],
                      "date_done": "2026-01-01T00:00:00", "task_id": task_id})
    server.client().setex(META + task_id, 60, doc)
    if publish:
        server.client().publish(META + task_id, doc)


# ------------------------------------------------------------------------- with a Celery worker


def test_a_celery_worker_runs_it(call, celery_worker):
    args = ["x", 1, None, {"deep": [True]}, "한글 \\ \" \u0001"]
    done = call("lab.echo", "--args", json.dumps(args), "--kwargs", '{"b": 1.5}', "--wait", 30)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"args": args, "kwargs": {"b": 1.5}}
    assert done.stdout.count("\n") == 1 and done.stderr == ""


def test_numbers_arrive_as_they_were_written(call, celery_worker):
    done = call("lab.echo", "--args", "[12345678901234567890, 0.1]", "--wait", 30)
    assert done.returncode == 0
    assert "12345678901234567890" in done.stdout or "1.2345678901234567e+19" in done.stdout
    assert json.loads(done.stdout)["args"][1] == 0.1


def test_a_failure_is_told(call, celery_worker):
    done = call("lab.fail", "--args", '["no such report"]', "--wait", 30)
    assert done.returncode == 1
    assert json.loads(done.stdout)["exc_type"] == "ValueError"
    assert re.search(r"FAILURE: ValueError: no such report$", done.stderr.strip())


def test_an_unknown_task_fails(call, celery_worker):
    done = call("lab.nobody_knows_me", "--wait", 30)
    assert done.returncode == 1 and "NotRegistered" in done.stderr


def test_no_worker_is_a_time_out(call):
    done = call("lab.echo", "--wait", 1)
    assert done.returncode == 2 and done.stdout == ""
    assert re.search(r"no result within 1 s; task [0-9a-f-]{36}", done.stderr)


def test_a_retried_task_is_waited_for(call, celery_worker):
    done = call("lab.flaky", "--wait", 30)
    assert (done.returncode, done.stdout) == (0, '"at last"\n')


def test_countdown_delays(call, celery_worker):
    start = time.monotonic()
    done = call("lab.echo", "--countdown", 2, "--wait", 30)
    assert done.returncode == 0 and time.monotonic() - start >= 1.5


def test_a_celery_worker_takes_what_the_beat_sends(redis_server, celery_worker, spawn):
    """The slot travels in a header of its own."""
    redis_server.client().hset("aion2:beat:last", "batch", 0)
    beat = spawn("aion2-beat", {"REDIS_URL": redis_server.url})
    beat.wait_log("event=beat.sent")
    task_id = re.search(r" id=(\S+)", beat.log()).group(1)
    doc = wait_for(lambda: redis_server.client().get(META + task_id), 30, "the result")
    result = json.loads(doc)["result"]
    assert result["id"] == task_id and result["slot"] % 600 == 0


# ----------------------------------------------------------------------------- with our own worker


@pytest.fixture
def worker(env, spawn):
    started = spawn("aion2-worker", env)
    wait_for(lambda: harness.children_of(started.pid), 30, "the worker's children")
    return started


def test_our_worker_runs_the_batch(ctl, worker, pg):
    done = ctl("call", "batch", "--id", "by-hand", "--wait", 30)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "no_data"
    assert pg.query("SELECT state, slot FROM batch_runs WHERE task_id = 'by-hand'") == [
        ("no_data", None)]


def test_our_worker_refuses_an_unknown_task(ctl, worker):
    done = ctl("call", "lab.nobody_knows_me", "--wait", 30)
    assert done.returncode == 1 and "NotRegistered" in done.stderr
    assert json.loads(done.stdout)["exc_type"] == "NotRegistered"


def test_our_worker_waits_for_the_countdown(ctl, worker):
    start = time.monotonic()
    done = ctl("call", "batch", "--countdown", 2, "--wait", 30)
    assert done.returncode == 0 and time.monotonic() - start >= 1.5


def test_our_worker_takes_what_the_beat_sends(env, redis_server, worker, pg, spawn):
    redis_server.client().hset("aion2:beat:last", "batch", 0)
    beat = spawn("aion2-beat", env)
    beat.wait_log("event=beat.sent")
    task_id, slot = re.search(r" slot=(\d+) id=(\S+)", beat.log()).group(2, 1)
    wait_for(lambda: redis_server.client().exists(META + task_id), 30, "the result")
    assert pg.query("SELECT extract(epoch FROM slot)::bigint FROM batch_runs"
                    " WHERE task_id = %s", (task_id,)) == [(int(slot),)]


# ---------------------------------------------------------------------------------- the message


def test_without_wait_the_id_is_printed(call, redis_server):
    done = call("lab.echo")
    assert done.returncode == 0 and str(uuid.UUID(done.stdout.strip())) == done.stdout.strip()
    (message,) = sent(redis_server)
    assert message["headers"]["id"] == done.stdout.strip()
    assert message["headers"]["task"] == "lab.echo"
    assert message["headers"]["eta"] is None and "aion2_slot" not in message["headers"]


def test_batch_stands_for_the_scoring_batch(call, redis_server):
    assert call("batch", "--id", "mine").stdout == "mine\n"
    (message,) = sent(redis_server)
    assert message["headers"]["task"] == "app.worker.calculate_power_and_rank_batch"
    assert message["headers"]["id"] == message["properties"]["correlation_id"] == "mine"


def test_task_queue_names_the_list(call, redis_server):
    assert call("lab.echo", env={"TASK_QUEUE": "other"}).returncode == 0
    (message,) = sent(redis_server, "other")
    assert message["properties"]["delivery_info"] == {"exchange": "", "routing_key": "other"}


def test_eta_goes_by_the_clock_of_redis(call, redis_server):
    before = redis_server.client().time()[0]
    assert call("lab.echo", "--countdown", 3600).returncode == 0
    (message,) = sent(redis_server)
    eta = message["headers"]["eta"]
    assert eta.endswith("+00:00")
    seconds = time.mktime(time.strptime(eta[:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
    assert 3600 <= seconds - before + 1 < 3700


@pytest.mark.parametrize(
    "args, says",
    [
        ((), "name of one task"),
        (("a", "b"), "name of one task"),
        (("",), "NAME"),
        (("x" * 256,), "NAME"),
        (("tab\there",), "NAME"),
        (("a", "--args", "[1"), "--args: not JSON"),
        (("a", "--args", "{}"), "--args: must be a JSON array"),
        (("a", "--args", ""), "--args: the text is empty"),
        (("a", "--args", "[1] 2"), "--args: not JSON"),
        (("a", "--args", "[NaN]"), "--args: not JSON"),
        (("a", "--args", "[" * 100 + "]" * 100), "--args: not JSON: nested too deep"),
        (("a", "--kwargs", "[]"), "--kwargs: must be a JSON object"),
        (("a", "--wait", "soon"), "--wait: must be a whole number"),
        (("a", "--wait", "86401"), "--wait"),
        (("a", "--countdown", "-1"), "--countdown"),
        (("a", "--id", ""), "--id"),
        (("a", "--wait"), "wait"),
        (("a", "--sideways"), "sideways"),
    ],
)
def test_wrong_words_are_named_and_nothing_is_sent(call, redis_server, args, says):
    done = call(*args)
    assert done.returncode == 64 and says in done.stderr and done.stdout == ""
    assert not redis_server.client().exists("celery")


def test_redis_not_reachable(call, redis_server):
    redis_server.stop()
    for more in ((), ("--wait", 1)):
        done = call("lab.echo", *more)
        assert done.returncode == 69 and "Redis" in done.stderr and done.stdout == ""
        assert "; REDIS_URL names " in done.stderr


def test_an_unknown_option_leads_to_the_help(call):
    done = call("lab.echo", "--bogus")
    assert done.returncode == 64 and "--bogus" in done.stderr
    assert done.stderr.endswith("aion2ctl call: see aion2ctl call --help\n")


def test_help_has_examples_and_exit_codes(call):
    done = call("--help")
    assert done.returncode == 0 and "Examples:" in done.stdout and "Exit codes:" in done.stdout


# ----------------------------------------------------------------------------------- the waiting


def sent_id(server):
    return wait_for(lambda: sent(server), what="the message")[-1]["headers"]["id"]


def test_a_stored_result_is_found_without_a_publication(start_call, redis_server):
    proc = start_call("t", "--wait", "30")
    finish(redis_server, sent_id(redis_server), "SUCCESS", [1], publish=False)
    out, err = proc.communicate(timeout=30)
    assert (proc.returncode, out, err) == (0, "[1]\n", "")


def test_a_publication_is_enough(start_call, redis_server):
    proc = start_call("t", "--wait", "30")
    task_id = sent_id(redis_server)
    channel = META + task_id
    for noise in ("not JSON", "1", '{"status": 7}', '{"status": "STARTED", "result": null}'):
        assert redis_server.client().publish(channel, noise) == 1
    assert proc.poll() is None
    redis_server.client().publish(channel, '{"status": "SUCCESS", "result": null}')
    assert proc.communicate(timeout=30)[0] == "null\n" and proc.returncode == 0


@pytest.mark.parametrize("status, code", [("SUCCESS", 0), ("FAILURE", 1), ("REVOKED", 1)])
def test_every_end_has_its_code(start_call, redis_server, status, code):
    proc = start_call("t", "--wait", "30")
    result = {"exc_type": "E", "exc_message": ["why"], "exc_module": "builtins"}
    finish(redis_server, sent_id(redis_server), status, result)
    out, _ = proc.communicate(timeout=30)
    assert proc.returncode == code and json.loads(out) == result


@pytest.mark.parametrize("result", [None, "text", [], {"exc_message": "flat"}, {"exc_type": 5}])
def test_a_failure_with_a_strange_result_is_still_a_failure(start_call, redis_server, result):
    proc = start_call("t", "--wait", "30")
    finish(redis_server, sent_id(redis_server), "FAILURE", result)
    out, err = proc.communicate(timeout=30)
    assert proc.returncode == 1 and json.loads(out) == result and "FAILURE" in err


def test_an_old_failure_under_the_same_id_is_not_the_answer(start_call, redis_server):
    finish(redis_server, "again", "FAILURE", {"exc_type": "Old", "exc_message": []})
    proc = start_call("t", "--id", "again", "--wait", "30")
    sent_id(redis_server)
    time.sleep(1.5)  # longer than it takes between two looks at the key
    assert proc.poll() is None
    finish(redis_server, "again", "SUCCESS", "new")
    assert proc.communicate(timeout=30)[0] == '"new"\n'


def test_an_old_success_under_the_same_id_is_the_answer(start_call, redis_server):
    finish(redis_server, "again", "SUCCESS", "old")
    proc = start_call("t", "--id", "again", "--wait", "30")
    assert proc.communicate(timeout=30)[0] == '"old"\n'
    assert sent_id(redis_server) == "again"


def test_a_stored_result_that_is_no_json_ends_the_waiting(start_call, redis_server):
    """Python writes NaN, which is not JSON."""
    proc = start_call("t", "--wait", "30")
    finish(redis_server, sent_id(redis_server), "SUCCESS", float("nan"))
    out, err = proc.communicate(timeout=30)
    assert (proc.returncode, out) == (1, "") and "not JSON" in err


def test_a_queue_that_is_no_list_is_said(call, redis_server):
    redis_server.client().set("celery", "no list")
    done = call("lab.echo")
    assert done.returncode == 1 and "WRONGTYPE" in done.stderr and done.stdout == ""


def test_a_restart_of_redis_is_survived(start_call, redis_server):
    proc = start_call("t", "--wait", "60")
    task_id = sent_id(redis_server)
    redis_server.restart()
    finish(redis_server, task_id, "SUCCESS", "after")
    assert proc.communicate(timeout=60)[0] == '"after"\n' and proc.returncode == 0


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_interrupting_says_the_id(start_call, redis_server, sig):
    proc = start_call("t", "--wait", "60")
    task_id = sent_id(redis_server)
    proc.send_signal(sig)
    out, err = proc.communicate(timeout=30)
    assert proc.returncode == 130 and out == "" and task_id in err


def test_progress_is_drawn_on_a_terminal_only(start_call, redis_server):
    master, slave = pty.openpty()
    proc = start_call("t", "--wait", "30", stderr=slave)
    os.close(slave)
    seen = []
    reader = threading.Thread(target=read_all, args=(master, seen))
    reader.start()
    task_id = sent_id(redis_server)
    redis_server.client().publish(META + task_id, '{"status": "RETRY", "result": null}')
    wait_for(lambda: "RETRY" in "".join(seen), what="the state on the terminal")
    finish(redis_server, task_id, "SUCCESS", 1)
    assert proc.communicate(timeout=30)[0] == "1\n"
    reader.join(10)
    os.close(master)
    assert task_id in "".join(seen) and "".join(seen).endswith("\r\033[K")


def read_all(fd, seen):
    while True:
        try:
            data = os.read(fd, 4096)
        except OSError:  # what a pseudo terminal says at its end
            return
        if not data:
            return
        seen.append(data.decode())


# ------------------------------------------------------------------- queue, priority, times, event


@pytest.mark.parametrize("priority, suffix", [(0, ""), (2, ""), (4, "\x06\x163"), (9, "\x06\x169")])
def test_queue_and_priority(call, redis_server, priority, suffix):
    assert call("t", "--queue", "fast", "--priority", priority).returncode == 0
    (message,) = sent(redis_server, "fast" + suffix)
    assert message["properties"]["priority"] == priority
    assert message["properties"]["delivery_info"] == {"exchange": "", "routing_key": "fast"}


def test_eta_and_expiry(call, redis_server):
    assert call("t", "--eta", "2030-01-02T03:04:05+09:00", "--expires", "2h").returncode == 0
    now = redis_server.client().time()[0]
    (message,) = sent(redis_server)
    headers = message["headers"]
    assert headers["eta"].startswith("2030-01-01T18:04:05") and headers["eta"].endswith("+00:00")
    expires = time.mktime(time.strptime(headers["expires"][:19], "%Y-%m-%dT%H:%M:%S"))
    assert 7140 <= expires - time.timezone - now <= 7260
    assert abs(headers["aion2_sent_at"] - now) < 60


def test_spans_of_time(call, redis_server):
    assert call("t", "--countdown", "15m").returncode == 0
    (message,) = sent(redis_server)
    eta = time.mktime(time.strptime(message["headers"]["eta"][:19], "%Y-%m-%dT%H:%M:%S"))
    assert 840 <= eta - time.timezone - redis_server.client().time()[0] <= 960


def test_an_expired_task_is_revoked_by_a_celery_worker(call, redis_server, celery_worker):
    done = call("lab.echo", "--expires", "0", "--wait", "30")
    assert done.returncode == 1 and "TaskRevokedError" in done.stderr


def test_monitors_are_told(call, redis_server):
    sub = redis_server.client().pubsub()
    sub.subscribe("/0.celeryev/task.sent")
    sub.get_message(timeout=5)
    task = call("lab.x", "--args", '[1, "a"]', "--kwargs", '{"b": null}', "--queue", "q").stdout
    message = json.loads(wait_for(lambda: sub.get_message(timeout=1), what="the event")["data"])
    event = json.loads(base64.b64decode(message["body"]))
    assert event["type"] == "task-sent" and event["uuid"] == task.strip()
    assert event["name"] == "lab.x" and event["queue"] == event["routing_key"] == "q"
    assert event["args"] == "(1, 'a')" and event["kwargs"] == "{'b': None}"
    assert event["hostname"].startswith("gen") and "@" in event["hostname"]


@pytest.mark.parametrize("args", [("--eta", "tomorrow"), ("--eta", "1960-01-01T00:00:00"),
                                  ("--eta", "2030-01-01T00:00:00", "--countdown", "1"),
                                  ("--priority", "10"), ("--priority", "-1"), ("--queue", ""),
                                  ("--queue", "x" * 201), ("--queue", "a\nb"),
                                  ("--expires", "-1"), ("--expires", "soon")])
def test_wrong_times_and_queues(call, redis_server, args):
    done = call("t", *args)
    assert done.returncode == 64 and args[0] in done.stderr and done.stdout == ""
    assert redis_server.client().keys("*") == []
