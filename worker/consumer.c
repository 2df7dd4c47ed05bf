#include "worker/consumer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/keys.h"
#include "common/log.h"
#include "common/mem.h"
#include "worker/consumer_parts.h"
#include "worker/loop.h"

#define LEAVE_MS     3000 /* for the last words to Redis */
#define ENDING_SPARE 16   /* jobs whose end is on the way, beside those that run */

static void send_step(struct consumer *c, struct job *j);

/* ---- jobs ---- */

static struct job *job_find(struct consumer *c, uint64_t number)
{
    for (struct job *j = c->jobs; j; j = j->next) {
        if (j->number == number) {
            return j;
        }
    }
    return NULL;
}

void consumer_drop_job(struct consumer *c, struct job *j)
{
    struct job **at = &c->jobs;

    while (*at != j) {
        at = &(*at)->next;
    }
    *at = j->next;
    c->job_count--;
    job_free(j);
}

static int jobs_in(const struct consumer *c, enum job_state a, enum job_state b)
{
    int n = 0;

    for (const struct job *j = c->jobs; j; j = j->next) {
        n += j->state == a || j->state == b;
    }
    return n;
}

static void run(struct consumer *c, struct job *j)
{
    static const struct result_exception TOO_LONG = {
        "ValueError", "the arguments are too long for the task's process", 0};
    char *frame = job_request(j, c->cf.settings);
    struct task_limits limits;
    struct pool_work work;

    if (!frame) {
        job_end_failure(j, c->cf.settings, &TOO_LONG);
        send_step(c, j);
        return;
    }
    limits = job_limits(j);
    work = (struct pool_work){.job = j->number,
                              .frame = frame,
                              .len = strlen(frame),
                              .soft_ms = limits.soft_ms,
                              .hard_ms = limits.hard_ms};
    j->state = JOB_RUNNING;
    if (!pool_run(c->pool, &work)) {
        j->state = JOB_READY;
    }
    free(frame);
}

/* Does what the job's state asks for, after it has changed. */
static void go_on(struct consumer *c, struct job *j)
{
    if (j->state == JOB_READY && c->stopping) {
        job_end_requeue(j);
    }
    if (j->state == JOB_READY) {
        run(c, j);
    } else if (j->state == JOB_ADOPTING || j->state == JOB_LOSING || j->state == JOB_ENDING) {
        send_step(c, j);
    }
}

static void on_adopted(struct consumer *c, struct job *j, const redisReply *r)
{
    if (r->type != REDIS_REPLY_INTEGER || r->integer != 1) {
        log_warn("task.taken_over", "id=%s", LOGQ(j->msg.id));
        consumer_drop_job(c, j);
        return;
    }
    job_examine_adopted(j, c->cf.settings);
    go_on(c, j);
}

static void on_loss_counted(struct consumer *c, struct job *j, const redisReply *r)
{
    int64_t losses = reply_is_number(r, 0) ? reply_number(r, 0) : 0;
    bool put_back = reply_is_number(r, 1) && reply_number(r, 1) == 1;

    if (losses >= BROKER_LOSSES_MAX && !put_back) {
        job_end_lost(j, c->cf.settings);
        send_step(c, j);
        return;
    }
    log_warn("task.lost", "id=%s losses=%" PRId64 " put_back=%d", LOGQ(j->msg.id), losses,
             put_back);
    consumer_drop_job(c, j);
}

static void on_ended(struct consumer *c, struct job *j, const redisReply *r)
{
    if (r->type == REDIS_REPLY_INTEGER && r->integer == 0) {
        log_warn("task.taken_over", "id=%s", LOGQ(j->msg.id));
    }
    consumer_drop_job(c, j);
}

static void on_step(void *ctx, uint64_t number, const redisReply *r)
{
    struct consumer *c = ctx;
    struct job *j = job_find(c, number);

    if (!j || !r) {
        return; /* abandoned, or to be sent again when Redis is back */
    }
    switch (j->state) {
    case JOB_ADOPTING:
        on_adopted(c, j, r);
        break;
    case JOB_LOSING:
        on_loss_counted(c, j, r);
        break;
    case JOB_ENDING:
        on_ended(c, j, r);
        break;
    case JOB_TAKEN:
    case JOB_READY:
    case JOB_RUNNING:
        break;
    }
    consumer_pump(c);
    consumer_maybe_leave(c);
}

static void send_step(struct consumer *c, struct job *j)
{
    if (j->cmd.failed) {
        /* No memory to say it. The next heartbeat does not name its tag: it goes back. */
        log_error("task.dropped", "id=%s error=\"out of memory\"", LOGQ(j->msg.id));
        consumer_drop_job(c, j);
        return;
    }
    if (c->registered || j->state == JOB_ENDING) {
        rdsa_script(c->redis, &j->cmd, on_step, c, j->number);
    }
}

void consumer_send_steps(struct consumer *c)
{
    for (struct job *j = c->jobs, *next; j; j = next) {
        next = j->next;
        if (j->state != JOB_READY && j->state != JOB_RUNNING) {
            go_on(c, j);
        }
    }
}

/* ---- taking ---- */

static void job_begin(struct consumer *c, uint64_t number, const struct broker_taken *t)
{
    struct job *j = job_new(number, &c->self, t);

    if (!j) {
        log_error("task.dropped", "bytes=%zu error=\"out of memory\"", t->len);
        return; /* as in send_step */
    }
    j->next = c->jobs;
    c->jobs = j;
    c->job_count++;
    if (c->stopping) {
        job_end_requeue(j);
    } else {
        job_examine(j, c->cf.settings, t);
    }
    go_on(c, j);
}

static void on_taken(void *ctx, uint64_t number, const redisReply *r)
{
    struct consumer *c = ctx;
    struct broker_taken t;

    if (number != c->taking) {
        return; /* of a boot id that is no more: it has taken nothing */
    }
    c->taking = 0;
    if (!r) { /* if it was taken, the heartbeat after the reconnect puts it back */
        consumer_maybe_leave(c);
        return;
    }
    switch (broker_read_take(r, &t)) {
    case BROKER_TOOK:
        job_begin(c, number, &t);
        break;
    case BROKER_EMPTY:
        c->empty = true;
        consumer_wait(c);
        break;
    case BROKER_GONE:
        consumer_abandon(c);
        return;
    case BROKER_OVERSIZED:
        log_error("task.quarantined", "reason=\"longer than %zu bytes\"", (size_t)MSG_BYTES_MAX);
        break;
    case BROKER_NONSENSE:
        log_error("worker.bug", "error=\"take answered nonsense\"");
        c->empty = true;
        break;
    }
    consumer_pump(c);
    consumer_maybe_leave(c);
}

/* Takes when there is somebody to do the work. One take at a time; the answer pumps again. */
void consumer_pump(struct consumer *c)
{
    struct broker_cmd cmd;
    char tag[BROKER_TAG_SIZE];
    int promised;

    for (struct job *j = c->jobs, *next; j; j = next) {
        next = j->next;
        if (j->state == JOB_READY && pool_capacity(c->pool) > 0) {
            go_on(c, j);
        }
    }
    promised = jobs_in(c, JOB_ADOPTING, JOB_READY);
    if (c->stopping || !c->registered || c->taking || c->empty ||
        pool_capacity(c->pool) <= promised ||
        c->job_count >= c->cf.settings->concurrency + ENDING_SPARE) {
        return;
    }
    c->taking = ++c->last_number;
    snprintf(tag, sizeof tag, "%" PRIu64, c->taking);
    broker_take(&cmd, &c->self, tag);
    rdsa_script(c->redis, &cmd, on_taken, c, c->taking);
    broker_cmd_fini(&cmd);
}

void consumer_take_again(struct consumer *c)
{
    c->empty = false;
    consumer_pump(c);
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
    struct job *j = job_find(ctx, number);

    if (!j) {
        return;
    }
    j->started_ms = clock_mono_ms();
    j->started_wall_us = clock_wall_us();
    log_info("task.started", "id=%s task=%s child=%d retries=%d", LOGQ(j->msg.id),
             LOGQ(j->msg.task), pid, j->msg.retries);
}

static void on_child_done(void *ctx, uint64_t number, const struct pool_outcome *outcome)
{
    struct consumer *c = ctx;
    struct job *j = job_find(c, number);

    if (!j) {
        return;
    }
    switch (outcome->end) {
    case POOL_ANSWERED:
        job_end_answer(j, c->cf.settings, outcome->frame, outcome->len);
        break;
    case POOL_TIME_LIMIT:
        job_end_time_limit(j, c->cf.settings);
        break;
    case POOL_LOST:
        job_lose(j, outcome);
        break;
    case POOL_TERMINATED:
        job_end_terminated(j, c->cf.settings);
        break;
    }
    go_on(c, j);
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
    struct broker_cmd cmd;

    if (c->leaving) {
        return;
    }
    c->leaving = true;
    loop_arm_ms(c->grace_timer, LEAVE_MS);
    broker_unregister(&cmd, &c->self);
    rdsa_script(c->redis, &cmd, on_left, c, 0);
    broker_cmd_fini(&cmd);
}

void consumer_maybe_leave(struct consumer *c)
{
    if (c->stopping && !c->jobs && !c->taking) {
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
    log_info("worker.stopping", "running=%d grace_s=%" PRId64, jobs_in(c, JOB_RUNNING, JOB_RUNNING),
             c->cf.settings->shutdown_grace_s);
    c->stopping = true;
    loop_arm_ms(c->grace_timer, c->cf.settings->shutdown_grace_s * 1000);
    for (struct job *j = c->jobs, *next; j; j = next) {
        next = j->next;
        if (j->state == JOB_READY) {
            go_on(c, j);
        }
    }
    consumer_maybe_leave(c);
}

void consumer_stop_now(struct consumer *c)
{
    c->stopping = true;
    for (struct job *j = c->jobs, *next; j; j = next) {
        next = j->next;
        if (j->state != JOB_ENDING) {
            log_warn("task.interrupted", "id=%s", LOGQ(j->msg.id));
            pool_abandon(c->pool, j->number);
            consumer_drop_job(c, j);
        }
    }
    leave(c);
}

/* ---- life ---- */

static struct rdsa *connect_to(struct consumer *c, const char *role, struct waiter *w)
{
    struct rdsa_config cf = {.base = c->cf.base,
                             .addr = c->cf.redis,
                             .role = role,
                             .load_scripts = w == NULL,
                             .quiet = w != NULL,
                             .like = w ? c->redis : NULL,
                             .on_up = w ? consumer_on_waiter_up : consumer_on_redis_up,
                             .on_down = w ? NULL : consumer_on_redis_down,
                             .ctx = w ? (void *)w : c};

    return rdsa_new(&cf);
}

struct consumer *consumer_new(const struct consumer_config *config)
{
    struct consumer *c = mem_alloc(sizeof *c);
    struct pool_config pool = {.base = config->base,
                               .size = (int)config->settings->concurrency,
                               .max_tasks = config->settings->max_tasks_per_child,
                               .max_memory_bytes = config->settings->max_memory_per_child,
                               .stop_limit_ms = config->settings->stopped_child_s * 1000,
                               .on_begin = on_child_begin,
                               .on_done = on_child_done,
                               .on_free = on_child_free,
                               .ctx = c};

    c->cf = *config;
    snprintf(c->self.queue, sizeof c->self.queue, "%s", config->settings->task_queue);
    uuid_random(c->self.boot);
    c->grace_timer = evtimer_new(config->base, on_grace_timer, c);
    MUST(c->grace_timer);
    consumer_start_timers(c);
    c->pool = pool_new(&pool);
    c->redis = connect_to(c, "main", NULL);
    for (int i = 0; i < KEY_PRIORITY_STEPS; i++) {
        struct waiter *w = &c->waiters[i];

        w->consumer = c;
        broker_list(&c->self, i, w->list);
        w->conn = connect_to(c, "wait", w);
    }
    return c;
}

void consumer_free(struct consumer *c)
{
    c->stopping = c->leaving = true;
    pool_free(c->pool);
    c->pool = NULL;
    for (int i = 0; i < KEY_PRIORITY_STEPS; i++) {
        rdsa_free(c->waiters[i].conn);
    }
    rdsa_free(c->redis);
    while (c->jobs) {
        consumer_drop_job(c, c->jobs);
    }
    consumer_free_timers(c);
    event_free(c->grace_timer);
    free(c);
}
