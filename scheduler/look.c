#include "scheduler/look.h"

#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/rds_info.h"

#define LOOK_EVERY_MS  500
#define LOOK_SLOW_MS   200 /* a Sentinel or a name server hangs: slots must not wait for it often */
#define LOOK_SELDOM_MS 10000

enum look look_at_redis(redisContext *c, bool allow_unsafe, struct err *e)
{
    redisReply *r = rds_command(c, e, "INFO");
    enum rds_safety safety;

    if (!r && !strstr(e->text, "NOPERM")) {
        return LOOK_LATER;
    }
    safety = rds_judge(r && r->type == REDIS_REPLY_STRING ? r->str : NULL, e);
    freeReplyObject(r);
    switch (safety) {
    case RDS_SAFE:
        break;
    case RDS_REPLICA:
        return LOOK_LATER;
    case RDS_UNSEEN:
        log_warn("redis.unseen", "error=%s", LOGQ(e->text));
        break;
    case RDS_EVICTS:
        log_event(allow_unsafe ? LOG_WARN : LOG_ERROR, "redis.unsafe", "error=%s", LOGQ(e->text));
        return allow_unsafe ? LOOK_GO : LOOK_REFUSE;
    }
    return LOOK_GO;
}

bool look_has_moved(const struct rds_addr *a, const redisContext *c, int64_t *not_before_ms,
                    struct err *e)
{
    int64_t began_ms = clock_mono_ms(), took_ms;
    bool moved;

    if (!a->master[0] || began_ms < *not_before_ms) {
        return false;
    }
    moved = rds_has_moved(a, c);
    took_ms = clock_mono_ms() - began_ms;
    *not_before_ms = began_ms + (took_ms > LOOK_SLOW_MS ? LOOK_SELDOM_MS : LOOK_EVERY_MS);
    return moved &&
           !err_set(e, ERR_RETRYABLE, "ConnectionError", "Redis has moved, the Sentinels say");
}
