#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/notify.h"
#include "worker/consumer_parts.h"
#include "worker/figures.h"

#define DUE_EVERY_MS 1000 /* at the latest; earlier when something is due earlier */
#define DUE_AGAIN_MS 1500 /* when no heartbeat comes in between: that looks, too */
#define HEARD_MAX_MS (23 * 3600 * INT64_C(1000))

bool reply_is_number(const redisReply *r, size_t i)
{
    return r && r->type == REDIS_REPLY_ARRAY && i < r->elements &&
           r->element[i]->type == REDIS_REPLY_INTEGER;
}

int64_t reply_number(const redisReply *r, size_t i)
{
    return r->element[i]->integer;
}

/* ---- being registered ---- */

static void add_progress(cJSON *item, const struct consumer *c, const struct job *j)
{
    struct progress p;
    cJSON *o;

    if (pool_job_progress(c->pool, j->number, &p)) {
        o = cJSON_AddObjectToObject(item, "progress");
        cJSON_AddStringToObject(o, "phase", p.phase);
        cJSON_AddNumberToObject(o, "since", (double)(p.since_us / 1000) / 1000);
        cJSON_AddNumberToObject(o, "done", (double)p.done);
        cJSON_AddNumberToObject(o, "of", (double)p.of);
    }
}

/* What others may want to know of us. Takes nothing, gives text (free()) or NULL. */
static char *info_json(const struct consumer *c)
{
    cJSON *o = cJSON_CreateObject();
    cJSON *running = cJSON_AddArrayToObject(o, "running");
    cJSON *queues = cJSON_AddArrayToObject(o, "queues");
    const struct job *j;
    char *text;

    cJSON_AddStringToObject(o, "name", c->cf.settings->worker_name);
    cJSON_AddNumberToObject(o, "pid", getpid());
    cJSON_AddNumberToObject(o, "children", pool_alive_count(c->pool));
    cJSON_AddStringToObject(o, "queue", c->cf.settings->task_queue);
    for (int i = 0; i < c->queues.count; i++) {
        cJSON_AddItemToArray(queues, cJSON_CreateString(c->queues.name[i]));
    }
    cJSON_AddStringToObject(o, "version", AION2RANK_VERSION);
    cJSON_AddBoolToObject(o, "stopping", c->stopping);
    TAILQ_FOREACH(j, &c->jobs.all, all)
    {
        cJSON *item = job_has_begun(j) && j->state == JOB_RUNNING ? cJSON_CreateObject() : NULL;

        if (item) {
            cJSON_AddStringToObject(item, "id", j->msg.id);
            cJSON_AddStringToObject(item, "task", j->msg.task);
            cJSON_AddNumberToObject(item, "since", (double)(j->started_wall_us / 1000000));
            add_progress(item, c, j);
            cJSON_AddItemToArray(running, item);
        }
    }
    text = json_print(o);
    cJSON_Delete(o);
    return text;
}

static void add_range(struct buf *out, uint64_t first, uint64_t last)
{
    if (first == last) {
        buf_addf(out, "%" PRIu64 " ", first);
    } else {
        buf_addf(out, "%" PRIu64 "-%" PRIu64 " ", first, last);
    }
}

/* The numbers of every hold under the present boot id, those that follow each other as a range.
 * Redis finds a single one at once, and goes through the ranges. */
static void known_numbers(const struct consumer *c, struct buf *out)
{
    uint64_t first = 0, last = 0;
    const struct job *j;

    TAILQ_FOREACH(j, &c->jobs.all, all)
    {
        if (strcmp(j->who.boot, c->self.boot) != 0) {
            continue;
        }
        if (first == 0 || j->number != last + 1) {
            if (first != 0) {
                add_range(out, first, last);
            }
            first = j->number;
        }
        last = j->number;
    }
    if (first != 0) {
        add_range(out, first, last);
    }
    if (c->taking) {
        add_range(out, c->taking, c->taking + (uint64_t)c->taking_count - 1);
    }
}

/* The supervisor's loop turns, and either Redis has answered it or it is known to be away. */
static void tell_progress(const struct consumer *c)
{
    notify_progress();
    if (c->stopping) {
        return;
    }
    if (c->registered) {
        notify_status("%d running, %d held, %d children", c->jobs.in_state[JOB_RUNNING],
                      c->jobs.count, pool_alive_count(c->pool));
    } else {
        notify_status("Redis is away; what runs goes on");
    }
}

static void on_registered(void *ctx, UNUSED uint64_t number, const redisReply *r)
{
    struct consumer *c = ctx;

    if (!r || c->registered) {
        return; /* tried again when Redis is back; or an answer to an impatient second try */
    }
    log_info("worker.registered", "name=%s boot=%s queue=%s", LOGQ(c->cf.settings->worker_name),
             c->self.boot, LOGQ(c->cf.settings->task_queue));
    c->registered = true;
    c->heard_ms = clock_mono_ms();
    notify_ready("registered with Redis");
    consumer_send_steps(c);
    loop_arm_ms(c->beat_timer, 0); /* what is due, what dead workers held */
    consumer_take_again(c);
    consumer_maybe_leave(c);
}

static void start_registration(struct consumer *c)
{
    struct command cmd;
    char *info = info_json(c);

    broker_register(&cmd, &c->self, info ? info : "{}");
    rdsa_script(c->redis, &cmd, on_registered, c, 0);
    command_fini(&cmd);
    free(info);
}

void consumer_abandon(struct consumer *c)
{
    int n = 0;

    c->registered = false;
    c->taking = 0;
    c->generation++;
    c->acked_taken = c->acked_ended = 0;
    for (struct job *j = TAILQ_FIRST(&c->jobs.all), *next; j; j = next) {
        next = TAILQ_NEXT(j, all);
        if (j->state != JOB_ENDING) {
            pool_abandon(c->pool, j->number);
            consumer_drop_job(c, j);
            n++;
        }
    }
    log_warn("worker.declared_dead", "boot=%s abandoned=%d", c->self.boot, n);
    uuid_random(c->self.boot);
    start_registration(c);
}

void consumer_note_due(struct consumer *c, int64_t next_ms)
{
    if (next_ms >= 0 && next_ms < DUE_AGAIN_MS) {
        loop_arm_ms(c->due_timer, next_ms + 1);
    }
}

static void on_moved(struct consumer *c, int64_t moved, int64_t next_ms)
{
    if (moved > 0) {
        log_info("delayed.due", "messages=%" PRId64, moved);
    }
    consumer_note_due(c, next_ms);
}

/* What a heartbeat has done beside renewing. */
static void on_tidied(struct consumer *c, const struct broker_beat_reply *b)
{
    c->heard_ms = clock_mono_ms();
    c->acked_taken = b->taken;
    c->acked_ended = b->ended;
    if (b->put_back > 0) {
        log_warn("worker.put_back", "messages=%" PRId64, b->put_back);
    }
    if (b->workers > 0) {
        log_warn("worker.recovered", "messages=%" PRId64 " dead_workers=%" PRId64, b->messages,
                 b->workers);
        figures_recovered(b->messages);
    }
    on_moved(c, b->moved, b->next_ms);
}

/* number: the generation, and 1 in its lowest bit after a reconnect */
static void on_heartbeat(void *ctx, uint64_t number, const redisReply *r)
{
    struct consumer *c = ctx;
    struct broker_beat_reply b;

    if (number >> 1 != c->generation || !broker_read_heartbeat(r, &b)) {
        return;
    }
    if (b.lost > 0) {
        log_error("redis.lost_steps", "boot=%s steps=%" PRId64, c->self.boot, b.lost);
        figures_redis_lost(b.lost);
    }
    if (!b.registered) {
        consumer_abandon(c);
        return;
    }
    on_tidied(c, &b);
    tell_progress(c);
    if (number & 1 && !c->registered) {
        c->registered = true;
        consumer_send_steps(c);
        consumer_take_again(c);
        consumer_maybe_leave(c);
    }
}

static void send_heartbeat(struct consumer *c, bool after_reconnect)
{
    /* What Redis knows of us is forgotten after a day. */
    bool fresh = clock_mono_ms() - c->heard_ms < HEARD_MAX_MS;
    struct command cmd;
    struct buf known;
    char *info = info_json(c);

    buf_init(&known, 256 * KIB); /* more than 4,608 numbers can need */
    known_numbers(c, &known);
    if (info && !known.failed) {
        struct broker_beat beat = {.info_json = info,
                                   .known = known.data ? known.data : "",
                                   .taken = fresh ? c->acked_taken : -1,
                                   .ended = fresh ? c->acked_ended : -1};

        broker_heartbeat(&cmd, &c->self, &beat);
        rdsa_script(c->redis, &cmd, on_heartbeat, c, c->generation << 1 | after_reconnect);
        loop_arm_ms(c->due_timer, DUE_EVERY_MS); /* the heartbeat has looked, too */
        command_fini(&cmd);
    }
    buf_fini(&known);
    free(info);
}

void consumer_on_redis_up(void *ctx)
{
    struct consumer *c = ctx;

    if (c->leaving) {
        return;
    }
    if (c->cf.on_connected) {
        c->cf.on_connected(c->cf.connected_ctx, c->redis);
    }
    if (c->last_number == 0 && c->jobs.count == 0) {
        start_registration(c); /* the first time, or nothing has happened since */
    } else {
        send_heartbeat(c, true);
    }
}

void consumer_on_redis_down(void *ctx)
{
    struct consumer *c = ctx;

    c->registered = false;
    consumer_maybe_leave(c);
}

/* ---- timers ---- */

/* Once a second, in turn with or after what else is done then. */
static void look_where_nobody_waits(struct consumer *c)
{
    if (!consumer_waits_everywhere(c)) {
        consumer_take_again(c);
    }
}

/* After a rush: an idle worker is as small as it was before. */
static void give_back_memory(struct consumer *c)
{
    if (c->grown && c->jobs.count == 0) {
        malloc_trim(0);
        c->grown = false;
    }
}

static void on_beat_timer(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    struct consumer *c = arg;

    loop_arm_ms(c->beat_timer, BROKER_HEARTBEAT_EVERY_MS);
    give_back_memory(c);
    if (c->leaving || !rdsa_is_up(c->redis)) {
        tell_progress(c); /* a restart would not bring Redis back */
        return;
    }
    if (c->registered) {
        send_heartbeat(c, false);
        look_where_nobody_waits(c);
    } else {
        consumer_on_redis_up(c); /* the last try got no answer */
    }
}

static void on_due(void *ctx, UNUSED uint64_t number, const redisReply *r)
{
    if (reply_is_number(r, 0) && reply_is_number(r, 1)) {
        on_moved(ctx, reply_number(r, 0), reply_number(r, 1));
    }
}

static void on_due_timer(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    struct consumer *c = arg;
    struct command cmd;

    loop_arm_ms(c->due_timer, DUE_AGAIN_MS);
    if (!c->registered || c->leaving) {
        return;
    }
    broker_due(&cmd);
    rdsa_script(c->redis, &cmd, on_due, c, 0);
    command_fini(&cmd);
    look_where_nobody_waits(c);
}

void consumer_start_timers(struct consumer *c)
{
    c->beat_timer = evtimer_new(c->cf.base, on_beat_timer, c);
    c->due_timer = evtimer_new(c->cf.base, on_due_timer, c);
    MUST(c->beat_timer && c->due_timer);
    loop_arm_ms(c->beat_timer, BROKER_HEARTBEAT_EVERY_MS);
}

void consumer_free_timers(struct consumer *c)
{
    event_free(c->beat_timer);
    event_free(c->due_timer);
}
