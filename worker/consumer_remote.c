#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "worker/consumer_parts.h"

/* What remote control asks a consumer for. */

void consumer_each_job(struct consumer *c, void (*fn)(void *ctx, const struct job *j), void *ctx)
{
    const struct job *j;

    TAILQ_FOREACH(j, &c->jobs.all, all)
    {
        fn(ctx, j);
    }
}

bool consumer_terminate(struct consumer *c, const char *id, int signum)
{
    struct job *j;

    TAILQ_FOREACH(j, &c->jobs.all, all)
    {
        if ((j->state == JOB_WAITING || j->state == JOB_READY || j->state == JOB_RUNNING) &&
            strcmp(j->msg.id, id) == 0) {
            break;
        }
    }
    if (!j) {
        return false;
    }
    if (j->state == JOB_RUNNING) {
        pool_terminate(c->pool, j->number, signum);
        return true; /* its end is reported like any other */
    }
    job_end_revoked(j, c->cf.settings, &JOB_REVOKED);
    consumer_go_on(c, j);
    return true;
}

void consumer_recheck_revoked(struct consumer *c)
{
    for (struct job *j = TAILQ_FIRST(&c->jobs.all), *next; j; j = next) {
        next = TAILQ_NEXT(j, all);
        if ((j->state == JOB_READY || j->state == JOB_WAITING) && consumer_is_revoked(c, j)) {
            job_end_revoked(j, c->cf.settings, &JOB_REVOKED);
            consumer_go_on(c, j);
        }
    }
}

static int queue_index(const struct consumer *c, const char *name)
{
    for (int i = 0; i < c->queues.count; i++) {
        if (strcmp(c->queues.name[i], name) == 0) {
            return i;
        }
    }
    return -1;
}

bool consumer_add_queue(struct consumer *c, const char *name, struct err *e)
{
    int at = c->queues.count;

    if (queue_index(c, name) >= 0) {
        return true;
    }
    if (at == BROKER_QUEUES_MAX) {
        return err_set(e, ERR_PERMANENT, "ValueError", "a worker takes from at most %d queues",
                       BROKER_QUEUES_MAX);
    }
    if (name[0] == '\0' || strlen(name) > BROKER_QUEUE_MAX || strpbrk(name, "\n\x06\x16")) {
        return err_set(e, ERR_PERMANENT, "ValueError", "not the name of a queue");
    }
    snprintf(c->queues.name[at], sizeof c->queues.name[at], "%s", name);
    c->queues.count++;
    consumer_add_waiters(c, at);
    log_info("worker.queue_added", "queue=%s", LOGQ(name));
    consumer_take_again(c);
    return true;
}

bool consumer_cancel_queue(struct consumer *c, const char *name, struct err *e)
{
    int at = queue_index(c, name);
    int rest;

    if (at < 0) {
        return err_set(e, ERR_PERMANENT, "ValueError", "this worker does not take from it");
    }
    consumer_free_waiters(c, at);
    rest = --c->queues.count - at;
    memmove(c->queues.name[at], c->queues.name[at + 1], (size_t)rest * sizeof c->queues.name[0]);
    memmove(&c->waiters[(ptrdiff_t)at * KEY_PRIORITY_STEPS],
            &c->waiters[(ptrdiff_t)(at + 1) * KEY_PRIORITY_STEPS],
            (size_t)rest * KEY_PRIORITY_STEPS * sizeof(struct waiter *));
    log_info("worker.queue_cancelled", "queue=%s", LOGQ(name));
    return true;
}

const struct broker *consumer_broker(const struct consumer *c)
{
    return &c->self;
}

struct pool *consumer_pool(struct consumer *c)
{
    return c->pool;
}

struct rdsa *consumer_redis(struct consumer *c)
{
    return c->redis;
}

bool consumer_is_stopping(const struct consumer *c)
{
    return c->stopping;
}

bool consumer_is_registered(const struct consumer *c)
{
    return c->registered;
}

const struct consumer_stats *consumer_stats(const struct consumer *c)
{
    return &c->stats;
}
