#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "worker/batch_parts.h"
#include "worker/settings.h"

/*
 * The table is cut into ranges of blocks, of a large one some more than there are readers; whoever
 * is done takes the next. A range that is read late (the table is in use) then holds up nobody.
 * To begin with a range takes the server as long as 100 blocks do.
 */
#define CHUNKS_PER_READER 8
#define CHUNK_BLOCKS      1000             /* not much less */
#define SILENCE_MAX_MS    (30 * 60 * 1000) /* statement_timeout of the readers ends it earlier */

enum reader_state { READER_IDLE, READER_ASKED, READER_COPYING, READER_ENDING };

struct reader {
    PGconn *c;
    enum reader_state state;
    struct pgcopy_reader in;
};

struct pool {
    struct batch *b;
    struct reader readers[BATCH_READERS_MAX];
    int count;
    int busy;
    uint32_t next_block;
    uint32_t chunk_blocks;
    bool all_asked;
    int64_t heard_ms; /* when something has arrived last */
    bool data_error;  /* why it failed: the data, not the connection */
};

bool batch_is_data_error(const char *sqlstate)
{
    /* data exception, limit exceeded, I/O error, data corrupted or an internal error over it */
    static const char *const CLASSES[] = {"22", "54", "58", "XX"};

    for (size_t i = 0; sqlstate && i < ARRAY_LEN(CLASSES); i++) {
        if (strncmp(sqlstate, CLASSES[i], 2) == 0) {
            return true;
        }
    }
    return false;
}

#define READER_SQL_MAX 192

/* SET takes no $1. */
static bool reader_sql(const struct batch *b, PGconn *c, char sql[READER_SQL_MAX], struct err *e)
{
    char *snapshot = PQescapeLiteral(c, b->snapshot, strlen(b->snapshot));

    if (!snapshot) {
        pg_error(c, NULL, e);
        return false;
    }
    snprintf(sql, READER_SQL_MAX,
             "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT %s",
             snapshot);
    PQfreemem(snapshot);
    return true;
}

bool batch_begin_reader(const struct batch *b, PGconn *c, struct err *e)
{
    char sql[READER_SQL_MAX];

    return reader_sql(b, c, sql, e) && pg_run(c, sql, e);
}

/* Sessions of the batch before; all begin at once. Those that are no more are left out. */
static void take_kept(struct pool *pool, int wanted)
{
    PGconn *asked[BATCH_READERS_MAX];
    char sql[READER_SQL_MAX];
    int count = 0;
    struct err e;
    PGconn *c;

    while (count < wanted && (c = pg_keep_take())) {
        if (reader_sql(pool->b, c, sql, &e) && pg_run_begin(c, sql, &e)) {
            asked[count++] = c;
        } else {
            PQfinish(c);
        }
    }
    for (int i = 0; i < count; i++) {
        if (pg_run_end(asked[i], &e)) {
            pool->readers[pool->count++] = (struct reader){.c = asked[i]};
        } else {
            PQfinish(asked[i]);
        }
    }
}

static PGconn *open_reader(const struct batch *b, struct err *e)
{
    PGconn *c = batch_open_session(b->req->settings, BATCH_SESSION, e);

    if (c && !batch_begin_reader(b, c, e)) {
        PQfinish(c);
        return NULL;
    }
    return c;
}

/* As many readers as can be had, at least one. */
static bool open_pool(struct pool *pool, struct err *e)
{
    int64_t setting = pool->b->req->settings->batch_connections;
    int wanted = setting < BATCH_READERS_MAX ? (int)setting : BATCH_READERS_MAX;
    PGconn *c;

    take_kept(pool, wanted);
    while (pool->count < wanted && (c = open_reader(pool->b, e))) {
        pool->readers[pool->count++] = (struct reader){.c = c};
    }
    if (pool->count == 0) {
        return false;
    }
    if (pool->count < wanted) {
        log_warn("batch.readers", "wanted=%d have=%d text=%s", wanted, pool->count, LOGQ(e->text));
    }
    return true;
}

/* Whatever went wrong: nobody asks what state they are in. */
static void close_pool(struct pool *pool, bool ok)
{
    for (int i = 0; i < pool->count; i++) {
        if (ok) {
            pg_keep_leave_with(pool->readers[i].c, "COMMIT");
        } else {
            PQfinish(pool->readers[i].c);
        }
    }
}

static void plan_chunks(struct pool *pool)
{
    uint32_t each = pool->b->blocks / (uint32_t)pool->count + 1;
    uint32_t chunks = each / CHUNK_BLOCKS;

    chunks = chunks < 1 ? 1 : chunks > CHUNKS_PER_READER ? CHUNKS_PER_READER : chunks;
    pool->chunk_blocks = each / chunks + 1;
}

/* Gives the reader the next range, or leaves it idle when all are given out. */
static bool ask_next(struct pool *pool, struct reader *r, struct err *e)
{
    char sql[BATCH_SQL_MAX];
    char upper[48] = "";
    uint32_t from = pool->next_block;

    r->state = READER_IDLE;
    if (pool->all_asked) {
        return true;
    }
    /* The last one has no upper bound. */
    if (pool->b->blocks > from && pool->b->blocks - from > pool->chunk_blocks) {
        pool->next_block = from + pool->chunk_blocks;
        snprintf(upper, sizeof upper, " AND ctid < '(%" PRIu32 ",0)'::tid", pool->next_block);
    } else {
        pool->all_asked = true;
    }
    progress_count(pool->b->req->progress, from, pool->b->blocks);
    snprintf(sql, sizeof sql,
             "COPY (SELECT %s FROM characters WHERE stats_payload IS NOT NULL"
             " AND ctid >= '(%" PRIu32 ",0)'::tid%s) TO STDOUT (FORMAT binary)",
             BATCH_ROW_COLUMNS, from, upper);
    if (!PQsendQuery(r->c, sql)) {
        pg_error(r->c, NULL, e);
        return false;
    }
    pgcopy_reader_init(&r->in);
    r->state = READER_ASKED;
    pool->busy++;
    return true;
}

static bool reader_failed(struct pool *pool, struct reader *r, const PGresult *result,
                          struct err *e)
{
    const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;

    pool->data_error = batch_is_data_error(state);
    pg_error(r->c, result, e);
    return false;
}

/* Between the rows: the answer to the COPY, its end, and the next one. */
static bool step_results(struct pool *pool, struct reader *r, struct err *e)
{
    PGresult *result = PQgetResult(r->c);
    ExecStatusType status = PQresultStatus(result);
    bool ok = true;

    if (!result) {
        pool->busy--;
        return ask_next(pool, r, e);
    }
    if (r->state == READER_ASKED && status == PGRES_COPY_OUT) {
        r->state = READER_COPYING;
    } else if (status != PGRES_COMMAND_OK) {
        ok = reader_failed(pool, r, result, e);
    }
    PQclear(result);
    return ok;
}

/* Rows that are here. *more: something else may be done without waiting. */
static bool step_rows(struct pool *pool, struct reader *r, bool *more, struct err *e)
{
    const struct copy_source source = {
        .fields = BATCH_ROW_FIELDS, .take = batch_take_row, .ctx = pool->b};
    char *bytes;
    int len;

    while ((len = PQgetCopyData(r->c, &bytes, 1)) > 0) {
        bool ok = copy_take_message(&source, &r->in, bytes, (size_t)len, e);

        PQfreemem(bytes);
        if (!ok) {
            return false;
        }
    }
    if (len == -2) {
        return reader_failed(pool, r, NULL, e);
    }
    *more = len == -1;
    if (len == -1) {
        r->state = READER_ENDING;
    }
    return true;
}

/* All that can be done with what has arrived. */
static bool advance(struct pool *pool, struct reader *r, struct err *e)
{
    bool more = true;

    if (!PQconsumeInput(r->c)) {
        return reader_failed(pool, r, NULL, e);
    }
    while (more && r->state != READER_IDLE) {
        if (r->state == READER_COPYING) {
            if (!step_rows(pool, r, &more, e)) {
                return false;
            }
        } else {
            more = !PQisBusy(r->c);
            if (more && !step_results(pool, r, e)) {
                return false;
            }
        }
    }
    return true;
}

/* The main session says nothing while others read; when it does, it is gone. */
static bool check_main(PGconn *c, struct err *e)
{
    if (PQconsumeInput(c) && PQstatus(c) == CONNECTION_OK) {
        return true;
    }
    pg_error(c, NULL, e);
    return false;
}

static bool wait_and_advance(struct pool *pool, struct err *e)
{
    struct pollfd fds[BATCH_READERS_MAX + 1];

    for (int i = 0; i < pool->count; i++) {
        int fd = pool->readers[i].state == READER_IDLE ? -1 : PQsocket(pool->readers[i].c);

        fds[i] = (struct pollfd){.fd = fd, .events = POLLIN};
    }
    fds[pool->count] = (struct pollfd){.fd = PQsocket(pool->b->main), .events = POLLIN};
    if (poll(fds, (nfds_t)pool->count + 1, TASK_WAIT_MS) <= 0) {
        return clock_mono_ms() - pool->heard_ms < SILENCE_MAX_MS ||
               err_set(e, ERR_RETRYABLE, "OperationalError", "PostgreSQL has fallen silent");
    }
    pool->heard_ms = clock_mono_ms();
    if (fds[pool->count].revents && !check_main(pool->b->main, e)) {
        return false;
    }
    for (int i = 0; i < pool->count; i++) {
        if (fds[i].fd >= 0 && fds[i].revents && !advance(pool, &pool->readers[i], e)) {
            return false;
        }
    }
    return true;
}

static bool run_pool(struct pool *pool, struct err *e)
{
    if (!open_pool(pool, e)) {
        return false;
    }
    plan_chunks(pool);
    for (int i = 0; i < pool->count; i++) {
        if (!ask_next(pool, &pool->readers[i], e)) {
            return false;
        }
    }
    pool->heard_ms = clock_mono_ms();
    while (pool->busy > 0) {
        if (task_cancelled(pool->b->req, e) || !wait_and_advance(pool, e)) {
            return false;
        }
    }
    return true;
}

#define LOGGED_MAX 20

static void log_failures(struct batch *b)
{
    struct failures *f = &b->failures;

    failures_settle(f);
    for (uint32_t i = 0; i < f->count && i < LOGGED_MAX; i++) {
        log_warn("batch.character_failed",
                 "run=%" PRId64 " character=%" PRId64 " stat=%s reason=%s", b->run_id, f->at[i].id,
                 f->at[i].stat, LOGQ(f->at[i].reason));
    }
    if (b->failed > LOGGED_MAX) {
        log_warn("batch.characters_failed", "run=%" PRId64 " failed=%" PRIu64 " logged=%d",
                 b->run_id, b->failed, LOGGED_MAX);
    }
}

static bool finish_without_data(struct batch *b, struct err *e)
{
    b->result = batch_make_result(b, "no_data");
    if (!b->result) {
        return batch_no_memory(e);
    }
    return pg_run(b->main, "COMMIT", e) && batch_finish_row(b, "no_data", b->result, e);
}

bool batch_read(struct batch *b, struct err *e)
{
    struct pool *pool = mem_alloc(sizeof *pool);
    bool ok;
    bool data_error;

    pool->b = b;
    ok = run_pool(pool, e);
    data_error = pool->data_error;
    close_pool(pool, ok);
    free(pool);
    if (!ok && data_error) {
        log_warn("batch.unreadable", "run=%" PRId64 " text=%s", b->run_id, LOGQ(e->text));
        ok = batch_salvage(b, e);
    }
    if (!ok) {
        return false;
    }
    b->failed += b->people.failed.count;
    log_failures(b);
    log_info("batch.read", "run=%" PRId64 " rows=%" PRIu64 " scored=%" PRIu32 " failed=%" PRIu64,
             b->run_id, b->people.rows, b->people.scored, b->failed);
    return b->people.rows + b->failed > 0 || finish_without_data(b, e);
}
