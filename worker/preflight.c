#include "worker/preflight.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/rds_info.h"
#include "common/rdsa.h"

#define ASK_AGAIN_MS 1000

struct preflight {
    struct preflight_config cf;
    struct rdsa *redis; /* NULL at the end */
    struct event *timer;
    bool told;
    bool ended, safe;
};

/* The connection is not given up from within its own callback. */
static void end(struct preflight *p, bool safe)
{
    p->ended = true;
    p->safe = safe;
    loop_arm_ms(p->timer, 0);
}

static void wait_and_ask_again(struct preflight *p, const char *event, const char *why)
{
    if (!p->told) {
        log_warn(event, "error=%s", LOGQ(why));
        p->told = true;
    }
    loop_arm_ms(p->timer, ASK_AGAIN_MS);
}

static void judge(struct preflight *p, const char *info)
{
    struct err e;

    switch (rds_judge(info, &e)) {
    case RDS_SAFE:
        end(p, true);
        break;
    case RDS_UNSEEN:
        log_warn("redis.unseen", "error=%s", LOGQ(e.text));
        end(p, true);
        break;
    case RDS_EVICTS:
        log_event(p->cf.allow_unsafe ? LOG_WARN : LOG_ERROR, "redis.unsafe", "error=%s",
                  LOGQ(e.text));
        end(p, p->cf.allow_unsafe);
        break;
    case RDS_REPLICA:
        wait_and_ask_again(p, "redis.replica", e.text);
        break;
    }
}

static void on_info(void *ctx, UNUSED uint64_t number, const redisReply *r)
{
    struct preflight *p = ctx;

    if (!r || p->ended) {
        return; /* the connection broke; asked again when it is back */
    }
    if (r->type == REDIS_REPLY_STRING) {
        judge(p, r->str);
    } else if (r->type == REDIS_REPLY_ERROR && strncmp(r->str, "NOPERM", 6) != 0) {
        wait_and_ask_again(p, "redis.refuses", r->str);
    } else {
        judge(p, NULL);
    }
}

static void ask(void *ctx)
{
    struct preflight *p = ctx;

    if (!p->ended) {
        rdsa_command(p->redis, RDSA_COMMAND_MS, on_info, p, 0, 1, (const char *[]){"INFO"});
    }
}

static void on_timer(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    struct preflight *p = arg;

    if (!p->ended) {
        ask(p);
        return;
    }
    rdsa_free(p->redis);
    p->redis = NULL;
    p->cf.on_end(p->cf.ctx, p->safe);
}

struct preflight *preflight_start(const struct preflight_config *config)
{
    struct preflight *p = mem_alloc(sizeof *p);
    struct rdsa_config cf = {.base = config->base,
                             .addr = config->redis,
                             .role = "main",
                             .errors_are_answers = true,
                             .on_up = ask,
                             .ctx = p};

    p->cf = *config;
    p->timer = evtimer_new(config->base, on_timer, p);
    MUST(p->timer);
    p->redis = rdsa_new(&cf);
    return p;
}

void preflight_free(struct preflight *p)
{
    p->ended = true;
    if (p->redis) {
        rdsa_free(p->redis);
    }
    event_free(p->timer);
    free(p);
}
