#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/host.h"
#include "common/json.h"
#include "common/log.h"
#include "common/pg.h"
#include "common/rds.h"
#include "common/realm.h"
#include "common/script.h"
#include "common/sheet_task.h"
#include "worker/settings.h"
#include "worker/sheet.h"

#define REDIS_TIMEOUT_MS 5000
#define SERVERS_MAX      (16 * KIB)

/*
 * Of the top of each server's board who was asked for least lately, whatever became of it. $1
 * places of a board, $2 seconds that are lately, $3 how many, $4 servers that the source has, NULL:
 * any. Nothing ever comes of the others, so they would always be the first.
 */
static const char STALEST_SQL[] =
    "SELECT c.server, c.name FROM ranking_current AS r JOIN characters AS c ON c.id = r.character_id"
    " WHERE r.server_rank <= $1::bigint AND ($4::text[] IS NULL OR c.server = ANY ($4))"
    " AND coalesce(greatest(c.last_fetched_at, c.fetch_failed_at), '-infinity')"
    "     < clock_timestamp() - make_interval(secs => $2::bigint)"
    " ORDER BY greatest(c.last_fetched_at, c.fetch_failed_at) NULLS FIRST, r.server_rank, c.id"
    " LIMIT $3::bigint";

struct refresh {
    const struct task_request *req;
    struct sheet_refresh bounds;
    redisContext *redis;
    char origin[HOST_ORIGIN_SIZE];
    int64_t sent, lately;
};

/* ---- bounds ---- */

static int64_t *bound_field(struct sheet_refresh *b, const char *name)
{
    return strcmp(name, "top") == 0     ? &b->top
           : strcmp(name, "count") == 0 ? &b->count
           : strcmp(name, "age_s") == 0 ? &b->age_s
                                        : NULL;
}

static bool read_kwargs(struct refresh *f, struct err *e)
{
    const cJSON *kwarg;

    f->bounds = f->req->settings->refresh;
    cJSON_ArrayForEach(kwarg, f->req->kwargs)
    {
        int64_t *field = bound_field(&f->bounds, kwarg->string);

        if (!field) {
            return err_set(e, ERR_PERMANENT, "TypeError",
                           "no argument is called %s: top, count, age_s", kwarg->string);
        }
        if (!json_get_i64(f->req->kwargs, kwarg->string, 0, SHEET_REFRESH_MAX, field)) {
            return err_set(e, ERR_PERMANENT, "ValueError",
                           "%s: expected a whole number from 0 to %d", kwarg->string,
                           SHEET_REFRESH_MAX);
        }
    }
    return true;
}

/* ---- sending ---- */

static bool send_one(struct refresh *f, const char *server, const char *name, struct err *e)
{
    const struct sheet_task t = {.server = server,
                                 .name = name,
                                 .queue = f->req->settings->task_queue,
                                 .origin = f->origin,
                                 .priority = SHEET_TASK_PRIORITY_REFRESH,
                                 .now_us = clock_wall_us()};
    struct command cmd = {.failed = false};
    redisReply *r = NULL;

    sheet_task_push(&cmd, &t);
    if (cmd.failed) {
        err_set(e, ERR_RETRYABLE, "MemoryError", "no memory for a message");
    } else {
        r = command_run(f->redis, &cmd, e);
    }
    if (r) {
        *(r->type == REDIS_REPLY_INTEGER && r->integer == 1 ? &f->sent : &f->lately) += 1;
    }
    freeReplyObject(r);
    command_fini(&cmd);
    return r != NULL;
}

static bool send_all(struct refresh *f, const PGresult *r, struct err *e)
{
    struct rds_addr addr;

    if (PQntuples(r) == 0) {
        return true;
    }
    if (!rds_parse_url(f->req->settings->redis_url, &addr, e)) {
        return false;
    }
    f->redis = rds_connect(&addr, REDIS_TIMEOUT_MS, e);
    for (int i = 0; f->redis && i < PQntuples(r); i++) {
        if (task_cancelled(f->req, e) ||
            !send_one(f, PQgetvalue(r, i, 0), PQgetvalue(r, i, 1), e)) {
            return false;
        }
    }
    return f->redis != NULL;
}

/* {"Siel","Nezekan",...} of the region; false: the source takes any name. */
static bool print_servers(const struct source_settings *s, struct buf *b)
{
    if (source_server_name(s, "a server of no region")) {
        return false;
    }
    for (size_t i = 0; i < REALM_COUNT; i++) {
        if (strcmp(REALMS[i].region, s->region) == 0) {
            buf_addf(b, "%c\"%s\"", b->len ? ',' : '{', REALMS[i].name);
        }
    }
    buf_addch(b, '}');
    MUST(!b->failed);
    return true;
}

static PGresult *find_stalest(const struct refresh *f, struct err *e)
{
    PGconn *c = pg_connect(f->req->settings->database_url, "aion2-worker refresh", e);
    char top[24], age[24], count[24];
    const char *values[] = {top, age, count, NULL};
    struct buf servers;
    PGresult *r;

    snprintf(top, sizeof top, "%" PRId64, f->bounds.top);
    snprintf(age, sizeof age, "%" PRId64, f->bounds.age_s);
    snprintf(count, sizeof count, "%" PRId64, f->bounds.count);
    buf_init(&servers, SERVERS_MAX);
    values[3] = print_servers(&f->req->settings->source, &servers) ? servers.data : NULL;
    r = c ? pg_exec_params(c, STALEST_SQL, ARRAY_LEN(values), values, e) : NULL;
    buf_fini(&servers);
    PQfinish(c);
    return r;
}

static bool wants_stop(void *req)
{
    struct err ignored;

    return task_cancelled(req, &ignored);
}

static cJSON *result_of(const struct refresh *f)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddStringToObject(o, "status", "success");
    cJSON_AddNumberToObject(o, "sent", (double)f->sent);
    cJSON_AddNumberToObject(o, "lately", (double)f->lately);
    return o;
}

cJSON *sheet_refresh_task(const struct task_request *req, struct err *e)
{
    struct refresh f = {.req = req};
    PGresult *r;
    bool ok;

    if (!read_kwargs(&f, e)) {
        return NULL;
    }
    host_origin(f.origin);
    pg_watch(wants_stop, (void *)(uintptr_t)req);
    r = find_stalest(&f, e);
    ok = r && send_all(&f, r, e);
    pg_watch(NULL, NULL);
    PQclear(r);
    redisFree(f.redis);
    if (ok) {
        log_info("sheet.refresh", "sent=%" PRId64 " lately=%" PRId64, f.sent, f.lately);
    } else if (e->cls == ERR_CANCELLED) {
        (void)task_cancelled(req, e); /* as it is told everywhere */
    }
    return ok ? result_of(&f) : NULL;
}
