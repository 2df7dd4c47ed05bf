"""maintenance.prune: what is too old or too much goes, is counted, and nothing else does."""

import json
import time
from datetime import date, timedelta

import pytest

from harness import wait_for
from jobs import Jobs, worker_env

TASK = "maintenance.prune"
DAY_S = 86400


@pytest.fixture
def jobs(redis_server):
    return Jobs(redis_server)


@pytest.fixture
def prune(spawn, redis_server, pg, jobs):
    """prune(kwarg=...): the document of one run."""
    w = spawn("aion2-worker", env=worker_env(redis_server, pg.url, PRUNE_DEAD_COUNT="7"))
    w.wait_log("event=worker.registered")  # which makes up counters for what it finds

    def run(**kwargs):
        return jobs.ended(jobs.push(TASK, kwargs=kwargs), timeout=30)

    return run


def add_runs(pg, ages):
    """Runs that ended so many days ago, oldest first; with a failure each."""
    for n, days in enumerate(sorted(ages, reverse=True)):
        pg.query(
            "WITH r AS (INSERT INTO batch_runs (task_id, owner, state, rules_version, started_at)"
            " VALUES (%s, gen_random_uuid(), 'success', 1, now() - make_interval(days => %s))"
            " RETURNING id) INSERT INTO batch_failures (run_id, seq, server, reason)"
            " SELECT id, 1, 'Siel', 'x' FROM r", (f"run{n}", days))


def add_entries(redis, name, ages, **more):
    """Entries written so many days ago, the newest at the left."""
    now = time.time()
    for days in sorted(ages, reverse=True):
        redis.lpush(name, json.dumps({"at": int(now - days * DAY_S), "b64": "", **more}))


def test_runs_by_age_and_by_number(prune, pg):
    add_runs(pg, [0, 1, 2, 5, 50, 100, 200])
    pg.query("UPDATE batch_runs SET state = 'running' WHERE task_id = 'run0'")
    pg.query("INSERT INTO ranking_state (run_id, generated_at, entries)"
             " SELECT id, now(), 0 FROM batch_runs WHERE task_id = 'run1'")
    assert prune(only=["runs"])["result"] == {"runs": 0}  # the old ones run or are live
    assert prune(only=["runs"], runs_days=30)["result"] == {"runs": 1}
    assert prune(only=["runs"], runs_days=0, runs_count=2)["result"] == {"runs": 2}
    left = [t for (t,) in pg.query("SELECT task_id FROM batch_runs ORDER BY id")]
    assert left == ["run0", "run1", "run5", "run6"]
    assert pg.value("SELECT count(*) FROM batch_failures") == 4


def test_days_of_history(prune, pg):
    pg.query("CREATE TABLE IF NOT EXISTS character_history (day date) PARTITION BY LIST (day)")
    for days in (0, 1, 10, 500, 600):
        day = date.today() - timedelta(days=days)
        pg.query(f"CREATE TABLE character_history_{day:%Y%m%d} PARTITION OF character_history"
                 f" FOR VALUES IN ('{day}')")

    def left():
        return pg.value("SELECT count(*) FROM pg_inherits"
                        " WHERE inhparent = 'character_history'::regclass")

    assert prune(only=["history"])["result"] == {"history": 2} and left() == 3
    assert prune(only=["history"], history_count=2)["result"] == {"history": 1} and left() == 2
    pg.query("DROP TABLE character_history")
    assert prune(only=["history"], history_days=1)["result"] == {"history": 0}


def test_dead_letters_and_quarantine_with_their_counters(prune, jobs):
    jobs.redis.set("aion2:oversized:1:1", "long")
    add_entries(jobs.redis, "aion2:dead", [0, 1, 2, 3, 4.5, 5.5, 6.5, 7.5, 40, 50])
    add_entries(jobs.redis, "aion2:quarantine", [0, 1, 2, 40], key="aion2:oversized:1:1")
    jobs.redis.rpush("aion2:quarantine", "nobody can read this")
    assert prune(only=["dead", "quarantine"])["result"] == {"dead": 3, "quarantine": 2}
    assert prune(only=["dead"], dead_days=4)["result"] == {"dead": 3}
    assert len(jobs.dead()) == 4 and jobs.redis.llen("aion2:quarantine") == 3
    assert (jobs.counter("dead_trimmed"), jobs.counter("quarantine_trimmed")) == (6, 2)
    assert not jobs.redis.exists("aion2:oversized:1:1")  # went with its entry


def test_many_entries_go_in_steps(prune, jobs):
    add_entries(jobs.redis, "aion2:dead", [1] * 1500)
    before = jobs.counter("dead_trimmed")
    assert prune(only=["dead"], dead_days=0, dead_count=10)["result"] == {"dead": 1490}
    assert jobs.counter("dead_trimmed") == before + 1490


def test_oversized_messages(prune, jobs):
    now_ms = int(time.time() * 1000)
    keys = [f"aion2:oversized:{now_ms - days * DAY_S * 1000}:{n}"
            for n, days in enumerate([0, 1, 2, 3, 8, 9])]
    for key in [*keys, "aion2:oversized:x", "aion2:oversizedly"]:
        jobs.redis.set(key, "long")
    assert prune(only=["oversized"])["result"] == {"oversized": 2}
    assert prune(only=["oversized"], oversized_count=3)["result"] == {"oversized": 1}
    left = set(jobs.redis.keys("aion2:oversized*"))
    assert left == {*keys[:3], "aion2:oversized:x", "aion2:oversizedly"}


def test_everything_at_once_by_the_settings(prune, jobs):
    assert prune()["result"] == {
        "runs": 0, "history": 0, "dead": 0, "quarantine": 0, "oversized": 0, "audit": 0}
    jobs.quiet()


def test_the_log_of_changes_and_what_goes_with_it(prune, pg):
    pg.query("INSERT INTO admin_audit (principal, address, action, at) SELECT 'x', 'y', 'z',"
             " now() - make_interval(days => n) FROM generate_series(1, 10) AS n RETURNING id")
    pg.query("INSERT INTO admin_idempotency (principal, key, request_hash, created_at) VALUES"
             " ('x', 'old', '', now() - interval '25 hours'), ('x', 'new', '', now()) RETURNING key")
    pg.query("INSERT INTO batch_requests (task_id, requested_by, requested_at) VALUES"
             " ('old', 'x', now() - interval '31 days'), ('new', 'x', now()) RETURNING task_id")
    assert prune(only=["audit"], audit_days=8)["result"] == {"audit": 3}
    assert prune(only=["audit"], audit_days=0, audit_count=2)["result"] == {"audit": 5}
    assert pg.query("SELECT key FROM admin_idempotency") == [("new",)]
    assert pg.query("SELECT task_id FROM batch_requests") == [("new",)]


@pytest.mark.parametrize("kwargs", [{"dead_weeks": 1}, {"only": ["all"]}, {"dead_days": -1},
                                    {"only": 3}, {"runs_count": "many"}])
def test_wrong_arguments_are_named(prune, kwargs):
    doc = prune(**kwargs)
    assert doc["status"] == "FAILURE"
    assert next(iter(kwargs)) in str(doc["result"]["exc_message"])


def test_what_fails_does_not_keep_the_rest(spawn, redis_server, jobs):
    """Without PostgreSQL: Redis is pruned, the task is tried again."""
    spawn("aion2-worker", env=worker_env(redis_server, RETRY_BASE_SECONDS="60"))
    add_entries(jobs.redis, "aion2:dead", [40])
    task_id = jobs.push(TASK)
    doc = wait_for(lambda: jobs.document(task_id), what="the RETRY document")
    assert doc["status"] == "RETRY" and "runs" in str(doc["result"])
    assert jobs.dead() == []
