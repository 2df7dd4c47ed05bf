#ifndef WORKER_CONTROL_H
#define WORKER_CONTROL_H

#include "common/lamport.h"
#include "common/rds.h"
#include "worker/consumer.h"
#include "worker/events.h"
#include "worker/revoke.h"

/*
 * Remote control: what Celery's command line tools, Flower and aion2ctl ask this worker, answered
 * from the supervisor, whatever the tasks do. Requests are anybody's bytes: one that is wrong is
 * logged and forgotten, one that cannot be done is answered with an error.
 */
struct control;

struct control_config {
    struct event_base *base;
    const struct settings *settings; /* borrowed, as everything here */
    const char *node;                /* name of this worker */
    const struct rds_addr *redis;
    struct rdsa *talk; /* connection for answers */
    struct lamport *clock;
    struct revoke *revoke;
    struct events *events;
    struct consumer *consumer;
    void (*on_shutdown)(void *ctx); /* somebody asks the worker to stop */
    void *ctx;
};

struct control *control_new(const struct control_config *config);
/* After its connection. */
void control_free(struct control *c);

/* Requests are heard from now on: greets the other workers, to learn what is revoked. */
void control_hello(struct control *c);
/* Something was published on the channel of requests. ctx: the struct control. */
void control_on_message(void *ctx, const char *channel, const char *bytes, size_t len);

#endif
