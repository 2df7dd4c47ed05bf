#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/loop.h"
#include "worker/consumer_parts.h"

/*
 * What stands between a message that is understood and its begin: it may be revoked, its task may
 * have a rate limit (a bucket of one token for each task of this worker, as Celery's workers have),
 * or may be one of which only one runs in the whole fleet. A few wait here; the others go to the
 * delayed set, so that those behind them are not held up.
 */
#define WAITING_MAX  4     /* that wait here */
#define CLAIM_MS     250   /* until the claim for a task that runs elsewhere is tried again */
#define AWAY_MAX_MS  60000 /* nobody is sent away for longer */
#define GATE_TICK_MS 5     /* tokens this close together are one look */

/* ---- rates ---- */

/* When the next one may begin, and when the next of those sent away should be back. */
static struct rate_bucket *bucket_of(struct consumer *c, const struct task *task)
{
    for (int i = 0; i < c->bucket_count; i++) {
        if (c->buckets[i].task == task) {
            return &c->buckets[i];
        }
    }
    if (c->bucket_count == RATE_BUCKETS_MAX) {
        return NULL;
    }
    c->buckets[c->bucket_count] = (struct rate_bucket){.task = task};
    return &c->buckets[c->bucket_count++];
}

/* Takes a token: 0, or the milliseconds until there may be one. */
static int64_t take_token(struct consumer *c, const struct job *j)
{
    double rate = task_state_of(j->task)->rate_per_s;
    struct rate_bucket *b = rate > 0 ? bucket_of(c, j->task) : NULL;
    int64_t now_us = clock_mono_us();

    if (!b) {
        return 0;
    }
    if (b->next_us > now_us) {
        return (b->next_us - now_us + 999) / 1000;
    }
    b->next_us = now_us + (int64_t)(1e6 / rate);
    return 0;
}

/*
 * Those sent away come back one after the other, so that a thousand of them are no more work than
 * ten. Of a singleton nobody knows how long one takes: as often as those that wait here.
 */
static int64_t away_ms(struct consumer *c, const struct job *j, int64_t wait_ms)
{
    double rate = task_state_of(j->task)->rate_per_s;
    int64_t step_us = rate > 0 ? (int64_t)(1e6 / rate) : CLAIM_MS * INT64_C(1000);
    struct rate_bucket *b = bucket_of(c, j->task);
    int64_t now_us = clock_mono_us();
    int64_t ms;

    if (!b) {
        return AWAY_MAX_MS;
    }
    if (b->away_us < now_us + wait_ms * 1000) {
        b->away_us = now_us + wait_ms * 1000;
    }
    b->away_us += step_us;
    ms = (b->away_us - now_us) / 1000;
    return ms < AWAY_MAX_MS ? ms : AWAY_MAX_MS;
}

/* ---- waiting ---- */

static void arm_gate(struct consumer *c)
{
    int64_t now_ms = clock_mono_ms(), first_ms = INT64_MAX;
    const struct job *j;

    TAILQ_FOREACH(j, &c->jobs.all, all)
    {
        if (j->state == JOB_WAITING && j->not_before_ms < first_ms) {
            first_ms = j->not_before_ms;
        }
    }
    if (first_ms != INT64_MAX) {
        loop_arm_ms(c->gate, first_ms > now_ms ? first_ms - now_ms : 0);
    }
}

static void wait_or_go_away(struct consumer *c, struct job *j, int64_t wait_ms, bool known)
{
    if (known || c->jobs.in_state[JOB_WAITING] < WAITING_MAX) {
        j->not_before_ms = clock_mono_ms() + wait_ms;
        j->state = JOB_WAITING;
        jobs_note(&c->jobs, j);
        arm_gate(c);
        return;
    }
    job_end_postpone(j, away_ms(c, j, wait_ms));
    consumer_go_on(c, j);
}

/* ---- one after the other ---- */

static void check_rate(struct consumer *c, struct job *j, bool known)
{
    int64_t wait_ms = take_token(c, j);

    if (wait_ms > 0) {
        wait_or_go_away(c, j, wait_ms, known);
        return;
    }
    j->state = JOB_READY;
    consumer_go_on(c, j);
}

/* known: it waits here already. */
static void check(struct consumer *c, struct job *j, bool known)
{
    if (consumer_is_revoked(c, j)) {
        job_end_revoked(j, c->cf.settings, &JOB_REVOKED);
        consumer_go_on(c, j);
    } else if (j->task->singleton && !j->claimed) {
        job_claim(j);
        consumer_go_on(c, j);
    } else {
        check_rate(c, j, known);
    }
}

void consumer_admit(struct consumer *c, struct job *j)
{
    if (j->early && consumer_is_revoked(c, j)) {
        job_end_revoked(j, c->cf.settings, &JOB_REVOKED); /* now rather than when it is due */
    }
    if (j->state == JOB_READY && !c->stopping) {
        check(c, j, false);
    } else {
        consumer_go_on(c, j);
    }
}

void consumer_on_claimed(struct consumer *c, struct job *j, const redisReply *r)
{
    int64_t got = r->type == REDIS_REPLY_INTEGER ? r->integer : 1;

    if (got < 0) {
        log_warn("task.taken_over", JOB_LOG, JOB_LOG_ARGS(j));
        consumer_drop_job(c, j);
        return;
    }
    j->claimed = got == 1;
    j->state = JOB_READY;
    if (c->stopping) {
        consumer_go_on(c, j);
    } else if (j->claimed) {
        check(c, j, false);
    } else {
        wait_or_go_away(c, j, CLAIM_MS, false);
    }
}

void consumer_on_gate(UNUSED evutil_socket_t fd, UNUSED short what, void *consumer)
{
    struct consumer *c = consumer;
    int64_t now_ms = clock_mono_ms() + GATE_TICK_MS;

    for (struct job *j = TAILQ_FIRST(&c->jobs.all), *next; j && !c->stopping; j = next) {
        next = TAILQ_NEXT(j, all);
        if (j->state == JOB_WAITING && j->not_before_ms <= now_ms) {
            check(c, j, true);
        }
    }
    arm_gate(c);
}
