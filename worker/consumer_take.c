#include <limits.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/loop.h"
#include "worker/consumer_parts.h"
#include "worker/figures.h"

/* How messages come in, and back out when there is nobody for them after all. */

#define SHORT_US     2000 /* see reserve() */
#define RESERVE_US   20000
#define RESERVE_MAX  256
#define ENDING_SPARE 512 /* jobs whose end is on the way, beside those that children have */
#define GROWN_BY     64  /* messages at once are worth a look at our memory later, */
#define GROWN_BYTES  MIB /* or one so large */
#define PATIENCE_MS  250 /* so long a message waits here while another worker might be free */

static void job_begin(struct consumer *c, uint64_t number, const struct broker_taken *t)
{
    struct job *j = job_new(number, &c->self, t);

    if (!j) {
        log_error("task.dropped", "bytes=%zu error=\"out of memory\"", t->len);
        return; /* as in send_step */
    }
    jobs_add(&c->jobs, j);
    if (c->stopping) {
        return; /* the whole batch goes back at once */
    }
    job_examine(j, c->cf.settings, t);
    if (j->msg.id[0] != '\0' && j->msg.task[0] != '\0') {
        consumer_tell(c, j, NEWS_RECEIVED);
    }
    consumer_admit(c, j);
}

static void begin_batch(struct consumer *c, const struct broker_batch *batch)
{
    struct broker_taken t;

    c->acked_taken += batch->count + batch->oversized;
    c->stats.taken += batch->count;
    c->grown |= batch->count >= GROWN_BY;
    if (batch->oversized > 0) {
        log_error("task.quarantined", "messages=%" PRId64 " reason=\"longer than %zu bytes\"",
                  batch->oversized, (size_t)MSG_BYTES_MAX);
        figures_quarantined(batch->oversized);
    }
    if (batch->copies > 0) {
        log_warn("task.copy_dropped", "messages=%" PRId64, batch->copies);
    }
    for (int i = 0; i < batch->count; i++) {
        if (broker_batch_get(batch, i, &t)) {
            c->grown |= t.len >= GROWN_BYTES;
            job_begin(c, strtoull(t.tag, NULL, 10), &t);
        }
    }
}

static void read_take(struct consumer *c, const redisReply *r)
{
    struct broker_batch batch;

    switch (broker_read_take(r, &batch)) {
    case BROKER_TOOK:
        begin_batch(c, &batch);
        break;
    case BROKER_EMPTY:
        c->empty = true;
        consumer_wait(c);
        break;
    case BROKER_GONE:
        consumer_abandon(c);
        break;
    case BROKER_NONSENSE:
        log_error("worker.bug", "error=\"take answered nonsense\"");
        c->empty = true;
        break;
    }
}

static void on_taken(void *ctx, uint64_t number, const redisReply *r)
{
    struct consumer *c = ctx;

    if (number != c->taking) {
        return; /* of a boot id that is no more: it has taken nothing */
    }
    c->taking = 0;
    if (r) { /* otherwise, if it was taken, the heartbeat after the reconnect puts it back */
        read_take(c, r);
    }
    if (c->stopping) {
        consumer_give_back(c, 0);
    } else if (r) {
        consumer_pump(c);
    }
    consumer_maybe_leave(c);
}

/*
 * How many jobs to hold beside those that children have: none, so that every other worker gets its
 * share, unless tasks are so short that a take would cost more than what it brings.
 */
static int reserve(const struct consumer *c)
{
    int64_t run_us = pool_run_us(c->pool);
    int64_t n = run_us < SHORT_US ? RESERVE_US * pool_size(c->pool) / (run_us + 1) : 0;

    return (int)(n < RESERVE_MAX ? n : RESERVE_MAX);
}

/* How many messages to take now. Not one by one when there is a reserve. */
static int room(struct consumer *c)
{
    int promised = c->jobs.in_state[JOB_ADOPTING] + c->jobs.in_state[JOB_READY];
    int spare = pool_size(c->pool) * POOL_QUEUE_MAX + ENDING_SPARE - c->jobs.count;
    int kept = reserve(c);
    int n;

    c->stats.prefetch = pool_size(c->pool) + kept;
    if (kept > 0 && promised > kept / 2) {
        return 0;
    }
    n = pool_capacity(c->pool) + kept - promised;
    n = n < spare ? n : spare;
    return n < BROKER_TAKE_MAX ? n : BROKER_TAKE_MAX;
}

static void take(struct consumer *c, int count)
{
    struct broker_want want = {.first = c->last_number + 1, .count = count, .turn = c->turn++};
    struct command cmd;

    c->taking = want.first;
    c->taking_count = count;
    c->last_number += (uint64_t)count;
    broker_take(&cmd, &c->self, &want);
    rdsa_script(c->redis, &cmd, on_taken, c, c->taking);
    command_fini(&cmd);
}

/* ---- giving back ---- */

static bool is_waiting(const struct job *j)
{
    return j->state == JOB_READY || j->state == JOB_TAKEN ||
           (j->state == JOB_RUNNING && !job_has_begun(j));
}

void consumer_give_back(struct consumer *c, int64_t waited_ms)
{
    int64_t since_ms = clock_mono_ms() - waited_ms;
    struct job *before;

    /* The latest first: each goes to the end from which is taken. */
    for (struct job *j = TAILQ_LAST(&c->jobs.all, job_queue); j; j = before) {
        before = TAILQ_PREV(j, job_queue, all);
        if (!(is_waiting(j) || (j->state == JOB_WAITING && c->stopping)) ||
            j->received_ms > since_ms ||
            (j->state == JOB_RUNNING && !pool_withdraw(c->pool, j->number))) {
            continue;
        }
        job_end_requeue(j);
        consumer_go_on(c, j);
    }
}

static int waiting_count(const struct consumer *c)
{
    return c->jobs.in_state[JOB_READY] +
           (c->jobs.in_state[JOB_RUNNING] > pool_size(c->pool) ? 1 : 0);
}

/* Tasks have become longer than they were when we took so many, or children are missing. */
void consumer_on_patience(UNUSED evutil_socket_t fd, UNUSED short what, void *consumer)
{
    struct consumer *c = consumer;

    consumer_give_back(c, PATIENCE_MS);
    consumer_pump(c);
}

/* ---- in turn ---- */

/* Takes when there is somebody to do the work. One take at a time; the answer pumps again. */
void consumer_pump(struct consumer *c)
{
    int ready = INT_MAX;
    int count;

    if (c->stopping) {
        return;
    }
    while (pool_capacity(c->pool) > 0 && c->jobs.in_state[JOB_READY] < ready) {
        ready = c->jobs.in_state[JOB_READY]; /* as long as somebody takes them */
        if (ready > 0) {
            consumer_go_on(c, TAILQ_FIRST(&c->jobs.ready));
        }
    }
    if (waiting_count(c) > 0 && !event_pending(c->patience, EV_TIMEOUT, NULL)) {
        loop_arm_ms(c->patience, PATIENCE_MS);
    }
    if (!c->registered || c->taking || c->empty || c->queues.count == 0) {
        return;
    }
    count = room(c);
    if (count > 0) {
        take(c, count);
    }
}

void consumer_take_again(struct consumer *c)
{
    c->empty = false;
    consumer_pump(c);
}
