"""aion2-worker: messages in, results out, and what becomes of those that cannot be run."""

import base64
import json
import subprocess
from datetime import datetime, timedelta, timezone

import billiard.exceptions
import celery.exceptions
import pytest

from harness import TEST_DATA, children_of, clean_env, bin_dir, run_program, wait_for
from jobs import BATCH, SEP, Jobs, celery_client, worker_env


@pytest.fixture
def jobs(redis_server):
    return Jobs(redis_server)


client = pytest.fixture(celery_client)


@pytest.fixture
def worker(spawn, redis_server):
    """A worker that is ready."""
    w = spawn("aion2-worker", env=worker_env(redis_server))
    w.wait_log("worker.registered")
    return w


# ------------------------------------------------------------------------------------ the way in


def test_celery_client_gets_the_result_of_the_batch(client, env, spawn, jobs):
    spawn("aion2-worker", env=env)
    result = client.send_task(BATCH)
    answer = result.get(timeout=20)
    assert isinstance(answer, dict)
    assert answer["status"] in ("success", "no_data")
    assert result.state == "SUCCESS"
    jobs.quiet()


def test_celery_client_gets_values(worker, client):
    assert client.send_task("test.add", (2, 3)).get(timeout=20) == 5
    results = [client.send_task("test.add", (i, i)) for i in range(20)]
    assert [r.get(timeout=20) for r in results] == [2 * i for i in range(20)]


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "zlib"},
        {"priority": 9},
        {"countdown": 1},
        {"expires": 60},
        {"headers": {"mine": 1}},
        {"time_limit": 30, "soft_time_limit": 20},
    ],
    ids=str,
)
def test_celery_options(worker, client, options):
    assert client.send_task("test.add", (1, 2), **options).get(timeout=20) == 3


def test_celery_protocol_1(worker, client):
    client.conf.task_protocol = 1
    assert client.send_task("test.add", (1, 2)).get(timeout=20) == 3


@pytest.mark.parametrize(
    "args, expected",
    [
        (["ValueError", "boom"], ValueError),
        (["TypeError", "boom"], TypeError),
        (["OperationalError", "boom"], RuntimeError),
    ],
)
def test_celery_client_raises_what_the_task_raised(worker, client, args, expected):
    result = client.send_task("test.fail", args)
    with pytest.raises(expected, match="boom"):
        result.get(timeout=20)


def test_celery_client_learns_that_a_task_is_unknown(worker, client):
    result = client.send_task("no.such.task")
    with pytest.raises(celery.exceptions.NotRegistered):
        result.get(timeout=20)


def test_celery_client_learns_that_pickle_is_refused(worker, client):
    result = client.send_task("test.add", (1, 2), serializer="pickle")
    with pytest.raises(Exception, match="application/x-python-serialize"):
        result.get(timeout=20)


def test_redis_cli_push_is_enough(worker, redis_server, jobs):
    push = ["redis-cli", "-p", str(redis_server.port), "LPUSH", "celery"]
    subprocess.run(push + ['{"task":"test.add","id":"mine","args":[20,22]}'], check=True)
    assert jobs.ended("mine")["result"] == 42
    subprocess.run(push + ['{"task":"test.add","args":[1]}'], check=True)
    jobs.quiet()
    keys = set(jobs.redis.keys("celery-task-meta-*")) - {"celery-task-meta-mine"}
    assert len(keys) == 1
    doc = json.loads(jobs.redis.get(keys.pop()))
    assert doc["status"] == "SUCCESS" and len(doc["task_id"]) == 36


def test_every_priority_list_is_served_most_urgent_first(spawn, redis_server, jobs):
    order = []
    for step in (9, 6, 3, 0):
        queue = "celery" + (SEP + str(step) if step else "")
        order.insert(0, jobs.push("test.add", step, queue=queue))
    w = spawn("aion2-worker", env=worker_env(redis_server, WORKER_CONCURRENCY="1"))
    for task_id in order:
        jobs.ended(task_id)
    begun = [line for line in w.log().splitlines() if "event=task.started" in line]
    assert [next(i for i in order if i in line) for line in begun] == order
    # And an idle worker is woken by each of them.
    for step in (9, 6, 3, 0):
        queue = "celery" + (SEP + str(step) if step else "")
        assert jobs.ended(jobs.push("test.add", step, queue=queue))["result"] == step


def test_another_queue(spawn, redis_server, jobs):
    spawn("aion2-worker", env=worker_env(redis_server, TASK_QUEUE="mine"))
    assert jobs.ended(jobs.push("test.add", 1, queue="mine"))["result"] == 1


# ------------------------------------------------------------------------------------ times


def test_countdown_waits_in_redis_with_its_id_and_due_time(worker, jobs):
    jobs.redis.lpush("celery", '{"task":"test.add","args":[1],"countdown":3600,"expires":7200}')
    member, score = wait_for(
        lambda: jobs.redis.zrange("aion2:delayed", 0, 0, withscores=True), what="the delay"
    )[0]
    parked = json.loads(member)
    message = json.loads(parked["m"])
    assert parked["q"] == "celery"
    assert len(message["id"]) == 36 and "countdown" not in message
    assert abs(datetime.fromisoformat(message["eta"]).timestamp() * 1000 - score) <= 1
    assert message["expires"] > message["eta"]
    assert jobs.held_count() == 0 and jobs.balance() == 0


def test_equal_messages_are_delayed_each(worker, jobs):
    raw = json.dumps({"task": "test.add", "id": "same", "args": [1], "eta": "2099-01-01T00:00:00"})
    for _ in range(3):
        jobs.redis.lpush("celery", raw)
    wait_for(lambda: jobs.redis.zcard("aion2:delayed") == 3, what="three delays")


def test_eta_in_the_past_and_soon(worker, jobs):
    now = datetime.now(timezone.utc)
    past = jobs.push("test.add", 1, eta=(now - timedelta(days=1)).isoformat())
    soon = jobs.push("test.add", 2, eta=(now + timedelta(milliseconds=300)).isoformat())
    assert jobs.ended(past)["result"] == 1
    assert jobs.ended(soon)["result"] == 2
    done = datetime.fromisoformat(jobs.document(soon)["date_done"]).replace(tzinfo=timezone.utc)
    assert done >= now + timedelta(milliseconds=300)


def test_expired_is_revoked(worker, client, jobs):
    past = datetime.now(timezone.utc) - timedelta(seconds=5)
    doc = jobs.ended(jobs.push("test.add", 1, expires=past.isoformat()))
    assert doc["status"] == "REVOKED"
    assert doc["result"]["exc_message"] == ["expired"]
    result = client.send_task("test.add", (1,), expires=past)
    with pytest.raises(celery.exceptions.TaskRevokedError, match="expired"):
        result.get(timeout=20)
    assert jobs.dead() == []


# ------------------------------------------------------------------------------------ results


def test_documents_are_celery_s(worker, jobs):
    wire = json.loads((TEST_DATA / "wire" / "result-success.json").read_text())
    doc = jobs.ended(jobs.push("test.add", 2, 3))
    assert list(doc) == list(wire)
    assert {k: v for k, v in doc.items() if k not in ("date_done", "task_id")} == {
        k: v for k, v in wire.items() if k not in ("date_done", "task_id")
    }
    datetime.fromisoformat(doc["date_done"])


def test_results_expire(spawn, redis_server, jobs):
    spawn("aion2-worker", env=worker_env(redis_server, RESULT_EXPIRES="100"))
    task_id = jobs.push("test.add", 1)
    jobs.ended(task_id)
    assert 0 < jobs.redis.ttl(f"celery-task-meta-{task_id}") <= 100


def test_group_and_parent_are_told(worker, jobs):
    doc = jobs.ended(jobs.push("test.add", 1, group="g1", parent_id="p1"))
    assert (doc["group_id"], doc["parent_id"]) == ("g1", "p1")


def test_ignore_result_leaves_none(worker, client, jobs):
    first = jobs.push("test.add", 1, ignore_result=True)
    client.send_task("test.fail", task_id="second", ignore_result=True)
    wait_for(lambda: jobs.counter("done") == 2, what="two tasks")
    assert jobs.document(first) is None and jobs.document("second") is None
    assert [d["id"] for d in jobs.dead()] == ["second"]


def test_success_is_never_overwritten(worker, jobs):
    task_id = jobs.push("test.add", 1)
    doc = jobs.ended(task_id)
    jobs.push("test.fail", "ValueError", id=task_id)
    wait_for(lambda: jobs.counter("done") == 2, what="the second message of that id")
    assert jobs.document(task_id) == doc


# ------------------------------------------------------------------------------------ retries


def test_retries_end_in_failure_and_a_dead_letter(worker, jobs):
    task_id = jobs.push("test.fail", "ConnectionError", "gone", kwargs={"class": "retryable"})
    doc = jobs.ended(task_id)
    assert doc["status"] == "FAILURE"
    assert doc["result"] == {
        "exc_type": "ConnectionError",
        "exc_message": ["gone"],
        "exc_module": "builtins",
    }
    jobs.quiet()
    assert jobs.counter("retried") == 3 and jobs.counter("done") == 1 and jobs.counter("dead") == 1
    (dead,) = jobs.dead()
    assert (dead["id"], dead["task"], dead["retries"]) == (task_id, "test.fail", 3)
    assert dead["error"] == "ConnectionError: gone"
    message = json.loads(base64.b64decode(dead["b64"]))
    assert (message["id"], message["retries"]) == (task_id, 3)


def test_a_retry_tells_its_timetable_and_may_succeed(spawn, redis_server, jobs):
    spawn("aion2-worker", env=worker_env(redis_server, RETRY_BASE_SECONDS="60"))
    task_id = jobs.push("test.fail", "ConnectionError", "gone", kwargs={"class": "retryable"})
    doc = wait_for(lambda: jobs.document(task_id), what="the RETRY document")
    assert doc["status"] == "RETRY"
    assert doc["date_done"] is None
    assert doc["result"]["exc_type"] == "ConnectionError"
    assert doc["traceback"].startswith("attempt 1 of 4 failed; next at ")
    assert doc["traceback"].endswith("(60 s), then 120 s, 240 s")
    ((_, score),) = jobs.redis.zrange("aion2:delayed", 0, 0, withscores=True)
    assert 50_000 < score - int(jobs.redis.time()[0]) * 1000 < 61_000


def test_celery_client_waits_through_retries(worker, client):
    result = client.send_task(
        "test.fail", ("ConnectionError",), {"class": "retryable", "succeed_after": 2}
    )
    assert result.get(timeout=20) == 2


# ------------------------------------------------------------------------------- bad messages

UNREADABLE = [
    b"",
    b"garbage",
    b"\xff\xfe\x00binary",
    b"[]",
    b"5",
    b'{"task":5}',
    b'{"id":5,"task":"test.add"}',
    b'{"task":"test.add","args":5}',
    b'{"task":"test.add"} and more',
    b"[" * 100_000,
    b'{"body":"W10=","headers":{},"properties":{}}',
    b'{"headers":{"task":"test.add"},"body":"[[],{},{}]"}',
]


def test_what_nobody_can_read_goes_to_quarantine_intact(worker, redis_server, jobs):
    raw = redis_server.client()
    for message in UNREADABLE:
        raw.lpush("celery", message)
    wait_for(lambda: jobs.counter("quarantined") == len(UNREADABLE), what="the quarantine")
    entries = jobs.quarantine()
    assert sorted(base64.b64decode(e["b64"]) for e in entries) == sorted(UNREADABLE)
    assert all(e["reason"] and e["q"] == "celery" and e["at"] > 1_600_000_000 for e in entries)
    assert jobs.ended(jobs.push("test.add", 1))["result"] == 1
    jobs.quiet()


@pytest.mark.parametrize(
    "member, exc_type",
    [
        ({"args": 5}, "TypeError"),
        ({"kwargs": []}, "TypeError"),
        ({"eta": "tomorrow"}, "ValueError"),
        ({"retries": -1}, "ValueError"),
        ({"chord": {"task": 5}}, "ValueError"),
        ({"task": ""}, "ValueError"),
        ({"task": "no.such.task"}, "NotRegistered"),
    ],
    ids=str,
)
def test_what_has_an_id_is_answered(worker, jobs, member, exc_type):
    message = {"task": "test.add", "id": "known", **member}
    jobs.push(raw=json.dumps(message))
    doc = jobs.ended("known")
    assert doc["status"] == "FAILURE" and doc["result"]["exc_type"] == exc_type
    if exc_type != "NotRegistered":
        assert next(iter(member)) in doc["result"]["exc_message"][0]
    (dead,) = jobs.dead()
    assert json.loads(base64.b64decode(dead["b64"])) == message


def test_oversized_is_set_aside(worker, redis_server, jobs):
    big = b"x" * (16 * 1024 * 1024 + 1)
    redis_server.client().lpush("celery", big)
    assert jobs.ended(jobs.push("test.add", 1))["result"] == 1
    (entry,) = jobs.quarantine()
    assert entry["bytes"] == len(big)
    assert redis_server.client().get(entry["key"]) == big
    jobs.quiet()


def test_large_arguments_and_results_pass(worker, client):
    text = "\u017e" * 1_000_000
    result = client.send_task("test.fail", ("ValueError", text))
    with pytest.raises(ValueError):
        result.get(timeout=20)


# ------------------------------------------------------------------------------- the program


def test_idle_worker_does_not_poll_its_lists(worker, redis_server, jobs):
    """Counted over several turns of every timer, from when all connections are set up."""
    worker.wait_log("control.greeted")
    count = lambda: jobs.redis.info("stats")["total_commands_processed"]  # noqa: E731
    ticks = lambda: jobs.redis.info("commandstats")["cmdstat_evalsha"]["calls"]  # noqa: E731
    before, ticks_before, asked = count(), ticks(), 0

    def enough():
        nonlocal asked
        asked += 1
        return ticks() >= ticks_before + 6

    wait_for(enough, 20, "six scripts of an idle worker", interval=0.2)
    # Each script calls a handful of commands; a poll of the lists would call hundreds.
    assert count() - before - 2 * asked < 6 * 10


def test_children_are_named_and_counted(worker, redis_server, jobs):
    kids = wait_for(lambda: len(children_of(worker.pid)) == 2 and children_of(worker.pid))
    for pid in kids:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            assert f.read().split(b"\0")[1] == b"--child"
    (boot,) = jobs.redis.smembers("aion2:workers")
    info = json.loads(jobs.redis.get(f"aion2:worker:{boot}"))
    assert info["pid"] == worker.pid and info["name"].startswith("aion2@")
    assert 0 < jobs.redis.pttl(f"aion2:worker:{boot}") <= 10_000


def test_heartbeat_tells_what_runs(worker, jobs):
    task_id = jobs.push("test.sleep", 600)
    wait_for(lambda: jobs.running() == [task_id], what="the heartbeat")


def test_children_inherit_no_connections(worker, jobs):
    jobs.ended(jobs.push("test.add", 1))
    for pid in children_of(worker.pid):
        done = subprocess.run(["ls", "-l", f"/proc/{pid}/fd"], capture_output=True, check=True)
        assert done.stdout.count(b"socket:") == 1, done.stdout


def test_healthcheck(worker, redis_server):
    env = worker_env(redis_server)
    assert run_program("aion2-worker", "--healthcheck", env=env).returncode == 0
    other = run_program("aion2-worker", "--healthcheck", env={**env, "WORKER_NAME": "other"})
    assert other.returncode == 1 and "other" in other.stderr
    worker.stop()
    assert run_program("aion2-worker", "--healthcheck", env=env).returncode == 1


def test_wrong_settings_are_named(redis_server):
    for name, value in [
        ("WORKER_CONCURRENCY", "0"),
        ("REDIS_URL", "http://x"),
        ("TASK_QUEUE", "a\nb"),
        ("RETRY_BASE_SECONDS", "x"),
    ]:
        done = run_program("aion2-worker", env=worker_env(redis_server, **{name: value}))
        assert done.returncode == 64 and name in done.stderr


def test_worker_waits_for_the_migrations(pg_empty, spawn, redis_server, jobs):
    w = spawn("aion2-worker", env=worker_env(redis_server, pg_empty.url))
    w.wait_log("schema.waiting")
    run_program("aion2ctl", "migrate", env={"DATABASE_URL": pg_empty.url}, check=True)
    assert jobs.ended(jobs.push("test.add", 1))["result"] == 1


def test_worker_refuses_a_newer_database(pg, spawn, redis_server):
    pg.script("INSERT INTO schema_migrations (version, name, checksum, applied_by) VALUES (9999, 'x', 'y', 'z')")
    w = spawn("aion2-worker", env=worker_env(redis_server, pg.url))
    assert w.wait() == 78
    assert "schema.wrong" in w.log()


def test_help_names_every_setting():
    done = subprocess.run(
        [bin_dir() / "aion2-worker", "--help"], env=clean_env(), capture_output=True, check=True
    )
    for name in (b"REDIS_URL", b"TASK_QUEUE", b"RETRY_BASE_SECONDS", b"SHUTDOWN_GRACE"):
        assert name in done.stdout


def test_time_limit_costs_the_child_and_is_told(worker, client, jobs):
    result = client.send_task("test.sleep", (600,), time_limit=1)
    with pytest.raises(billiard.exceptions.TimeLimitExceeded):
        result.get(timeout=20)
    assert jobs.ended(jobs.push("test.add", 1))["result"] == 1
    assert len(jobs.dead()) == 1
