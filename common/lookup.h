#ifndef COMMON_LOOKUP_H
#define COMMON_LOOKUP_H

#include <event2/event.h>

#include "common/rds.h"

/*
 * rds_locate() on a thread of its own: name servers and Sentinels may be slow, and the loop must
 * go on meanwhile. The thread blocks all signals and touches nothing but its own copy of the
 * address.
 */
struct lookup;

/* place is NULL when it failed; both are gone after the call. */
typedef void (*lookup_fn)(void *ctx, const struct rds_place *place, const struct err *e);

/* Calls fn once, from the loop, unless it is cancelled before. NULL: no thread or descriptor left.
 */
struct lookup *lookup_start(struct event_base *base, const struct rds_addr *a, lookup_fn fn,
                            void *ctx);
/* The thread ends by itself; nobody waits for it. */
void lookup_cancel(struct lookup *l);

#endif
