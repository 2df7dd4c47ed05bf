#include <stdlib.h>

#include "api/admin/parts.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/pg.h"
#include "common/schema.h"

#define REDIS_TIMEOUT_MS 5000
#define PG_TIMEOUT_MS    16000 /* longer than a statement may take there: it says nothing */

static const char SESSION_SQL[] = "SET statement_timeout = '15s'; SET lock_timeout = '3s';"
                                  "SET idle_in_transaction_session_timeout = '60s'; SET jit = off";

struct worker {
    struct jobs *jobs;
    pthread_t thread;
    PGconn *pg;
    redisContext *redis;
};

struct jobs {
    const struct admin_env *env;
    job_done_fn done;
    struct worker workers[ADMIN_THREADS];
    pthread_mutex_t lock;
    pthread_cond_t wake;
    atomic_bool hurry;
    /* Under the lock: */
    bool stopping;
    struct ask *first, **end;
    int waiting;
};

/* ---- connections ---- */

static void drop_pg(struct worker *w)
{
    PQfinish(w->pg);
    w->pg = NULL;
}

static void drop_redis(struct worker *w)
{
    if (w->redis) {
        redisFree(w->redis);
    }
    w->redis = NULL;
}

/* A question first: a connection that has died since shows only when it is used. */
static bool ensure_pg(struct worker *w, struct err *e)
{
    if (w->pg && pg_run(w->pg, "SELECT 1", e)) {
        return true;
    }
    drop_pg(w);
    w->pg = pg_connect(w->jobs->env->settings->database_url, "aion2-api admin", e);
    if (w->pg && pg_run(w->pg, SESSION_SQL, e) && schema_check(w->pg, e)) {
        return true;
    }
    drop_pg(w);
    e->cls = ERR_RETRYABLE; /* whatever is wrong with the database, it can be put right */
    return false;
}

static bool ensure_redis(struct worker *w, struct err *e)
{
    redisReply *r = w->redis ? rds_command(w->redis, e, "PING") : NULL;

    if (r && !rds_has_moved(&w->jobs->env->redis, w->redis)) {
        freeReplyObject(r);
        return true;
    }
    if (r) {
        freeReplyObject(r);
    }
    drop_redis(w);
    w->redis = rds_connect(&w->jobs->env->redis, REDIS_TIMEOUT_MS, e);
    return w->redis != NULL;
}

static bool connect_pg(struct worker *w, struct ask *k, unsigned needs)
{
    struct err e = {0};

    if (!(needs & (ADMIN_PG | ADMIN_PG_WISH)) || ensure_pg(w, &e)) {
        k->call.pg = needs & (ADMIN_PG | ADMIN_PG_WISH) ? w->pg : NULL;
        return true;
    }
    log_warn("admin.postgresql", "text=%s", LOGQ(e.text));
    admin_problem(&k->call, 503, NULL, "PostgreSQL cannot be asked%s.",
                  k->route->action ? ", and without it nothing is changed" : "");
    return (needs & ADMIN_PG) == 0;
}

static bool connect_redis(struct worker *w, struct ask *k, unsigned needs)
{
    struct err e = {0};

    if (!(needs & (ADMIN_REDIS | ADMIN_REDIS_WISH)) || ensure_redis(w, &e)) {
        k->call.redis = needs & (ADMIN_REDIS | ADMIN_REDIS_WISH) ? w->redis : NULL;
        return true;
    }
    log_warn("admin.redis", "text=%s", LOGQ(e.text));
    admin_problem(&k->call, 503, NULL, "Redis cannot be asked.");
    return (needs & ADMIN_REDIS) == 0;
}

/* False: answered. */
static bool connect_as_needed(struct worker *w, struct ask *k)
{
    unsigned needs = k->route->needs | (k->route->action ? ADMIN_PG : 0);

    return connect_pg(w, k, needs) && connect_redis(w, k, needs);
}

/* What a handler leaves half done does not reach the next one. */
static void check_connections(struct worker *w)
{
    if (w->pg && PQtransactionStatus(w->pg) != PQTRANS_IDLE) {
        drop_pg(w);
    }
    if (w->redis && w->redis->err) {
        drop_redis(w);
    }
}

/* ---- work ---- */

static void do_one(struct worker *w, struct ask *k)
{
    if (atomic_load(&w->jobs->hurry)) {
        admin_problem(&k->call, 503, NULL, "The service is being stopped.");
        return;
    }
    if (connect_as_needed(w, k)) {
        if (k->route->action) {
            trail_run(k);
        } else {
            k->route->fn(&k->call);
        }
        MUST(k->call.status != 0);
    }
    k->call.pg = NULL;
    k->call.redis = NULL;
    check_connections(w);
}

/* The next one; NULL when it is time to end. */
static struct ask *take(struct jobs *j)
{
    struct ask *k;

    pthread_mutex_lock(&j->lock);
    while (!j->first && !j->stopping) {
        pthread_cond_wait(&j->wake, &j->lock);
    }
    k = j->first;
    if (k) {
        j->first = k->next;
        j->end = j->first ? j->end : &j->first;
        j->waiting--;
    }
    pthread_mutex_unlock(&j->lock);
    return k;
}

static void *run(void *arg)
{
    struct worker *w = arg;
    struct ask *k;

    pg_patience(PG_TIMEOUT_MS, &w->jobs->hurry);
    while ((k = take(w->jobs)) != NULL) {
        do_one(w, k);
        w->jobs->done(k);
    }
    drop_pg(w);
    drop_redis(w);
    return NULL;
}

bool jobs_give(struct jobs *j, struct ask *k)
{
    bool room;

    k->next = NULL;
    pthread_mutex_lock(&j->lock);
    room = j->waiting < ADMIN_QUEUE_MAX && !j->stopping;
    if (room) {
        *j->end = k;
        j->end = &k->next;
        j->waiting++;
        pthread_cond_signal(&j->wake);
    }
    pthread_mutex_unlock(&j->lock);
    return room;
}

struct jobs *jobs_start(const struct admin_env *env, job_done_fn done)
{
    struct jobs *j = mem_alloc(sizeof *j);

    j->env = env;
    j->done = done;
    j->end = &j->first;
    pthread_mutex_init(&j->lock, NULL);
    pthread_cond_init(&j->wake, NULL);
    for (int i = 0; i < ADMIN_THREADS; i++) {
        j->workers[i].jobs = j;
        MUST(pthread_create(&j->workers[i].thread, NULL, run, &j->workers[i]) == 0);
    }
    return j;
}

void jobs_hurry(struct jobs *j)
{
    atomic_store(&j->hurry, true);
}

void jobs_stop(struct jobs *j)
{
    pthread_mutex_lock(&j->lock);
    j->stopping = true;
    pthread_cond_broadcast(&j->wake);
    pthread_mutex_unlock(&j->lock);
    for (int i = 0; i < ADMIN_THREADS; i++) {
        pthread_join(j->workers[i].thread, NULL);
    }
    pthread_mutex_destroy(&j->lock);
    pthread_cond_destroy(&j->wake);
    free(j);
}
