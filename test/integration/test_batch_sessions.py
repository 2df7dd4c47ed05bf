"""Sessions that a worker keeps between two batches: used again, never in anybody's way."""

import pytest

import harness
from batch_lab import TASK, add
from harness import wait_for
from jobs import Jobs, worker_env

KEPT = 3  # the one that publishes, two that read
SESSIONS = """
    SELECT pid FROM pg_stat_activity WHERE datname = current_database()
    AND application_name = 'aion2-worker batch' AND state = 'idle' ORDER BY pid"""


@pytest.fixture
def jobs(redis_server):
    return Jobs(redis_server)


@pytest.fixture
def worker(pg, redis_server, spawn):
    add(pg, [("Siel", f"c{i}", "Warrior", 1, i, {"attack": i}) for i in range(30)])
    return spawn("aion2-worker", env=worker_env(redis_server, pg.url, WORKER_CONCURRENCY=1))


def sessions(pg):
    return [pid for (pid,) in pg.query(SESSIONS)]


def run(jobs, task_id, status="success"):
    jobs.push(TASK, id=task_id)
    assert jobs.ended(task_id)["result"]["status"] == status


def rest(pg):
    """What is kept after the last batch; it holds nothing."""
    wait_for(lambda: pg.value("SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name ="
                              " 'aion2-worker after' AND datname = current_database()"),
             what="the work after the batch")
    assert pg.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0
    return sessions(pg)


def test_the_next_batch_uses_the_same_sessions(pg, jobs, worker):
    run(jobs, "one")
    first = rest(pg)
    assert len(first) == KEPT
    for task_id in ("two", "three"):
        run(jobs, task_id)
        assert rest(pg) == first
    assert pg.value("SELECT count(DISTINCT backend_pid) FROM batch_runs") == 1
    # the log went to disk ahead of the commit
    assert pg.value("SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(%s)"
                    " AND query LIKE '%%pg_logical_emit_message%%'", (first,)) == 1


def test_sessions_that_were_ended_are_replaced(pg, jobs, worker):
    run(jobs, "one")
    first = rest(pg)
    assert pg.value("SELECT bool_and(pg_terminate_backend(pid, 10000))"
                    " FROM unnest(%s::int[]) AS pid", (first,))
    run(jobs, "two")
    second = rest(pg)
    assert len(second) == KEPT and not set(first) & set(second)


def test_a_restart_of_postgresql_in_between(pg, jobs, worker):
    run(jobs, "one")
    rest(pg)
    pg.restart("immediate")
    run(jobs, "two")
    assert pg.value("SELECT attempt FROM batch_runs WHERE task_id = 'two'") == 1
    assert len(rest(pg)) == KEPT


def test_another_worker_gets_the_lock(pg, jobs, worker, redis_server, spawn):
    """A session that is kept holds no lock: whoever runs the next batch publishes it."""
    run(jobs, "one")
    rest(pg)
    worker.stop()
    spawn("aion2-worker", env=worker_env(redis_server, pg.url, WORKER_CONCURRENCY=1))
    run(jobs, "two")
    assert len(rest(pg)) == KEPT


def test_the_session_of_a_batch_that_failed_is_not_kept(pg, jobs, worker):
    run(jobs, "one")
    pg.query("ALTER TABLE ranking_servers RENAME TO elsewhere")
    jobs.push(TASK, id="two")
    assert jobs.ended("two")["status"] == "FAILURE"
    pg.query("ALTER TABLE elsewhere RENAME TO ranking_servers")
    publisher = pg.value("SELECT backend_pid FROM batch_runs WHERE task_id = 'two'")
    assert publisher not in rest(pg)
    run(jobs, "three")
    assert len(rest(pg)) == KEPT


def test_a_plain_role_is_enough(pg_empty, jobs, redis_server, spawn):
    """It owns its database and is nobody else; a session whose last word was refused is not kept."""
    pg = pg_empty
    role = f"plain_{pg.value('SELECT md5(current_database())')}"
    pg.script(f"CREATE ROLE {role} LOGIN; ALTER DATABASE {pg.name} OWNER TO {role}")
    url = pg.url.replace("user=postgres", f"user={role}")
    try:
        assert harness.run_program("aion2ctl", "migrate", env={"DATABASE_URL": url}).returncode == 0
        add(pg, [("Siel", f"c{i}", "Warrior", 1, i, {"attack": i}) for i in range(30)])
        worker = spawn("aion2-worker", env=worker_env(redis_server, url, WORKER_CONCURRENCY=1))
        run(jobs, "one")
        assert len(rest(pg)) == KEPT
        pg.query("REVOKE EXECUTE ON FUNCTION pg_logical_emit_message(boolean, text, text) FROM PUBLIC")
        run(jobs, "two")
        run(jobs, "three")
        assert len(rest(pg)) == KEPT
        assert pg.value("SELECT count(DISTINCT backend_pid) FROM batch_runs") == 1
        worker.stop()
    finally:
        pg.script(f"ALTER DATABASE {pg.name} OWNER TO postgres; REASSIGN OWNED BY {role} TO postgres;"
                  f" DROP OWNED BY {role}; DROP ROLE {role}")
