#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "common/power.h"
#include "common/schema.h"
#include "common/text.h"
#include "worker/batch_parts.h"
#include "worker/settings.h"

/*
 * Rather an error than a wait without end; a scan starts where it is told to. The server asks now
 * and then whether we still live, so that a killed worker's session ends and its lock goes.
 */
static const char SESSION_SQL[] =
    "SET jit = off; SET synchronize_seqscans = off; SET max_parallel_workers_per_gather = 0;"
    "SET lock_timeout = '30s'; SET statement_timeout = '30min';"
    "SET default_transaction_isolation = 'read committed';"
    "SET idle_in_transaction_session_timeout = '30min';"
    "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3";

PGconn *batch_open_session(const struct settings *s, const char *name, struct err *e)
{
    PGconn *c = pg_connect(s->database_url, name, e);
    struct err ignored;

    if (c && !pg_run(c, SESSION_SQL, e)) {
        PQfinish(c);
        return NULL;
    }
    if (c && !pg_run(c, "SET client_connection_check_interval = '2s'", &ignored)) {
        log_debug("batch.session", "text=%s", LOGQ(ignored.text)); /* not on every platform */
    }
    return c;
}

bool batch_connect(struct batch *b, struct err *e)
{
    bool gone = true;
    PGconn *c;

    while (gone && (c = pg_keep_take())) {
        if (schema_check(c, e)) {
            b->main = c;
            return true;
        }
        gone = pg_keep_is_gone(c);
        PQfinish(c);
    }
    b->main = gone ? batch_open_session(b->req->settings, BATCH_SESSION, e) : NULL;
    return b->main && schema_check(b->main, e);
}

cJSON *batch_make_result(const struct batch *b, const char *status)
{
    char iso[CLOCK_ISO_SIZE];
    cJSON *r = cJSON_CreateObject();
    bool done = strcmp(status, "success") == 0;

    if (cJSON_AddStringToObject(r, "status", status) &&
        cJSON_AddNumberToObject(r, "processed", b->people.scored) &&
        (!done || (cJSON_AddNumberToObject(r, "failed", (double)b->failed) &&
                   cJSON_AddNumberToObject(r, "servers", b->servers))) &&
        cJSON_AddStringToObject(r, "timestamp", clock_iso(b->now_us, "", iso))) {
        return r;
    }
    cJSON_Delete(r);
    return NULL;
}

bool batch_no_memory(struct err *e)
{
    return err_set(e, ERR_RETRYABLE, "MemoryError", "out of memory");
}

int64_t batch_cell_i64(const PGresult *r, int column)
{
    return strtoll(PQgetvalue(r, 0, column), NULL, 10);
}

bool batch_set_parameter(PGconn *c, const char *name, const char *value, struct err *e)
{
    const char *values[] = {name, value};
    PGresult *r = pg_exec_params(c, "SELECT set_config($1, $2, true)", 2, values, e);

    PQclear(r);
    return r != NULL;
}

/* The run has ended already: its result is ours. */
static bool use_stored_result(struct batch *b, const PGresult *r, struct err *e)
{
    const char *text = PQgetvalue(r, 0, 2);

    b->result = json_parse(text, strlen(text), e);
    log_info("batch.stored", "run=%" PRId64 " state=%s", b->run_id, PQgetvalue(r, 0, 1));
    return b->result != NULL;
}

/*
 * The first attempt makes the row; *inserted is false when it is there already. Not flushed: were
 * the claim lost in a crash of the server, so would be all that follows it.
 */
static bool insert_row(struct batch *b, bool *inserted, struct err *e)
{
    char slot[32];
    char rules[16];
    const char *values[] = {b->req->id, slot, b->owner, b->req->worker, rules};
    PGresult *r;

    snprintf(slot, sizeof slot, "%" PRId64, b->req->slot_unix_s);
    snprintf(rules, sizeof rules, "%d", POWER_RULES_VERSION);
    r = pg_exec_params(b->main,
                       "INSERT INTO batch_runs"
                       " (task_id, slot, owner, backend_pid, worker, state, rules_version)"
                       " SELECT $1, CASE WHEN $2::bigint >= 0 THEN to_timestamp($2::bigint) END,"
                       "        $3::uuid, pg_backend_pid(), $4, 'running', $5::integer"
                       " FROM set_config('synchronous_commit', 'off', true)"
                       " ON CONFLICT (task_id) DO NOTHING RETURNING id",
                       ARRAY_LEN(values), values, e);
    if (!r) {
        return false;
    }
    *inserted = PQntuples(r) == 1;
    if (*inserted) {
        b->run_id = batch_cell_i64(r, 0);
        b->attempt = 1;
    }
    PQclear(r);
    return true;
}

/* A further attempt takes the row over, unless the run has ended. */
static bool take_row(struct batch *b, const PGresult *row, struct err *e)
{
    const char *values[] = {b->req->id, b->owner, b->req->worker};
    PGresult *r;

    if (PQntuples(row) != 1) {
        return err_set(e, ERR_RETRYABLE, "DatabaseError", "the run's row has just been removed");
    }
    b->run_id = batch_cell_i64(row, 0);
    if (!PQgetisnull(row, 0, 2)) {
        return use_stored_result(b, row, e);
    }
    b->earlier_backend = (int)batch_cell_i64(row, 3);
    r = pg_exec_params(b->main,
                       "UPDATE batch_runs SET owner = $2, worker = $3, state = 'running',"
                       " backend_pid = pg_backend_pid(), attempt = attempt + 1,"
                       " started_at = clock_timestamp(), finished_at = NULL, error = NULL"
                       " WHERE task_id = $1 RETURNING attempt",
                       ARRAY_LEN(values), values, e);
    b->attempt = r && PQntuples(r) == 1 ? (int)batch_cell_i64(r, 0) : 0;
    PQclear(r);
    return r != NULL;
}

static bool take_existing_row(struct batch *b, struct err *e)
{
    const char *values[] = {b->req->id};
    PGresult *row;
    bool ok;

    if (!pg_run(b->main, "BEGIN ISOLATION LEVEL READ COMMITTED", e)) {
        return false;
    }
    row = pg_exec_params(b->main,
                         "SELECT id, state, result, backend_pid FROM batch_runs"
                         " WHERE task_id = $1 FOR UPDATE",
                         ARRAY_LEN(values), values, e);
    ok = row && take_row(b, row, e) && pg_run(b->main, "COMMIT", e);
    PQclear(row);
    return ok;
}

bool batch_claim(struct batch *b, struct err *e)
{
    bool inserted = false;

    uuid_random(b->owner);
    if (!insert_row(b, &inserted, e) || (!inserted && !take_existing_row(b, e))) {
        return false;
    }
    b->claimed = b->result == NULL;
    if (b->claimed) {
        log_context_i64("run", b->run_id);
        log_context_i64("attempt", b->attempt); /* of the run: also those that nobody retried */
        log_info("batch.start", "slot=%" PRId64, b->req->slot_unix_s);
    }
    return true;
}

bool batch_snapshot(struct batch *b, struct err *e)
{
    PGresult *r =
        pg_exec(b->main,
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
                "SELECT pg_export_snapshot(), (extract(epoch FROM now()) * 1000000)::bigint,"
                " (SELECT run_id FROM ranking_state), pg_relation_size('characters')"
                " / current_setting('block_size')::bigint",
                e);

    if (!r) {
        return false;
    }
    text_copy(b->snapshot, sizeof b->snapshot, PQgetvalue(r, 0, 0));
    b->now_us = batch_cell_i64(r, 1);
    b->live_run_id = batch_cell_i64(r, 2);
    b->blocks = (uint32_t)batch_cell_i64(r, 3);
    PQclear(r);
    return true;
}

static char *phases_json(const struct batch *b)
{
    cJSON *o = cJSON_CreateObject();
    char *text;

    for (int i = 0; i < b->phase_count; i++) {
        cJSON_AddNumberToObject(o, b->phases[i].name, b->phases[i].seconds);
    }
    text = json_print(o);
    cJSON_Delete(o);
    return text;
}

#define FINISH_SQL                                                                                 \
    "UPDATE batch_runs SET state = $3, processed = $4, failed = $5, servers = $6,"                 \
    " entries = $7::bigint, phases = $8, result = $9, finished_at = clock_timestamp(),"            \
    " error = NULL WHERE id = $1 AND owner = $2 AND state = 'running'"
#define FINISH_VALUES 9

#define SWITCH_SQL                                                                                 \
    "WITH done AS (" FINISH_SQL " RETURNING id),"                                                  \
    " moved AS (INSERT INTO ranking_state AS s (run_id, generated_at, entries)"                    \
    " SELECT id, 'epoch'::timestamptz + $10::bigint * interval '1 microsecond', $7::bigint"        \
    " FROM done ON CONFLICT (only_row) DO UPDATE SET previous_run_id = s.run_id,"                  \
    " run_id = excluded.run_id, generated_at = excluded.generated_at,"                             \
    " entries = excluded.entries RETURNING s.run_id)"                                              \
    " SELECT pg_notify($11, run_id::text) FROM moved"
#define SWITCH_VALUES 11

/* sql is one of the two above. */
static bool finish_row(struct batch *b, const char *sql, int count, const char *state,
                       const cJSON *result, struct err *e)
{
    char run[24], processed[24], failed[24], servers[24], entries[24], now[24];
    char *result_text = json_print(result);
    char *phases = phases_json(b);
    const char *values[] = {run,
                            b->owner,
                            state,
                            processed,
                            failed,
                            servers,
                            entries,
                            phases,
                            result_text,
                            now,
                            SCHEMA_NOTIFY_CHANNEL};
    PGresult *r = NULL;
    bool ours;

    snprintf(run, sizeof run, "%" PRId64, b->run_id);
    snprintf(processed, sizeof processed, "%" PRIu32, b->people.scored);
    snprintf(failed, sizeof failed, "%" PRIu64, b->failed);
    snprintf(servers, sizeof servers, "%" PRIu32, b->servers);
    snprintf(entries, sizeof entries, "%" PRIu32, b->order.count);
    snprintf(now, sizeof now, "%" PRId64, b->now_us);
    if (result_text && phases) {
        r = pg_exec_params(b->main, sql, count, values, e);
    } else {
        batch_no_memory(e);
    }
    free(result_text);
    free(phases);
    ours = r && strcmp(PQcmdTuples(r), "1") == 0;
    if (r && !ours) {
        err_set(e, ERR_RETRYABLE, "SupersededError",
                "a later attempt of this run has taken over, nothing is published");
    }
    PQclear(r);
    return ours;
}

bool batch_finish_row(struct batch *b, const char *state, const cJSON *result, struct err *e)
{
    return finish_row(b, FINISH_SQL, FINISH_VALUES, state, result, e);
}

bool batch_finish_and_switch(struct batch *b, struct err *e)
{
    return finish_row(b, SWITCH_SQL, SWITCH_VALUES, "success", b->result, e);
}

/* A run that was cancelled stays that; how long its phases took is of interest all the same. */
static const char FAILURE_SQL[] =
    "UPDATE batch_runs SET error = CASE state WHEN 'running' THEN $3 ELSE error END,"
    " finished_at = coalesce(finished_at, clock_timestamp()), phases = $4,"
    " state = CASE state WHEN 'running' THEN 'failed' ELSE state END"
    " WHERE id = $1 AND owner = $2 AND state IN ('running', 'cancelled')";

static bool write_failure(const struct batch *b, PGconn *c, const struct err *why, struct err *e)
{
    char run[24];
    char text[sizeof why->type + sizeof why->text + 4];
    char *phases = phases_json(b);
    const char *values[] = {run, b->owner, text, phases ? phases : "{}"};
    PGresult *r;

    snprintf(run, sizeof run, "%" PRId64, b->run_id);
    snprintf(text, sizeof text, "%s: %s", why->type, why->text);
    r = pg_exec_params(c, FAILURE_SQL, ARRAY_LEN(values), values, e);
    PQclear(r);
    free(phases);
    return r != NULL;
}

void batch_note_failure(struct batch *b, const struct err *why)
{
    struct err e;

    if (b->main && PQtransactionStatus(b->main) == PQTRANS_ACTIVE) {
        pg_cancel(b->main); /* what batch_begin_write() sent, and nobody has waited for */
    }
    if (b->main && pg_run(b->main, "ROLLBACK", &e) && write_failure(b, b->main, why, &e)) {
        return;
    }
    PQfinish(b->main);
    b->main = batch_open_session(b->req->settings, BATCH_SESSION, &e);
    if (!b->main || !write_failure(b, b->main, why, &e)) {
        log_warn("batch.note", "run=%" PRId64 " text=%s", b->run_id, LOGQ(e.text));
    }
}
