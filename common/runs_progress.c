#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/keys.h"
#include "common/runs.h"

#define WORKERS_MAX 1000
#define PHASES_MAX  16
#define NAME_SIZE   32

/* ---- how far it is ---- */

/* The progress of a task in a worker's heartbeat; NULL: it does not run there. */
static cJSON *find_in_heartbeat(const redisReply *heartbeat, const char *task_id)
{
    struct err ignored;
    cJSON *w = heartbeat->type == REDIS_REPLY_STRING
                   ? json_parse(heartbeat->str, heartbeat->len, &ignored)
                   : NULL;
    cJSON *found = NULL;
    const cJSON *task;

    cJSON_ArrayForEach(task, json_get_arr(w, "running"))
    {
        const char *id = json_get_str(task, "id");

        if (id && strcmp(id, task_id) == 0 && json_get_obj(task, "progress")) {
            found = cJSON_Duplicate(json_get_obj(task, "progress"), true);
        }
    }
    cJSON_Delete(w);
    return found;
}

/* *progress is the caller's, NULL when no worker tells of it. False and *e when Redis fails. */
static bool ask_workers(redisContext *c, const char *task_id, cJSON **progress, struct err *e)
{
    redisReply *boots = rds_command(c, e, "SMEMBERS " KEY_WORKERS);
    bool ok = boots != NULL;

    *progress = NULL;
    for (size_t i = 0; ok && !*progress && i < boots->elements && i < WORKERS_MAX; i++) {
        const redisReply *boot = boots->element[i];
        redisReply *heartbeat =
            rds_command(c, e, "GET " KEY_WORKER_PREFIX "%b", boot->str, boot->len);

        ok = heartbeat != NULL;
        if (ok) {
            *progress = find_in_heartbeat(heartbeat, task_id);
            freeReplyObject(heartbeat);
        }
    }
    freeReplyObject(boots);
    return ok;
}

/* ---- how long it will take ---- */

double runs_estimate(const struct runs_phase *phases, int n, const char *phase, double in_phase_s,
                     double part)
{
    double left = 0, usual;
    int i = 0;

    while (i < n && strcmp(phases[i].name, phase) != 0) {
        i++;
    }
    if (i == n) {
        return -1;
    }
    usual = phases[i].seconds;
    if (part > 0.05 && in_phase_s > 0) {
        left = in_phase_s / part - in_phase_s; /* by its own speed: this time there may be more */
    } else if (usual > in_phase_s) {
        left = usual - in_phase_s;
    }
    for (i++; i < n; i++) {
        left += phases[i].seconds > 0 ? phases[i].seconds : 0;
    }
    return left;
}

/* Means over the last runs that went through to the end. */
static const char PHASES_SQL[] =
    "WITH last AS (SELECT phases FROM batch_runs WHERE state = 'success' ORDER BY id DESC LIMIT 5)"
    "SELECT json_build_object('runs', (SELECT count(*) FROM last), 'phases', (SELECT coalesce("
    "json_agg(json_build_object('name', key, 'seconds', seconds) ORDER BY place, key), '[]')"
    " FROM (SELECT p.key, avg(p.value::numeric) AS seconds, min(array_position(ARRAY['connect',"
    " 'claim', 'lock', 'snapshot', 'read', 'keep', 'score', 'write', 'attach', 'publish'], p.key))"
    " AS place FROM last, jsonb_each_text(last.phases) AS p GROUP BY p.key) AS means))";

static double number_of(const cJSON *obj, const char *name, double fallback)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(obj, name);

    return cJSON_IsNumber(v) ? v->valuedouble : fallback;
}

/* Names are borrowed from the document. */
static int read_phases(const cJSON *doc, struct runs_phase phases[PHASES_MAX])
{
    const cJSON *one;
    int n = 0;

    cJSON_ArrayForEach(one, json_get_arr(doc, "phases"))
    {
        if (n < PHASES_MAX && json_get_str(one, "name")) {
            phases[n++] =
                (struct runs_phase){json_get_str(one, "name"), number_of(one, "seconds", -1)};
        }
    }
    return n;
}

static void add_estimate(cJSON *progress, const cJSON *run, const cJSON *usual)
{
    struct runs_phase phases[PHASES_MAX];
    int n = read_phases(usual, phases);
    const char *phase = json_get_str(progress, "phase");
    double since = number_of(progress, "since", 0), now = (double)clock_wall_us() / 1e6;
    double done = number_of(progress, "done", 0), of = number_of(progress, "of", 0);
    double in_phase = now > since && since > 0 ? now - since : 0, left, took;
    char iso[CLOCK_ISO_SIZE];

    cJSON_DeleteItemFromObject(progress, "since");
    cJSON_AddNumberToObject(progress, "phase_seconds", (double)(int64_t)(in_phase * 1000) / 1000);
    cJSON_AddNumberToObject(progress, "from_runs", number_of(usual, "runs", 0));
    left = phase ? runs_estimate(phases, n, phase, in_phase, of > 0 ? done / of : -1) : -1;
    took = number_of(run, "seconds", 0);
    if (left < 0) {
        cJSON_AddNullToObject(progress, "share");
        cJSON_AddNullToObject(progress, "seconds_left");
        cJSON_AddNullToObject(progress, "estimated_end_at");
        return;
    }
    cJSON_AddNumberToObject(progress, "share",
                            took + left > 0 ? (double)(int64_t)(took / (took + left) * 1000) / 1000
                                            : 0);
    cJSON_AddNumberToObject(progress, "seconds_left", (double)(int64_t)(left * 1000) / 1000);
    cJSON_AddStringToObject(progress, "estimated_end_at",
                            clock_iso((int64_t)((now + left) * 1e6), "Z", iso));
}

bool runs_add_progress(cJSON *run, PGconn *pg, redisContext *redis, struct err *e)
{
    const char *task_id = json_get_str(run, "task_id");
    cJSON *progress, *usual;

    if (!ask_workers(redis, task_id, &progress, e)) {
        return false;
    }
    if (!progress) {
        cJSON_AddNullToObject(run, "progress");
        return true;
    }
    usual = pg_document(pg, PHASES_SQL, 0, NULL, e);
    if (usual) {
        add_estimate(progress, run, usual);
    }
    cJSON_AddItemToObject(run, "progress", progress);
    cJSON_Delete(usual);
    return usual != NULL;
}
