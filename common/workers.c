#include "common/workers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/keys.h"
#include "common/nodes.h"
#include "common/status.h"
#include "common/text.h"

static void add_i64(cJSON *o, const char *name, int64_t n)
{
    cJSON_AddNumberToObject(o, name, (double)n);
}

/* ---- out of the heartbeats ---- */

/* Silent ones come last. */
static const char *sort_name(const cJSON *w)
{
    const char *name = json_get_str(w, "name");

    return name ? name : "\xf4\x8f\xbf\xbf";
}

static int by_name(const void *a, const void *b)
{
    return strcmp(sort_name(*(cJSON *const *)a), sort_name(*(cJSON *const *)b));
}

/* The two answers about one worker; NULL and *e when the connection broke. */
static cJSON *read_worker(redisContext *c, const redisReply *boot, int64_t now_s, struct err *e)
{
    void *heartbeat = NULL, *held = NULL;
    cJSON *w = NULL;

    if (redisGetReply(c, &heartbeat) != REDIS_OK || redisGetReply(c, &held) != REDIS_OK) {
        err_set(e, ERR_RETRYABLE, "ConnectionError", "Redis: %s", c->errstr);
    } else {
        const redisReply *n = held;

        w = status_worker(boot, heartbeat, n->type == REDIS_REPLY_INTEGER ? n->integer : 0, now_s);
    }
    freeReplyObject(heartbeat);
    freeReplyObject(held);
    return w;
}

/* Fills items; how many, or -1 and *e. */
static int read_workers(redisContext *c, const redisReply *boots, int64_t now_s, cJSON **items,
                        struct err *e)
{
    size_t most = boots->elements < WORKERS_LISTED_MAX ? boots->elements : WORKERS_LISTED_MAX;
    int n = 0;

    for (size_t i = 0; i < most; i++) {
        const redisReply *boot = boots->element[i];

        redisAppendCommand(c, "GET " KEY_WORKER_PREFIX "%b", boot->str, (size_t)boot->len);
        redisAppendCommand(c, "HLEN " KEY_HELD_PREFIX "%b", boot->str, (size_t)boot->len);
    }
    for (size_t i = 0; i < most; i++) {
        const redisReply *boot = boots->element[i];
        cJSON *w = read_worker(c, boot, now_s, e);

        if (!w) {
            while (n > 0) {
                cJSON_Delete(items[--n]);
            }
            return -1;
        }
        items[n++] = w;
    }
    return n;
}

cJSON *workers_list(redisContext *c, struct err *e)
{
    cJSON *items[WORKERS_LISTED_MAX], *doc = NULL, *workers;
    redisReply *boots = NULL;
    int64_t now_us;
    int n = -1;

    if (rds_time_us(c, &now_us, e)) {
        boots = rds_command(c, e, "SMEMBERS " KEY_WORKERS);
    }
    if (boots) {
        n = read_workers(c, boots, now_us / 1000000, items, e);
    }
    if (n >= 0) {
        qsort(items, (size_t)n, sizeof(cJSON *), by_name);
        doc = cJSON_CreateObject();
        add_i64(doc, "at", now_us / 1000000);
        workers = cJSON_AddArrayToObject(doc, "workers");
        for (int i = 0; i < n; i++) {
            cJSON_AddItemToArray(workers, items[i]);
        }
    }
    freeReplyObject(boots);
    return doc;
}

/* The entry of a list, detached; NULL: there is none. */
static cJSON *detach_named(cJSON *list, const char *name)
{
    cJSON *w;

    cJSON_ArrayForEach(w, json_get_arr(list, "workers"))
    {
        const char *own = json_get_str(w, "name");

        if (own && strcmp(own, name) == 0) {
            return cJSON_DetachItemViaPointer(json_get_arr(list, "workers"), w);
        }
    }
    return NULL;
}

/* ---- by asking ---- */

/* What one node answers; WORKERS_DONE: *answer is the caller's. */
static enum workers_end ask(redisContext *c, const struct nodes_question *q, cJSON **answer,
                            struct err *e)
{
    enum workers_end end = WORKERS_SILENT;
    struct nodes_answers a;
    const char *error;

    *answer = NULL;
    if (!nodes_ask(c, q, &a, e)) {
        end = WORKERS_FAILED;
    } else if (a.by_node && a.by_node->child) {
        *answer = cJSON_DetachItemViaPointer(a.by_node, a.by_node->child);
        error = json_get_str(*answer, "error");
        end = error ? WORKERS_REFUSED : WORKERS_DONE;
        if (error) {
            err_set(e, ERR_PERMANENT, "ValueError", "%.400s", error);
            cJSON_Delete(*answer);
            *answer = NULL;
        }
    }
    nodes_answers_fini(&a);
    return end;
}

static void add_process(cJSON *processes, int64_t pid, const cJSON *task)
{
    const cJSON *since = cJSON_GetObjectItemCaseSensitive(task, "time_start");
    cJSON *p = cJSON_CreateObject();

    add_i64(p, "pid", pid);
    if (task) {
        static const char *const COPIED[][2] = {
            {"id", "id"}, {"name", "task"}, {"args", "args"}, {"kwargs", "kwargs"}};

        for (size_t i = 0; i < ARRAY_LEN(COPIED); i++) {
            const cJSON *v = cJSON_GetObjectItemCaseSensitive(task, COPIED[i][0]);

            if (v) {
                cJSON_AddItemToObject(p, COPIED[i][1], cJSON_Duplicate(v, true));
            }
        }
    }
    if (cJSON_IsNumber(since) && since->valuedouble > 0 && since->valuedouble < 1e11) {
        double for_s = (double)clock_wall_us() / 1e6 - since->valuedouble;

        add_i64(p, "for_s", for_s > 0 ? (int64_t)for_s : 0);
    }
    cJSON_AddItemToArray(processes, p);
}

/* Each child with what it runs. */
static void add_processes(cJSON *doc, const cJSON *pids, const cJSON *active)
{
    cJSON *processes = cJSON_AddArrayToObject(doc, "processes");
    const cJSON *pid, *task;

    cJSON_ArrayForEach(pid, pids)
    {
        const cJSON *found = NULL;

        cJSON_ArrayForEach(task, active)
        {
            int64_t of = -1;

            if (json_get_i64(task, "worker_pid", 1, INT32_MAX, &of) && of == pid->valueint) {
                found = task;
            }
        }
        add_process(processes, pid->valueint, found);
    }
}

static void add_stats(cJSON *doc, const cJSON *stats)
{
    const cJSON *totals = json_get_obj(stats, "total");
    int64_t n;

    if (json_get_i64(stats, "uptime", 0, INT64_MAX, &n)) {
        add_i64(doc, "uptime_s", n);
    }
    if (json_get_i64(json_get_obj(stats, "rusage"), "maxrss", 0, INT64_MAX / 1024, &n)) {
        add_i64(doc, "memory_bytes", n * 1024);
    }
    if (json_get_i64(stats, "prefetch_count", 0, INT64_MAX, &n)) {
        add_i64(doc, "prefetch", n);
    }
    if (totals) {
        cJSON_AddItemToObject(doc, "totals", cJSON_Duplicate(totals, true));
    }
}

/* What it says itself, into its entry. */
static enum workers_end ask_details(redisContext *c, int db, const char *name, cJSON *doc,
                                    struct err *e)
{
    struct nodes_question q = {
        .db = db, .method = "stats", .arguments = "{}", .node = name, .timeout_ms = WORKERS_ASK_MS};
    cJSON *stats, *active = NULL;
    enum workers_end end = ask(c, &q, &stats, e);

    if (end == WORKERS_DONE) {
        q.method = "active";
        end = ask(c, &q, &active, e);
    }
    if (end == WORKERS_DONE) {
        add_processes(doc, json_get_arr(json_get_obj(stats, "pool"), "processes"), active);
        add_stats(doc, stats);
    }
    cJSON_Delete(stats);
    cJSON_Delete(active);
    return end;
}

enum workers_end workers_one(redisContext *c, int db, const char *name, cJSON **doc, struct err *e)
{
    cJSON *list = workers_list(c, e);
    enum workers_end end;

    *doc = detach_named(list, name);
    cJSON_Delete(list);
    if (!list) {
        return WORKERS_FAILED;
    }
    if (!*doc) {
        return WORKERS_NONE;
    }
    end = ask_details(c, db, name, *doc, e);
    if (end == WORKERS_FAILED || end == WORKERS_REFUSED) {
        cJSON_Delete(*doc);
        *doc = NULL;
    }
    return end;
}

/* ---- telling ---- */

/* Whether a worker of that name lives. */
static enum workers_end look_for(redisContext *c, const char *name, struct err *e)
{
    cJSON *list = workers_list(c, e), *w = detach_named(list, name);
    enum workers_end end = !list ? WORKERS_FAILED : w ? WORKERS_SILENT : WORKERS_NONE;

    cJSON_Delete(list);
    cJSON_Delete(w);
    return end;
}

enum workers_end workers_tell(redisContext *c, int db, const struct workers_order *o, cJSON **doc,
                              struct err *e)
{
    static const char *const METHODS[] = {[WORKERS_STOP] = "shutdown",
                                          [WORKERS_GROW] = "pool_grow",
                                          [WORKERS_SHRINK] = "pool_shrink"};
    struct nodes_question q = {
        .db = db, .method = METHODS[o->verb], .node = o->name, .timeout_ms = WORKERS_ASK_MS};
    char arguments[48] = "{}";
    enum workers_end end;
    const char *text;
    cJSON *answer;

    *doc = NULL;
    if (o->verb != WORKERS_STOP) {
        snprintf(arguments, sizeof arguments, "{\"n\": %" PRId64 "}", o->n);
    }
    q.arguments = arguments;
    end = ask(c, &q, &answer, e);
    if (end == WORKERS_SILENT) {
        return look_for(c, o->name, e);
    }
    if (end == WORKERS_DONE) {
        text = json_get_str(answer, "ok");
        *doc = cJSON_CreateObject();
        cJSON_AddStringToObject(*doc, "worker", o->name);
        cJSON_AddStringToObject(*doc, "answer", text ? text : "");
    }
    cJSON_Delete(answer);
    return end;
}
