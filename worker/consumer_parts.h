#ifndef WORKER_CONSUMER_PARTS_H
#define WORKER_CONSUMER_PARTS_H

#include "common/keys.h"
#include "worker/consumer.h"
#include "worker/job.h"
#include "worker/pool.h"
#include "worker/rdsa.h"

/* The consumer's inside, shared by consumer.c (jobs), consumer_link.c (being known to Redis, what
 * is done regularly) and consumer_wait.c (being woken). */

/* Blocks on one list until there is a message, on a connection of its own. */
struct waiter {
    struct consumer *consumer;
    struct rdsa *conn;
    char list[BROKER_LIST_SIZE];
    bool waiting;
};

struct consumer {
    struct consumer_config cf;
    struct broker self;
    struct rdsa *redis;
    struct waiter waiters[KEY_PRIORITY_STEPS];
    struct pool *pool;
    struct job *jobs;
    int job_count;
    uint64_t last_number;
    uint64_t taking;     /* number of the take on its way, 0: none */
    uint64_t generation; /* counts our boot ids */
    struct event *beat_timer, *due_timer, *grace_timer;
    bool registered; /* Redis knows our boot id, as far as we know */
    bool empty;      /* the last take found nothing */
    bool stopping;
    bool leaving;
};

/* consumer.c */
void consumer_drop_job(struct consumer *c, struct job *j);
/* Gives waiting jobs to free children, takes a message when one is left. */
void consumer_pump(struct consumer *c);
/* The same, although the last take found nothing. */
void consumer_take_again(struct consumer *c);
/* After a reconnect: what was under way is said again. Every step bears that. */
void consumer_send_steps(struct consumer *c);
/* Leaves when it is time to and nothing is left to do. */
void consumer_maybe_leave(struct consumer *c);

/* consumer_link.c */
void consumer_start_timers(struct consumer *c);
void consumer_free_timers(struct consumer *c);
/* Somebody thinks that we are dead, and others may run what we held: begins anew. */
void consumer_abandon(struct consumer *c);
void consumer_on_redis_up(void *consumer);
void consumer_on_redis_down(void *consumer);
/* Parts of an array reply. */
bool reply_is_number(const redisReply *r, size_t i);
int64_t reply_number(const redisReply *r, size_t i);

/* consumer_wait.c */
/* Blocks on every list on which nobody of us blocks yet, when there is a reason to. */
void consumer_wait(struct consumer *c);
bool consumer_waits_everywhere(const struct consumer *c);
void consumer_on_waiter_up(void *waiter);

#endif
