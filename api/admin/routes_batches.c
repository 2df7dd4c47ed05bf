#include <stdio.h>
#include <string.h>

#include "api/admin/route.h"
#include "common/pg.h"
#include "common/runs.h"
#include "common/uuid.h"

/* Batches: what ran, what runs, and starting one. */

static const struct query_param LIST_PARAMS[] = {
    {"before", QUERY_INT, 1, INT64_MAX, 0,
     "goes on after this one: next_before of the page before"},
    {"limit", QUERY_INT, 1, RUNS_PAGE_MAX, 50, "how many"},
    {"state", QUERY_TEXT_OPTIONAL, 0, 0, 0, "only these: " RUNS_STATES},
};

static void list_batches(struct admin_call *c)
{
    const struct runs_filter f = {
        .before = c->values[0].number, .limit = c->values[1].number, .state = c->values[2].text};
    struct err e;

    if (*f.state && !admin_is_word(RUNS_STATES, f.state)) {
        admin_problem(c, 400, "state", "state must be one of %s.", RUNS_STATES);
        return;
    }
    admin_document(c, runs_list(c->pg, &f, &e), &e);
}

static const struct admin_field START_BODY[] = {
    {"reason", ADMIN_TEXT, false, 0, 200, NULL, "why, for the record"},
};

/*
 * The id comes from the key: a request that is sent again because its answer was lost asks for the
 * same run, whatever became of the first one.
 */
static bool make_task_id(struct admin_call *c, char out[UUID_SIZE], struct err *e)
{
    char name[400];
    const char *values[] = {out};
    PGresult *r;

    if (!c->idempotency_key) {
        uuid_random(out);
        return true;
    }
    snprintf(name, sizeof name, "admin batch %s %s", c->who->name, c->idempotency_key);
    uuid_from_name(name, out);
    /* A key is forgotten after a day; the run of that time is not, and must not be meant. */
    r = pg_exec_params(c->pg,
                       "SELECT FROM batch_requests WHERE task_id = $1"
                       " AND requested_at < clock_timestamp() - interval '1 day'",
                       1, values, e);
    if (r && PQntuples(r) > 0) {
        uuid_random(out);
    }
    PQclear(r);
    return r != NULL;
}

static void start_batch(struct admin_call *c)
{
    char task_id[UUID_SIZE];
    const struct runs_start s = {.task_id = task_id,
                                 .queue = c->env->settings->task_queue,
                                 .by = c->who->name,
                                 .reason = json_get_str(c->body, "reason")};
    struct err e;
    cJSON *doc;

    if (!make_task_id(c, task_id, &e)) {
        admin_fail(c, &e);
        return;
    }
    admin_target(c, "batch %s", task_id);
    doc = runs_start(c->pg, c->redis, c->env->redis.db, &s, &e);
    if (!doc) {
        admin_fail(c, &e);
        return;
    }
    c->after = cJSON_Duplicate(doc, true);
    admin_location(c, "/admin/batches/%s", task_id);
    admin_reply(c, 202, doc);
}

/* ---- one ---- */

/* A number or a task's id. */
static const struct query_param RUN_IDS[] = {
    {"id", QUERY_TEXT, 0, QUERY_PAIR_CHARS, 0, "number of the run, or id of its task"},
};

static void show_batch(struct admin_call *c)
{
    struct err e;
    cJSON *doc = runs_show(c->pg, c->ids[0].text, &e);

    if (doc && c->redis && strcmp(json_get_str(doc, "state"), "running") == 0 &&
        !runs_add_progress(doc, c->pg, c->redis, &e)) {
        cJSON_Delete(doc);
        doc = NULL;
    }
    admin_document(c, doc, &e);
}

static const struct query_param FAILURES_PARAMS[] = {
    {"after", QUERY_INT, 0, INT32_MAX, 0, "goes on after this one: next_after of the page before"},
    {"limit", QUERY_INT, 1, RUNS_FAILURES_MAX, 100, "how many"},
};

static void list_failures(struct admin_call *c)
{
    struct err e;

    admin_document(
        c, runs_failures(c->pg, c->ids[0].text, c->values[0].number, c->values[1].number, &e), &e);
}

static void cancel_batch(struct admin_call *c)
{
    const struct runs_cancel k = {.run = c->ids[0].text, .by = c->who->name};
    struct err e;
    cJSON *doc = runs_cancel(c->pg, c->redis, c->env->redis.db, &k, &e);

    admin_target(c, "batch %s", k.run);
    if (!doc) {
        admin_fail(c, &e);
        return;
    }
    c->before = cJSON_CreateObject();
    cJSON_AddStringToObject(c->before, "state", json_get_str(doc, "was"));
    c->after = cJSON_CreateObject();
    cJSON_AddStringToObject(c->after, "state", json_get_str(doc, "state"));
    admin_reply(c, 200, doc);
}

static const struct admin_route ROWS[] = {
    {.method = EVHTTP_REQ_GET,
     .path = "/admin/batches",
     .scope = TOKEN_READ,
     .needs = ADMIN_PG,
     .fn = list_batches,
     .params = LIST_PARAMS,
     .param_count = ARRAY_LEN(LIST_PARAMS),
     .id = "batches",
     .summary = "Runs of the batch, the newest first.",
     .schema = "Batches"},
    {.method = EVHTTP_REQ_POST,
     .path = "/admin/batches",
     .scope = TOKEN_OPERATE,
     .needs = ADMIN_PG | ADMIN_REDIS,
     .fn = start_batch,
     .body = START_BODY,
     .body_count = ARRAY_LEN(START_BODY),
     .action = "batch.start",
     .id = "startBatch",
     .summary = "Asks for a batch now.",
     .schema = "BatchStarted",
     .status = 202},
    {.method = EVHTTP_REQ_GET,
     .path = "/admin/batches/{id}",
     .scope = TOKEN_READ,
     .needs = ADMIN_PG | ADMIN_REDIS_WISH,
     .fn = show_batch,
     .ids = RUN_IDS,
     .id = "batch",
     .summary = "One run in full, with its progress while it runs.",
     .schema = "BatchDetail"},
    {.method = EVHTTP_REQ_GET,
     .path = "/admin/batches/{id}/failures",
     .scope = TOKEN_READ,
     .needs = ADMIN_PG,
     .fn = list_failures,
     .ids = RUN_IDS,
     .params = FAILURES_PARAMS,
     .param_count = ARRAY_LEN(FAILURES_PARAMS),
     .id = "batchFailures",
     .summary = "Characters and servers that failed in a run.",
     .schema = "BatchFailures"},
    {.method = EVHTTP_REQ_POST,
     .path = "/admin/batches/{id}/cancel",
     .scope = TOKEN_OPERATE,
     .needs = ADMIN_PG | ADMIN_REDIS_WISH,
     .fn = cancel_batch,
     .ids = RUN_IDS,
     .action = "batch.cancel",
     .id = "cancelBatch",
     .summary = "Ends a run that waits or runs; it publishes nothing.",
     .schema = "BatchCancelled"},
};
const struct admin_routes ADMIN_ROUTES_BATCHES = {ROWS, ARRAY_LEN(ROWS)};
