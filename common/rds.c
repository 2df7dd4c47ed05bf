#include "common/rds.h"

#include <stdarg.h>
#include <string.h>
#include <sys/time.h>

#include "common/clock.h"
#include "common/text.h"

enum err_class rds_error_class(const char *text)
{
    /* How the errors begin that pass by themselves; everything else repeats on a retry. */
    static const char *const RETRYABLE[] = {
        "LOADING",     /* it has just started */
        "READONLY",    /* a replica, before or after a failover */
        "MASTERDOWN",  /* a replica without its master */
        "NOREPLICAS",  /* min-replicas-to-write */
        "CLUSTERDOWN", /* and the next two: slots are on their way */
        "TRYAGAIN",
        "INPROG",  /* a failover */
        "BUSY ",   /* a script takes long; BUSYGROUP and the like are others */
        "OOM",     /* maxmemory */
        "MISCONF", /* cannot save to disk */
        "EXECABORT",
        "UNBLOCKED",
        "NOSCRIPT", /* forgotten; loaded again */
        "ERR max number of clients",
    };

    for (size_t i = 0; i < ARRAY_LEN(RETRYABLE); i++) {
        if (strncmp(text, RETRYABLE[i], strlen(RETRYABLE[i])) == 0) {
            return ERR_RETRYABLE;
        }
    }
    return ERR_PERMANENT;
}

void rds_error_reply(const char *text, struct err *e)
{
    err_set(e, rds_error_class(text), "RedisError", "Redis answered: %.300s", text);
}

static void connection_error(const redisContext *c, struct err *e)
{
    err_set(e, ERR_RETRYABLE, "ConnectionError", "Redis: %s",
            c && c->err ? c->errstr : "out of memory");
}

static redisReply *checked(redisContext *c, redisReply *r, struct err *e)
{
    if (!r) {
        connection_error(c, e);
        return NULL;
    }
    if (r->type == REDIS_REPLY_ERROR) {
        rds_error_reply(r->str, e);
        freeReplyObject(r);
        return NULL;
    }
    return r;
}

static bool do_command(redisContext *c, struct err *e, const char *fmt, ...)
{
    redisReply *r;
    va_list ap;

    va_start(ap, fmt);
    r = checked(c, redisvCommand(c, fmt, ap), e);
    va_end(ap);
    freeReplyObject(r);
    return r != NULL;
}

static bool authenticate(redisContext *c, const struct rds_addr *a, struct err *e)
{
    if (a->password[0] && a->user[0]) {
        return do_command(c, e, "AUTH %s %s", a->user, a->password);
    }
    return !a->password[0] || do_command(c, e, "AUTH %s", a->password);
}

/* During a failover the Sentinels may still tell the old master, or already the new one. */
static bool must_be_master(redisContext *c, struct err *e)
{
    redisReply *r = rds_command(c, e, "ROLE");
    bool ok = r && (rds_read_is_master(r) ||
                    err_set(e, ERR_RETRYABLE, "NotMaster",
                            "Redis: what the Sentinels call the master is none (yet)"));

    freeReplyObject(r);
    return ok;
}

static bool introduce(redisContext *c, const struct rds_addr *a, struct err *e)
{
    return authenticate(c, a, e) && (!a->master[0] || must_be_master(c, e)) &&
           (a->db == 0 || do_command(c, e, "SELECT %d", a->db));
}

static redisContext *connect_once(const struct rds_addr *a, int timeout_ms, struct err *e)
{
    struct timeval tv = {timeout_ms / 1000, (timeout_ms % 1000) * 1000};
    struct rds_place p = {.port = a->port};
    redisContext *c;

    memcpy(p.host, a->host, sizeof p.host);
    if (a->master[0] && !rds_find_master(a, &p, e)) {
        return NULL;
    }
    c = a->path[0] ? redisConnectUnixWithTimeout(a->path, tv)
                   : redisConnectWithTimeout(p.host, p.port, tv);
    if (!c || c->err || redisSetTimeout(c, tv) != REDIS_OK) {
        connection_error(c, e);
        if (c) {
            redisFree(c);
        }
        return NULL;
    }
    rds_tune_socket(c->fd);
    if (!introduce(c, a, e)) {
        redisFree(c);
        return NULL;
    }
    return c;
}

redisContext *rds_connect(const struct rds_addr *a, int timeout_ms, struct err *e)
{
    int64_t until_ms = clock_mono_ms() + timeout_ms;
    redisContext *c;

    /* One Sentinel may be behind; each of them is believed once. */
    for (int left = a->sentinel_count;; left--) {
        c = connect_once(a, timeout_ms, e);
        if (c || left <= 1 || e->cls != ERR_RETRYABLE || clock_mono_ms() > until_ms) {
            return c;
        }
        rds_distrust_sentinel();
    }
}

redisReply *rds_command_argv(redisContext *c, int argc, const char **argv, const size_t *lens,
                             struct err *e)
{
    return checked(c, redisCommandArgv(c, argc, argv, lens), e);
}

redisReply *rds_command(redisContext *c, struct err *e, const char *fmt, ...)
{
    redisReply *r;
    va_list ap;

    va_start(ap, fmt);
    r = redisvCommand(c, fmt, ap);
    va_end(ap);
    return checked(c, r, e);
}

bool rds_read_time(const redisReply *r, int64_t *now_us)
{
    int64_t s, us;

    if (r->type != REDIS_REPLY_ARRAY || r->elements != 2 ||
        r->element[0]->type != REDIS_REPLY_STRING || r->element[1]->type != REDIS_REPLY_STRING ||
        !text_to_i64(r->element[0]->str, 0, INT64_MAX / 2000000, &s) ||
        !text_to_i64(r->element[1]->str, 0, 999999, &us)) {
        return false;
    }
    *now_us = s * 1000000 + us;
    return true;
}

bool rds_read_is_master(const redisReply *r)
{
    return r->type == REDIS_REPLY_ARRAY && r->elements > 0 &&
           r->element[0]->type == REDIS_REPLY_STRING && strcmp(r->element[0]->str, "master") == 0;
}

bool rds_time_us(redisContext *c, int64_t *now_us, struct err *e)
{
    redisReply *r = rds_command(c, e, "TIME");
    bool ok;

    if (!r) {
        return false;
    }
    ok = rds_read_time(r, now_us) ||
         err_set(e, ERR_PERMANENT, "RedisError", "TIME: unexpected kind of answer");
    freeReplyObject(r);
    return ok;
}
