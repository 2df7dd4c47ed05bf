#include "worker/prune.h"

#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "common/log.h"

#define REDIS_TIMEOUT_MS 5000

static const struct {
    const char *name;
    bool (*run)(struct prune *p, const struct prune_keep *keep, int64_t *gone, struct err *e);
} KINDS[PRUNE_KIND_COUNT] = {
    [PRUNE_RUNS] = {"runs", prune_runs},
    [PRUNE_HISTORY] = {"history", prune_history},
    [PRUNE_DEAD] = {"dead", prune_dead},
    [PRUNE_QUARANTINE] = {"quarantine", prune_quarantine},
    [PRUNE_OVERSIZED] = {"oversized", prune_oversized},
    [PRUNE_AUDIT] = {"audit", prune_audit},
};

/* ---- what to keep ---- */

static int kind_of(const char *name)
{
    for (int i = 0; i < PRUNE_KIND_COUNT; i++) {
        if (strcmp(KINDS[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}

static bool plan_only(struct prune *p, const cJSON *names, struct err *e)
{
    const cJSON *name;

    memset(p->wanted, 0, sizeof p->wanted);
    cJSON_ArrayForEach(name, names)
    {
        int kind = cJSON_IsString(name) ? kind_of(name->valuestring) : -1;

        if (kind < 0) {
            return err_set(
                e, ERR_PERMANENT, "ValueError",
                "only: expected a list of runs, history, dead, quarantine, oversized, audit");
        }
        p->wanted[kind] = true;
    }
    return cJSON_IsArray(names) || err_set(e, ERR_PERMANENT, "TypeError", "only: not a list");
}

/* "dead_days": where its number goes; NULL: there is no such thing. */
static int64_t *keep_field(struct prune *p, const char *name)
{
    for (int i = 0; i < PRUNE_KIND_COUNT; i++) {
        size_t len = strlen(KINDS[i].name);

        if (strncmp(name, KINDS[i].name, len) == 0 && strcmp(name + len, "_days") == 0) {
            return &p->keep[i].days;
        }
        if (strncmp(name, KINDS[i].name, len) == 0 && strcmp(name + len, "_count") == 0) {
            return &p->keep[i].count;
        }
    }
    return NULL;
}

bool prune_plan(struct prune *p, struct err *e)
{
    const cJSON *kwarg;

    for (int i = 0; i < PRUNE_KIND_COUNT; i++) {
        p->wanted[i] = true;
        p->keep[i] = p->req->settings->prune[i];
    }
    cJSON_ArrayForEach(kwarg, p->req->kwargs)
    {
        int64_t *field = keep_field(p, kwarg->string);

        if (strcmp(kwarg->string, "only") == 0) {
            if (!plan_only(p, kwarg, e)) {
                return false;
            }
        } else if (!field) {
            return err_set(e, ERR_PERMANENT, "TypeError", "unexpected keyword argument %.60s",
                           kwarg->string);
        } else if (!json_get_i64(p->req->kwargs, kwarg->string, 0, INT32_MAX, field)) {
            return err_set(e, ERR_PERMANENT, "ValueError", "%.60s: a whole number expected",
                           kwarg->string);
        }
    }
    return cJSON_GetArraySize(p->req->args) == 0 ||
           err_set(e, ERR_PERMANENT, "TypeError", "takes keyword arguments only");
}

/* ---- connections ---- */

PGconn *prune_pg(struct prune *p, struct err *e)
{
    struct err ignored;

    if (!p->pg) {
        p->pg = pg_connect(p->req->settings->database_url, "aion2-worker prune", e);
        /* A drop locks the parent table: whoever wants to read meanwhile waits this long at most.
         */
        if (p->pg && !pg_run(p->pg, "SET lock_timeout = '500ms'", &ignored)) {
            log_debug("prune.session", "text=%s", LOGQ(ignored.text));
        }
    }
    return p->pg;
}

redisContext *prune_redis(struct prune *p, struct err *e)
{
    struct rds_addr addr;

    if (!p->redis && rds_parse_url(p->req->settings->redis_url, &addr, e)) {
        p->redis = rds_connect(&addr, REDIS_TIMEOUT_MS, e);
    }
    return p->redis;
}

/* ---- the task ---- */

static bool is_cancelled(void *prune)
{
    const struct prune *p = prune;
    struct err ignored;

    return task_cancelled(p->req, &ignored);
}

static cJSON *prune_all(struct prune *p, struct err *e)
{
    cJSON *counts = cJSON_CreateObject();
    bool ok = true;

    for (int i = 0; i < PRUNE_KIND_COUNT; i++) {
        struct err one;
        int64_t gone = 0;

        if (!p->wanted[i]) {
            continue;
        }
        if (!KINDS[i].run(p, &p->keep[i], &gone, &one)) {
            log_warn("prune.failed", "what=%s gone=%" PRId64 " text=%s", KINDS[i].name, gone,
                     LOGQ(one.text));
            if (ok) {
                *e = one;
                err_prefix(e, KINDS[i].name);
            }
            ok = false;
        }
        log_info("prune.done", "what=%s gone=%" PRId64, KINDS[i].name, gone);
        cJSON_AddNumberToObject(counts, KINDS[i].name, (double)gone);
    }
    if (!ok) {
        cJSON_Delete(counts);
        return NULL;
    }
    return counts;
}

cJSON *prune_task(const struct task_request *req, struct err *e)
{
    struct prune p = {.req = req};
    cJSON *counts = NULL;

    if (!prune_plan(&p, e)) {
        return NULL;
    }
    pg_watch(is_cancelled, &p);
    counts = prune_all(&p, e);
    pg_watch(NULL, NULL);
    PQfinish(p.pg);
    if (p.redis) {
        redisFree(p.redis);
    }
    if (!counts && task_cancelled(req, e)) {
        log_warn("prune.cancelled", "id=%s", LOGQ(req->id)); /* that is why, whatever came of it */
    }
    return counts;
}
