#include <stdlib.h>
#include <string.h>

#include "api/admin/route.h"
#include "common/audit.h"
#include "common/revocation.h"
#include "common/source_state.h"
#include "common/workers.h"

/* Workers and what they run; tasks; whether every message is accounted for; the source. */

#define REVOKE_WAIT_MS 2000

/* ---- workers ---- */

static const struct query_param NAME[] = {
    {"name", QUERY_TEXT, 0, QUERY_PAIR_CHARS - 1, 0, "name of a worker, as aion2@host"},
};

static void list_workers(struct admin_call *c)
{
    struct err e;

    admin_document(c, workers_list(c->redis, &e), &e);
}

static void refuse(struct admin_call *c, enum workers_end end, const struct err *e)
{
    switch (end) {
    case WORKERS_NONE:
        admin_problem(c, 404, NULL, "There is no worker of that name.");
        return;
    case WORKERS_SILENT:
        admin_problem(c, 503, NULL, "This worker does not answer.");
        return;
    case WORKERS_REFUSED:
        admin_problem(c, 422, NULL, "The worker will not: %s.", e->text);
        return;
    default:
        admin_fail(c, e);
    }
}

static void show_worker(struct admin_call *c)
{
    struct err e;
    cJSON *doc;
    enum workers_end end = workers_one(c->redis, c->env->redis.db, c->ids[0].text, &doc, &e);

    if (end != WORKERS_DONE && end != WORKERS_SILENT) {
        refuse(c, end, &e);
        return;
    }
    cJSON_AddBoolToObject(doc, "answers", end == WORKERS_DONE);
    admin_reply(c, 200, doc);
}

/* Its line of the list, for the log of changes; NULL: there is none. */
static cJSON *find_worker(struct admin_call *c)
{
    struct err ignored;
    cJSON *list = workers_list(c->redis, &ignored), *w, *found = NULL;

    cJSON_ArrayForEach(w, json_get_arr(list, "workers"))
    {
        const char *name = json_get_str(w, "name");

        if (!found && name && strcmp(name, c->ids[0].text) == 0) {
            found = cJSON_Duplicate(w, true);
        }
    }
    cJSON_Delete(list);
    return found;
}

static void order(struct admin_call *c, enum workers_verb verb)
{
    struct workers_order o = {.name = c->ids[0].text, .verb = verb, .n = 1};
    enum workers_end end;
    struct err e;
    cJSON *doc;

    json_get_i64(c->body, "children", 1, WORKERS_STEP_MAX, &o.n);
    admin_target(c, "worker %s", o.name);
    c->before = find_worker(c);
    end = workers_tell(c->redis, c->env->redis.db, &o, &doc, &e);
    if (end != WORKERS_DONE) {
        refuse(c, end, &e);
        return;
    }
    if (verb != WORKERS_STOP) {
        cJSON_AddNumberToObject(doc, "children", (double)o.n);
    }
    c->after = cJSON_Duplicate(doc, true);
    admin_reply(c, 202, doc);
}

static const struct admin_field RESIZE_BODY[] = {
    {"children", ADMIN_INT, false, 1, WORKERS_STEP_MAX, NULL, "how many more or fewer; 1"},
};

static void stop_worker(struct admin_call *c)
{
    order(c, WORKERS_STOP);
}

static void grow_worker(struct admin_call *c)
{
    order(c, WORKERS_GROW);
}

static void shrink_worker(struct admin_call *c)
{
    order(c, WORKERS_SHRINK);
}

/* ---- tasks ---- */

/* Takes the tasks of one worker into the list. */
static void move_running(cJSON *items, cJSON *w)
{
    cJSON *running = json_get_arr(w, "running"), *task;
    const char *name = json_get_str(w, "name");

    while (running && (task = cJSON_DetachItemFromArray(running, 0)) != NULL) {
        cJSON_AddStringToObject(task, "worker", name ? name : "");
        cJSON_AddItemToArray(items, task);
    }
}

static void list_running(struct admin_call *c)
{
    struct err e;
    cJSON *list = workers_list(c->redis, &e), *doc, *items, *w;

    if (!list) {
        admin_fail(c, &e);
        return;
    }
    doc = cJSON_CreateObject();
    cJSON_AddItemToObject(doc, "at", cJSON_DetachItemFromObjectCaseSensitive(list, "at"));
    items = cJSON_AddArrayToObject(doc, "items");
    cJSON_ArrayForEach(w, json_get_arr(list, "workers"))
    {
        move_running(items, w);
    }
    cJSON_Delete(list);
    admin_reply(c, 200, doc);
}

static const struct admin_field REVOKE_BODY[] = {
    {"ids", ADMIN_TEXTS, true, 1, REVOCATION_ONCE_MAX, NULL, "ids of tasks"},
    {"terminate", ADMIN_BOOL, false, 0, 0, NULL, "end them also when they run already"},
    {"signal", ADMIN_TEXT, false, 0, 0, "SIGTERM|SIGKILL|SIGINT|SIGQUIT",
     "with terminate: the signal; SIGTERM"},
};

static void revoke_tasks(struct admin_call *c)
{
    const char *ids[REVOCATION_ONCE_MAX];
    struct revocation r = {.ids = ids,
                           .terminate = json_get_bool(c->body, "terminate", false),
                           .signal = json_get_str(c->body, "signal"),
                           .timeout_ms = REVOKE_WAIT_MS};
    const cJSON *id;
    struct err e;
    cJSON *doc;

    cJSON_ArrayForEach(id, json_get_arr(c->body, "ids"))
    {
        ids[r.n++] = cJSON_GetStringValue(id);
        if (!revocation_id_ok(ids[r.n - 1])) {
            admin_problem(c, 422, "ids", "One of these cannot be the id of a task.");
            return;
        }
    }
    admin_target(c, "%d task%s, %.200s%s", r.n, r.n == 1 ? "" : "s", ids[0],
                 r.n == 1 ? "" : " ...");
    c->before = cJSON_Duplicate(c->body, true);
    doc = revocation_run(c->redis, c->env->redis.db, &r, &e);
    c->after = doc ? cJSON_Duplicate(doc, true) : NULL;
    admin_document(c, doc, &e);
}

/* ---- the rest ---- */

static void show_source(struct admin_call *c)
{
    const struct source_settings *s = &c->env->settings->source;
    struct err e;
    cJSON *doc = source_state(c->redis, &e);

    if (doc) {
        cJSON_AddStringToObject(doc, "adapter", s->adapter);
        cJSON_AddNumberToObject(doc, "interval_ms", (double)s->interval_ms);
    }
    admin_document(c, doc, &e);
}

static const struct query_param AUDIT_PARAMS[] = {
    {"thorough", QUERY_INT, 0, 1, 0,
     "1: looks through all keys for what is held under names that nobody knows"},
};

static void show_conservation(struct admin_call *c)
{
    struct err e;

    admin_document(c, audit_run(c->redis, c->values[0].number == 1, &e), &e);
}

static const struct admin_route ROWS[] = {
    {.method = EVHTTP_REQ_GET,
     .path = "/admin/workers",
     .scope = TOKEN_READ,
     .needs = ADMIN_REDIS,
     .fn = list_workers,
     .id = "workers",
     .summary = "Every worker, what it runs and for how long, out of the heartbeats.",
     .schema = "Workers"},
    {.method = EVHTTP_REQ_GET,
     .path = "/admin/workers/{name}",
     .scope = TOKEN_READ,
     .needs = ADMIN_REDIS,
     .fn = show_worker,
     .ids = NAME,
     .id = "worker",
     .summary = "One worker, asked: each of its children with what it runs.",
     .schema = "WorkerInFull"},
    {.method = EVHTTP_REQ_POST,
     .path = "/admin/workers/{name}/stop",
     .scope = TOKEN_ADMIN,
     .needs = ADMIN_REDIS,
     .fn = stop_worker,
     .ids = NAME,
     .action = "worker.stop",
     .id = "stopWorker",
     .summary = "Stops a worker as SIGTERM does: what runs may end, the rest goes back.",
     .schema = "WorkerTold",
     .status = 202},
    {.method = EVHTTP_REQ_POST,
     .path = "/admin/workers/{name}/grow",
     .scope = TOKEN_OPERATE,
     .needs = ADMIN_REDIS,
     .fn = grow_worker,
     .ids = NAME,
     .body = RESIZE_BODY,
     .body_count = ARRAY_LEN(RESIZE_BODY),
     .action = "worker.grow",
     .id = "growWorker",
     .summary = "More children, until it is started anew.",
     .schema = "WorkerTold",
     .status = 202},
    {.method = EVHTTP_REQ_POST,
     .path = "/admin/workers/{name}/shrink",
     .scope = TOKEN_OPERATE,
     .needs = ADMIN_REDIS,
     .fn = shrink_worker,
     .ids = NAME,
     .body = RESIZE_BODY,
     .body_count = ARRAY_LEN(RESIZE_BODY),
     .action = "worker.shrink",
     .id = "shrinkWorker",
     .summary = "Fewer children; what runs may end.",
     .schema = "WorkerTold",
     .status = 202},
    {.method = EVHTTP_REQ_GET,
     .path = "/admin/tasks/running",
     .scope = TOKEN_READ,
     .needs = ADMIN_REDIS,
     .fn = list_running,
     .id = "runningTasks",
     .summary = "The tasks that run, with their worker.",
     .schema = "RunningTasks"},
    {.method = EVHTTP_REQ_POST,
     .path = "/admin/tasks/revoke",
     .scope = TOKEN_OPERATE,
     .needs = ADMIN_REDIS,
     .fn = revoke_tasks,
     .body = REVOKE_BODY,
     .body_count = ARRAY_LEN(REVOKE_BODY),
     .action = "task.revoke",
     .id = "revokeTasks",
     .summary = "Keeps tasks from being run; with terminate it ends those that run.",
     .schema = "Revoked"},
    {.method = EVHTTP_REQ_GET,
     .path = "/admin/source",
     .scope = TOKEN_READ,
     .needs = ADMIN_REDIS,
     .fn = show_source,
     .id = "source",
     .summary = "How the source of characters does: whether it rests, the last answers, the rate.",
     .schema = "SourceState"},
    {.method = EVHTTP_REQ_GET,
     .path = "/admin/conservation",
     .scope = TOKEN_READ,
     .needs = ADMIN_REDIS,
     .fn = show_conservation,
     .params = AUDIT_PARAMS,
     .param_count = ARRAY_LEN(AUDIT_PARAMS),
     .id = "conservation",
     .summary = "Whether every message is accounted for.",
     .schema = "Conservation"},
};
const struct admin_routes ADMIN_ROUTES_WORKERS = {ROWS, ARRAY_LEN(ROWS)};
