#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/audit.h"
#include "common/keys.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/queues.h"
#include "common/text.h"
#include "scheduler/figures.h"

/*
 * Figures of the whole deployment, as they stand in Redis. What cannot be read is not shown, so
 * that an old number never passes for a new one.
 */
#define REDIS_TIMEOUT_MS 2000
#define VALUE_MAX        (INT64_MAX / 1000000)

struct fleet {
    const struct rds_addr *redis;
    const char *queue;
    pthread_t thread;
    int stop_fd;
    redisContext *c; /* NULL: away */
    _Atomic int64_t published_us;
};

enum {
    F_QUEUE,
    F_STORED,
    F_DIFFERENCE,
    F_STEPS,
    F_LOST,
    F_WORKERS,
    F_BEATS,
    F_PUBLISHED,
    F_SOURCE,
    F_SOURCE_RESTING,
    F_SOURCE_FAILURES,
    F_SOURCE_SUCCESS,
    F_COUNT
};

static const char *const PLACES[] = {"held", "delayed", "dead", "quarantine"};
/* Of common/audit.c, in its order. */
static const char *const IDENTITIES[] = {"holds", "delayed", "dead", "quarantine"};
static const char *const STEPS[] = {"taken",    "done",         "retried",      "delayed",
                                    "requeued", "recovered",    "quarantined",  "due",
                                    "dead",     "dead_retried", "dead_dropped", "delayed_dropped"};
static const char *const WORKERS[] = {"alive", "silent"};
static const char *const SOURCE[] = {"ok", "busy", "failed"};
static const struct metric_label PLACE = {"where", PLACES, ARRAY_LEN(PLACES)};
static const struct metric_label IDENTITY = {"what", IDENTITIES, ARRAY_LEN(IDENTITIES)};
static const struct metric_label STEP = {"step", STEPS, ARRAY_LEN(STEPS)};
static const struct metric_label WORKER = {"state", WORKERS, ARRAY_LEN(WORKERS)};
static const struct metric_label SOURCE_RESULT = {"result", SOURCE, ARRAY_LEN(SOURCE)};

static const struct metric METRICS[F_COUNT] = {
    [F_QUEUE] = {"aion2_queue_messages",
                 METRIC_GAUGE,
                 METRIC_ONE,
                 "Deployment: messages that wait in TASK_QUEUE, of all priorities",
                 {NULL},
                 NULL},
    [F_STORED] =
        {"aion2_stored_messages",
         METRIC_GAUGE,
         METRIC_ONE,
         "Deployment: messages that are held by workers, wait for their time, or were put aside",
         {&PLACE},
         NULL},
    [F_DIFFERENCE] =
        {"aion2_conservation_difference",
         METRIC_GAUGE,
         METRIC_ONE,
         "Deployment: messages that came in, less those that went out or are there: must be 0",
         {&IDENTITY},
         NULL},
    [F_STEPS] = {"aion2_fleet_messages_total",
                 METRIC_COUNTER,
                 METRIC_ONE,
                 "Deployment: messages by what all workers together did with them",
                 {&STEP},
                 NULL},
    [F_LOST] = {"aion2_fleet_lost_steps_total",
                METRIC_COUNTER,
                METRIC_ONE,
                "Deployment: steps of all workers that Redis had confirmed and forgot",
                {NULL},
                NULL},
    [F_WORKERS] = {"aion2_workers",
                   METRIC_GAUGE,
                   METRIC_ONE,
                   "Deployment: registered workers, those with a heartbeat and those without",
                   {&WORKER},
                   NULL},
    [F_BEATS] = {"aion2_beats",
                 METRIC_GAUGE,
                 METRIC_ONE,
                 "Deployment: beats seen within a minute",
                 {NULL},
                 NULL},
    [F_PUBLISHED] = {"aion2_ranking_published_timestamp_seconds",
                     METRIC_GAUGE,
                     METRIC_US,
                     "Deployment: when the last ranking was made, as far as Redis knows, unix time",
                     {NULL},
                     NULL},
    [F_SOURCE] = {"aion2_source_requests_total",
                  METRIC_COUNTER,
                  METRIC_ONE,
                  "Deployment: requests of all programs to the source of characters, by their end",
                  {&SOURCE_RESULT},
                  NULL},
    [F_SOURCE_RESTING] = {"aion2_source_resting",
                          METRIC_GAUGE,
                          METRIC_ONE,
                          "Deployment: 1 while nobody may ask the source",
                          {NULL},
                          NULL},
    [F_SOURCE_FAILURES] = {"aion2_source_failures",
                           METRIC_GAUGE,
                           METRIC_ONE,
                           "Deployment: requests to the source that failed in a row",
                           {NULL},
                           NULL},
    [F_SOURCE_SUCCESS] = {"aion2_source_success_timestamp_seconds",
                          METRIC_GAUGE,
                          METRIC_US,
                          "Deployment: when the source last gave a good answer, unix time",
                          {NULL},
                          NULL},
};
static struct metric_group figures = {METRICS, F_COUNT, NULL};

static void forget(size_t metric)
{
    const struct metric_label *label = METRICS[metric].labels[0];

    for (size_t i = 0; i < (label ? label->count : 1); i++) {
        metrics_set(&figures, metric, i, METRIC_UNKNOWN);
    }
}

static void forget_all(struct fleet *f)
{
    for (size_t i = 0; i < F_COUNT; i++) {
        forget(i);
    }
    atomic_store(&f->published_us, METRIC_UNKNOWN);
}

/* ---- the audit ---- */

static int64_t member(const cJSON *o, const char *name, int64_t otherwise)
{
    int64_t n = otherwise;

    return json_get_i64(o, name, -VALUE_MAX, VALUE_MAX, &n) ? n : otherwise;
}

static void show_identity(const cJSON *one)
{
    const char *name = json_get_str(one, "name");
    const cJSON *term;
    size_t i = metrics_series(&IDENTITY, name ? name : "");

    metrics_set(&figures, F_DIFFERENCE, i, member(one, "difference", METRIC_UNKNOWN));
    metrics_set(&figures, F_STORED, i, member(one, "there", METRIC_UNKNOWN));
    cJSON_ArrayForEach(term, json_get_obj(one, "terms"))
    {
        size_t step = metrics_series(&STEP, term->string);

        if (strcmp(STEPS[step], term->string) == 0) {
            metrics_set(&figures, F_STEPS, step, (int64_t)term->valuedouble);
        }
    }
}

static void show_workers(const cJSON *workers)
{
    int64_t count[2] = {0, 0};
    const cJSON *one;

    cJSON_ArrayForEach(one, workers)
    {
        if (json_get_bool(one, "registered", false)) {
            count[!json_get_bool(one, "alive", false)]++;
        }
    }
    metrics_set(&figures, F_WORKERS, 0, count[0]);
    metrics_set(&figures, F_WORKERS, 1, count[1]);
}

static bool look_at_audit(struct fleet *f, struct err *e)
{
    cJSON *doc = audit_run(f->c, false, e);
    const cJSON *one;

    if (!doc) {
        return false;
    }
    cJSON_ArrayForEach(one, json_get_arr(doc, "identities"))
    {
        show_identity(one);
    }
    show_workers(json_get_arr(doc, "workers"));
    metrics_set(&figures, F_LOST, 0, member(doc, "redis_lost", METRIC_UNKNOWN));
    cJSON_Delete(doc);
    return true;
}

/* ---- single values ---- */

/* METRIC_UNKNOWN when it is not there or no number; false: the connection is of no use. */
static bool ask(struct fleet *f, int64_t *n, struct err *e, const char *command, const char *key,
                const char *field)
{
    const char *argv[] = {command, key, field};
    redisReply *r = rds_command_argv(f->c, field ? 3 : 2, argv, NULL, e);

    *n = METRIC_UNKNOWN;
    if (!r) {
        return e->cls == ERR_PERMANENT; /* a key of another type */
    }
    if (r->type == REDIS_REPLY_INTEGER) {
        *n = r->integer;
    } else if (r->type == REDIS_REPLY_STRING && !text_to_i64(r->str, 0, VALUE_MAX, n)) {
        *n = METRIC_UNKNOWN;
    }
    freeReplyObject(r);
    return true;
}

static bool show(struct fleet *f, size_t metric, struct err *e, const char *command,
                 const char *key)
{
    int64_t n;
    bool ok = ask(f, &n, e, command, key, NULL);

    metrics_set(&figures, metric, 0, n);
    return ok;
}

static bool look_at_published(struct fleet *f, struct err *e)
{
    const char *argv[] = {"GET", KEY_PUBLISHED};
    redisReply *r = rds_command_argv(f->c, ARRAY_LEN(argv), argv, NULL, e);
    int64_t us = METRIC_UNKNOWN;

    if (!r) {
        return e->cls == ERR_PERMANENT;
    }
    if (r->type == REDIS_REPLY_STRING && !text_to_i64(r->str, 0, INT64_MAX, &us)) {
        us = METRIC_UNKNOWN;
    }
    freeReplyObject(r);
    atomic_store(&f->published_us, us);
    metrics_set(&figures, F_PUBLISHED, 0, us);
    return true;
}

static bool look_at_queue(struct fleet *f, struct err *e)
{
    int64_t n = queues_length(f->c, f->queue, e);

    metrics_set(&figures, F_QUEUE, 0, n < 0 ? METRIC_UNKNOWN : n);
    return n >= 0 || e->cls == ERR_PERMANENT;
}

/* Its hash is there once somebody has asked the source; common/source_gate.c. */
static bool look_at_source(struct fleet *f, struct err *e)
{
    int64_t now_us, until_ms, success_ms, failures, n;

    if (!rds_time_us(f->c, &now_us, e) ||
        !ask(f, &until_ms, e, "HGET", KEY_SOURCE, "rest_until_ms") ||
        !ask(f, &success_ms, e, "HGET", KEY_SOURCE, "last_ok_ms") ||
        !ask(f, &failures, e, "HGET", KEY_SOURCE, "failures")) {
        return false;
    }
    for (size_t i = 0; i < SOURCE_RESULT.count; i++) {
        if (!ask(f, &n, e, "HGET", KEY_SOURCE, SOURCE[i])) {
            return false;
        }
        metrics_set(&figures, F_SOURCE, i, n == METRIC_UNKNOWN ? 0 : n);
    }
    metrics_set(&figures, F_SOURCE_RESTING, 0, until_ms > now_us / 1000);
    metrics_set(&figures, F_SOURCE_FAILURES, 0, failures == METRIC_UNKNOWN ? 0 : failures);
    metrics_set(&figures, F_SOURCE_SUCCESS, 0,
                success_ms == METRIC_UNKNOWN ? METRIC_UNKNOWN : success_ms * 1000);
    return true;
}

/* ---- the thread ---- */

static bool look(struct fleet *f, struct err *e)
{
    f->c = f->c ? f->c : rds_connect(f->redis, REDIS_TIMEOUT_MS, e);
    return f->c && !rds_has_moved(f->redis, f->c) && look_at_audit(f, e) && look_at_queue(f, e) &&
           show(f, F_BEATS, e, "HLEN", KEY_BEATS) && look_at_published(f, e) &&
           look_at_source(f, e);
}

static void *run(void *arg)
{
    struct fleet *f = arg;
    struct pollfd stop = {.fd = f->stop_fd, .events = POLLIN};

    do {
        struct err e = {0};

        if (!look(f, &e)) {
            log_debug("fleet.unseen", "error=%s", LOGQ(e.text)); /* the beat says it, too */
            forget_all(f);
            if (f->c) {
                redisFree(f->c);
                f->c = NULL;
            }
        }
    } while (poll(&stop, 1, FLEET_LOOK_MS) <= 0);
    return NULL;
}

struct fleet *fleet_start(const struct rds_addr *redis, const char *queue)
{
    struct fleet *f = mem_alloc(sizeof *f);
    sigset_t all, before;

    metrics_register(&figures, 1);
    f->redis = redis;
    f->queue = queue;
    forget_all(f);
    f->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    MUST(f->stop_fd >= 0);
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    MUST(pthread_create(&f->thread, NULL, run, f) == 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return f;
}

int64_t fleet_published_us(const struct fleet *f)
{
    return atomic_load(&f->published_us);
}

void fleet_stop(struct fleet *f)
{
    const uint64_t one = 1;

    if (!f) {
        return;
    }
    if (write(f->stop_fd, &one, sizeof one) < 0) {
        log_warn("fleet.stop", "error=\"eventfd\"");
    }
    pthread_join(f->thread, NULL);
    close(f->stop_fd);
    if (f->c) {
        redisFree(f->c);
    }
    free(f);
}
