"""Workflows of a real Celery client, carried by our worker: links, chains, groups, chords."""

import base64
import json
import random
import re
import time

import pytest
from celery import chain, chord, group
from celery.exceptions import ChordError, TaskRevokedError

from harness import wait_for
from jobs import Jobs, celery_client, value_of, worker_env
from test_worker_mixed import stock_worker  # noqa: F401 - a fixture

client = pytest.fixture(celery_client)


@pytest.fixture
def jobs(redis_server):
    return Jobs(redis_server)


@pytest.fixture
def worker(spawn, redis_server, client):
    client.set_current()
    w = spawn("aion2-worker", env=worker_env(redis_server))
    w.wait_log("worker.registered")
    return w


def sig(client, name, *args, **kwargs):
    return client.signature(f"test.{name}", args=args, kwargs=kwargs)


@pytest.fixture
def add(client):
    return lambda *args: sig(client, "add", *args)


@pytest.fixture
def total(client):
    """Takes the list of results."""
    return lambda: sig(client, "sum")


@pytest.fixture
def fail(client):
    return lambda *args, **kwargs: sig(client, "fail", *args, **kwargs)


def chord_keys(jobs):
    """What chords leave behind while they are not complete."""
    return [k for k in jobs.redis.keys("celery-taskset-meta-*") if k[-2:] in (".j", ".s", ".t")]


def test_link(worker, add, jobs):
    r = add(1, 2).apply_async(link=add(10))
    assert value_of(r) == 3
    (child,) = r.children
    assert value_of(child) == 13
    document = jobs.document(child.id)
    assert document["parent_id"] == r.id
    jobs.quiet()


@pytest.mark.parametrize("asked, step", [(None, 6), (0, 0), (3, 3)])
def test_what_follows_has_the_priority_of_its_task(worker, add, jobs, client, asked, step):
    """test.low has priority 6 in the worker's table; what the signature says wins."""
    low = sig(client, "low", 1).set(queue="aside", **({} if asked is None else {"priority": asked}))
    assert add(1, 2).apply_async(link=low).get(timeout=15) == 3
    waiting = jobs.redis.lrange("aside" + (f"\x06\x16{step}" if step else ""), 0, -1)
    assert [json.loads(m)["properties"]["priority"] for m in waiting] == [step]


def test_several_links_and_an_immutable_one(worker, add, jobs, client):
    r = add(1, 2).apply_async(link=[add(10), sig(client, "add", 1, 1).set(immutable=True)])
    assert value_of(r) == 3
    (children,) = r.children  # a group
    assert value_of(children) == [13, 2]
    jobs.quiet()


def test_chain_of_ten(worker, add, jobs):
    r = chain(add(0, 1), *[add(1) for _ in range(9)]).apply_async()
    assert value_of(r) == 10
    seen = []
    node = r
    while node:
        seen.append(value_of(node, 5))
        node = node.parent
    assert seen == list(range(10, 0, -1))
    jobs.quiet()


def test_group_and_result_sets(worker, add, jobs, client):
    g = group(add(i, i) for i in range(4)).apply_async()
    g.save()
    assert value_of(g) == [0, 2, 4, 6]
    again = client.GroupResult.restore(g.id)
    assert again.join(timeout=5) == [0, 2, 4, 6]
    assert again.completed_count() == 4 and again.successful()
    for r in g.results:
        assert jobs.document(r.id)["group_id"] == g.id
    g.forget()
    assert all(jobs.document(r.id) is None for r in g.results)
    jobs.quiet()


def test_chord(worker, add, total, jobs):
    r = chord([add(i, i) for i in range(4)], total()).apply_async()
    assert value_of(r) == 12
    jobs.quiet()
    assert chord_keys(jobs) == []


def test_a_result_published_unseen_is_found(worker, client, jobs, monkeypatch):
    """What a client lives with that was not subscribed in time: it finds the result when it looks again."""
    monkeypatch.setattr(client.backend.result_consumer, "_consume_from", lambda task_id: None)
    r = chord([sig(client, "sleep", 0.5), sig(client, "sleep", 0.1)], sig(client, "echo")).apply_async()
    assert value_of(r)["args"] == [["slept", "slept"]]
    jobs.quiet()


def test_chord_of_a_hundred(worker, add, total, jobs):
    r = chord([add(i, i) for i in range(100)], total()).apply_async()
    assert value_of(r, 30) == 9900
    jobs.quiet()
    assert jobs.counter("done") == 101
    assert chord_keys(jobs) == []


def test_the_body_gets_results_in_order(worker, client, add, jobs):
    slow = sig(client, "sleep", 0.3)
    r = chord([slow, add(1, 1), add(2, 2)], sig(client, "echo")).apply_async()
    assert value_of(r)["args"] == [["slept", 2, 4]]


def test_a_failing_part_fails_the_body(worker, add, total, fail, jobs, client):
    r = chord([add(1, 1), fail("ValueError", "boom")], total()).apply_async()
    # Not raised: the client would look at the parts first, and raise what they did.
    error = value_of(r, propagate=False)
    assert isinstance(error, ChordError)
    assert re.fullmatch(r"Dependency \S+ raised ValueError\('boom'\)", str(error))
    jobs.quiet()
    assert chord_keys(jobs) == []


def test_a_failing_part_tells_the_body_s_errbacks(worker, add, total, fail, jobs, client):
    body = total()
    body.link_error(sig(client, "echo", "told").set(task_id="the-errback"))
    r = chord([add(1, 1), fail("ValueError", "boom")], body).apply_async()
    assert isinstance(value_of(r, propagate=False), ChordError)
    assert jobs.ended("the-errback")["result"]["args"] == [r.id, "told"]


def test_link_error_gets_the_id_of_what_failed(worker, fail, jobs, client):
    errback = sig(client, "echo").set(task_id="the-errback")
    r = fail("KeyError", "k").apply_async(link_error=errback)
    with pytest.raises(KeyError, match="k"):
        value_of(r)
    assert jobs.ended("the-errback")["result"]["args"] == [r.id]
    assert jobs.document("the-errback")["parent_id"] == r.id


def test_a_failing_step_ends_the_chain(worker, add, fail, jobs):
    r = chain(add(1, 1), fail("ValueError", "boom").set(immutable=True), add(1), add(2)).apply_async()
    with pytest.raises(ValueError, match="boom"):
        value_of(r)
    # The steps behind it never run, and nobody waits for them.
    assert jobs.document(r.parent.id)["status"] == "FAILURE"
    jobs.quiet()
    assert jobs.counter("done") == 2


def test_an_expired_step_ends_the_chain(worker, add, jobs):
    r = chain(add(1, 1), add(1).set(expires=-1), add(2)).apply_async()
    error = value_of(r, propagate=False)
    assert isinstance(error, TaskRevokedError) and str(error) == "expired"
    assert [jobs.document(x)["status"] for x in (r.parent.id, r.id)] == ["REVOKED", "REVOKED"]
    jobs.quiet()


def test_an_expired_part_fails_the_body(worker, add, total, jobs):
    r = chord([add(1, 1), add(1).set(expires=-1)], total()).apply_async()
    error = value_of(r, propagate=False)
    assert isinstance(error, ChordError) and "raised TaskRevokedError('expired')" in str(error)
    jobs.quiet()
    assert chord_keys(jobs) == []


@pytest.mark.parametrize("part, error", [
    ({"task": "no.such.task"}, "NotRegistered('no.such.task')"),
    ({"eta": "never"}, "ValueError("),
    ({"args": 5}, "TypeError("),
])
def test_a_part_that_cannot_run_fails_the_body(worker, jobs, part, error):
    body = {"task": "test.sum", "args": [], "kwargs": {}, "options": {"task_id": "body"}}
    jobs.redis.set("celery-taskset-meta-g.s", 1)
    jobs.push(**{"task": "test.add", "group": "g", "group_index": 0, "chord": body, **part})
    assert f"raised {error}" in jobs.ended("body")["result"]["exc_message"][0]
    jobs.quiet()


def test_parts_that_store_no_result_count(worker, add, total, jobs):
    parts = [add(i, i).set(ignore_result=True) for i in range(3)]
    r = chord(parts, total()).apply_async()
    assert value_of(r) == 6
    assert all(jobs.document(x.id) is None for x in r.parent.results)


def test_what_follows_and_cannot_be_sent_is_a_failure(worker, client, jobs):
    """The result, twelve times, is more than one step may send."""
    callbacks = [client.signature("test.echo", args=[i]) for i in range(12)]
    r = client.send_task("test.echo", args=["x" * 1_500_000], link=callbacks)
    with pytest.raises(ValueError, match="what follows the task"):
        value_of(r, 30)
    jobs.quiet()


def test_a_chord_s_key_of_the_wrong_kind_holds_nobody_up(worker, jobs):
    body = {"task": "test.sum", "args": [], "kwargs": {}, "options": {"task_id": "body"}}
    jobs.redis.set("celery-taskset-meta-g.j", "no set")
    part = jobs.push("test.add", 1, group="g", group_index=0, chord=body)
    assert jobs.ended(part)["result"] == 1
    worker.wait_log("chord.broken")
    jobs.quiet()


def test_a_chord_of_more_parts_than_are_taken_fails(worker, jobs):
    body = {"task": "test.sum", "args": [], "kwargs": {}, "options": {"task_id": "body"}}
    jobs.redis.zadd("celery-taskset-meta-g.j",
                    {json.dumps([1, f"t{i}", "SUCCESS", i]): i for i in range(10_000)})
    jobs.redis.set("celery-taskset-meta-g.s", 10_001)
    jobs.push("test.add", 1, group="g", group_index=10_000, chord=body)
    assert "too large" in jobs.ended("body")["result"]["exc_message"][0]
    jobs.quiet()


def test_parts_of_others_that_are_no_json_are_passed_on(worker, client, jobs):
    """NaN, which Python writes; what is no result at all ends the chord."""
    key = "celery-taskset-meta-g"
    body = {"task": "test.echo", "args": [], "kwargs": {},
            "options": {"task_id": "body", "queue": "away"}}
    jobs.redis.zadd(key + ".j", {'[1, "t0", "SUCCESS", {"x": NaN, "n": 12345678901234567890}]': 0})
    jobs.redis.set(key + ".s", 2)
    jobs.push("test.add", 1, group="g", group_index=1, chord=body)
    wait_for(lambda: jobs.redis.llen("away"), what="the body")
    sent = base64.b64decode(json.loads(jobs.redis.lpop("away"))["body"]).decode()
    assert sent.startswith('[[[{"x": NaN, "n": 12345678901234567890}, 1]], ')

    jobs.redis.delete("aion2:chord:g")
    jobs.redis.zadd(key + ".j", {"garbage": 0})
    jobs.redis.set(key + ".s", 2)
    jobs.push("test.add", 1, group="g", group_index=1, chord=body)
    assert "Join error" in jobs.ended("body")["result"]["exc_message"][0]


def test_a_retried_step_goes_on_with_the_chain(worker, add, client, jobs):
    flaky = client.signature("test.fail", kwargs={"class": "retryable", "succeed_after": 1})
    r = chain(flaky.set(immutable=True), add(5)).apply_async()
    assert value_of(r) == 6
    assert jobs.document(r.parent.id)["parent_id"] == r.parent.id  # of the second attempt
    jobs.quiet()


def test_a_chord_within_a_chain(worker, add, total, jobs):
    r = chain(add(1, 1), group(add(1), add(2)), total(), add(100)).apply_async()
    assert value_of(r) == 107
    jobs.quiet()
    assert chord_keys(jobs) == []


def test_a_group_at_the_end_of_a_chain(worker, add, jobs):
    r = chain(add(1, 1), group(add(1), add(2))).apply_async()
    assert value_of(r) == [3, 4]
    jobs.quiet()


def test_a_chain_within_a_group_within_a_chord(worker, add, total, jobs):
    r = chord([chain(add(1, 1), add(1)), chain(add(2, 2), add(2), add(3)), add(5)],
              total()).apply_async()
    assert value_of(r) == 3 + 9 + 5
    jobs.quiet()
    assert chord_keys(jobs) == []


def test_a_chord_within_a_chord(worker, add, total, jobs):
    inner = chord([add(1, 1), add(2, 2)], total())
    r = chord([inner, add(10, 10)], total()).apply_async()
    assert value_of(r) == 26
    jobs.quiet()
    assert chord_keys(jobs) == []


def test_a_failure_deep_inside_reaches_the_outermost_body(worker, add, total, fail, jobs):
    """Stock workers leave the outer chord waiting for ever."""
    inner = chord([add(1, 1), fail("ValueError", "deep")], total())
    r = chord([inner, add(10, 10)], total()).apply_async()
    error = value_of(r, propagate=False)
    assert isinstance(error, ChordError) and "raised ChordError(" in str(error)
    jobs.quiet()
    assert chord_keys(jobs) == []


def test_a_group_of_results_within_a_chord_keeps_its_shape(worker, add, client, jobs):
    r = chord([add(1, 1), chain(add(2, 2), group(add(1), add(2)))],
              sig(client, "echo")).apply_async()
    assert value_of(r)["args"] == [[2, [5, 6]]]
    jobs.quiet()


def test_a_chord_as_a_callback(worker, add, total, jobs):
    r = add(1, 1).apply_async(link=chord([add(1), add(2)], total().set(task_id="the-body")))
    assert value_of(r) == 2
    assert jobs.ended("the-body")["result"] == 7
    jobs.quiet()


def test_options_of_signatures(worker, add, jobs, client):
    later = add(1).set(countdown=0.5, task_id="later")
    never = add(1).set(expires=-1, task_id="never")
    away = add(1).set(queue="elsewhere", priority=6, task_id="away")
    begun = time.time()
    add(1, 1).apply_async(link=[later, never, away])
    assert jobs.ended("later")["result"] == 3
    assert time.time() >= begun + 0.5
    assert jobs.ended("never")["status"] == "REVOKED"
    wait_for(lambda: jobs.redis.llen("elsewhere\x06\x166"), what="the message elsewhere")
    message = json.loads(jobs.redis.lindex("elsewhere\x06\x166", 0))
    assert message["headers"]["id"] == "away"
    assert message["properties"]["delivery_info"]["routing_key"] == "elsewhere"


def test_protocol_1(worker, client, add, total, jobs):
    client.conf.task_protocol = 1
    assert value_of(chain(add(1, 2), add(3), add(4)).apply_async()) == 10
    assert value_of(chord([add(1, 1), add(2, 2)], total()).apply_async()) == 6
    jobs.quiet()


@pytest.mark.parametrize("compression", ["gzip", "zlib", "bzip2"])
def test_compressed_bodies(worker, client, compression):
    r = client.send_task("test.echo", args=["x" * 5000], compression=compression)
    assert value_of(r)["args"] == ["x" * 5000]


def test_a_chord_whose_size_comes_late(worker, add, total, jobs):
    """All parts are done before the sender has said how many there are."""
    r = chord([add(1, 1), add(2, 2)], total()).freeze()
    group_id = r.parent.id
    body = {"task": "test.sum", "args": [], "kwargs": {}, "options": {"task_id": "body"}}
    ids = [jobs.push("test.add", i, i, group=group_id, group_index=i, chord=body)
           for i in range(3)]
    key = f"celery-taskset-meta-{group_id}"
    wait_for(lambda: jobs.redis.zcard(key + ".j") == 3, what="the parts")
    jobs.redis.setex(key + ".s", 86400, 3)
    assert jobs.ended("body")["result"] == 6
    assert all(jobs.ended(i)["status"] == "SUCCESS" for i in ids)
    jobs.quiet()


def test_a_chord_without_a_size_holds_nothing_for_ever(worker, jobs):
    body = {"task": "test.sum", "args": [], "kwargs": {}, "options": {"task_id": "body"}}
    part = jobs.push("test.add", 1, group="g", group_index=0, chord=body)
    assert jobs.ended(part, timeout=30)["result"] == 1
    worker.wait_log("chord.size_unknown")
    jobs.quiet()


def test_started(spawn, redis_server, client, jobs):
    w = spawn("aion2-worker", env=worker_env(redis_server, TRACK_STARTED="1", WORKER_NAME="w@lab"))
    w.wait_log("worker.registered")
    r = client.send_task("test.sleep", args=[3])
    wait_for(lambda: r.state == "STARTED", what="the begin")
    assert r.info["hostname"] == "w@lab" and r.info["pid"] > 0
    assert value_of(r) == "slept"


def test_retry_shows_its_timetable(spawn, redis_server, client, jobs):
    w = spawn("aion2-worker", env=worker_env(redis_server, RETRY_BASE_SECONDS="60"))
    w.wait_log("worker.registered")
    r = client.send_task("test.fail", args=["OSError", "gone"], kwargs={"class": "retryable"})
    wait_for(lambda: r.state == "RETRY", what="the retry")
    assert "attempt 1 of 4 failed; next at" in r.traceback
    assert "then 120 s, 240 s" in r.traceback
    document = jobs.document(r.id)
    assert document["retry"]["waits_s"] == [60, 120, 240]
    assert document["children"] == [[[r.id, None], None]]
    assert isinstance(r.result, OSError)
    (member,) = jobs.redis.zrange("aion2:delayed", 0, -1)
    headers = json.loads(json.loads(member)["m"])["headers"]
    assert (headers["retries"], headers["parent_id"], headers["root_id"]) == (1, r.id, r.id)


def test_a_failure_has_a_traceback(worker, client):
    r = client.send_task("test.fail", args=["ZeroDivisionError", "by zero"])
    with pytest.raises(ZeroDivisionError, match="by zero"):
        value_of(r)
    assert "task test.fail, attempt 1 of 4" in r.traceback


# ---- while processes die ----


def workflow_storm(spawn, redis_server, count, kills, width=8):
    """Chords whose parts are chains, and after each a step more, while workers are killed."""
    jobs, dice = Jobs(redis_server), random.Random(7)
    app = next(celery_client(redis_server))
    app.set_current()
    env = worker_env(redis_server, WORKER_CONCURRENCY="3")
    workers = [spawn("aion2-worker", env=env) for _ in range(3)]
    workers[0].wait_log("worker.registered")
    slow = app.signature("test.sleep", args=[0.05]).set(immutable=True)
    add, total = app.signature("test.add"), app.signature("test.sum")
    results = [chain(group(chain(slow.clone(), add.clone([i]).set(immutable=True))
                           for i in range(width)), total, add.clone([n])).apply_async()
               for n in range(count)]
    tasks = count * (2 * width + 2)
    for n in range(kills):
        progress = jobs.counter("done")
        wait_for(lambda: jobs.counter("done") >= min(progress + 20, tasks), 30, "some progress")
        if n == 0:
            wait_for(lambda: jobs.held_count() > 0, what="somebody at work")
        for victim in workers if n == 0 else [dice.choice(workers)]:
            victim.kill()
            victim.start()
    want = sum(range(width))
    assert [jobs.ended(r.id, 120)["result"] for r in results] == [want + n for n in range(count)]
    jobs.quiet(30)
    assert chord_keys(jobs) == []
    # A second step for each part, a body, and what follows the body: each was sent once.
    assert jobs.counter("sent") == count * (width + 2)
    assert jobs.counter("done") == tasks
    app.backend.result_consumer.cancel_for = lambda task_id: None
    app.close()
    return jobs


def test_workflows_survive_killed_workers(spawn, redis_server):
    jobs = workflow_storm(spawn, redis_server, count=20, kills=4)
    assert jobs.counter("recovered") > 0  # otherwise nothing was tested


@pytest.mark.soak
def test_workflows_in_a_long_storm(spawn, redis_server):
    assert workflow_storm(spawn, redis_server, count=300, kills=40).counter("recovered") > 0


@pytest.mark.parametrize("point", ["chord_part.before", "chord_part.after", "finish.before"])
@pytest.mark.parametrize("nth", [1, 3])
def test_a_crash_at_a_step_of_a_workflow(spawn, redis_server, client, add, total, jobs, point, nth):
    """The body is sent once, wherever the worker that completed the chord ended."""
    client.set_current()
    first = spawn("aion2-worker", env=worker_env(redis_server, WORKER_CONCURRENCY="1",
                                                 CRASH_AT=f"{point}:{nth}"))
    r = chain(group(add(i, i) for i in range(3)), total(), add(1)).apply_async()
    first.wait(30)
    spawn("aion2-worker", env=worker_env(redis_server))
    assert jobs.ended(r.id, 60)["result"] == 7
    jobs.quiet(30)
    assert jobs.counter("sent") == 2
    assert chord_keys(jobs) == []


# ---- together with a stock worker ----


def test_a_stock_worker_shares_the_workflow(spawn, redis_server, client, add, total, jobs,
                                            stock_worker):
    """Parts run here and there; whoever ends the last one sends the body."""
    client.set_current()
    spawn("aion2-worker", env=worker_env(redis_server)).wait_log("worker.registered")
    results = [chain(add(n, 0), group(add(i) for i in range(6)), total(), add(1)).apply_async()
               for n in range(20)]
    assert [value_of(r, 60) for r in results] == [6 * n + 15 + 1 for n in range(20)]
    wait_for(lambda: stock_worker.read_text().count("succeeded in") == 20 * 9 - jobs.counter("done"),
             what="each task counted by who ran it")
    assert 0 < jobs.counter("done") < 20 * 9
    assert chord_keys(jobs) == []
