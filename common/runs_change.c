#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/broker.h"
#include "common/clock.h"
#include "common/event.h"
#include "common/host.h"
#include "common/keys.h"
#include "common/msg.h"
#include "common/nodes.h"
#include "common/revocation.h"
#include "common/runs.h"
#include "common/text.h"

/* ---- start ---- */

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

/* ---- cancel ---- */

#define RESULT_SQL                                                                                 \
    "json_build_object('status', 'cancelled', 'processed', 0, 'timestamp',"                        \
    " to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US'))"

/*
 * $1: number or '0', $2: task id, $3: who. The row has a result then, which is what a message that
 * comes again ends with. A publication that is about to commit is waited for: its row is locked.
 */
static const char CANCEL_RUNNING_SQL[] =
    "UPDATE batch_runs SET state = 'cancelled', finished_at = clock_timestamp(),"
    " error = 'cancelled by ' || $3, result = " RESULT_SQL
    " WHERE (id = $1::bigint OR task_id = $2) AND state = 'running'"
    " RETURNING json_build_object('id', id, 'task_id', task_id, 'state', state, 'was', 'running')";

/* One that was asked for and has not begun gets a row that has ended. */
static const char CANCEL_WAITING_SQL[] =
    "INSERT INTO batch_runs (task_id, owner, state, attempt, rules_version, finished_at, error,"
    " result) SELECT task_id, gen_random_uuid(), 'cancelled', 1, 0, clock_timestamp(),"
    " 'cancelled by ' || $2, " RESULT_SQL " FROM batch_requests WHERE task_id = $1"
    " ON CONFLICT (task_id) DO NOTHING RETURNING json_build_object('id', id, 'task_id', task_id,"
    " 'state', state, 'was', 'waiting')";

/* What is there, when neither of the two has found anything to do. */
static const char ENDED_SQL[] =
    "SELECT json_build_object('id', id, 'task_id', task_id, 'state', state, 'was', state)"
    " FROM batch_runs WHERE id = $1::bigint OR task_id = $2";

static bool is_nothing(const struct err *e)
{
    return strcmp(e->type, "LookupError") == 0;
}

/* NULL and *e; a run that was cancelled before is given, so that its worker can be told again. */
static cJSON *cancel_row(PGconn *pg, const struct runs_cancel *k, struct err *e)
{
    int64_t id;
    const char *number = text_to_i64(k->run, 1, INT64_MAX, &id) ? k->run : "0";
    const char *running[] = {number, k->run, k->by}, *waiting[] = {k->run, k->by};
    cJSON *doc = pg_document(pg, CANCEL_RUNNING_SQL, ARRAY_LEN(running), running, e);

    if (!doc && is_nothing(e)) {
        doc = pg_document(pg, CANCEL_WAITING_SQL, ARRAY_LEN(waiting), waiting, e);
    }
    if (!doc && is_nothing(e)) {
        doc = pg_document(pg, ENDED_SQL, 2, running, e);
        if (!doc && is_nothing(e)) {
            err_set(e, ERR_PERMANENT, "LookupError", "there is no such batch");
        }
        if (doc && strcmp(json_get_str(doc, "state"), "cancelled") != 0) {
            err_set(e, ERR_PERMANENT, "StateError", "the batch has ended already: %s",
                    json_get_str(doc, "state"));
            cJSON_Delete(doc);
            return NULL;
        }
    }
    return doc;
}

static bool tell_workers(redisContext *redis, int db, cJSON *doc, struct err *e)
{
    const char *id = json_get_str(doc, "task_id");
    cJSON *args = cJSON_CreateObject(), *workers = cJSON_AddArrayToObject(doc, "workers");
    struct nodes_question q = {.db = db, .method = "revoke", .timeout_ms = 1000};
    struct nodes_answers a = {0};
    const cJSON *one;
    char *text;
    bool ok;

    cJSON_AddStringToObject(args, "task_id", id);
    cJSON_AddTrueToObject(args, "terminate");
    cJSON_AddStringToObject(args, "signal", "SIGUSR1");
    text = json_print(args);
    cJSON_Delete(args);
    q.arguments = text ? text : "{}";
    ok = revocation_note(redis, &id, 1, e) && nodes_ask(redis, &q, &a, e);
    cJSON_ArrayForEach(one, a.by_node)
    {
        cJSON_AddItemToArray(workers, cJSON_CreateString(one->string));
    }
    nodes_answers_fini(&a);
    free(text);
    return ok;
}

cJSON *runs_cancel(PGconn *pg, redisContext *redis, int db, const struct runs_cancel *k,
                   struct err *e)
{
    cJSON *doc = cancel_row(pg, k, e);
    struct err ignored;

    if (doc) {
        cJSON_AddBoolToObject(doc, "told", redis && tell_workers(redis, db, doc, &ignored));
    }
    if (doc && !json_get_arr(doc, "workers")) {
        cJSON_AddArrayToObject(doc, "workers");
    }
    return doc;
}
