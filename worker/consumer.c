#include "worker/consumer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/keys.h"
#include "common/log.h"
#include "common/mem.h"
#include "worker/job.h"
#include "worker/rdsa.h"

#define REAP_EVERY_MS 2000
#define DUE_EVERY_MS  1000 /* at the latest; earlier when something is due earlier */
#define WAIT_S        "10"
#define WAIT_MS       15000 /* the answer to a wait of WAIT_S */
#define LEAVE_MS      3000  /* for the last words to Redis */
#define ENDING_SPARE  16    /* jobs whose end is on the way, beside those that run */

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
    int64_t last_take_ms;
    struct event *beat_timer, *reap_timer, *due_timer, *grace_timer;
    bool registered; /* Redis knows our boot id, as far as we know */
    bool empty;      /* the last take found nothing */
    bool stopping;
    bool leaving;
};

static void pump(struct consumer *c);
static void send_step(struct consumer *c, struct job *j);
static void go_on(struct consumer *c, struct job *j);
static void maybe_leave(struct consumer *c);

static void arm_ms(struct event *ev, int64_t ms)
{
    struct timeval tv = {ms / 1000, (ms % 1000) * 1000};

    event_add(ev, &tv);
}

static bool is_number(const redisReply *r, size_t i)
{
    return r && r->type == REDIS_REPLY_ARRAY && i < r->elements &&
           r->element[i]->type == REDIS_REPLY_INTEGER;
}

static int64_t number_at(const redisReply *r, size_t i)
{
    return r->element[i]->integer;
}

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

static void job_drop(struct consumer *c, struct job *j)
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

    if (!frame) {
        job_end_failure(j, c->cf.settings, &TOO_LONG);
        send_step(c, j);
        return;
    }
    if (pool_run(c->pool, j->number, frame, job_limit_s(j))) {
        j->state = JOB_RUNNING;
        j->started_ms = clock_mono_ms();
        j->started_wall_us = clock_wall_us();
        log_info("task.started", "id=%s task=%s child=%d retries=%d", LOGQ(j->msg.id),
                 LOGQ(j->msg.task), pool_job_pid(c->pool, j->number), j->msg.retries);
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
        job_drop(c, j);
        return;
    }
    job_examine_adopted(j, c->cf.settings);
    go_on(c, j);
}

static void on_loss_counted(struct consumer *c, struct job *j, const redisReply *r)
{
    int64_t losses = is_number(r, 0) ? number_at(r, 0) : 0;
    bool put_back = is_number(r, 1) && number_at(r, 1) == 1;

    if (losses >= BROKER_LOSSES_MAX && !put_back) {
        job_end_lost(j, c->cf.settings);
        send_step(c, j);
        return;
    }
    log_warn("task.lost", "id=%s losses=%" PRId64 " put_back=%d", LOGQ(j->msg.id), losses,
             put_back);
    job_drop(c, j);
}

static void on_ended(struct consumer *c, struct job *j, const redisReply *r)
{
    if (r->type == REDIS_REPLY_INTEGER && r->integer == 0) {
        log_warn("task.taken_over", "id=%s", LOGQ(j->msg.id));
    }
    job_drop(c, j);
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
    pump(c);
    maybe_leave(c);
}

static void send_step(struct consumer *c, struct job *j)
{
    if (j->cmd.failed) {
        /* No memory to say it. The next heartbeat does not name its tag: it goes back. */
        log_error("task.dropped", "id=%s error=\"out of memory\"", LOGQ(j->msg.id));
        job_drop(c, j);
        return;
    }
    if (c->registered || j->state == JOB_ENDING) {
        rdsa_script(c->redis, &j->cmd, on_step, c, j->number);
    }
}

/* ---- taking ---- */

static void abandon(struct consumer *c);

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

static void wait_for_messages(struct consumer *c);

static void on_taken(void *ctx, uint64_t number, const redisReply *r)
{
    struct consumer *c = ctx;
    struct broker_taken t;

    if (number != c->taking) {
        return; /* of a boot id that is no more: it has taken nothing */
    }
    c->taking = 0;
    if (!r) {
        maybe_leave(c); /* if it was taken, the heartbeat after the reconnect puts it back */
        return;
    }
    c->last_take_ms = clock_mono_ms();
    switch (broker_read_take(r, &t)) {
    case BROKER_TOOK:
        job_begin(c, number, &t);
        break;
    case BROKER_EMPTY:
        c->empty = true;
        wait_for_messages(c);
        break;
    case BROKER_GONE:
        abandon(c);
        return;
    case BROKER_OVERSIZED:
        log_error("task.quarantined", "reason=\"longer than %zu bytes\"", (size_t)MSG_BYTES_MAX);
        break;
    case BROKER_NONSENSE:
        log_error("worker.bug", "error=\"take answered nonsense\"");
        c->empty = true;
        break;
    }
    pump(c);
    maybe_leave(c);
}

/* Takes when there is somebody to do the work. One take at a time; the answer pumps again. */
static void pump(struct consumer *c)
{
    struct broker_cmd cmd;
    char tag[BROKER_TAG_SIZE];
    int promised;

    for (struct job *j = c->jobs, *next; j; j = next) {
        next = j->next;
        if (j->state == JOB_READY && pool_free_count(c->pool) > 0) {
            go_on(c, j);
        }
    }
    promised = jobs_in(c, JOB_ADOPTING, JOB_READY);
    if (c->stopping || !c->registered || c->taking || c->empty ||
        pool_free_count(c->pool) <= promised ||
        c->job_count >= c->cf.settings->concurrency + ENDING_SPARE) {
        return;
    }
    c->taking = ++c->last_number;
    snprintf(tag, sizeof tag, "%" PRIu64, c->taking);
    broker_take(&cmd, &c->self, tag);
    rdsa_script(c->redis, &cmd, on_taken, c, c->taking);
    broker_cmd_fini(&cmd);
}

/* ---- waiting ---- */

static void take_again(struct consumer *c)
{
    c->empty = false;
    pump(c);
}

static void on_woken(void *ctx, UNUSED uint64_t number, const redisReply *r)
{
    struct waiter *w = ctx;

    w->waiting = false;
    if (r && r->type == REDIS_REPLY_NIL) {
        wait_for_messages(w->consumer);
    } else if (r) {
        take_again(w->consumer);
    }
}

/*
 * The last element of the list goes to where it was: nothing moves, but the command blocks while
 * the list is empty, and returns in the moment in which it is not.
 */
static void wait_for_messages(struct consumer *c)
{
    if (!c->empty || c->stopping || !c->registered) {
        return;
    }
    for (int i = 0; i < KEY_PRIORITY_STEPS; i++) {
        struct waiter *w = &c->waiters[i];

        if (!w->waiting && rdsa_is_up(w->conn)) {
            w->waiting = true;
            rdsa_command(w->conn, WAIT_MS, on_woken, w, 0, 6,
                         (const char *[]){"BLMOVE", w->list, w->list, "RIGHT", "RIGHT", WAIT_S});
        }
    }
}

static bool everybody_waits(const struct consumer *c)
{
    for (int i = 0; i < KEY_PRIORITY_STEPS; i++) {
        if (!c->waiters[i].waiting) {
            return false;
        }
    }
    return true;
}

static void on_waiter_up(void *ctx)
{
    struct waiter *w = ctx;

    wait_for_messages(w->consumer);
}

/* ---- the pool's news ---- */

static void on_child_free(void *ctx)
{
    struct consumer *c = ctx;

    if (c->pool) {
        pump(c);
    }
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
    }
    go_on(c, j);
}

/* ---- being registered ---- */

/* What others may want to know of us. Takes nothing, gives text (free()) or NULL. */
static char *info_json(const struct consumer *c)
{
    cJSON *o = cJSON_CreateObject();
    cJSON *running = cJSON_AddArrayToObject(o, "running");
    char *text;

    cJSON_AddStringToObject(o, "name", c->cf.settings->worker_name);
    cJSON_AddNumberToObject(o, "pid", getpid());
    cJSON_AddNumberToObject(o, "children", pool_alive_count(c->pool));
    cJSON_AddStringToObject(o, "queue", c->self.queue);
    cJSON_AddStringToObject(o, "version", AION2RANK_VERSION);
    cJSON_AddBoolToObject(o, "stopping", c->stopping);
    for (const struct job *j = c->jobs; j; j = j->next) {
        cJSON *item = j->state == JOB_RUNNING ? cJSON_CreateObject() : NULL;

        if (item) {
            cJSON_AddStringToObject(item, "id", j->msg.id);
            cJSON_AddStringToObject(item, "task", j->msg.task);
            cJSON_AddNumberToObject(item, "since", (double)(j->started_wall_us / 1000000));
            cJSON_AddItemToArray(running, item);
        }
    }
    text = json_print(o);
    cJSON_Delete(o);
    return text;
}

/* Every tag under the present boot id, each followed by a space. */
static void known_tags(const struct consumer *c, struct buf *out)
{
    for (const struct job *j = c->jobs; j; j = j->next) {
        if (strcmp(j->who.boot, c->self.boot) == 0) {
            buf_addf(out, "%s ", j->tag);
        }
    }
    if (c->taking) {
        buf_addf(out, "%" PRIu64 " ", c->taking);
    }
}

/* After a reconnect: what was under way is said again. Every step bears that. */
static void send_all_steps(struct consumer *c)
{
    for (struct job *j = c->jobs, *next; j; j = next) {
        next = j->next;
        if (j->state != JOB_READY && j->state != JOB_RUNNING) {
            go_on(c, j);
        }
    }
}

static void on_registered(void *ctx, UNUSED uint64_t number, const redisReply *r)
{
    struct consumer *c = ctx;

    if (!r) {
        return; /* tried again when Redis is back */
    }
    log_info("worker.registered", "name=%s boot=%s queue=%s", LOGQ(c->cf.settings->worker_name),
             c->self.boot, LOGQ(c->self.queue));
    c->registered = true;
    send_all_steps(c);
    arm_ms(c->reap_timer, 0);
    arm_ms(c->due_timer, 0);
    take_again(c);
    maybe_leave(c);
}

static void start_registration(struct consumer *c)
{
    struct broker_cmd cmd;
    char *info = info_json(c);

    broker_register(&cmd, &c->self, info ? info : "{}");
    rdsa_script(c->redis, &cmd, on_registered, c, 0);
    broker_cmd_fini(&cmd);
    free(info);
}

/* Somebody thinks that we are dead, and others may run what we held: begin anew. */
static void abandon(struct consumer *c)
{
    int n = 0;

    c->registered = false;
    c->taking = 0;
    c->generation++;
    for (struct job *j = c->jobs, *next; j; j = next) {
        next = j->next;
        if (j->state != JOB_ENDING) {
            pool_abandon(c->pool, j->number);
            job_drop(c, j);
            n++;
        }
    }
    log_warn("worker.declared_dead", "boot=%s abandoned=%d", c->self.boot, n);
    uuid_random(c->self.boot);
    start_registration(c);
}

/* number: the generation, and 1 in its lowest bit after a reconnect */
static void on_heartbeat(void *ctx, uint64_t number, const redisReply *r)
{
    struct consumer *c = ctx;

    if (!is_number(r, 0) || number >> 1 != c->generation) {
        return;
    }
    if (number_at(r, 0) == 0) {
        abandon(c);
        return;
    }
    if (is_number(r, 1) && number_at(r, 1) > 0) {
        log_warn("worker.put_back", "messages=%" PRId64, number_at(r, 1));
    }
    if (number & 1) {
        c->registered = true;
        send_all_steps(c);
        arm_ms(c->due_timer, 0);
        take_again(c);
        maybe_leave(c);
    }
}

static void send_heartbeat(struct consumer *c, bool after_reconnect)
{
    struct broker_cmd cmd;
    struct buf tags;
    char *info = info_json(c);

    buf_init(&tags, 64 * KIB);
    known_tags(c, &tags);
    if (info && !tags.failed) {
        broker_heartbeat(&cmd, &c->self, info, tags.data ? tags.data : "");
        rdsa_script(c->redis, &cmd, on_heartbeat, c, c->generation << 1 | after_reconnect);
        broker_cmd_fini(&cmd);
    }
    buf_fini(&tags);
    free(info);
}

static void on_redis_up(void *ctx)
{
    struct consumer *c = ctx;

    if (c->leaving) {
        return;
    }
    if (c->last_number == 0 && !c->jobs) {
        start_registration(c); /* the first time, or nothing has happened since */
    } else {
        send_heartbeat(c, true);
    }
}

static void on_redis_down(void *ctx)
{
    struct consumer *c = ctx;

    c->registered = false;
    maybe_leave(c);
}

/* ---- timers ---- */

static void on_beat_timer(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    struct consumer *c = arg;

    arm_ms(c->beat_timer, BROKER_HEARTBEAT_EVERY_MS);
    if (c->registered && !c->leaving) {
        send_heartbeat(c, false);
    }
}

static void on_reaped(UNUSED void *ctx, UNUSED uint64_t number, const redisReply *r)
{
    if (is_number(r, 0) && is_number(r, 1) && number_at(r, 1) > 0) {
        log_warn("worker.recovered", "messages=%" PRId64 " dead_workers=%" PRId64, number_at(r, 0),
                 number_at(r, 1));
    }
}

static void on_reap_timer(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    struct consumer *c = arg;
    struct broker_cmd cmd;

    arm_ms(c->reap_timer, REAP_EVERY_MS);
    if (c->registered && !c->leaving) {
        broker_reap(&cmd);
        rdsa_script(c->redis, &cmd, on_reaped, c, 0);
        broker_cmd_fini(&cmd);
    }
}

static void on_due(void *ctx, UNUSED uint64_t number, const redisReply *r)
{
    struct consumer *c = ctx;
    int64_t next_ms = is_number(r, 1) ? number_at(r, 1) : -1;

    if (is_number(r, 0) && number_at(r, 0) > 0) {
        log_info("delayed.due", "messages=%" PRId64, number_at(r, 0));
    }
    if (next_ms >= 0 && next_ms < DUE_EVERY_MS) {
        arm_ms(c->due_timer, next_ms + 1);
    }
}

static void on_due_timer(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    struct consumer *c = arg;
    struct broker_cmd cmd;

    arm_ms(c->due_timer, DUE_EVERY_MS);
    if (!c->registered || c->leaving) {
        return;
    }
    broker_due(&cmd);
    rdsa_script(c->redis, &cmd, on_due, c, 0);
    broker_cmd_fini(&cmd);
    if (!everybody_waits(c)) {
        take_again(c); /* a list without a waiter is looked at once a second */
    }
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
    arm_ms(c->grace_timer, LEAVE_MS);
    broker_unregister(&cmd, &c->self);
    rdsa_script(c->redis, &cmd, on_left, c, 0);
    broker_cmd_fini(&cmd);
}

static void maybe_leave(struct consumer *c)
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
    arm_ms(c->grace_timer, c->cf.settings->shutdown_grace_s * 1000);
    for (struct job *j = c->jobs, *next; j; j = next) {
        next = j->next;
        if (j->state == JOB_READY) {
            go_on(c, j);
        }
    }
    maybe_leave(c);
}

void consumer_stop_now(struct consumer *c)
{
    c->stopping = true;
    for (struct job *j = c->jobs, *next; j; j = next) {
        next = j->next;
        if (j->state != JOB_ENDING) {
            log_warn("task.interrupted", "id=%s", LOGQ(j->msg.id));
            pool_abandon(c->pool, j->number);
            job_drop(c, j);
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
                             .on_up = w ? on_waiter_up : on_redis_up,
                             .on_down = w ? NULL : on_redis_down,
                             .ctx = w ? (void *)w : c};

    return rdsa_new(&cf);
}

struct consumer *consumer_new(const struct consumer_config *config)
{
    struct consumer *c = mem_alloc(sizeof *c);
    struct pool_config pool = {.base = config->base,
                               .size = (int)config->settings->concurrency,
                               .on_done = on_child_done,
                               .on_free = on_child_free,
                               .ctx = c};

    c->cf = *config;
    snprintf(c->self.queue, sizeof c->self.queue, "%s", config->settings->task_queue);
    uuid_random(c->self.boot);
    c->beat_timer = evtimer_new(config->base, on_beat_timer, c);
    c->reap_timer = evtimer_new(config->base, on_reap_timer, c);
    c->due_timer = evtimer_new(config->base, on_due_timer, c);
    c->grace_timer = evtimer_new(config->base, on_grace_timer, c);
    MUST(c->beat_timer && c->reap_timer && c->due_timer && c->grace_timer);
    c->pool = pool_new(&pool);
    c->redis = connect_to(c, "main", NULL);
    for (int i = 0; i < KEY_PRIORITY_STEPS; i++) {
        struct waiter *w = &c->waiters[i];

        w->consumer = c;
        broker_list(&c->self, i, w->list);
        w->conn = connect_to(c, "wait", w);
    }
    arm_ms(c->beat_timer, BROKER_HEARTBEAT_EVERY_MS);
    return c;
}

void consumer_free(struct consumer *c)
{
    c->stopping = c->leaving = true;
    pool_free(c->pool);
    c->pool = NULL;
    rdsa_free(c->redis);
    for (int i = 0; i < KEY_PRIORITY_STEPS; i++) {
        rdsa_free(c->waiters[i].conn);
    }
    while (c->jobs) {
        job_drop(c, c->jobs);
    }
    event_free(c->beat_timer);
    event_free(c->reap_timer);
    event_free(c->due_timer);
    event_free(c->grace_timer);
    free(c);
}
