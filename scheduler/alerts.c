#include "scheduler/alerts.h"

#include <curl/curl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/alert_store.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/pg.h"

#define POLL_MS          2000 /* for letters that are due */
#define REDIS_TIMEOUT_MS 2000
#define SAVE_TRIES       10

struct alerts {
    struct alerts_config cf;
    struct alert_policy policy;
    pthread_t thread;
    volatile sig_atomic_t stop;
    int stop_fd;
    redisContext *redis; /* NULL: away */
    PGconn *pg;          /* NULL: away */
    struct alert_store store;
    bool ahead; /* the store has changes that Redis does not know */
    struct alert_sight sight;
};

/* ----------------------------------------------------------------------------- what it asks */

static void lose_redis(struct alerts *a, const struct err *e)
{
    log_debug("alerts.redis", "error=%s", LOGQ(e->text)); /* the beat says it, too */
    redisFree(a->redis);
    a->redis = NULL;
}

/*
 * The document as Redis has it; without Redis the one that we have. What was changed meanwhile is
 * told to Redis first, unless somebody else was there before.
 */
static void refresh(struct alerts *a)
{
    struct err e;

    a->redis = a->redis ? a->redis : rds_connect(a->cf.redis, REDIS_TIMEOUT_MS, &e);
    if (!a->store.doc) {
        a->store.doc = cJSON_CreateObject();
    }
    a->store.now_s = clock_wall_us() / 1000000;
    if (!a->redis) {
        return;
    }
    if (a->ahead && alert_save(a->redis, &a->store, &e) == ALERT_NOT_SAVED) {
        lose_redis(a, &e);
        return;
    }
    a->ahead = false;
    if (!alert_load(a->redis, &a->store, &e)) {
        lose_redis(a, &e);
    }
}

static void find_pg(struct alerts *a)
{
    struct err e;

    if (a->pg || !a->cf.database_url[0]) {
        return;
    }
    a->pg = pg_connect(a->cf.database_url, "aion2-beat", &e);
    if (!a->pg) {
        snprintf(a->sight.pg_away, sizeof a->sight.pg_away, "%.190s", e.text);
    }
}

static bool is_time_to_look(const struct alerts *a)
{
    int64_t checked;

    return !json_get_i64(a->store.doc, "checked", 0, INT64_MAX, &checked) ||
           checked + a->cf.interval_s <= a->store.now_s || checked > a->store.now_s;
}

static void look(struct alerts *a)
{
    struct alert_fact facts[ALERT_RULE_COUNT];
    int dropped;

    find_pg(a);
    alert_recall(&a->sight, alert_last_success(a->store.doc));
    alert_look(&a->sight, a->redis, a->pg, &a->cf.limits, a->store.now_s, facts);
    if (a->sight.pg_away[0]) {
        PQfinish(a->pg);
        a->pg = NULL;
    }
    alert_step(a->store.doc, facts, &a->policy, a->store.now_s);
    /* Only what PostgreSQL has just said: what we knew before may be older than what others know.
     */
    if (a->pg && a->sight.run_id > 0) {
        alert_note_success(a->store.doc, a->sight.success_s);
        alert_batch_done(a->store.doc, a->sight.run_id, &a->policy, a->store.now_s);
    }
    dropped = alert_give_up(a->store.doc, a->store.now_s);
    if (dropped > 0) {
        log_error("alert.given_up", "letters=%d", dropped);
    }
}

/* ------------------------------------------------------------------------------ what it tells */

/* False: somebody else has changed the document, and what we did to ours counts for nothing. */
static bool keep(struct alerts *a)
{
    enum alert_saved saved = ALERT_NOT_SAVED;
    struct err e;

    if (a->redis) {
        saved = alert_save(a->redis, &a->store, &e);
        if (saved == ALERT_NOT_SAVED) {
            lose_redis(a, &e);
        }
    }
    a->ahead = saved == ALERT_NOT_SAVED;
    return saved != ALERT_OUTRUN;
}

static void settle(struct alerts *a, const struct alert_job *job, bool delivered)
{
    for (int i = 0; i < SAVE_TRIES; i++) {
        refresh(a);
        alert_settle(a->store.doc, job, delivered, a->store.now_s);
        if (keep(a)) {
            return;
        }
    }
    /* Its lease runs out, and it is told once more. */
    log_warn("alert.unsettled", "id=%" PRId64, job->id);
}

static void deliver(struct alerts *a, struct alert_job *job)
{
    cJSON *letter = cJSON_Duplicate(job->letter, true);
    struct buf subject;
    struct err e = {.cls = ERR_NONE};
    bool delivered;

    job->letter = letter;
    delivered = letter && alert_send(&a->cf.routes, job, a->store.now_s, &e);
    buf_init(&subject, 4 * KIB);
    alert_subject(letter, a->cf.routes.deployment, &subject);
    if (delivered) {
        log_info("alert.sent", "to=%s id=%" PRId64 " subject=%s", ALERT_CHANNELS[job->to], job->id,
                 LOGQ(job->to == ALERT_PING ? "ping" : subject.data));
    } else {
        log_warn("alert.not_sent", "to=%s id=%" PRId64 " error=%s", ALERT_CHANNELS[job->to],
                 job->id, LOGQ(e.text));
    }
    buf_fini(&subject);
    settle(a, job, delivered);
    cJSON_Delete(letter);
}

/* True when there may be more to do at once. */
static bool turn(struct alerts *a)
{
    struct alert_job job;
    bool looked, claimed;

    refresh(a);
    looked = is_time_to_look(a);
    if (looked) {
        look(a);
    }
    claimed = alert_claim(a->store.doc, &a->policy, a->store.now_s, &job);
    if ((looked || claimed) && !keep(a)) {
        return true;
    }
    if (claimed) {
        deliver(a, &job);
    }
    return claimed;
}

/* ------------------------------------------------------------------------------------ the thread
 */

static void *run(void *arg)
{
    struct alerts *a = arg;
    struct pollfd fd = {.fd = a->stop_fd, .events = POLLIN};

    while (!a->stop) {
        if (!turn(a) && !a->stop) {
            poll(&fd, 1, POLL_MS);
        }
    }
    if (a->redis) {
        redisFree(a->redis);
    }
    PQfinish(a->pg);
    alert_store_fini(&a->store);
    return NULL;
}

static bool has_channel(const struct alert_policy *p)
{
    for (int i = 0; i < ALERT_CHANNEL_COUNT; i++) {
        if (p->to[i]) {
            return true;
        }
    }
    return false;
}

struct alerts *alerts_start(const struct alerts_config *config)
{
    struct alert_policy policy = {.to = {false}};
    sigset_t all, before;
    struct alerts *a;

    alert_routes_policy(&config->routes, &policy);
    if (!has_channel(&policy)) {
        return NULL;
    }
    MUST(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    a = mem_alloc(sizeof *a);
    a->cf = *config;
    a->cf.routes.stop = &a->stop;
    a->policy = policy;
    a->stop_fd = eventfd(0, EFD_CLOEXEC);
    MUST(a->stop_fd >= 0);
    memcpy(a->store.rev, "0", 2);
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before); /* signals are the main thread's */
    MUST(pthread_create(&a->thread, NULL, run, a) == 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return a;
}

void alerts_stop(struct alerts *a)
{
    uint64_t one = 1;

    if (!a) {
        return;
    }
    a->stop = 1;
    MUST(write(a->stop_fd, &one, sizeof one) == sizeof one);
    pthread_join(a->thread, NULL);
    close(a->stop_fd);
    free(a);
}
