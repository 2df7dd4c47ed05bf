"""Runs the batch in the foreground and compares what lies in PostgreSQL with the oracle."""

import json
from datetime import datetime, timezone

from psycopg2.extras import execute_values

import harness
import oracle

TASK = "app.worker.calculate_power_and_rank_batch"

STAT_COLUMNS = ", ".join("avg_" + stat for stat in oracle.STATS)


def start_batch(pg, spawn, task_id, **env):
    """The batch in the background."""
    return spawn("aion2-worker", env={"DATABASE_URL": pg.url, **env},
                 args=["--run", TASK, "--id", task_id])


def run_batch(pg, task_id=None, slot=None, memory_mb=None, **env):
    """The batch in the foreground; the CompletedProcess. memory_mb bounds its address space."""
    args = ["--run", TASK]
    if task_id is not None:
        args += ["--id", task_id]
    if slot is not None:
        args += ["--slot", slot]
    return harness.run_program("aion2-worker", *args, env={"DATABASE_URL": pg.url, **env},
                               timeout=120, memory_mb=memory_mb)


def batch(pg, task_id=None, slot=None, **env):
    """The result of a batch that must end well."""
    done = run_batch(pg, task_id, slot, **env)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def add(pg, rows):
    """rows: (server, name, class, level, power, payload) with payload as JSON text, None or any
    other Python value; the ids."""
    rows = [(*row[:5], row[5] if row[5] is None or isinstance(row[5], str) else json.dumps(row[5]))
            for row in rows]
    conn = pg.connect()
    try:
        with conn.cursor() as cur:
            return [r[0] for r in execute_values(
                cur,
                "INSERT INTO characters (server, name, class, level, power, stats_payload)"
                " VALUES %s RETURNING id",
                rows, template="(%s, %s, %s, %s, %s, %s::jsonb)", page_size=500, fetch=True)]
    finally:
        conn.close()


def characters(pg):
    return [oracle.Character(*row) for row in pg.query(
        "SELECT id, server, name, class, level, power, stats_payload::text FROM characters")]


def entries(pg, run_id=None):
    """A generation, the live one by default, in rank order."""
    which = "(SELECT run_id FROM ranking_state)" if run_id is None else str(int(run_id))
    return [oracle.Entry(*row) for row in pg.query(
        "SELECT character_id, server, name, class, level, power, power_score, power_rank,"
        " percentile, last_scored_at, stale, rank, server_rank, class_rank, server_class_rank"
        f" FROM ranking_rows WHERE run_id = {which} ORDER BY rank")]


def instant(result):
    """The run's time in its result: UTC, without a zone."""
    return datetime.fromisoformat(result["timestamp"]).replace(tzinfo=timezone.utc)


def top_entry(e, rank):
    return {"rank": rank, "name": e.name, "server": e.server, "class": e.cls, "level": e.level,
            "power": e.power, "power_score": e.score, "power_rank": e.tier}


def check_boards(pg, board, run_id, generated_at):
    """Headers and first hundred of each server's board and of the one over everybody."""
    servers = {e.server for e in board.entries} | {"all"}
    found = pg.query("SELECT server, generated_at, total, top_list FROM ranking_snapshots"
                     " WHERE run_id = %s", (run_id,))
    assert {row[0] for row in found} == servers
    for server, at, total, top in found:
        wanted = board.entries if server == "all" else board.of(server)
        assert (at, total) == (generated_at, len(wanted))
        assert top == [top_entry(e, i + 1) for i, e in enumerate(wanted[:100])]


def check_servers(pg, board, run_id):
    found = pg.query(f"SELECT server, sample_size, tier_cutoffs, {STAT_COLUMNS} FROM server_stats"
                     " WHERE run_id = %s", (run_id,))
    assert {row[0]: row[1] for row in found} == board.samples
    assert {row[0]: list(row[3:]) for row in found} == board.averages
    for server, _, cutoffs, *_ in found:
        assert cutoffs == board.cutoffs(server)


def check(pg, result, previous=None):
    """Everything the last run published is what the oracle says; its Board."""
    board = oracle.run(characters(pg), previous, instant(result))
    run_id = pg.value("SELECT run_id FROM ranking_state")
    assert result["status"] == "success"
    assert (result["processed"], result["failed"]) == (board.processed, len(board.failed))
    assert result["servers"] == len({e.server for e in board.entries})
    assert entries(pg) == board.entries
    failures = pg.query("SELECT character_id, stat FROM batch_failures WHERE run_id = %s"
                        " ORDER BY seq", (run_id,))
    assert failures == board.failed[:1000]
    check_boards(pg, board, run_id, instant(result))
    check_servers(pg, board, run_id)
    state = pg.query("SELECT run_id, generated_at, entries FROM ranking_state")
    assert state == [(run_id, instant(result), len(board.entries))]
    row = pg.query("SELECT state, processed, failed, servers, entries, result, error"
                   " FROM batch_runs WHERE id = %s", (run_id,))
    assert row == [("success", board.processed, len(board.failed), result["servers"],
                    len(board.entries), result, None)]
    return board
