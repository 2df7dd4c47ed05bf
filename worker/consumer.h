#ifndef WORKER_CONSUMER_H
#define WORKER_CONSUMER_H

#include <event2/event.h>

#include "common/rds.h"
#include "worker/settings.h"

/*
 * Takes messages, gives them to children and ends their holds: everything between Redis and the
 * pool, on one libevent loop. Survives the loss of Redis: children go on, what they answer is
 * kept and sent when Redis is back. A hold is ended by Redis' word only.
 */
struct consumer;

struct consumer_config {
    struct event_base *base;
    const struct settings *settings; /* borrowed; worker_name is filled in */
    const struct rds_addr *redis;
};

struct consumer *consumer_new(const struct consumer_config *config);
/* Takes nothing more, puts back what has not begun, and ends the loop when the running tasks have
 * ended or SHUTDOWN_GRACE is over; then what still runs is killed and put back. */
void consumer_stop(struct consumer *c);
/* The last part of consumer_stop at once. */
void consumer_stop_now(struct consumer *c);
/* Kills what still runs. */
void consumer_free(struct consumer *c);

#endif
