#include "worker/consumer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/crash.h"
#include "common/keys.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "worker/consumer_parts.h"

#define LEAVE_MS 3000 /* for the last words to Redis */

/* ---- running ---- */

void consumer_run(struct consumer *c, struct job *j)
{
    static const struct result_exception TOO_LONG = {
        "ValueError", "the arguments are too long for the task's process", 0};
    struct task_limits limits;
    struct pool_work work;
    char *frame;

    if (pool_capacity(c->pool) == 0) {
        return;
    }
    if (consumer_is_revoked(c, j)) {
        job_end_revoked(j, c->cf.settings, &JOB_REVOKED);
        consumer_go_on(c, j);
        return;
    }
    if (job_is_expired(j)) {
        job_end_revoked(j, c->cf.settings, &JOB_EXPIRED);
        consumer_go_on(c, j);
        return;
    }
    frame = job_request(j, c->cf.settings);
    if (!frame) {
        job_end_failure(j, c->cf.settings, &TOO_LONG);
        consumer_go_on(c, j);
        return;
    }
    limits = job_limits(j);
    work = (struct pool_work){.job = j->number,
                              .frame = frame,
                              .len = strlen(frame),
                              .soft_ms = limits.soft_ms,
                              .hard_ms = limits.hard_ms};
    j->state = JOB_RUNNING;
    jobs_note(&c->jobs, j);
    if (!pool_run(c->pool, &work)) {
        j->state = JOB_READY;
        jobs_note(&c->jobs, j);
    }
    CRASH_POINT("run.sent");
    free(frame);
}

/* ---- the pool's news ---- */

static void on_child_free(void *ctx)
{
    struct consumer *c = ctx;

    if (c->pool) {
        consumer_pump(c);
    }
}

static void on_child_begin(void *ctx, uint64_t number, int pid)
{
    struct consumer *c = ctx;
    struct job *j = jobs_find(&c->jobs, number);

    if (!j) {
        return;
    }
    j->started_ms = clock_mono_ms();
    j->started_wall_us = clock_wall_us();
    log_debug("task.started", JOB_LOG " child=%d", JOB_LOG_ARGS(j), pid);
    consumer_tell(c, j, NEWS_STARTED);
    if (job_tracks_start(j, c->cf.settings)) {
        consumer_say_started(c, j, pid);
    }
}

static void on_child_done(void *ctx, uint64_t number, const struct pool_outcome *outcome)
{
    struct consumer *c = ctx;
    struct job *j = jobs_find(&c->jobs, number);

    if (!j) {
        return;
    }
    switch (outcome->end) {
    case POOL_ANSWERED:
        CRASH_POINT("answer.read");
        job_end_answer(j, c->cf.settings, outcome);
        break;
    case POOL_TIME_LIMIT:
        job_end_time_limit(j, c->cf.settings, outcome);
        break;
    case POOL_LOST:
        job_lose(j, outcome);
        break;
    case POOL_TERMINATED:
        job_end_terminated(j, c->cf.settings, outcome->signal);
        break;
    }
    consumer_go_on(c, j);
}

/* ---- the end ---- */

static void on_left(void *ctx, UNUSED uint64_t number, const redisReply *r)
{
    struct consumer *c = ctx;

    if (r && r->type == REDIS_REPLY_INTEGER) {
        log_info("worker.left", "boot=%s put_back=%lld", c->self.boot, r->integer);
    } else {
        log_warn("worker.left", "boot=%s error=\"Redis is away; others will see it\"",
                 c->self.boot);
    }
    event_base_loopbreak(c->cf.base);
}

/* Gives back whatever is held still, and leaves. */
static void leave(struct consumer *c)
{
    struct command cmd;

    if (c->leaving) {
        return;
    }
    c->leaving = true;
    consumer_on_flush(-1, 0, c);
    loop_arm_ms(c->grace_timer, LEAVE_MS);
    broker_unregister(&cmd, &c->self);
    rdsa_script(c->redis, &cmd, on_left, c, 0);
    command_fini(&cmd);
}

void consumer_maybe_leave(struct consumer *c)
{
    if (c->stopping && c->jobs.count == 0 && !c->taking) {
        leave(c);
    }
}

static void on_grace_timer(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    struct consumer *c = arg;

    if (c->leaving) {
        log_warn("worker.left", "boot=%s error=\"no answer from Redis\"", c->self.boot);
        event_base_loopbreak(c->cf.base);
        return;
    }
    consumer_stop_now(c);
}

void consumer_stop(struct consumer *c)
{
    log_info("worker.stopping", "running=%d grace_s=%" PRId64, c->jobs.in_state[JOB_RUNNING],
             c->cf.settings->shutdown_grace_s);
    c->stopping = true;
    loop_arm_ms(c->grace_timer, c->cf.settings->shutdown_grace_s * 1000);
    if (!c->taking) {
        consumer_give_back(c, 0); /* otherwise when the answer is here: it is to come first */
    }
    consumer_maybe_leave(c);
}

void consumer_stop_now(struct consumer *c)
{
    c->stopping = true;
    for (struct job *j = TAILQ_FIRST(&c->jobs.all), *next; j; j = next) {
        next = TAILQ_NEXT(j, all);
        if (j->state != JOB_ENDING) {
            log_warn("task.interrupted", JOB_LOG, JOB_LOG_ARGS(j));
            pool_abandon(c->pool, j->number);
            consumer_drop_job(c, j);
        }
    }
    leave(c);
}

/* ---- life ---- */

static struct rdsa *connect_main(struct consumer *c)
{
    struct rdsa_config cf = {.base = c->cf.base,
                             .addr = c->cf.redis,
                             .role = "main",
                             .scripts = {{BROKER_SCRIPTS, BROKER_SCRIPT_COUNT}},
                             .on_up = consumer_on_redis_up,
                             .on_down = consumer_on_redis_down,
                             .ctx = c};

    return rdsa_new(&cf);
}

struct consumer *consumer_new(const struct consumer_config *config)
{
    struct consumer *c = mem_alloc(sizeof *c);
    struct pool_config pool = {.base = config->base,
                               .program =
                                   config->settings->test_tasks ? getenv("CHILD_PROGRAM") : NULL,
                               .size = (int)config->settings->concurrency,
                               .max_tasks = config->settings->max_tasks_per_child,
                               .max_memory_bytes = config->settings->max_memory_per_child,
                               .stop_limit_ms = config->settings->stopped_child_s * 1000,
                               .on_begin = on_child_begin,
                               .on_done = on_child_done,
                               .on_free = on_child_free,
                               .ctx = c};

    c->cf = *config;
    c->queues.count = 1;
    snprintf(c->queues.name[0], sizeof c->queues.name[0], "%s", config->settings->task_queue);
    c->self.queues = &c->queues;
    uuid_random(c->self.boot);
    jobs_init(&c->jobs);
    TAILQ_INIT(&c->endings);
    c->grace_timer = evtimer_new(config->base, on_grace_timer, c);
    c->flush = evtimer_new(config->base, consumer_on_flush, c);
    c->patience = evtimer_new(config->base, consumer_on_patience, c);
    c->gate = evtimer_new(config->base, consumer_on_gate, c);
    c->recount_timer = evtimer_new(config->base, consumer_on_recount, c);
    MUST(c->grace_timer && c->flush && c->patience && c->gate && c->recount_timer);
    consumer_start_timers(c);
    c->pool = pool_new(&pool);
    c->redis = connect_main(c);
    consumer_add_waiters(c, 0);
    return c;
}

void consumer_free(struct consumer *c)
{
    struct job *j;

    c->stopping = c->leaving = true;
    pool_free(c->pool);
    c->pool = NULL;
    for (int i = 0; i < c->queues.count; i++) {
        consumer_free_waiters(c, i);
    }
    rdsa_free(c->redis);
    while ((j = TAILQ_FIRST(&c->jobs.all))) {
        consumer_drop_job(c, j);
    }
    jobs_fini(&c->jobs);
    consumer_free_timers(c);
    event_free(c->grace_timer);
    event_free(c->flush);
    event_free(c->patience);
    event_free(c->gate);
    event_free(c->recount_timer);
    free(c);
}
