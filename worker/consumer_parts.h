#ifndef WORKER_CONSUMER_PARTS_H
#define WORKER_CONSUMER_PARTS_H

#include "common/keys.h"
#include "common/rdsa.h"
#include "worker/consumer.h"
#include "worker/job.h"
#include "worker/jobs.h"
#include "worker/pool.h"

/*
 * The consumer's inside, shared by consumer.c (its life, children), consumer_take.c (messages in
 * and back out), consumer_gate.c (who may begin), consumer_step.c (the steps of a job),
 * consumer_link.c (being known to Redis, what is done regularly), consumer_wait.c (being woken) and
 * consumer_remote.c (what others ask for).
 */

/* Blocks on one list until there is a message, on a connection of its own. */
struct waiter {
    struct consumer *consumer;
    struct rdsa *conn;
    char list[BROKER_LIST_SIZE];
    bool waiting;
};

/* The rate of a task. */
struct rate_bucket {
    const struct task *task;
    int64_t next_us; /* monotonic: when the next one may begin */
    int64_t away_us; /* and when the next of those sent away should be back */
};
#define RATE_BUCKETS_MAX 64 /* tasks with a rate limit, or singletons; more have no limit */

#define WAITERS_MAX (BROKER_QUEUES_MAX * KEY_PRIORITY_STEPS)

struct consumer {
    struct consumer_config cf;
    struct broker self;
    struct broker_queues queues;
    struct rdsa *redis;
    struct waiter *waiters[WAITERS_MAX]; /* KEY_PRIORITY_STEPS for each queue, in their order */
    struct pool *pool;
    struct jobs jobs;
    struct consumer_stats stats;
    uint64_t last_number;
    uint64_t taking; /* first number of the take on its way, 0: none */
    int taking_count;
    unsigned turn;       /* counts takes: the queues take turns */
    uint64_t generation; /* counts our boot ids */
    /* Steps of this boot id that Redis has acknowledged, and when it last spoke to us. */
    int64_t acked_taken, acked_ended, heard_ms;
    struct job_queue endings; /* that go out together, see consumer_step.c */
    int ending_count;
    struct event *flush, *patience, *gate;
    struct rate_bucket buckets[RATE_BUCKETS_MAX];
    int bucket_count;
    struct event *recount_timer; /* asks again for the sizes of chords */
    struct event *beat_timer, *due_timer, *grace_timer;
    bool grown;      /* many or large messages were here since memory was given back */
    bool registered; /* Redis knows our boot id, as far as we know */
    bool empty;      /* the last take found nothing */
    bool stopping;
    bool leaving;
};

/* consumer_take.c */
/* Gives waiting jobs to free children, takes messages when there is room for some. */
void consumer_pump(struct consumer *c);
/* The same, although the last take found nothing. */
void consumer_take_again(struct consumer *c);
/* Puts back what no child has begun and what has waited for so long. */
void consumer_give_back(struct consumer *c, int64_t waited_ms);
void consumer_on_patience(evutil_socket_t fd, short what, void *consumer);

/* consumer.c */
/* Leaves when it is time to and nothing is left to do. */
void consumer_maybe_leave(struct consumer *c);
/* Gives a job that is ready to a child. */
void consumer_run(struct consumer *c, struct job *j);

/* consumer_gate.c */
/* Goes on with a job that has been examined: to a child, to wait, or out. */
void consumer_admit(struct consumer *c, struct job *j);
/* Redis has answered whether it is the only one of its task. */
void consumer_on_claimed(struct consumer *c, struct job *j, const redisReply *r);
void consumer_on_gate(evutil_socket_t fd, short what, void *consumer);

/* consumer_step.c */
/* Does what the job's state asks for, after it has changed. */
void consumer_go_on(struct consumer *c, struct job *j);
/* Forgets a job, its hold having ended or being somebody else's. */
void consumer_drop_job(struct consumer *c, struct job *j);
/* After a reconnect: what was under way is said again. Every step bears that. */
void consumer_send_steps(struct consumer *c);
/* Tells the listener. */
void consumer_tell(struct consumer *c, const struct job *j, enum job_news news);
/* Stores that a child has begun it. */
void consumer_say_started(struct consumer *c, const struct job *j, int pid);
void consumer_on_recount(evutil_socket_t fd, short what, void *consumer);
bool consumer_is_revoked(const struct consumer *c, const struct job *j);
void consumer_on_flush(evutil_socket_t fd, short what, void *consumer);

/* consumer_link.c */
void consumer_start_timers(struct consumer *c);
void consumer_free_timers(struct consumer *c);
/* Somebody thinks that we are dead, and others may run what we held: begins anew. */
void consumer_abandon(struct consumer *c);
void consumer_on_redis_up(void *consumer);
void consumer_on_redis_down(void *consumer);
/* Something is due in so many ms; -1: nothing is. */
void consumer_note_due(struct consumer *c, int64_t next_ms);
/* Parts of an array reply. */
bool reply_is_number(const redisReply *r, size_t i);
int64_t reply_number(const redisReply *r, size_t i);

/* consumer_wait.c */
/* Blocks on every list on which nobody of us blocks yet, when there is a reason to. */
void consumer_wait(struct consumer *c);
bool consumer_waits_everywhere(const struct consumer *c);
/* Begins and ends waiting for a queue's lists. */
void consumer_add_waiters(struct consumer *c, int queue);
void consumer_free_waiters(struct consumer *c, int queue);

#endif
