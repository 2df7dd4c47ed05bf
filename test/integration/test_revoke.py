"""Revoking tasks, wherever they are; and what is told of those that wait for their time."""

import re
import uuid

import pytest
from celery import chord
from celery.exceptions import TaskRevokedError
from kombu import pools

from harness import wait_for
from jobs import Jobs
from remote_lab import (CHANNEL, NODE, TASK_MEMBERS, ask, ask_one, busy, celery_app, close_app,
                        delayed_identity, start_worker)


@pytest.fixture
def jobs(redis_server):
    return Jobs(redis_server)


@pytest.fixture
def app(redis_server):
    made = celery_app(redis_server)
    yield made
    close_app(made)


@pytest.fixture
def worker(spawn, redis_server):
    return start_worker(spawn, redis_server)


def expect_revoked(result, why, timeout=10):
    with pytest.raises(TaskRevokedError) as caught:
        result.get(timeout=timeout)
    assert str(caught.value) == why
    assert result.state == "REVOKED"


# ---------------------------------------------------------------- revoking


def test_a_delayed_task_is_revoked_at_once(app, jobs, worker):
    results = [app.send_task("test.add", (n, 1), countdown=600) for n in range(300)]
    wait_for(lambda: jobs.redis.zcard("aion2:delayed") == 300)
    chosen = results[7]
    assert ask_one(app, "revoke", {"task_id": chosen.id}) == {
        "ok": f"tasks {chosen.id} flagged as revoked"}
    expect_revoked(chosen, "revoked")
    assert jobs.redis.zcard("aion2:delayed") == 299
    assert jobs.counter("delayed_dropped") == 1
    ids = [r.id for r in results]
    answer = ask_one(app, "revoke", {"task_id": ids})
    assert all(i in answer["ok"] for i in ids)
    wait_for(lambda: jobs.redis.zcard("aion2:delayed") == 0)
    for r in results:
        expect_revoked(r, "revoked")
    assert jobs.counter("delayed_dropped") == 300
    assert delayed_identity(jobs) == 0
    jobs.quiet()


def test_a_revoked_part_ends_its_chord(app, jobs, worker):
    """Somebody waits for more than the task itself."""
    late = app.signature("test.add", args=(1, 1)).set(countdown=600)
    body = chord([app.signature("test.add", args=(2, 2)), late], app=app)(
        app.signature("test.sum"))
    wait_for(lambda: jobs.redis.zcard("aion2:delayed") == 1)
    part = ask_one(app, "scheduled")[0]["request"]["id"]
    ask_one(app, "revoke", {"task_id": part})
    assert jobs.ended(part)["status"] == "REVOKED"
    assert jobs.ended(body.id)["result"]["exc_type"] == "ChordError"
    jobs.quiet()
    assert delayed_identity(jobs) == 0


def test_an_id_with_quotes_and_other_scripts(app, jobs, worker):
    for task_id in ('a"b\\c/d', "작업-안녕", "-"):
        app.send_task("test.add", (1, 1), countdown=600, task_id=task_id)
        wait_for(lambda: jobs.redis.zcard("aion2:delayed") == 1)
        ask_one(app, "revoke", {"task_id": task_id})
        wait_for(lambda: jobs.redis.zcard("aion2:delayed") == 0)
        assert jobs.ended(task_id)["status"] == "REVOKED"
        assert task_id in ask_one(app, "revoked")


def test_a_waiting_task_never_runs(app, jobs, redis_server, spawn, tmp_path):
    start_worker(spawn, redis_server, WORKER_CONCURRENCY=1)
    blocker = busy(app, jobs, count=1)[0]
    waiting = [app.send_task("test.append", (str(tmp_path / "ran"), "x")) for _ in range(5)]
    ask_one(app, "revoke", {"task_id": [w.id for w in waiting]})
    assert ask_one(app, "revoke", {"task_id": blocker.id, "terminate": True,
                                   "signal": "SIGKILL"}) == {"ok": f"terminate: {blocker.id}"}
    expect_revoked(blocker, "terminated")
    for w in waiting:
        expect_revoked(w, "revoked")
    jobs.quiet()
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("signal", ["SIGTERM", "KILL", 9, None])
def test_a_running_task_is_ended(app, jobs, worker, signal):
    first, second = busy(app, jobs)
    arguments = {"task_id": [first.id], "terminate": True, "signal": signal}
    assert ask_one(app, "revoke", arguments) == {"ok": f"terminate: {first.id}"}
    expect_revoked(first, "terminated")
    assert [t["id"] for t in ask_one(app, "active")] == [second.id], "the other one goes on"
    # Not a child that died of its task: nothing is counted against it.
    assert not jobs.redis.exists("aion2:losses")
    assert app.send_task("test.add", (1, 1)).get(timeout=10) == 2


def test_a_finished_result_stays(app, jobs, worker):
    done = app.send_task("test.add", (1, 1))
    assert done.get(timeout=10) == 2
    failed = app.send_task("test.fail", ("ValueError", "no"))
    jobs.ended(failed.id)
    ask_one(app, "revoke", {"task_id": [done.id, failed.id], "terminate": True})
    assert app.send_task("test.add", (2, 2)).get(timeout=10) == 4
    assert jobs.document(done.id)["status"] == "SUCCESS"
    assert jobs.document(failed.id)["status"] == "FAILURE"


def test_revokes_outlive_the_worker(app, jobs, redis_server, spawn):
    worker = start_worker(spawn, redis_server)
    ids = [str(uuid.uuid4()) for _ in range(700)]
    ask_one(app, "revoke", {"task_id": ids})
    wait_for(lambda: jobs.redis.zcard("aion2:revoked") == 700)
    worker.kill()
    sent = app.send_task("test.add", (1, 1), task_id=ids[350])
    start_worker(spawn, redis_server, "other@lab")
    expect_revoked(sent, "revoked")
    # In memory, too: it does not need Redis to remember.
    wait_for(lambda: set(ask_one(app, "revoked", node="other@lab")) == set(ids))


def test_redis_learns_again_what_it_has_lost(app, jobs, redis_server, worker):
    task_id = str(uuid.uuid4())
    ask_one(app, "revoke", {"task_id": task_id})
    wait_for(lambda: jobs.redis.zcard("aion2:revoked") == 1)
    redis_server.kill()
    redis_server.start()
    wait_for(lambda: jobs.redis.zscore("aion2:revoked", task_id), 20, "the revoke in the new Redis")
    wait_for(lambda: jobs.redis.pubsub_numsub(CHANNEL)[0][1] == 1)
    pools.reset()  # connections of before
    client = celery_app(redis_server)
    assert ask_one(client, "ping") == {"ok": "pong"}
    expect_revoked(client.send_task("test.add", (1, 1), task_id=task_id), "revoked")
    close_app(client)


def test_workers_tell_each_other(app, redis_server, spawn):
    """hello is what Celery's workers send when they start."""
    start_worker(spawn, redis_server)
    old, new = str(uuid.uuid4()), str(uuid.uuid4())
    ask_one(app, "revoke", {"task_id": old})
    answer = ask_one(app, "hello", {"from_node": "new@lab", "revoked": {new: [12.5, new]}})
    assert set(answer["revoked"]) == {old, new}
    for task_id, (stamp, same) in answer["revoked"].items():
        assert isinstance(stamp, float) and same == task_id, "Celery takes floats only"
    assert answer["clock"] > 0
    assert set(ask_one(app, "revoked")) == {old, new}
    assert ask_one(app, "hello", {"from_node": NODE}) is None


# ---------------------------------------------------------------- what is delayed


def test_each_delayed_task_is_listed_by_one_node(app, jobs, redis_server, spawn):
    workers = {name: start_worker(spawn, redis_server, name) for name in ("w1@lab", "w2@lab")}
    ids = {app.send_task("test.add", (n, 1), countdown=600).id for n in range(40)}
    wait_for(lambda: jobs.redis.zcard("aion2:delayed") == 40)

    def listed():
        answers = ask(app, "scheduled", destination=list(workers))
        return [x["request"]["id"] for items in answers.values() for x in items]

    assert sorted(listed()) == sorted(ids)
    entry = ask(app, "scheduled", destination=list(workers))
    entry = next(x for items in entry.values() for x in items)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+\+00:00", entry["eta"])
    assert set(entry["request"]) == TASK_MEMBERS and entry["request"]["worker_pid"] is None
    # What a dead worker has delayed is listed by one that lives.
    workers.pop("w2@lab").kill()
    wait_for(lambda: sorted(listed()) == sorted(ids), 25, "the dead worker's tasks to be listed")


def test_nonsense_in_the_delayed_set_is_no_harm(app, jobs, worker):
    far = 4102444800000
    jobs.redis.zadd("aion2:delayed", {"nonsense": far, '{"q":"celery"}': far, "[]": far,
                                      '{"q":"celery","m":"{}","n":"x:1","id":"x"}': far})
    answer = ask_one(app, "scheduled")
    assert len(answer) == 4
    ask_one(app, "revoke", {"task_id": ["x", ""]})
    assert ask_one(app, "ping") == {"ok": "pong"}
