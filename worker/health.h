#ifndef WORKER_HEALTH_H
#define WORKER_HEALTH_H

#include <event2/event.h>

#include "worker/consumer.h"
#include "worker/remote.h"

/*
 * What the supervisor shows of itself on METRICS_LISTEN, on its own loop, so that an answer is
 * proof that the loop turns:
 *   /ready  Redis knows this worker and it does not stop
 *   /fresh  the last ranking is young enough, as far as Redis knows
 */
struct health;

/* Without METRICS_LISTEN it shows nothing. NULL and *e when the address cannot be used. */
struct health *health_start(struct event_base *base, const struct settings *s,
                            struct err *e) MUST_CHECK;
/* The parts are there from now on. */
void health_attach(struct health *h, struct consumer *c, const struct remote *r);
void health_free(struct health *h);

#endif
