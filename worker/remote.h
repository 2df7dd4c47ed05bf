#ifndef WORKER_REMOTE_H
#define WORKER_REMOTE_H

#include "worker/consumer.h"

/*
 * The worker as Celery's tools see it: remote control, events and revoked tasks, with the two
 * connections that they use. Nothing here holds up the consumer, and nothing of it fails a task.
 */
struct remote;

struct remote_config {
    struct event_base *base;
    const struct settings *settings; /* borrowed */
    const struct rds_addr *redis;
    void (*on_shutdown)(void *ctx); /* remote control asks the worker to stop */
    void *ctx;
};

struct remote *remote_new(const struct remote_config *config);
/* What the consumer is to ask and to tell; before consumer_new. */
void remote_fill(struct remote *r, struct consumer_config *cf);
/* Connects; after consumer_new. */
void remote_start(struct remote *r, struct consumer *consumer);
/* The worker stops: monitors are told. Answers to requests go on. */
/* When the last ranking was made, unix us; METRIC_UNKNOWN: nobody has said. */
int64_t remote_published_us(const struct remote *r);
void remote_say_offline(struct remote *r);
/* Before consumer_free. */
void remote_free(struct remote *r);

#endif
