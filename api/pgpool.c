#include "api/pgpool.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "api/figures.h"
#include "api/pgc.h"
#include "common/clock.h"
#include "common/mem.h"

struct job {
    TAILQ_ENTRY(job) next;
    const char *sql;
    int n;
    char *values[PGPOOL_PARAMS_MAX]; /* owned */
    pgpool_done_fn done;
    void *arg;
    int64_t since_us, wait_until_ms;
};
TAILQ_HEAD(job_list, job);

struct slot {
    struct pgpool *pool;
    struct pgc *conn;
    struct job *job; /* runs on it */
};

struct pgpool {
    struct slot slots[PGPOOL_CONNECTIONS];
    struct job_list waiting;
    unsigned waiting_count, running_count;
    struct event *timer; /* the first of the queue has waited too long */
};

static void job_free(struct job *j)
{
    for (int i = 0; i < j->n; i++) {
        free(j->values[i]);
    }
    free(j);
}

/* Last use of j: done may queue further queries. */
static void job_end(struct job *j, const PGresult *r, const struct err *e)
{
    pgpool_done_fn done = j->done;
    void *arg = j->arg;

    job_free(j);
    done(arg, r, e);
}

static struct job *take_first(struct pgpool *p)
{
    struct job *j = TAILQ_FIRST(&p->waiting);

    if (j) {
        TAILQ_REMOVE(&p->waiting, j, next);
        p->waiting_count--;
    }
    return j;
}

static void run_next(struct slot *s)
{
    struct job *j = pgc_state(s->conn) == PGC_IDLE ? take_first(s->pool) : NULL;

    if (j) {
        figures_pool_waiting(-1);
        figures_pool_wait(clock_mono_us() - j->since_us);
        s->job = j;
        s->pool->running_count++;
        pgc_query(s->conn, j->sql, j->n, (const char *const *)j->values);
    }
}

static struct slot *slot_of(struct pgpool *p, const struct pgc *c)
{
    for (size_t i = 0; i < PGPOOL_CONNECTIONS; i++) {
        if (p->slots[i].conn == c) {
            return &p->slots[i];
        }
    }
    MUST(!"a connection of this pool");
}

static void on_idle(void *arg, struct pgc *c)
{
    run_next(slot_of(arg, c));
}

static void on_result(void *arg, struct pgc *c, const PGresult *r, const struct err *e)
{
    struct pgpool *p = arg;
    struct slot *s = slot_of(p, c);
    struct job *j = s->job;

    s->job = NULL;
    p->running_count--;
    figures_pool_end(r ? QUERY_ANSWERED : QUERY_FAILED);
    job_end(j, r, e);
}

/* Some connection is up or will be known to be down within its deadline. */
static bool has_hope(const struct pgpool *p)
{
    for (size_t i = 0; i < PGPOOL_CONNECTIONS; i++) {
        if (pgc_state(p->slots[i].conn) != PGC_BACKOFF) {
            return true;
        }
    }
    return false;
}

static void fail_waiting(struct pgpool *p, const struct err *e)
{
    struct job_list doomed = TAILQ_HEAD_INITIALIZER(doomed);
    struct job *j;

    /* Moved aside first: a done() may queue again. */
    TAILQ_CONCAT(&doomed, &p->waiting, next);
    figures_pool_waiting(-(int)p->waiting_count);
    p->waiting_count = 0;
    while ((j = TAILQ_FIRST(&doomed))) {
        figures_pool_end(QUERY_FAILED);
        TAILQ_REMOVE(&doomed, j, next);
        job_end(j, NULL, e);
    }
}

static void on_failed(void *arg, struct pgc *c, const struct err *e)
{
    struct pgpool *p = arg;

    (void)c;
    if (!has_hope(p)) {
        fail_waiting(p, e);
    }
}

static const struct pgc_hooks HOOKS = {on_idle, on_result, on_failed};

static void arm_timer(struct pgpool *p)
{
    struct job *first = TAILQ_FIRST(&p->waiting);
    int64_t ms = first ? first->wait_until_ms - clock_mono_ms() : 0;
    struct timeval tv;

    if (!first) {
        return;
    }
    ms = ms > 0 ? ms : 0;
    tv = (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    event_add(p->timer, &tv);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct pgpool *p = arg;
    int64_t now_ms = clock_mono_ms();
    struct job *j;
    struct err e;

    (void)fd;
    (void)what;
    err_set(&e, ERR_RETRYABLE, "TimeoutError", "no connection to PostgreSQL became free in time");
    while ((j = TAILQ_FIRST(&p->waiting)) && j->wait_until_ms <= now_ms) {
        figures_pool_waiting(-1);
        figures_pool_end(QUERY_TIMED_OUT);
        job_end(take_first(p), NULL, &e);
    }
    arm_timer(p);
}

struct pgpool *pgpool_new(struct event_base *base, const char *url, enum pgc_access access)
{
    struct pgpool *p = mem_alloc(sizeof *p);

    TAILQ_INIT(&p->waiting);
    p->timer = evtimer_new(base, on_timer, p);
    MUST(p->timer);
    for (size_t i = 0; i < PGPOOL_CONNECTIONS; i++) {
        p->slots[i].pool = p;
        p->slots[i].conn = pgc_new(base, url, access, &HOOKS, p);
    }
    return p;
}

void pgpool_free(struct pgpool *p)
{
    struct err e;

    if (!p) {
        return;
    }
    err_set(&e, ERR_CANCELLED, "Stopping", "the service is stopping");
    fail_waiting(p, &e);
    for (size_t i = 0; i < PGPOOL_CONNECTIONS; i++) {
        pgc_free(p->slots[i].conn);
        if (p->slots[i].job) {
            job_end(p->slots[i].job, NULL, &e);
        }
    }
    event_free(p->timer);
    free(p);
}

unsigned pgpool_pending(const struct pgpool *p)
{
    return p->waiting_count + p->running_count;
}

bool pgpool_query(struct pgpool *p, const char *sql, int n, const char *const *values,
                  pgpool_done_fn done, void *arg, struct err *e)
{
    struct job *j;

    if (p->waiting_count >= PGPOOL_QUEUE_MAX || !has_hope(p)) {
        figures_pool_end(QUERY_REFUSED);
        return err_set(e, ERR_RETRYABLE, "OperationalError", "PostgreSQL is %s",
                       p->waiting_count ? "overloaded" : "not reachable");
    }
    MUST(n <= PGPOOL_PARAMS_MAX);
    j = mem_alloc(sizeof *j);
    j->sql = sql;
    j->n = n;
    for (int i = 0; i < n; i++) {
        j->values[i] = values[i] ? mem_strdup(values[i]) : NULL;
    }
    j->done = done;
    j->arg = arg;
    j->since_us = clock_mono_us();
    j->wait_until_ms = j->since_us / 1000 + PGPOOL_WAIT_MS;
    TAILQ_INSERT_TAIL(&p->waiting, j, next);
    p->waiting_count++;
    figures_pool_waiting(1);
    for (size_t i = 0; i < PGPOOL_CONNECTIONS; i++) {
        run_next(&p->slots[i]);
    }
    if (TAILQ_FIRST(&p->waiting) == j) {
        arm_timer(p);
    }
    return true;
}
