#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "api/admin/route.h"
#include "common/clock.h"
#include "common/overview.h"
#include "common/status.h"

/*
 * One document for the page of operations. Many pages may be open, so one that was made a moment
 * ago serves them all; the sums of messages, which may cost more, are kept longer.
 */
#define FRESH_MS         1000
#define SUMS_FRESH_MS    5000
#define SUMS_DISTRUST_MS 30000 /* when they are wrong: looking again looks through all keys */

static struct {
    pthread_mutex_t lock; /* held while one is made: who comes meanwhile has the same */
    cJSON *doc, *sums;
    int64_t made_ms, sums_ms;
} kept = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool sums_are_fresh(int64_t now_ms)
{
    bool ok = json_get_bool(kept.sums, "ok", false);

    return kept.sums && now_ms - kept.sums_ms < (ok ? SUMS_FRESH_MS : SUMS_DISTRUST_MS);
}

/* Puts the sums into the document; or keeps those that it has. */
static void share_sums(cJSON *doc, bool asked, int64_t now_ms)
{
    if (asked) {
        cJSON_Delete(kept.sums);
        kept.sums = cJSON_Duplicate(json_get_obj(doc, "conservation"), true);
        kept.sums_ms = now_ms;
    } else if (json_get_bool(json_get_obj(doc, "redis"), "reachable", false)) {
        cJSON_AddItemToObject(doc, "conservation", cJSON_Duplicate(kept.sums, true));
    }
}

static cJSON *make(const struct admin_call *c, int64_t now_ms)
{
    const struct api_settings *s = c->env->settings;
    struct overview_of o = {.task_queue = s->task_queue,
                            .batch_interval_s = s->batch_interval_s,
                            .redis_url = s->redis_url,
                            .database_url = s->database_url,
                            .db = c->env->redis.db,
                            .conservation = !sums_are_fresh(now_ms)};
    struct overview_links links = {.redis = c->redis, .pg = c->pg};
    struct overview_found found;
    cJSON *doc;

    err_set(&links.redis_why, ERR_RETRYABLE, "ConnectionError", "Redis cannot be asked");
    err_set(&links.pg_why, ERR_RETRYABLE, "ConnectionError", "PostgreSQL cannot be asked");
    doc = overview_make(&o, &links, &found);
    share_sums(doc, o.conservation, now_ms);
    return doc;
}

static void overview(struct admin_call *c)
{
    int64_t now_ms = clock_mono_ms();
    cJSON *doc;

    pthread_mutex_lock(&kept.lock);
    if (!kept.doc || now_ms - kept.made_ms >= FRESH_MS) {
        cJSON_Delete(kept.doc);
        kept.doc = make(c, now_ms);
        kept.made_ms = clock_mono_ms();
    }
    doc = cJSON_Duplicate(kept.doc, true);
    pthread_mutex_unlock(&kept.lock);
    admin_reply(c, 200, doc);
}

static const struct admin_route ROWS[] = {
    {.method = EVHTTP_REQ_GET,
     .path = "/admin/overview",
     .scope = TOKEN_READ,
     .needs = ADMIN_PG_WISH | ADMIN_REDIS_WISH,
     .fn = overview,
     .id = "overview",
     .summary = "Everything on one screen: what runs, what waits, slots, workers, the last runs, "
                "the source. What cannot be asked now is absent.",
     .schema = "Overview"},
};
const struct admin_routes ADMIN_ROUTES_OVERVIEW = {ROWS, ARRAY_LEN(ROWS)};
