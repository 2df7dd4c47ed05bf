#ifndef COMMON_CONNS_H
#define COMMON_CONNS_H

#include <event2/bufferevent.h>
#include <event2/event.h>

#include "common/base.h"
#include "common/peers.h"

/*
 * Every client connection of a loop. evhttp keeps its own list but gives no access to it, bounds
 * neither their number nor the time a client may take by sending a byte now and then. So each
 * bufferevent that evhttp uses is made here and kept by a second reference: evhttp has dropped it
 * once its callbacks are gone.
 */
struct conns;

/* limit: connections at the same time. idle_ms: one that was not answered for so long is closed. */
struct conns *conns_new(struct event_base *base, unsigned limit, int64_t idle_ms);
void conns_free(struct conns *c); /* NULL is fine */

/*
 * Two further limits, to be set before the first connection. A request whose first byte is here has
 * to be here whole within request_ms (idle_ms until this is called). Of one address no more
 * connections are kept than peers allows (borrowed, NULL: any number; several loops may share it):
 * what comes beyond is answered 429 and closed.
 */
void conns_limit_requests(struct conns *c, int64_t request_ms);
void conns_limit_addresses(struct conns *c, struct peers *peers);

/* The request that was being read on this connection is complete; to be called for each. */
void conns_received(struct conns *c, struct bufferevent *bev);
/* It was answered by bytes that never were in the bufferevent's output; else that is noticed. */
void conns_answered(struct conns *c, struct bufferevent *bev);

/* For evhttp's bevcb. When full, what it makes is not watched: stop accepting before that. */
struct bufferevent *conns_make(struct event_base *base, void *arg);

/* Forgets what evhttp has dropped and closes the too slow. Returns how many are left. */
unsigned conns_sweep(struct conns *c);
/* No further connection may be accepted before a sweep finds room. */
bool conns_full(const struct conns *c);
/* Some answer is not fully written yet. */
bool conns_busy(const struct conns *c);

#endif
