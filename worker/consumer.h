#ifndef WORKER_CONSUMER_H
#define WORKER_CONSUMER_H

#include <event2/event.h>

#include "common/broker.h"
#include "common/rds.h"
#include "worker/news.h"
#include "worker/settings.h"

/*
 * Takes messages, gives them to children and ends their holds: everything between Redis and the
 * pool, on one libevent loop. Survives the loss of Redis: children go on, what they answer is
 * kept and sent when Redis is back. A hold is ended by Redis' word only.
 */
struct consumer;
struct pool;
struct rdsa;

struct consumer_config {
    struct event_base *base;
    const struct settings *settings; /* borrowed; worker_name is filled in */
    const struct rds_addr *redis;
    /* Whether a task is revoked; asked when its message is received and before it begins. NULL:
     * none ever is. */
    bool (*is_revoked)(void *ctx, const char *id);
    void *revoked_ctx;
    /* The connection is up (again) and nothing was taken over it: what is to be known before the
     * next task is asked for here, and answered before it. NULL: nothing. */
    void (*on_connected)(void *ctx, struct rdsa *conn);
    void *connected_ctx;
    job_news_fn on_news; /* NULL: nobody listens */
    void *news_ctx;
};

struct consumer *consumer_new(const struct consumer_config *config);
/* Takes nothing more, puts back what has not begun, and ends the loop when the running tasks have
 * ended or SHUTDOWN_GRACE is over; then what still runs is killed and put back. */
void consumer_stop(struct consumer *c);
/* The last part of consumer_stop at once. */
void consumer_stop_now(struct consumer *c);
/* Kills what still runs. */
void consumer_free(struct consumer *c);

/* ---- for remote control (consumer_remote.c) ---- */

/* Every job that is held, oldest first. fn must not change anything here. */
void consumer_each_job(struct consumer *c, void (*fn)(void *ctx, const struct job *j), void *ctx);
/*
 * Ends the task with this id as REVOKED: with the signal when it runs, at once when it waits.
 * False: it is not here.
 */
bool consumer_terminate(struct consumer *c, const char *id, int signum);
/* More tasks are revoked than before: waiting jobs that are among them end. */
void consumer_recheck_revoked(struct consumer *c);
/* Takes from a further queue. True when it does so already; false and *e when there are
 * BROKER_QUEUES_MAX or the name cannot be one. */
bool consumer_add_queue(struct consumer *c, const char *name, struct err *e) MUST_CHECK;
/* Takes from it no more; false and *e when it does not. With no queue left it only waits. */
bool consumer_cancel_queue(struct consumer *c, const char *name, struct err *e) MUST_CHECK;
/* Boot id and queues; valid until the loop runs again. */
const struct broker *consumer_broker(const struct consumer *c);
struct pool *consumer_pool(struct consumer *c);
/* The connection that carries the heartbeat. */
struct rdsa *consumer_redis(struct consumer *c);
bool consumer_is_stopping(const struct consumer *c);
/* Redis knows this worker, as far as we know. */
bool consumer_is_registered(const struct consumer *c);
/* Since the start. */
struct consumer_stats {
    int64_t taken, succeeded, failed, retried, revoked, requeued;
    int prefetch; /* jobs it holds at most now */
};
const struct consumer_stats *consumer_stats(const struct consumer *c);

#endif
