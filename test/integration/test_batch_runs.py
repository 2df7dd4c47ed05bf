"""Runs of the batch: exactly one effect, whatever dies or comes twice, and what is left behind."""

import json
import select
import signal
from contextlib import contextmanager
from datetime import datetime, timezone

import pytest

import batch_lab
import harness
from batch_lab import add, batch, check, run_batch, start_batch
from harness import wait_for

# A table lock that holds the batch up at a certain point for as long as we like.
POINTS = {
    "reading": ("characters", "ACCESS EXCLUSIVE"),
    "writing": ("ranking_entries", "ACCESS EXCLUSIVE"),
    "publishing": ("ranking_servers", "EXCLUSIVE"),
    "switching": ("ranking_state", "EXCLUSIVE"),
}


@contextmanager
def held_up(pg, point):
    """While inside, the batch gets no further than point. Yields a function that ends it early."""
    table, mode = POINTS[point]
    conn = pg.connect(autocommit=False)
    conn.cursor().execute(f"LOCK TABLE {table} IN {mode} MODE")
    try:
        yield conn.close
    finally:
        conn.close()


def waits(pg, point):
    """Somebody waits at the point."""
    return pg.value("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation'"
                    " AND relation = %s::regclass", (POINTS[point][0],)) > 0


def start_and_hold(pg, spawn, point, task_id):
    program = start_batch(pg, spawn, task_id)
    wait_for(lambda: waits(pg, point) or program.must_run(), 20, f"the batch {point}")
    return program


def lock_is_free(pg):
    return pg.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0


def populate(pg, n=30):
    return add(pg, [("Siel", f"c{i}", "Warrior", 1, i, {"attack": i}) for i in range(n)])


def published(pg):
    """All that readers see, and the tables behind it."""
    return (pg.query("SELECT * FROM ranking_state"), pg.query("SELECT * FROM ranking_current ORDER BY rank"),
            pg.query("SELECT * FROM ranking_snapshots ORDER BY server"),
            pg.query("SELECT * FROM ranking_groups ORDER BY run_id, group_no"),
            pg.query("SELECT * FROM server_stats ORDER BY run_id, server"), generations(pg))


def generations(pg):
    return [name for (name,) in pg.query(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'ranking\\_entries\\_%'"
        " ORDER BY relname")]


def error_line(done):
    """Class, type and text of the error, which stands among the log's lines."""
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if not line.startswith("ts=")]
    assert len(lines) == 1
    return lines[0]


def runs(pg):
    return pg.query("SELECT task_id, attempt, state FROM batch_runs ORDER BY id")


# ----------------------------------------------------------------------------- coming twice


def test_a_task_that_comes_again_changes_nothing(pg):
    populate(pg)
    first = batch(pg, "twice")
    before = published(pg), pg.query("SELECT * FROM batch_runs")
    add(pg, [("Zikel", "new", "", 1, 1, {"attack": 1})])
    assert batch(pg, "twice") == first
    assert (published(pg), pg.query("SELECT * FROM batch_runs")) == before


@pytest.mark.parametrize("point", POINTS)
def test_a_second_batch_is_skipped(pg, spawn, point):
    populate(pg)
    with held_up(pg, point) as release:
        first = start_and_hold(pg, spawn, point, "first")
        second = batch(pg, "second")
        assert second.pop("timestamp")
        assert second == {
            "status": "skipped", "processed": 0, "reason": "another batch is running",
            "running_run_id": pg.value("SELECT id FROM batch_runs WHERE task_id = 'first'")}
        release()
        assert first.wait() == 0
    assert runs(pg) == [("first", 1, "success"), ("second", 1, "skipped")]
    assert batch(pg, "second")["status"] == "skipped"
    check(pg, batch(pg, "third"))


def test_a_session_that_is_no_batch_can_hold_the_lock(pg):
    populate(pg)
    conn = pg.connect()
    conn.cursor().execute("SELECT pg_advisory_lock(%s)", (0x61696f6e32000002,))
    result = batch(pg)
    conn.close()
    assert result["status"] == "skipped"
    assert "running_run_id" not in result


def test_a_redelivered_task_ends_the_attempt_before(pg, spawn):
    """The first attempt still lives: its session is ended, it publishes nothing."""
    populate(pg)
    with held_up(pg, "writing") as release:
        first = start_and_hold(pg, spawn, "writing", "again")
        second = start_batch(pg, spawn, "again")
        assert first.wait() == 1
        wait_for(lambda: waits(pg, "writing") or second.must_run(), 20, "the second attempt")
        release()
        assert second.wait() == 0
    assert "retryable" in first.log()
    assert runs(pg) == [("again", 2, "success")]
    assert len(generations(pg)) == 1


@pytest.mark.parametrize("point", ["reading", "writing", "publishing"])
def test_an_attempt_that_was_replaced_cannot_publish(pg, spawn, point):
    populate(pg)
    batch(pg)
    before = published(pg)
    with held_up(pg, point) as release:
        program = start_and_hold(pg, spawn, point, "replaced")
        pg.query("UPDATE batch_runs SET owner = gen_random_uuid(), attempt = 2"
                 " WHERE task_id = 'replaced'")
        release()
        assert program.wait() == 1
    assert "retryable" in program.log()
    assert published(pg) == before
    assert runs(pg)[1] == ("replaced", 2, "running")


# --------------------------------------------------------------------------- things that die


@pytest.mark.parametrize("point", POINTS)
def test_killed_at(pg, spawn, point):
    populate(pg)
    board = check(pg, batch(pg))
    before = published(pg)
    with held_up(pg, point):
        start_and_hold(pg, spawn, point, "killed").kill()
    wait_for(lambda: lock_is_free(pg), 20, "the killed batch's session ending")
    assert published(pg) == before
    assert check(pg, batch(pg, "killed"), board)
    assert runs(pg)[1] == ("killed", 2, "success")
    check(pg, batch(pg, "next"))


@pytest.mark.parametrize("point", ["writing", "switching"])
def test_killed_and_redelivered_at_once(pg, spawn, point):
    """The server has not noticed yet that the first attempt is dead."""
    populate(pg)
    with held_up(pg, point) as release:
        start_and_hold(pg, spawn, point, "killed").kill()
        second = start_batch(pg, spawn, "killed")
        wait_for(lambda: waits(pg, point) and runs(pg) == [("killed", 2, "running")], 20,
                 "the second attempt")
        release()
        assert second.wait() == 0
    assert runs(pg) == [("killed", 2, "success")]
    assert len(generations(pg)) == 1


@pytest.mark.parametrize("point", POINTS)
def test_postgresql_crashes(pg, spawn, point):
    populate(pg)
    batch(pg)
    before = published(pg)
    with held_up(pg, point):
        program = start_and_hold(pg, spawn, point, "crash")
        pg.restart("immediate")
        assert program.wait() == 1
    assert "retryable" in program.log()
    assert published(pg) == before
    check(pg, batch(pg, "crash"))


def test_a_session_ended_by_hand(pg, spawn):
    populate(pg)
    with held_up(pg, "reading"):
        program = start_and_hold(pg, spawn, "reading", "ended")
        pg.query("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
        assert program.wait() == 1
    row = pg.query("SELECT state, error, finished_at IS NOT NULL FROM batch_runs")
    assert row[0][0] == "failed" and "OperationalError" in row[0][1] and row[0][2]
    check(pg, batch(pg, "ended"))


def test_a_permanent_error_is_noted_and_can_be_retried(pg):
    populate(pg)
    batch(pg)
    before = published(pg)
    pg.query("ALTER TABLE ranking_servers RENAME TO elsewhere")
    done = run_batch(pg, "wrong")
    pg.query("ALTER TABLE elsewhere RENAME TO ranking_servers")
    assert error_line(done).startswith("permanent DatabaseError: publish: ")
    assert published(pg) == before
    assert "ranking_servers" in pg.value("SELECT error FROM batch_runs WHERE state = 'failed'")
    check(pg, batch(pg, "wrong"))
    assert runs(pg)[1] == ("wrong", 2, "success")


def test_nobody_there(pg):
    done = run_batch(pg, DATABASE_URL="postgresql://127.0.0.1:1/none")
    assert error_line(done).startswith("retryable OperationalError: connect: ")


def test_no_schema(pg_empty):
    done = run_batch(pg_empty)
    assert "aion2ctl migrate" in error_line(done)


@pytest.mark.parametrize("connections, code", [(1, 1), (2, 0)])
def test_few_connections(pg, connections, code):
    """One reader is enough, however many are wanted."""
    populate(pg)
    pg.script("DROP ROLE IF EXISTS few;"
              f"CREATE ROLE few LOGIN IN ROLE postgres CONNECTION LIMIT {connections}")
    done = run_batch(pg, DATABASE_URL=pg.url.replace("user=postgres", "user=few"),
                     BATCH_CONNECTIONS=4)
    pg.script("DROP OWNED BY few; DROP ROLE few")
    assert done.returncode == code, done.stderr
    if code == 0:
        assert "event=batch.readers wanted=4 have=1" in done.stderr
    else:
        assert error_line(done).startswith("retryable ")
        assert runs(pg)[0][2] == "failed"


def test_memory_runs_out(pg):
    """Wherever it does: nothing is published, the run says so, and with enough memory it succeeds."""
    if b"__asan_init" in (harness.bin_dir() / "aion2-worker").read_bytes():
        pytest.skip("the sanitizer wants terabytes of addresses")
    pg.query("INSERT INTO characters (server, name, class, level, power, stats_payload)"
             " SELECT 's' || i % 5, 'c' || i, 'Warrior', 1, i, jsonb_build_object('attack', i % 97)"
             " FROM generate_series(1, 60000) AS i")
    said = set()
    for mb in range(16, 200, 2):
        done = run_batch(pg, "tight", memory_mb=mb)
        if done.returncode == 0:
            break
        assert pg.query("SELECT * FROM ranking_state") == []
        assert generations(pg) == []
        for state, error in pg.query("SELECT state, error FROM batch_runs"):
            assert state == "failed" and error
            said.add(error_line(done).split(":")[0])
    assert said and all(what.startswith("retryable ") for what in said)
    assert "retryable MemoryError" in said
    assert pg.value("SELECT count(*) FROM ranking_current") == 60000


# ------------------------------------------------------------------------ what readers can see


def test_readers_share_one_snapshot(pg, spawn):
    """What changes after the batch has begun is not in it, however late a range is read."""
    add(pg, [("Siel", f"c{i}", "", 1, i, {"attack": i, "pad": "x" * 900}) for i in range(5000)])
    conn = pg.connect(autocommit=False)
    cur = conn.cursor()
    cur.execute("LOCK TABLE characters IN ACCESS EXCLUSIVE MODE")
    program = start_and_hold(pg, spawn, "reading", "snapshot")
    cur.execute("DELETE FROM characters WHERE id % 2 = 0")
    cur.execute("UPDATE characters SET level = 99")
    conn.commit()
    conn.close()
    assert program.wait() == 0
    assert pg.query("SELECT count(*), max(level) FROM ranking_current") == [(5000, 1)]


def test_the_publication_is_announced(pg):
    populate(pg)
    conn = pg.connect()
    conn.cursor().execute("LISTEN aion2_ranking")
    batch(pg)
    assert select.select([conn], [], [], 10)[0]
    conn.poll()
    assert [n.payload for n in conn.notifies] == [str(pg.value("SELECT run_id FROM ranking_state"))]
    conn.close()


def test_views(pg):
    ids = populate(pg, 3)
    add(pg, [("Zikel", "none", "", 1, 1, None)])
    result = batch(pg)
    assert pg.query("SELECT id, power_score IS NOT NULL, stale FROM characters_scored ORDER BY id"
                    ) == [(i, True, False) for i in ids] + [(ids[-1] + 1, False, None)]
    assert pg.value("SELECT total FROM ranking_lists") == result["processed"]


def test_the_slot_is_recorded(pg):
    populate(pg)
    batch(pg, "at", slot=1767217200)
    batch(pg, "none")
    assert pg.query("SELECT slot FROM batch_runs ORDER BY id") == [
        (datetime.fromtimestamp(1767217200, timezone.utc),), (None,)]


def test_phases_are_recorded(pg):
    populate(pg)
    batch(pg)
    phases = pg.value("SELECT phases FROM batch_runs")
    assert {"connect", "read", "score", "write", "attach"} <= set(phases)
    assert all(seconds >= 0 for seconds in phases.values())


# ------------------------------------------------------------------- the index, after the answer

HOLD_INDEXES = """
CREATE FUNCTION wait_long() RETURNS event_trigger LANGUAGE plpgsql
AS 'BEGIN PERFORM pg_sleep(3600); END';
CREATE EVENT TRIGGER hold_indexes ON ddl_command_start WHEN TAG IN ('CREATE INDEX')
EXECUTE FUNCTION wait_long();
"""
INDEXING = "FROM pg_stat_activity WHERE query LIKE 'CREATE UNIQUE INDEX%' AND wait_event = 'PgSleep'"


def indexes(pg):
    """Those of the live generation: names of columns, unique and usable."""
    return pg.query("SELECT pg_get_indexdef(i.indexrelid, 1, true), indnatts, indisunique, indisvalid"
                    " FROM ranking_state AS s JOIN pg_index AS i"
                    " ON i.indrelid = ('ranking_entries_' || s.run_id)::regclass ORDER BY 1")


INDEXES = [("((traits >> 37)::integer)", 1, False, True), ("character_id", 1, True, True)]


def test_the_live_generation_is_indexed(pg):
    populate(pg)
    for _ in range(3):
        batch(pg)
        assert indexes(pg) == INDEXES


def die_while_indexing(pg, spawn, task_id):
    """A batch that has published and answered, and gets no further; its result."""
    pg.script(HOLD_INDEXES)
    program = start_batch(pg, spawn, task_id)
    wait_for(lambda: pg.value("SELECT count(*) " + INDEXING) or program.must_run(), 20,
             "the index being built")
    answer, = [line for line in program.log().splitlines() if line.startswith("{")]
    program.kill()
    pg.query("SELECT pg_terminate_backend(pid) " + INDEXING)
    wait_for(lambda: not pg.value("SELECT count(*) " + INDEXING), 20, "its session ending")
    pg.script("DROP EVENT TRIGGER hold_indexes; DROP FUNCTION wait_long")
    return json.loads(answer)


def test_killed_before_the_index(pg, spawn):
    """Published all the same; whatever batch comes next leaves an indexed generation behind."""
    ids = populate(pg)
    result = die_while_indexing(pg, spawn, "first")
    board = check(pg, result)
    assert indexes(pg) == []
    assert batch(pg, "first") == result  # redelivered
    assert indexes(pg) == INDEXES

    board = check(pg, die_while_indexing(pg, spawn, "second"), board)
    assert indexes(pg) == []
    pg.query("UPDATE characters SET stats_payload = '[]' WHERE id = ANY (%s)", (ids[:7],))
    board = check(pg, batch(pg, "third"), board)
    assert sum(e.stale for e in board.entries) == 7  # looked up without the index
    assert indexes(pg) == INDEXES


# ----------------------------------------------------------------------------- what is left


def test_thirty_runs_leave_two_generations(pg):
    add(pg, [(f"s{i % 20}", f"c{i}", "Warrior", 1, i, {"attack": i % 97} if i % 9 else {"hp": "x"})
             for i in range(4000)])
    sizes = []
    for i in range(30):
        batch(pg)
        if i in (4, 29):
            sizes.append(pg.value("SELECT pg_database_size(current_database())"))
    live, previous = pg.query("SELECT run_id, previous_run_id FROM ranking_state")[0]
    assert generations(pg) == sorted(f"ranking_entries_{i}" for i in (live, previous))
    for table in ("ranking_boards", "ranking_group_lists"):
        assert pg.query(f"SELECT DISTINCT run_id FROM {table} ORDER BY 1"
                        ) == [(previous,), (live,)]
    assert pg.value("SELECT count(*) FROM server_stats") == 30 * 20
    assert pg.value("SELECT count(*) FROM ranking_servers") == 30 * 21  # and everybody
    # 25 more runs keep their rows of averages and failures, and no generation
    kept = pg.value("SELECT sum(pg_total_relation_size(c)) FROM unnest(ARRAY['ranking_servers',"
                    " 'batch_failures', 'batch_runs']::regclass[]) AS c")
    assert sizes[1] - sizes[0] < kept + 2_000_000


def test_a_long_reader_blocks_nobody(pg):
    """What cannot be dropped now is dropped by a later run."""
    populate(pg)
    batch(pg)
    reader = pg.connect(autocommit=False)
    cur = reader.cursor()
    cur.execute("SELECT count(*) FROM ranking_current")
    for _ in range(4):
        check(pg, batch(pg))
    assert len(generations(pg)) == 5
    cur.execute("SELECT count(*) FROM ranking_rows WHERE run_id = 1")
    assert cur.fetchone() == (30,)
    reader.close()
    batch(pg)
    assert len(generations(pg)) == 2
    assert pg.value("SELECT count(DISTINCT run_id) FROM ranking_groups") == 2


def test_the_log_is_logfmt_when_cleaning_up_has_to_wait(pg):
    """VACUUM passes over a table that somebody else cleans, and would warn of it."""
    populate(pg)
    conn = pg.connect(autocommit=False)
    conn.cursor().execute("LOCK TABLE ranking_group_lists IN SHARE UPDATE EXCLUSIVE MODE")
    done = run_batch(pg)
    conn.close()
    assert done.returncode == 0
    assert [line for line in done.stderr.splitlines() if not line.startswith("ts=")] == []


def test_old_runs_and_failures_go(pg):
    populate(pg)
    pg.query("INSERT INTO batch_runs (task_id, owner, state, rules_version, result)"
             " SELECT 'old' || i, gen_random_uuid(), 'success', 1, '{}'"
             " FROM generate_series(1, 2100) AS i")
    pg.query("INSERT INTO batch_failures (run_id, seq, server, reason)"
             " SELECT id, 1, 'Siel', 'x' FROM batch_runs")
    batch(pg)
    assert pg.value("SELECT count(*) FROM batch_runs") == 2000
    assert pg.value("SELECT count(*) FROM batch_failures") == 49  # 50 runs, the last had none


def test_a_run_without_an_end_is_closed(pg):
    populate(pg)
    pg.query("INSERT INTO batch_runs (task_id, owner, state, rules_version, started_at) VALUES"
             " ('lost', gen_random_uuid(), 'running', 1, now() - interval '3 hours'),"
             " ('young', gen_random_uuid(), 'running', 1, now())")
    batch(pg)
    assert [state for _, _, state in runs(pg)] == ["failed", "running", "success"]


def test_help_and_unknown_task(pg):
    done = batch_lab.harness.run_program("aion2-worker", "--run", "no.such.task",
                                         env={"DATABASE_URL": pg.url})
    assert done.returncode == 64
    assert "no.such.task" in done.stderr
    assert json.loads(run_batch(pg).stdout)["status"] == "no_data"


# ------------------------------------------------------------------------------------ cancelled


def test_characters_are_free_while_the_batch_writes(pg, spawn):
    """Readers that have read hold nothing: who changes the table, and holds up the batch, waits for nobody."""
    populate(pg)
    with held_up(pg, "writing"):
        program = start_and_hold(pg, spawn, "writing", "held")
        pg.script("SET lock_timeout = '10s'; ALTER TABLE characters ADD COLUMN mine integer")
    assert program.wait() == 0
    assert runs(pg) == [("held", 1, "success")]


@pytest.mark.parametrize("point", POINTS)
def test_a_batch_that_is_asked_to_stop_leaves_nothing_behind(pg, spawn, point):
    """While it waits for PostgreSQL: the wait ends, the rest is rolled back, the lock is free."""
    populate(pg)
    batch(pg)
    before = published(pg)
    with held_up(pg, point):
        program = start_and_hold(pg, spawn, point, "cancelled")
        program.signal(signal.SIGTERM)
        assert program.wait(20) == 1
        assert "cancelled SoftTimeLimitExceeded" in program.log()
        wait_for(lambda: lock_is_free(pg), what="the lock of the batch")
        wait_for(lambda: not waits(pg, point), what="the end of its sessions")
    assert published(pg) == before
    assert pg.query("SELECT state, error LIKE '%%SoftTimeLimitExceeded%%' FROM batch_runs"
                    " WHERE task_id = 'cancelled'") == [("failed", True)]
    check(pg, batch(pg, "cancelled"))  # a retry of it may run


def test_a_batch_is_asked_to_stop_while_the_server_makes_the_table(pg, spawn):
    """Of so many that it is still scoring when it hears of that."""
    pg.query("INSERT INTO characters (server, name, stats_payload) SELECT 'Siel', 'c' || i, jsonb_build_object('attack', i)"
             " FROM generate_series(1, 200000) AS i")
    with held_up(pg, "writing"):
        program = start_and_hold(pg, spawn, "writing", "cancelled")
        program.signal(signal.SIGTERM)
        assert program.wait(10) == 1, "not only when a wait for a lock has ended"
        assert "cancelled SoftTimeLimitExceeded" in program.log()
        wait_for(lambda: lock_is_free(pg), what="the lock of the batch")
