#include <stdlib.h>
#include <string.h>

#include "api/admin/route.h"
#include "common/broker.h"
#include "common/queues.h"

/* Queues: what waits, for how long, who holds it; emptying one. */

static const struct query_param NAME[] = {
    {"name", QUERY_TEXT, 0, QUERY_PAIR_CHARS - 1, 0, "name of a queue"},
};

static const struct query_param LIMIT_PARAMS[] = {
    {"limit", QUERY_INT, 1, QUEUES_PEEK_MAX, 20, "how many messages"},
};

static void list_queues(struct admin_call *c)
{
    struct queue_names names = {0};
    struct err e;
    cJSON *doc;

    queue_names_add(&names, c->env->settings->task_queue);
    doc = queues_list(c->redis, &names, &e);
    queue_names_fini(&names);
    admin_document(c, doc, &e);
}

/* False: the call is answered. */
static bool check_name(struct admin_call *c)
{
    if (c->ids[0].len <= BROKER_QUEUE_MAX) {
        return true;
    }
    admin_problem(c, 400, "name", "The name of a queue has at most %d bytes.", BROKER_QUEUE_MAX);
    return false;
}

static void show_queue(struct admin_call *c)
{
    struct err e;

    if (check_name(c)) {
        admin_document(c, queues_peek(c->redis, c->ids[0].text, c->values[0].number, &e), &e);
    }
}

static void list_delayed(struct admin_call *c)
{
    struct err e;

    admin_document(c, queues_delayed(c->redis, c->values[0].number, &e), &e);
}

/* ---- purging ---- */

static const struct admin_field PURGE_BODY[] = {
    {"confirm", ADMIN_TEXT, true, 1, QUERY_PAIR_CHARS - 1, NULL,
     "the name of the queue once more: what waits in it is gone then"},
};

static cJSON *count_json(const char *member, int64_t n)
{
    cJSON *doc = cJSON_CreateObject();

    cJSON_AddNumberToObject(doc, member, (double)n);
    return doc;
}

static void purge_queue(struct admin_call *c)
{
    const char *name = c->ids[0].text, *confirm = json_get_str(c->body, "confirm");
    struct err e;
    int64_t n;

    admin_target(c, "queue %s", name);
    if (!check_name(c)) {
        return;
    }
    n = queues_length(c->redis, name, &e);
    if (n < 0) {
        admin_fail(c, &e);
        return;
    }
    c->before = count_json("ready", n);
    if (strcmp(name, confirm) != 0) {
        admin_problem(c, 422, "confirm",
                      "This would throw away %" PRId64
                      " messages; confirm must be the name of the queue.",
                      n);
        return;
    }
    n = queues_purge(c->redis, name, &e);
    if (n < 0) {
        admin_fail(c, &e);
        return;
    }
    c->after = count_json("purged", n);
    admin_reply(c, 200, count_json("purged", n));
}

static const struct admin_route ROWS[] = {
    {.method = EVHTTP_REQ_GET,
     .path = "/admin/queues",
     .scope = TOKEN_READ,
     .needs = ADMIN_REDIS,
     .fn = list_queues,
     .id = "queues",
     .summary = "Every queue that workers take from: how much waits at each priority and for how "
                "long, what is held by whom, what waits for its time.",
     .schema = "Queues"},
    {.method = EVHTTP_REQ_GET,
     .path = "/admin/queues/{name}",
     .scope = TOKEN_READ,
     .needs = ADMIN_REDIS,
     .fn = show_queue,
     .ids = NAME,
     .params = LIMIT_PARAMS,
     .param_count = ARRAY_LEN(LIMIT_PARAMS),
     .id = "queue",
     .summary = "The messages of a queue in the order in which they will be taken.",
     .schema = "QueueInside"},
    {.method = EVHTTP_REQ_GET,
     .path = "/admin/delayed",
     .scope = TOKEN_READ,
     .needs = ADMIN_REDIS,
     .fn = list_delayed,
     .params = LIMIT_PARAMS,
     .param_count = ARRAY_LEN(LIMIT_PARAMS),
     .id = "delayed",
     .summary = "What waits for its time, the first one due first.",
     .schema = "Delayed"},
    {.method = EVHTTP_REQ_POST,
     .path = "/admin/queues/{name}/purge",
     .scope = TOKEN_ADMIN,
     .needs = ADMIN_REDIS,
     .fn = purge_queue,
     .ids = NAME,
     .body = PURGE_BODY,
     .body_count = ARRAY_LEN(PURGE_BODY),
     .action = "queue.purge",
     .id = "purgeQueue",
     .summary = "Throws away everything that waits in one queue; not what is held or waits for its "
                "time.",
     .schema = "Purged"},
};
const struct admin_routes ADMIN_ROUTES_QUEUES = {ROWS, ARRAY_LEN(ROWS)};
