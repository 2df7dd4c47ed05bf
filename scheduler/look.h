#ifndef SCHEDULER_LOOK_H
#define SCHEDULER_LOOK_H

#include "common/rds.h"

/* Whether schedules may be kept in this Redis; what speaks against it is logged. */
enum look {
    LOOK_GO,
    LOOK_LATER,  /* it cannot be used now (a replica, an error): *e says why */
    LOOK_REFUSE, /* it deletes data by itself, and that is not allowed */
};
enum look look_at_redis(redisContext *c, bool allow_unsafe, struct err *e);

/*
 * Whether the Sentinels tell another master than c by now. Asks them twice a second at most, and
 * every 10 s while they are slow. not_before_ms: the state of that, 0 at first.
 */
bool look_has_moved(const struct rds_addr *a, const redisContext *c, int64_t *not_before_ms,
                    struct err *e);

#endif
