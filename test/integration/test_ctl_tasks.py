"""aion2ctl revoke and result: with a stock Celery worker, with ours, and without any."""

import json
import re
import subprocess
import uuid

import pytest

import harness
from ctl_lab import (HARMFUL, HOSTILE, json_of, on_a_terminal, redis_ctl, stock_worker,
                     without_colours)
from harness import wait_for
from jobs import worker_env

__all__ = ["stock_worker"]

META = "celery-task-meta-"
REVOKED = "aion2:revoked"


@pytest.fixture
def ctl(redis_server):
    return redis_ctl(redis_server)


def send(ctl, *args):
    done = ctl("call", *args)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def store(server, task_id, **members):
    doc = {"status": "SUCCESS", "result": None, "traceback": None, "children": [],
           "date_done": "2026-01-01T00:00:00", "task_id": task_id, **members}
    server.client().setex(META + task_id, 600, json.dumps(doc))
    return doc


def state_of(ctl, task_id):
    out = ctl("result", task_id, "--json").stdout
    return json.loads(out)["status"] if out.startswith("{") else None


# ----------------------------------------------------------------------------------- revoking


def test_a_stock_worker_hears_it(redis_server, ctl, stock_worker):
    running = [send(ctl, "lab.sleep", "--args", "[60]") for _ in range(2)]
    waiting = send(ctl, "lab.echo")
    wait_for(lambda: ctl("inspect", "active").stdout.count("lab.sleep") == 2, 30, "the tasks")
    text = ctl("revoke", waiting).stdout
    assert "1 task revoked" in text and re.search(rf"w1@lab +tasks .*{waiting}.* flagged", text)
    doc = json_of(ctl("revoke", *running, "--terminate", "--signal", "SIGKILL", "--json"))
    assert doc["revoked"] == running and "terminate" in doc["nodes"]["w1@lab"]["ok"]
    wait_for(lambda: all(state_of(ctl, i) == "REVOKED" for i in running + [waiting]), 30, "the end")
    noted = redis_server.client().zrange(REVOKED, 0, -1, withscores=True)
    assert {k.decode() for k, _ in noted} == {*running, waiting}
    assert all(abs(at - redis_server.client().time()[0]) < 60 for _, at in noted)


def test_our_worker_hears_it(redis_server, spawn, ctl):
    spawn("aion2-worker", worker_env(redis_server, WORKER_CONCURRENCY="1"))
    running, waiting = (send(ctl, "test.sleep", "--args", "[60]") for _ in range(2))
    wait_for(lambda: running in ctl("inspect", "active").stdout, 30, "the task")
    assert ctl("revoke", waiting, running, "--terminate").returncode == 0
    for task in (running, waiting):
        done = ctl("result", task, "--wait", "30")
        assert done.returncode == 1 and "REVOKED" in done.stdout


def test_a_worker_that_starts_later_heeds_it(redis_server, spawn, ctl):
    task = send(ctl, "test.add", "--args", "[1]")
    done = ctl("revoke", task)
    assert done.returncode == 0 and "started later will heed it" in done.stderr
    spawn("aion2-worker", worker_env(redis_server))
    ended = ctl("result", task, "--wait", "30")
    assert ended.returncode == 1 and "REVOKED" in ended.stdout


def test_nobody_to_terminate_it(ctl):
    done = ctl("revoke", "some-id", "--terminate", "--json")
    assert done.returncode == 69 and "what runs goes on" in done.stderr
    assert json.loads(done.stdout) == {"revoked": ["some-id"], "nodes": {}}


def test_old_and_too_many_ids_go(redis_server, ctl):
    r = redis_server.client()
    now = r.time()[0]
    r.zadd(REVOKED, {"old": now - 86500, "young": now - 1000})
    assert ctl("revoke", "new").returncode == 0
    assert r.zrange(REVOKED, 0, -1) == [b"young", b"new"]
    with r.pipeline(transaction=False) as p:
        for start in range(0, 50000, 10000):
            p.zadd(REVOKED, {f"i{n}": now - 500 for n in range(start, start + 10000)})
        p.execute()
    assert ctl("revoke", *[f"x{i}" for i in range(500)]).returncode == 0
    assert r.zcard(REVOKED) == 50000 and r.zscore(REVOKED, "x499") and not r.zscore(REVOKED, "young")


@pytest.mark.parametrize("args", [(), ("",), ("a\nb",), ("x" * 256,), ("a", "--signal", "SIGNONE"),
                                  ("a", "--timeout", "0"), ("a", "--sideways")])
def test_wrong_words_revoke_nothing(redis_server, ctl, args):
    done = ctl("revoke", *args)
    assert done.returncode == 64 and done.stdout == "" and "aion2ctl revoke" in done.stderr
    assert not redis_server.client().exists(REVOKED)


# ------------------------------------------------------------------------------------- results


def test_ends_of_real_tasks(ctl, stock_worker):
    good = send(ctl, "lab.echo", "--args", '["안녕"]')
    bad = send(ctl, "lab.fail", "--args", '["no such\\nreport"]')
    done = ctl("result", good, "--wait", "30")
    assert done.returncode == 0 and re.search(r"State +SUCCESS", done.stdout)
    assert '["안녕"]' in done.stdout
    done = ctl("result", bad, "--wait", "30")
    assert done.returncode == 1 and re.search(r"Error +ValueError  no such\?report", done.stdout)
    assert "Traceback (most recent call last):\n" in done.stdout
    assert json_of(ctl("result", bad, "--json"), 1)["result"]["exc_type"] == "ValueError"


def test_nothing_is_stored(redis_server, ctl):
    task = str(uuid.uuid4())
    done = ctl("result", task)
    assert done.returncode == 2 and "nothing is stored" in done.stderr and done.stdout == ""
    assert ctl("result", task, "--json").stdout == "null\n"
    waited = ctl("result", task, "--wait", "1")
    assert waited.returncode == 2 and "nothing is stored" in waited.stderr


@pytest.mark.parametrize("state, code", [("SUCCESS", 0), ("FAILURE", 1), ("REVOKED", 1),
                                         ("STARTED", 2), ("RETRY", 2), ("PROGRESS", 2)])
def test_codes_tell_the_state(redis_server, ctl, state, code):
    doc = store(redis_server, "id", status=state, result={"pid": 7, "hostname": "n"})
    assert json_of(ctl("result", "id", "--json"), code) == doc
    done = ctl("result", "id")
    assert done.returncode == code and re.search(rf"State +{state}", done.stdout)


def test_waiting_ends_with_the_task(redis_server, ctl):
    store(redis_server, "id", status="STARTED")
    proc = subprocess.Popen(
        [harness.bin_dir() / "aion2ctl", "result", "id", "--wait", "60", "--json"],
        env=harness.clean_env({"REDIS_URL": redis_server.url}), stdout=subprocess.PIPE, text=True)
    wait_for(lambda: redis_server.client().pubsub_numsub(META + "id")[0][1], 30, "the waiting")
    store(redis_server, "id", status="FAILURE", result=3)
    out, _ = proc.communicate(timeout=60)
    assert proc.returncode == 1 and json.loads(out)["result"] == 3


def test_a_failure_that_is_there_already_needs_no_waiting(redis_server, ctl):
    store(redis_server, "id", status="FAILURE")
    assert ctl("result", "id", "--wait", "60").returncode == 1


def test_forgetting(redis_server, ctl):
    store(redis_server, "id", result=[1])
    done = ctl("result", "id", "--forget", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["result"] == [1]
    assert not redis_server.client().exists(META + "id")
    assert ctl("result", "id", "--forget").returncode == 2


def test_a_group_shows_its_tasks(redis_server, ctl):
    def save(*tasks):
        redis_server.client().set("celery-taskset-meta-g", json.dumps(
            {"result": [["g", None], [[[t, None], None] for t in tasks]]}))

    many = [f"t{i}" for i in range(450)]
    for task in many:
        store(redis_server, task)
    save(*many)
    doc = json_of(ctl("result", "g", "--json"))
    assert (doc["group_id"], doc["ready"], doc["failed"]) == ("g", 450, 0)
    assert [t["task_id"] for t in doc["tasks"]] == many
    store(redis_server, "bad", status="FAILURE")
    save("t1", "bad")
    done = ctl("result", "g")
    assert done.returncode == 1 and re.search(r"bad +FAILURE", done.stdout)
    save("t1", "none", "bad")
    assert json_of(ctl("result", "g", "--json"), 2)["tasks"][1]["status"] == "PENDING"
    for junk in ("[]", "{", '{"result": 7}', '{"result": []}', '{"result": [1, [2, [], [[7]]]]}'):
        redis_server.client().set("celery-taskset-meta-g", junk)
        assert ctl("result", "g").returncode in (0, 2)


def test_hostile_documents_are_harmless(redis_server, ctl):
    error = {"exc_type": HOSTILE, "exc_message": [HOSTILE], "exc_module": None}
    for members in ({"result": HOSTILE}, {"status": HOSTILE}, {"result": error, "status": "FAILURE"},
                    {"traceback": HOSTILE, HOSTILE: HOSTILE}, {"children": "x", "date_done": HOSTILE},
                    {"result": {"exc_type": "T", "exc_message": {"a": 1}}}):
        store(redis_server, "id", **members)
        shown = ctl("result", "id")
        assert shown.returncode in (0, 1, 2) and not HARMFUL.search(shown.stdout), shown.stdout
        shown = ctl("result", "id", "--json")
        assert not HARMFUL.search(shown.stdout.rstrip("\n"))


@pytest.mark.parametrize("text", ["", "no JSON", "[]", '{"result": 1}', '{"status": 7}', "\udcff"])
def test_what_is_no_result(redis_server, ctl, text):
    redis_server.client().set(META + "id", text.encode("utf-8", "surrogateescape"))
    done = ctl("result", "id")
    assert done.returncode == 1 and "no result" in done.stderr


def test_wrong_words(ctl):
    for args in ((), ("a", "b"), ("",), ("a", "--wait", "x"), ("a", "--wait", "-1")):
        assert ctl("result", *args).returncode == 64


def test_redis_away(redis_server, ctl):
    redis_server.stop()
    for args in (("result", "x"), ("result", "x", "--wait", "1"), ("revoke", "x")):
        done = ctl(*args)
        assert done.returncode == 69 and "Redis" in done.stderr


def test_colours_on_a_terminal_only(redis_server, ctl):
    store(redis_server, "id", result=1)
    text = on_a_terminal({"REDIS_URL": redis_server.url}, "result", "id")
    assert "\033[32mSUCCESS" in text and without_colours(text) == ctl("result", "id").stdout
