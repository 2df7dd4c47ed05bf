#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "worker/consumer_parts.h"
#include "worker/loop.h"

#define DUE_EVERY_MS 1000 /* at the latest; earlier when something is due earlier */

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

static void on_registered(void *ctx, UNUSED uint64_t number, const redisReply *r)
{
    struct consumer *c = ctx;

    if (!r || c->registered) {
        return; /* tried again when Redis is back; or an answer to an impatient second try */
    }
    log_info("worker.registered", "name=%s boot=%s queue=%s", LOGQ(c->cf.settings->worker_name),
             c->self.boot, LOGQ(c->self.queue));
    c->registered = true;
    consumer_send_steps(c);
    loop_arm_ms(c->beat_timer, 0); /* what is due, what dead workers held */
    consumer_take_again(c);
    consumer_maybe_leave(c);
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

void consumer_abandon(struct consumer *c)
{
    int n = 0;

    c->registered = false;
    c->taking = 0;
    c->generation++;
    for (struct job *j = c->jobs, *next; j; j = next) {
        next = j->next;
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

static void on_moved(struct consumer *c, int64_t moved, int64_t next_ms)
{
    if (moved > 0) {
        log_info("delayed.due", "messages=%" PRId64, moved);
    }
    if (next_ms >= 0 && next_ms < DUE_EVERY_MS) {
        loop_arm_ms(c->due_timer, next_ms + 1);
    }
}

/* What a heartbeat has done beside renewing. */
static void on_tidied(struct consumer *c, const redisReply *r)
{
    if (r->elements != 6 || !reply_is_number(r, 5)) {
        return;
    }
    if (reply_number(r, 1) > 0) {
        log_warn("worker.put_back", "messages=%" PRId64, reply_number(r, 1));
    }
    if (reply_number(r, 3) > 0) {
        log_warn("worker.recovered", "messages=%" PRId64 " dead_workers=%" PRId64,
                 reply_number(r, 2), reply_number(r, 3));
    }
    on_moved(c, reply_number(r, 4), reply_number(r, 5));
}

/* number: the generation, and 1 in its lowest bit after a reconnect */
static void on_heartbeat(void *ctx, uint64_t number, const redisReply *r)
{
    struct consumer *c = ctx;

    if (!reply_is_number(r, 0) || number >> 1 != c->generation) {
        return;
    }
    if (reply_number(r, 0) == 0) {
        consumer_abandon(c);
        return;
    }
    on_tidied(c, r);
    if (number & 1 && !c->registered) {
        c->registered = true;
        consumer_send_steps(c);
        consumer_take_again(c);
        consumer_maybe_leave(c);
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
        loop_arm_ms(c->due_timer, DUE_EVERY_MS); /* the heartbeat has looked, too */
        broker_cmd_fini(&cmd);
    }
    buf_fini(&tags);
    free(info);
}

void consumer_on_redis_up(void *ctx)
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

static void on_beat_timer(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    struct consumer *c = arg;

    loop_arm_ms(c->beat_timer, BROKER_HEARTBEAT_EVERY_MS);
    if (c->leaving || !rdsa_is_up(c->redis)) {
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
    struct broker_cmd cmd;

    loop_arm_ms(c->due_timer, DUE_EVERY_MS);
    if (!c->registered || c->leaving) {
        return;
    }
    broker_due(&cmd);
    rdsa_script(c->redis, &cmd, on_due, c, 0);
    broker_cmd_fini(&cmd);
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
