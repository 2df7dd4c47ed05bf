#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "worker/batch_parts.h"
#include "worker/settings.h"

/* Runs are kept with what they say of servers; failures of fewer; groups while they are readable.
 */
#define RUNS_KEPT          "2000"
#define RUNS_WITH_FAILURES "50"
#define DROPS_AT_ONCE      50
#define KEEP_BYTES         (8 * MIB) /* of freed memory, until the next batch */

static const char OLD_GENERATIONS_SQL[] =
    "SELECT n.id FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid,"
    " LATERAL (SELECT substring(c.relname FROM '^ranking_entries_([0-9]+)$')::bigint AS id) AS n"
    " WHERE i.inhparent = 'ranking_entries'::regclass AND n.id IS NOT NULL"
    " AND NOT EXISTS (SELECT FROM ranking_state AS s WHERE n.id IN (s.run_id, s.previous_run_id))"
    " ORDER BY n.id LIMIT $1";

/* Each in a transaction of its own; none matters to the run that has been published. */
static const char *const STATEMENTS[] = {
    /* They go after their generation: who still reads one needs its names. */
    "DELETE FROM ranking_group_lists WHERE to_regclass('ranking_entries_' || run_id) IS NULL",

    "DELETE FROM batch_failures WHERE run_id <= (SELECT id FROM batch_runs ORDER BY id DESC"
    " OFFSET " RUNS_WITH_FAILURES " LIMIT 1)",

    "DELETE FROM batch_runs AS r WHERE id <= (SELECT id FROM batch_runs ORDER BY id DESC"
    " OFFSET " RUNS_KEPT " LIMIT 1) AND state <> 'running'"
    " AND NOT EXISTS (SELECT FROM ranking_state AS s WHERE r.id IN (s.run_id, s.previous_run_id))",

    /* A worker died and its task never came back; a run that lives has less time (hard limit). */
    "UPDATE batch_runs SET state = 'failed', finished_at = clock_timestamp(),"
    " error = 'the worker ended without a word'"
    " WHERE state = 'running' AND started_at < now() - interval '2 hours'",

    /* The lists are rewritten whole by each run; do not wait for autovacuum to notice. */
    "VACUUM (SKIP_LOCKED) ranking_group_lists, batch_failures",
};

static void drop_generation(PGconn *c, const char *id)
{
    char sql[128];
    struct err e;

    snprintf(sql, sizeof sql, "DROP TABLE ranking_entries_%s", id);
    if (pg_run(c, sql, &e)) {
        log_debug("batch.dropped", "generation=%s", id);
        return;
    }
    log_info("batch.not_dropped", "generation=%s text=%s", id, LOGQ(e.text));
}

static void drop_generations(PGconn *c)
{
    char most[16];
    const char *values[] = {most};
    struct err e;
    PGresult *r;

    snprintf(most, sizeof most, "%d", DROPS_AT_ONCE);
    r = pg_exec_params(c, OLD_GENERATIONS_SQL, 1, values, &e);
    if (!r) {
        log_warn("batch.prune", "text=%s", LOGQ(e.text));
        return;
    }
    for (int i = 0; i < PQntuples(r); i++) {
        drop_generation(c, PQgetvalue(r, i, 0));
    }
    PQclear(r);
}

/*
 * By character, for people who join in SQL and for runs that keep some old scores; and the first of
 * each board, for ranking_snapshots. Nobody who reads boards waits for them, so neither does the
 * publication. When a run dies before this, whichever comes next finds the kept scores by reading
 * the generation whole, and leaves an indexed one behind.
 */
static bool index_generation(PGconn *c, int64_t id, struct err *e)
{
    char sql[384];

    snprintf(sql, sizeof sql,
             "CREATE UNIQUE INDEX IF NOT EXISTS ranking_entries_%" PRId64 "_character_id_idx"
             " ON ranking_entries_%" PRId64 " (character_id);"
             "CREATE INDEX IF NOT EXISTS ranking_entries_%" PRId64 "_first_idx"
             " ON ranking_entries_%" PRId64 " (((traits >> 37)::integer))"
             " WHERE (places & 4294967295)::integer <= 100",
             id, id, id, id);
    return pg_run(c, sql, e);
}

static void index_live(PGconn *c)
{
    struct err e;
    PGresult *r = pg_exec(c, "SELECT run_id FROM ranking_state", &e);
    bool ok = r != NULL;

    if (r && PQntuples(r) == 1) {
        ok = index_generation(c, strtoll(PQgetvalue(r, 0, 0), NULL, 10), &e);
    }
    PQclear(r);
    if (!ok) {
        log_warn("batch.index", "text=%s", LOGQ(e.text));
    }
}

static void prune(PGconn *c)
{
    struct err e;

    drop_generations(c);
    for (size_t i = 0; i < ARRAY_LEN(STATEMENTS); i++) {
        if (!pg_run(c, STATEMENTS[i], &e)) {
            log_warn("batch.prune", "text=%s", LOGQ(e.text));
        }
    }
}

void batch_after(const struct settings *s)
{
    struct err e;
    PGconn *c;

    if (mallinfo2().fordblks > KEEP_BYTES) {
        malloc_trim(0);
    }
    c = batch_open_session(s, AFTER_SESSION, &e);
    /* A drop locks the parent table: whoever wants to read meanwhile waits this long at most. */
    if (c && pg_run(c,
                    "SET lock_timeout = '100ms'; SET statement_timeout = '20s';"
                    "SET client_min_messages = error", /* VACUUM warns of what it skips */
                    &e)) {
        index_live(c);
        batch_write_history(c, s->history_time_zone);
        prune(c);
    } else {
        log_warn("batch.prune", "text=%s", LOGQ(e.text));
    }
    PQfinish(c);
}
