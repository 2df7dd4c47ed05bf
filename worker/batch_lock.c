#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/schema.h"
#include "worker/batch_parts.h"

/* One batch at a time: a session lock, and what to do when somebody has it. */
#define LOCK_TRIES        3
#define TERMINATE_WAIT_MS "10000"

static bool try_lock(struct batch *b, bool *locked, struct err *e)
{
    char key[32];
    const char *values[] = {key};
    PGresult *r;

    snprintf(key, sizeof key, "%" PRId64, SCHEMA_LOCK_BATCH);
    r = pg_exec_params(b->main, "SELECT pg_try_advisory_lock($1)", 1, values, e);
    *locked = r && PQgetvalue(r, 0, 0)[0] == 't';
    PQclear(r);
    return r != NULL;
}

/*
 * Who has the lock, and of which run that session is: pid, run id, task id. The latest claim from a
 * pid is the session's that lives now.
 */
static PGresult *find_holder(struct batch *b, struct err *e)
{
    char key[32];
    const char *values[] = {key};

    snprintf(key, sizeof key, "%" PRId64, SCHEMA_LOCK_BATCH);
    return pg_exec_params(
        b->main,
        "SELECT l.pid, r.id, r.task_id FROM pg_locks AS l LEFT JOIN LATERAL"
        " (SELECT id, task_id FROM batch_runs WHERE backend_pid = l.pid AND state = 'running'"
        "  ORDER BY started_at DESC LIMIT 1) AS r ON true"
        " WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1"
        " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        " AND (l.classid::bigint << 32 | l.objid::bigint) = $1::bigint",
        1, values, e);
}

/* An earlier attempt of this very run, whose process is gone: its session has to go as well. */
static bool end_earlier_attempt(struct batch *b, const char *pid, struct err *e)
{
    const char *values[] = {pid, TERMINATE_WAIT_MS};
    PGresult *r = pg_exec_params(b->main, "SELECT pg_terminate_backend($1, $2)", 2, values, e);

    log_warn("batch.terminate", "run=%" PRId64 " attempt=%d pid=%s ended=%s", b->run_id, b->attempt,
             pid, r ? PQgetvalue(r, 0, 0) : "?");
    PQclear(r);
    return r != NULL;
}

static bool skip(struct batch *b, const PGresult *holder, struct err *e)
{
    bool ok;

    b->now_us = clock_wall_us();
    b->result = batch_make_result(b, "skipped");
    if (!b->result || !cJSON_AddStringToObject(b->result, "reason", "another batch is running")) {
        return batch_no_memory(e);
    }
    if (!PQgetisnull(holder, 0, 1)) {
        cJSON_AddNumberToObject(b->result, "running_run_id", (double)batch_cell_i64(holder, 1));
    }
    log_info("batch.skipped", "run=%" PRId64 " holder_pid=%s holder_run=%s", b->run_id,
             PQgetvalue(holder, 0, 0), PQgetvalue(holder, 0, 1));
    ok = batch_finish_row(b, "skipped", b->result, e);
    b->claimed = !ok;
    return ok;
}

/* Held by somebody. Sets b->result when this run is to end. */
static bool handle_holder(struct batch *b, struct err *e)
{
    PGresult *holder = find_holder(b, e);
    bool ok = holder != NULL;

    if (holder && PQntuples(holder) > 0) {
        bool earlier = b->earlier_backend > 0 && batch_cell_i64(holder, 0) == b->earlier_backend &&
                       PQgetisnull(holder, 0, 1);

        ok = earlier ? end_earlier_attempt(b, PQgetvalue(holder, 0, 0), e) : skip(b, holder, e);
    }
    PQclear(holder);
    return ok;
}

bool batch_lock(struct batch *b, struct err *e)
{
    bool locked = false;

    for (int i = 0; i < LOCK_TRIES; i++) {
        if (!try_lock(b, &locked, e)) {
            return false;
        }
        if (locked) {
            return true;
        }
        if (!handle_holder(b, e)) {
            return false;
        }
        if (b->result) {
            return true;
        }
    }
    return err_set(e, ERR_RETRYABLE, "OperationalError",
                   "the lock of the batch is held by an earlier attempt that does not end");
}
