#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/buf.h"
#include "common/log.h"
#include "common/text.h"
#include "worker/control_parts.h"
#include "worker/pool.h"
#include "worker/rate.h"
#include "worker/task.h"

/* Methods that change something (celery control ...). */

#define LIMIT_MAX_S (86400.0 * 365)

/* ---- revoking ---- */

/* "SIGKILL", "KILL", 9; absent: SIGTERM. 0: no such signal. */
static int signal_number(const cJSON *args)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(args, "signal");
    const char *name = cJSON_GetStringValue(v);

    if (!v || cJSON_IsNull(v)) {
        return SIGTERM;
    }
    if (cJSON_IsNumber(v)) {
        return v->valuedouble >= 1 && v->valuedouble < 32 ? (int)v->valuedouble : 0;
    }
    if (name && strncasecmp(name, "SIG", 3) == 0) {
        name += 3;
    }
    for (int i = 1; name && i < 32; i++) {
        if (sigabbrev_np(i) && strcasecmp(sigabbrev_np(i), name) == 0) {
            return i;
        }
    }
    return 0;
}

struct revocation {
    struct control *c;
    int signum; /* 0: nothing that runs is ended */
    struct buf all, ended;
};

static void add_id(struct buf *list, const char *id)
{
    buf_addstr(list, list->len > 0 ? ", " : "");
    buf_addstr(list, id);
}

static void revoke_one(void *ctx, const char *id)
{
    struct revocation *r = ctx;

    revoke_add(r->c->cf.revoke, id);
    add_id(&r->all, id);
    if (r->signum && consumer_terminate(r->c->cf.consumer, id, r->signum)) {
        log_warn("task.terminating", "id=%s signal=%d", LOGQ(id), r->signum);
        add_id(&r->ended, id);
    }
}

/* At least an empty text. */
static const char *text_of(const struct buf *b)
{
    return b->data ? b->data : "";
}

static void revoke_ids(struct control *c, const cJSON *args, struct answer *a, int signum)
{
    struct revocation r = {.c = c, .signum = signum};
    const cJSON *ids = cJSON_GetObjectItemCaseSensitive(args, "task_id");

    buf_init(&r.all, 8 * MIB);
    buf_init(&r.ended, 8 * MIB);
    if (!ids || !control_each_text(ids, revoke_one, &r)) {
        answer_missing(a, "revoke", "task_id");
    } else {
        revoke_commit(c->cf.revoke);
        if (signum && r.ended.len == 0) {
            answer_ok(a, "terminate: tasks unknown");
        } else if (signum) {
            answer_ok(a, "terminate: %s", text_of(&r.ended));
        } else {
            log_info("task.revoking", "ids=%s", LOGQ(text_of(&r.all)));
            answer_ok(a, "tasks %s flagged as revoked", text_of(&r.all));
        }
    }
    buf_fini(&r.all);
    buf_fini(&r.ended);
}

static void revoke_and_end(struct control *c, const cJSON *args, struct answer *a)
{
    int signum = signal_number(args);

    if (signum == 0) {
        answer_error(a, "ValueError('no such signal')");
    } else {
        revoke_ids(c, args, a, signum);
    }
}

static void revoke_tasks(struct control *c, const cJSON *args, struct answer *a)
{
    if (control_is_true(args, "terminate")) {
        revoke_and_end(c, args, a);
    } else {
        revoke_ids(c, args, a, 0);
    }
}

/* ---- limits of tasks ---- */

/* NULL: answered already. */
static struct task_state *task_named(struct control *c, const cJSON *args, struct answer *a,
                                     const char *method)
{
    const char *name = json_get_str(args, "task_name");
    const struct task *t = name ? task_find(name, c->cf.settings) : NULL;

    if (!name) {
        answer_missing(a, method, "task_name");
    } else if (!t) {
        log_warn("control.unknown_task", "method=%s task=%s", method, LOGQ(name));
        answer_error(a, "unknown task");
    }
    return t ? task_state_of(t) : NULL;
}

/* A text, or a number as some clients send it. False: neither. */
static bool rate_text(const cJSON *args, char *out, size_t cap)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(args, "rate_limit");

    if (cJSON_IsString(v)) {
        return text_copy(out, cap, v->valuestring);
    }
    if (cJSON_IsNull(v)) {
        return text_copy(out, cap, "");
    }
    return cJSON_IsNumber(v) && snprintf(out, cap, "%g", v->valuedouble) < (int)cap;
}

static void rate_limit(struct control *c, const cJSON *args, struct answer *a)
{
    struct task_state *state;
    char text[sizeof state->rate_text] = "";
    double per_s;
    struct err e;

    if (!cJSON_GetObjectItemCaseSensitive(args, "rate_limit")) {
        answer_missing(a, "rate_limit", "rate_limit");
        return;
    }
    if (!rate_text(args, text, sizeof text)) {
        answer_error(a, "Invalid rate limit string: ValueError('a short text expected')");
        return;
    }
    if (!rate_parse(text, &per_s, &e)) {
        answer_error(a, "Invalid rate limit string: %s", e.text);
        return;
    }
    state = task_named(c, args, a, "rate_limit");
    if (!state) {
        return;
    }
    state->rate_per_s = per_s;
    text_copy(state->rate_text, sizeof state->rate_text, per_s > 0 ? text : "");
    log_info("task.rate_limit", "task=%s rate=%s", LOGQ(json_get_str(args, "task_name")),
             LOGQ(text));
    answer_ok(a,
              per_s > 0 ? "new rate limit set successfully" : "rate limit disabled successfully");
}

/* Seconds as ms; absent or null: 0, none. False when it is no sensible limit. */
static bool read_limit(const cJSON *args, const char *name, int64_t *ms)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(args, name);

    *ms = 0;
    if (!v || cJSON_IsNull(v)) {
        return true;
    }
    if (!cJSON_IsNumber(v) || v->valuedouble < 0 || v->valuedouble > LIMIT_MAX_S) {
        return false;
    }
    *ms = (int64_t)(v->valuedouble * 1000);
    return true;
}

static void time_limit(struct control *c, const cJSON *args, struct answer *a)
{
    struct task_state *state;
    int64_t soft_ms, hard_ms;

    if (!read_limit(args, "soft", &soft_ms) || !read_limit(args, "hard", &hard_ms)) {
        answer_error(a, "ValueError('soft, hard: seconds expected')");
        return;
    }
    state = task_named(c, args, a, "time_limit");
    if (state) {
        state->soft_limit_ms = soft_ms;
        state->hard_limit_ms = hard_ms;
        log_info("task.time_limit", "task=%s soft_ms=%" PRId64 " hard_ms=%" PRId64,
                 LOGQ(json_get_str(args, "task_name")), soft_ms, hard_ms);
        answer_ok(a, "time limits set successfully");
    }
}

/* ---- the pool ---- */

static void resize(struct control *c, const cJSON *args, struct answer *a, int sign)
{
    struct pool *pool = consumer_pool(c->cf.consumer);
    int64_t n = 1;
    struct err e;

    if (cJSON_GetObjectItemCaseSensitive(args, "n") &&
        !json_get_i64(args, "n", 0, POOL_SIZE_MAX, &n)) {
        answer_error(a, "ValueError('n: a number from 0 to %d expected')", POOL_SIZE_MAX);
    } else if (!pool_resize(pool, pool_size(pool) + sign * (int)n, &e)) {
        answer_error(a, "ValueError('%s')", e.text);
    } else {
        log_info("pool.resized", "children=%d", pool_size(pool));
        answer_ok(a, sign > 0 ? "pool will grow" : "pool will shrink");
    }
}

static void pool_grow(struct control *c, const cJSON *args, struct answer *a)
{
    resize(c, args, a, 1);
}

static void pool_shrink(struct control *c, const cJSON *args, struct answer *a)
{
    resize(c, args, a, -1);
}

static void autoscale(UNUSED struct control *c, UNUSED const cJSON *args, struct answer *a)
{
    answer_error(a, "ValueError('Autoscale not enabled')");
}

/* Children are replaced by SIGHUP, by their age and when they die; there is no code to reload. */
static void pool_restart(UNUSED struct control *c, UNUSED const cJSON *args, struct answer *a)
{
    answer_error(a, "ValueError('Pool restarts not enabled')");
}

/* ---- queues ---- */

static void add_consumer(struct control *c, const cJSON *args, struct answer *a)
{
    const char *queue = json_get_str(args, "queue");
    struct err e;

    if (!queue) {
        answer_missing(a, "add_consumer", "queue");
    } else if (!consumer_add_queue(c->cf.consumer, queue, &e)) {
        answer_error(a, "ValueError('%s')", e.text);
    } else {
        answer_ok(a, "add consumer %s", queue);
    }
}

static void cancel_consumer(struct control *c, const cJSON *args, struct answer *a)
{
    const char *queue = json_get_str(args, "queue");
    struct err e;

    if (!queue) {
        answer_missing(a, "cancel_consumer", "queue");
    } else if (!consumer_cancel_queue(c->cf.consumer, queue, &e)) {
        answer_error(a, "ValueError('%s')", e.text);
    } else {
        answer_ok(a, "no longer consuming from %s", queue);
    }
}

/* ---- events, the end ---- */

static void enable_events(struct control *c, UNUSED const cJSON *args, struct answer *a)
{
    answer_ok(a, events_switch(c->cf.events, true) ? "task events enabled"
                                                   : "task events already enabled");
}

static void disable_events(struct control *c, UNUSED const cJSON *args, struct answer *a)
{
    answer_ok(a, events_switch(c->cf.events, false) ? "task events disabled"
                                                    : "task events already disabled");
}

static void heartbeat(struct control *c, UNUSED const cJSON *args, struct answer *a)
{
    events_say_heartbeat(c->cf.events);
    answer_null(a);
}

/* Celery's worker goes without a word, and its tool reports that nobody is there. */
static void shut_down(UNUSED struct control *c, UNUSED const cJSON *args, struct answer *a)
{
    log_warn("control.shutdown", "reason=\"asked for by remote control\"");
    answer_then_shut_down(a);
    answer_ok(a, "shutting down");
}

const struct control_method CONTROL_DO[] = {
    {"revoke", NULL, revoke_tasks},         {"terminate", NULL, revoke_and_end},
    {"rate_limit", NULL, rate_limit},       {"time_limit", NULL, time_limit},
    {"pool_grow", NULL, pool_grow},         {"pool_shrink", NULL, pool_shrink},
    {"pool_restart", NULL, pool_restart},   {"autoscale", NULL, autoscale},
    {"add_consumer", NULL, add_consumer},   {"cancel_consumer", NULL, cancel_consumer},
    {"enable_events", NULL, enable_events}, {"disable_events", NULL, disable_events},
    {"heartbeat", NULL, heartbeat},         {"shutdown", NULL, shut_down},
};
const size_t CONTROL_DO_COUNT = ARRAY_LEN(CONTROL_DO);
