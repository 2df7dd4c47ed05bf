#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/keys.h"
#include "common/mem.h"
#include "worker/control_parts.h"
#include "worker/job.h"
#include "worker/task.h"

/* Methods that tell something and change nothing (celery inspect ...). */

#define QUERY_MAX       1000   /* ids in one question */
#define SCHEDULED_SEEN  "2000" /* delayed messages looked at for an answer, the next due ones */
#define SCHEDULED_BYTES "2000000"

/* ---- small ones ---- */

static void ping(UNUSED struct control *c, UNUSED const cJSON *args, struct answer *a)
{
    answer_ok(a, "pong");
}

static void clock_value(struct control *c, UNUSED const cJSON *args, struct answer *a)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddNumberToObject(o, "clock", (double)c->cf.clock->n);
    answer_value(a, o);
}

static void nothing(UNUSED struct control *c, UNUSED const cJSON *args, struct answer *a)
{
    answer_null(a);
}

static void stats(struct control *c, UNUSED const cJSON *args, struct answer *a)
{
    answer_value(a, view_stats(c));
}

static void conf(struct control *c, const cJSON *args, struct answer *a)
{
    answer_value(a, view_conf(c, control_is_true(args, "with_defaults")));
}

static void report(struct control *c, UNUSED const cJSON *args, struct answer *a)
{
    char *text = view_report(c);

    answer_ok(a, "%s", text ? text : "");
    free(text);
}

static void active_queues(struct control *c, UNUSED const cJSON *args, struct answer *a)
{
    const struct broker *b = consumer_broker(c->cf.consumer);
    cJSON *list = cJSON_CreateArray();

    for (int i = 0; i < b->queues->count; i++) {
        cJSON_AddItemToArray(list, view_queue(b->queues->name[i]));
    }
    answer_value(a, list);
}

/* ---- registered ---- */

static int by_name(const void *a, const void *b)
{
    const struct task *const *x = a, *const *y = b;

    return strcmp((*x)->name, (*y)->name);
}

static cJSON *task_line(const struct task *t)
{
    const struct task_state *state = task_state_of(t);
    char *line = NULL;
    cJSON *v;

    if (!state->rate_text[0]) {
        return cJSON_CreateString(t->name);
    }
    if (asprintf(&line, "%s [rate_limit=%s]", t->name, state->rate_text) < 0) {
        return NULL;
    }
    v = cJSON_CreateString(line);
    free(line);
    return v;
}

static void registered(struct control *c, UNUSED const cJSON *args, struct answer *a)
{
    const struct task *tasks[256], *t;
    cJSON *list = cJSON_CreateArray();
    size_t n = 0;

    while (n < ARRAY_LEN(tasks) && (t = task_at(n, c->cf.settings)) != NULL) {
        tasks[n++] = t;
    }
    qsort(tasks, n, sizeof tasks[0], by_name);
    for (size_t i = 0; i < n; i++) {
        cJSON_AddItemToArray(list, task_line(tasks[i]));
    }
    answer_value(a, list);
}

/* ---- tasks that this worker holds ---- */

struct selection {
    const struct control *c;
    cJSON *list;
    bool running; /* those that run, or those that wait for a child */
    bool safe;
};

static bool is_running(const struct job *j)
{
    return j->state == JOB_RUNNING && job_has_begun(j);
}

static bool is_waiting(const struct job *j)
{
    return j->state < JOB_RUNNING || (j->state == JOB_RUNNING && !job_has_begun(j));
}

static void select_job(void *ctx, const struct job *j)
{
    struct selection *s = ctx;

    if (s->running ? is_running(j) : is_waiting(j)) {
        cJSON_AddItemToArray(s->list, view_task(s->c, j, s->safe));
    }
}

static void active(struct control *c, const cJSON *args, struct answer *a)
{
    struct selection s = {.c = c,
                          .list = cJSON_CreateArray(),
                          .running = true,
                          .safe = control_is_true(args, "safe")};

    consumer_each_job(c->cf.consumer, select_job, &s);
    answer_value(a, s.list);
}

static void reserved(struct control *c, UNUSED const cJSON *args, struct answer *a)
{
    struct selection s = {.c = c, .list = cJSON_CreateArray()};

    consumer_each_job(c->cf.consumer, select_job, &s);
    answer_value(a, s.list);
}

struct query {
    const struct control *c;
    const cJSON *wanted; /* object with the ids as names: found quickly enough */
    cJSON *found;
};

static void add_wanted(void *ctx, const char *id)
{
    cJSON_AddNullToObject(ctx, id);
}

static void query_job(void *ctx, const struct job *j)
{
    struct query *q = ctx;
    const char *state = is_running(j) ? "active" : is_waiting(j) ? "reserved" : "ready";
    cJSON *pair;

    if (cJSON_GetObjectItemCaseSensitive(q->wanted, j->msg.id) &&
        !cJSON_GetObjectItemCaseSensitive(q->found, j->msg.id)) {
        pair = cJSON_AddArrayToObject(q->found, j->msg.id);
        cJSON_AddItemToArray(pair, cJSON_CreateString(state));
        cJSON_AddItemToArray(pair, view_task(q->c, j, false));
    }
}

static void query_task(struct control *c, const cJSON *args, struct answer *a)
{
    const cJSON *ids = cJSON_GetObjectItemCaseSensitive(args, "ids");
    cJSON *wanted = cJSON_CreateObject();
    struct query q = {.c = c, .wanted = wanted, .found = cJSON_CreateObject()};

    if (!ids || !control_each_text(ids, add_wanted, wanted)) {
        cJSON_Delete(q.found);
        answer_missing(a, "query_task", "ids");
    } else if (cJSON_GetArraySize(wanted) > QUERY_MAX) {
        cJSON_Delete(q.found);
        answer_error(a, "ValueError('more than %d ids')", QUERY_MAX);
    } else {
        consumer_each_job(c->cf.consumer, query_job, &q);
        answer_value(a, q.found);
    }
    cJSON_Delete(wanted);
}

/* ---- tasks that wait for their time ---- */

/*
 * The delayed set is everybody's. Each message is listed by the worker that delayed it; those of
 * workers that are gone by the one with the smallest boot id. KEYS delayed, workers; ARGV boot,
 * prefix of heartbeats, messages, bytes. Replies member, score, and so on.
 */
static const char SCHEDULED[] =
    "local alive, first = {}, nil\n"
    "local boots = redis.pcall('SMEMBERS', KEYS[2])\n"
    "for _, b in ipairs(boots.err and {} or boots) do\n"
    "  if redis.call('EXISTS', ARGV[2] .. b) == 1 then\n"
    "    alive[b] = true\n"
    "    if not first or b < first then first = b end\n"
    "  end\n"
    "end\n"
    "local all = redis.pcall('ZRANGE', KEYS[1], 0, ARGV[3] - 1, 'WITHSCORES')\n"
    "local found, bytes = {}, 0\n"
    "for i = 1, all.err and 0 or #all, 2 do\n"
    "  local boot = string.match(all[i], '\"n\":\"([^\":]*):?[^\"]*\"') or ''\n"
    "  if boot == ARGV[1] or (not alive[boot] and first == ARGV[1]) then\n"
    "    bytes = bytes + #all[i]\n"
    "    if bytes > tonumber(ARGV[4]) then break end\n"
    "    found[#found + 1] = all[i]\n"
    "    found[#found + 1] = all[i + 1]\n"
    "  end\n"
    "end\n"
    "return found\n";

static void on_scheduled(void *ctx, UNUSED uint64_t number, const redisReply *r)
{
    struct answer *a = ctx;
    cJSON *list;

    if (!r || r->type != REDIS_REPLY_ARRAY) {
        answer_error(a, "OperationalError('Redis is away')");
        return;
    }
    list = cJSON_CreateArray();
    for (size_t i = 0; i + 1 < r->elements; i += 2) {
        const redisReply *member = r->element[i], *score = r->element[i + 1];

        if (member->type == REDIS_REPLY_STRING && score->type == REDIS_REPLY_STRING) {
            cJSON *v = view_scheduled(answer_control(a), member->str, (size_t)member->len,
                                      (int64_t)strtod(score->str, NULL));

            cJSON_AddItemToArray(list, v);
        }
    }
    answer_value(a, list);
}

static void scheduled(struct control *c, UNUSED const cJSON *args, struct answer *a)
{
    const char *argv[] = {"EVAL",
                          SCHEDULED,
                          "2",
                          KEY_DELAYED,
                          KEY_WORKERS,
                          consumer_broker(c->cf.consumer)->boot,
                          KEY_WORKER_PREFIX,
                          SCHEDULED_SEEN,
                          SCHEDULED_BYTES};

    rdsa_command(c->cf.talk, RDSA_COMMAND_MS, on_scheduled, a, 0, ARRAY_LEN(argv), argv);
}

/* ---- revoked ids ---- */

static void revoked(struct control *c, UNUSED const cJSON *args, struct answer *a)
{
    answer_value(a, view_revoked(c, false));
}

/* Another worker has started: what each knows of revoked tasks, the other learns. */
static void hello(struct control *c, const cJSON *args, struct answer *a)
{
    const char *from = json_get_str(args, "from_node");
    const cJSON *theirs;
    cJSON *o;

    if (!from) {
        answer_missing(a, "hello", "from_node");
        return;
    }
    if (strcmp(from, c->cf.node) == 0) {
        answer_null(a);
        return;
    }
    cJSON_ArrayForEach(theirs, json_get_obj(args, "revoked"))
    {
        revoke_add(c->cf.revoke, theirs->string);
    }
    revoke_commit(c->cf.revoke);
    o = cJSON_CreateObject();
    cJSON_AddItemToObject(o, "revoked", view_revoked(c, true));
    cJSON_AddNumberToObject(o, "clock", (double)lamport_tick(c->cf.clock));
    answer_value(a, o);
}

const struct control_method CONTROL_LOOK[] = {
    {"ping", NULL, ping},
    {"hello", NULL, hello},
    {"clock", NULL, clock_value},
    {"active", "dump_active", active},
    {"reserved", "dump_reserved", reserved},
    {"scheduled", "dump_schedule", scheduled},
    {"query_task", NULL, query_task},
    {"revoked", "dump_revoked", revoked},
    {"registered", "dump_tasks", registered},
    {"active_queues", NULL, active_queues},
    {"stats", NULL, stats},
    {"conf", "dump_conf", conf},
    {"report", NULL, report},
    {"memsample", NULL, nothing}, /* for Python's memory */
    {"memdump", NULL, nothing},
    {"objgraph", NULL, nothing},
    {"election", NULL, nothing}, /* we take part in none */
};
const size_t CONTROL_LOOK_COUNT = ARRAY_LEN(CONTROL_LOOK);
