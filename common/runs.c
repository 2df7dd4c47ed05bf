#include "common/runs.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/broker.h"
#include "common/event.h"
#include "common/host.h"
#include "common/keys.h"
#include "common/msg.h"

#define RUN_JSON                                                                                                                                                           \
    "json_build_object('id', r.id, 'task_id', r.task_id, 'state', r.state, 'slot', " PG_ISO("r.slot") ", 'attempt', r.attempt, 'worker', r.worker, 'started_at', " PG_ISO( \
        "r.started_at") ", 'finished_at', " PG_ISO("r.finished_at") ", 'seconds', round(extract(epoch FROM coalesce(r.finished_at, clock_timestamp())"                     \
                                                                    " - r.started_at), 3), 'processed', r.processed, 'failed', r.failed, 'servers', r.servers,"            \
                                                                    " 'entries', r.entries, 'error', left(r.error, 400))"

/* One more is read than shown, which tells whether there is a next page. */
static const char LIST_SQL[] =
    "WITH page AS (SELECT * FROM batch_runs WHERE ($1::bigint = 0 OR id < $1::bigint)"
    " AND ($3 = '' OR state = $3) ORDER BY id DESC LIMIT $2::int + 1),"
    " r AS (SELECT * FROM page ORDER BY id DESC LIMIT $2::int)"
    "SELECT json_build_object('items', (SELECT coalesce(json_agg(" RUN_JSON " ORDER BY r.id DESC),"
    " '[]') FROM r), 'next_before', CASE WHEN (SELECT count(*) FROM page) > $2::int"
    " THEN (SELECT min(id) FROM r) END)";

cJSON *runs_list(PGconn *c, const struct runs_filter *f, struct err *e)
{
    char before[24], limit[24];
    const char *values[] = {before, limit, f->state};

    snprintf(before, sizeof before, "%" PRId64, f->before);
    snprintf(limit, sizeof limit, "%" PRId64, f->limit);
    return pg_document(c, LIST_SQL, ARRAY_LEN(values), values, e);
}

/* ---- starting ---- */

static bool send_task(redisContext *redis, int db, const struct runs_start *s, struct err *e)
{
    char origin[HOST_ORIGIN_SIZE];
    struct msg_new n = {.task = TASK_BATCH,
                        .id = s->task_id,
                        .queue = s->queue,
                        .origin = host_origin(origin),
                        .slot_unix_s = -1};
    size_t len;
    char *text;
    bool ok;

    if (!rds_time_us(redis, &n.sent_us, e)) {
        return false;
    }
    text = msg_build(&n, &len);
    if (!text) {
        return err_set(e, ERR_RETRYABLE, "MemoryError", "out of memory");
    }
    ok = broker_push(redis, s->queue, n.priority, text, len, e);
    free(text);
    if (ok) {
        event_publish_sent(redis, db, &n);
    }
    return ok;
}

static const char REQUEST_SQL[] =
    "WITH made AS (INSERT INTO batch_requests (task_id, requested_by, reason) VALUES ($1, $2, $3)"
    " ON CONFLICT (task_id) DO NOTHING RETURNING requested_at)"
    "SELECT json_build_object('task_id', $1::text, 'queue', $4::text, 'requested_at', " PG_ISO(
        "coalesce((SELECT requested_at FROM made),"
        " (SELECT requested_at FROM batch_requests WHERE task_id = $1))") ")";

cJSON *runs_start(PGconn *pg, redisContext *redis, int db, const struct runs_start *s,
                  struct err *e)
{
    const char *values[] = {s->task_id, s->by, s->reason, s->queue};
    cJSON *doc = pg_document(pg, REQUEST_SQL, ARRAY_LEN(values), values, e);

    /* The note first: a run that nobody has asked for would be harder to explain than none. */
    if (doc && !send_task(redis, db, s, e)) {
        cJSON_Delete(doc);
        return NULL;
    }
    return doc;
}
