#include "worker/checks.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/json.h"
#include "common/keys.h"
#include "common/log.h"
#include "common/notify.h"
#include "common/pg.h"
#include "common/rds.h"
#include "common/rds_info.h"
#include "common/schema.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_CONFIG = 78 };

#define SCHEMA_WAIT_S       1
#define CHECK_TIMEOUT_MS    3000
#define HEALTH_WORKERS_SEEN 1000

/* ---- the database ---- */

enum schema_state { SCHEMA_FITS, SCHEMA_UNKNOWN, SCHEMA_BEHIND, SCHEMA_WRONG };

static enum schema_state look_at_schema(const struct settings *s, struct err *e)
{
    PGconn *pg = pg_connect(s->database_url, "aion2-worker", e);
    enum schema_state state = SCHEMA_FITS;

    if (!pg) {
        return e->cls == ERR_RETRYABLE ? SCHEMA_UNKNOWN : SCHEMA_WRONG;
    }
    if (!schema_check(pg, e)) {
        state = e->cls == ERR_RETRYABLE ? SCHEMA_BEHIND : SCHEMA_WRONG;
    }
    PQfinish(pg);
    return state;
}

/*
 * A schema that is behind is waited for: tasks would fail for good on it. A database that does not
 * answer is not waited for: tasks that need it are retried, and their senders should see so.
 */
bool checks_schema_allows_start(const struct settings *s)
{
    bool told = false;

    for (;;) {
        struct err e = {0};

        switch (look_at_schema(s, &e)) {
        case SCHEMA_FITS:
            return true;
        case SCHEMA_UNKNOWN:
            log_warn("database.away", "error=%s", LOGQ(e.text));
            return true;
        case SCHEMA_WRONG:
            log_error("schema.wrong", "error=%s", LOGQ(e.text));
            return false;
        case SCHEMA_BEHIND:
            break;
        }
        if (!told) {
            log_warn("schema.waiting", "error=%s", LOGQ(e.text));
            notify_status("waiting for aion2ctl migrate");
            told = true;
        }
        nanosleep(&(struct timespec){.tv_sec = SCHEMA_WAIT_S}, NULL);
    }
}

/* ---- a trial of new settings ---- */

/* What would keep a worker with these settings from its work. Who does not answer keeps nobody. */
static bool schema_fits(const struct settings *s, struct err *e)
{
    enum schema_state state = look_at_schema(s, e);

    return state == SCHEMA_FITS || state == SCHEMA_UNKNOWN;
}

static bool redis_fits(const struct settings *s, struct err *e)
{
    struct rds_addr addr;
    struct err away;
    redisContext *c =
        rds_parse_url(s->redis_url, &addr, e) ? rds_connect(&addr, CHECK_TIMEOUT_MS, &away) : NULL;
    redisReply *r = c ? rds_command(c, &away, "INFO") : NULL;
    bool fits = !r || rds_judge(r->str, e) != RDS_EVICTS || s->allow_unsafe_redis;

    freeReplyObject(r);
    if (c) {
        redisFree(c);
    }
    return fits;
}

int checks_trial(const struct settings *s)
{
    struct err e = {0};

    if (schema_fits(s, &e) && redis_fits(s, &e)) {
        return EXIT_OK;
    }
    fprintf(stderr, "aion2-worker: %s\n", e.text);
    return EXIT_CONFIG;
}

/* ---- healthcheck ---- */

static bool beats(redisContext *c, const char *boot, const char *name, struct err *e)
{
    redisReply *r = rds_command(c, e, "GET " KEY_WORKER_PREFIX "%s", boot);
    cJSON *o = NULL;
    const char *its;
    bool yes;

    if (r && r->type == REDIS_REPLY_STRING) {
        o = json_parse(r->str, (size_t)r->len, e);
    }
    its = json_get_str(o, "name");
    yes = its && strcmp(its, name) == 0;
    cJSON_Delete(o);
    freeReplyObject(r);
    return yes;
}

static bool somebody_beats(redisContext *c, const char *name, struct err *e)
{
    redisReply *r = rds_command(c, e, "SMEMBERS " KEY_WORKERS);
    bool found = false;

    if (!r) {
        return false;
    }
    err_set(e, ERR_RETRYABLE, "NotRunning", "no worker called %.100s has a heartbeat in Redis",
            name);
    for (size_t i = 0; !found && i < r->elements && i < HEALTH_WORKERS_SEEN; i++) {
        found = beats(c, r->element[i]->str, name, e);
    }
    freeReplyObject(r);
    return found;
}

int checks_health(const struct settings *s)
{
    struct rds_addr redis;
    struct err e = {0};
    redisContext *c = NULL;
    bool ok = rds_parse_url(s->redis_url, &redis, &e);

    if (ok) {
        c = rds_connect(&redis, CHECK_TIMEOUT_MS, &e);
        ok = c && somebody_beats(c, s->worker_name, &e);
    }
    if (c) {
        redisFree(c);
    }
    if (!ok) {
        fprintf(stderr, "aion2-worker: %s\n", e.text);
    }
    return ok ? EXIT_OK : EXIT_FAILED;
}
