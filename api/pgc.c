#include "api/pgc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/pg.h"

#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 5000

struct pgc {
    struct event_base *base; /* borrowed */
    const char *url;         /* borrowed */
    enum pgc_access access;
    const struct pgc_hooks *hooks;
    void *arg;
    PGconn *pg;
    struct event *ev; /* the one thing it waits for */
    enum pgc_state state;
    int64_t deadline_ms; /* 0: none */
    unsigned failures;
    unsigned rand_seed;
    PGresult *result; /* last one of the running query */
};

static void start_connecting(struct pgc *c);
static void connecting_io(struct pgc *c, short what);
static void idle_io(struct pgc *c, short what);
static void busy_io(struct pgc *c, short what);
static void expired(struct pgc *c);

static const struct {
    const char *name;
    int limit_ms; /* deadline, counted from entry; 0: none */
    void (*on_io)(struct pgc *c, short what);
    void (*on_deadline)(struct pgc *c);
} STATES[PGC_STATE_COUNT] = {
    [PGC_DOWN] = {"down", 0, NULL, start_connecting},
    [PGC_CONNECTING] = {"connecting", PGC_CONNECT_MS, connecting_io, expired},
    [PGC_IDLE] = {"idle", 0, idle_io, NULL},
    [PGC_BUSY] = {"busy", PGC_GIVE_UP_MS, busy_io, expired},
    [PGC_BACKOFF] = {"backoff", 0, NULL, start_connecting},
};

enum pgc_state pgc_state(const struct pgc *c)
{
    return c->state;
}

/* The only writer of c->state. */
static void enter(struct pgc *c, enum pgc_state next)
{
    log_debug("pg.state", "from=%s to=%s", STATES[c->state].name, STATES[next].name);
    c->state = next;
    c->deadline_ms = STATES[next].limit_ms ? clock_mono_ms() + STATES[next].limit_ms : 0;
}

/* The only callback libevent gets. It picks the state's handler, no more. */
static void on_event(evutil_socket_t fd, short what, void *arg)
{
    struct pgc *c = arg;

    (void)fd;
    if (what & EV_TIMEOUT) {
        MUST(STATES[c->state].on_deadline);
        STATES[c->state].on_deadline(c);
    } else {
        MUST(STATES[c->state].on_io);
        STATES[c->state].on_io(c, what);
    }
}

/* Waits for the socket and the deadline or, with what == 0, for the deadline alone. */
static void wait_for(struct pgc *c, short what)
{
    int64_t left_ms = c->deadline_ms ? c->deadline_ms - clock_mono_ms() : 0;
    struct timeval tv;

    left_ms = left_ms > 0 ? left_ms : 0;
    tv = (struct timeval){.tv_sec = left_ms / 1000, .tv_usec = left_ms % 1000 * 1000};
    event_del(c->ev);
    /* libpq may change its socket while connecting, so it is asked each time. */
    MUST(event_assign(c->ev, c->base, what ? PQsocket(c->pg) : -1, what, on_event, c) == 0);
    MUST(event_add(c->ev, STATES[c->state].on_deadline ? &tv : NULL) == 0);
}

static void disconnect(struct pgc *c)
{
    event_del(c->ev); /* before libpq closes the socket */
    PQclear(c->result);
    c->result = NULL;
    PQfinish(c->pg);
    c->pg = NULL;
}

/* Ends the connection and waits a while; tells the query's owner first. */
static void fail(struct pgc *c, const struct err *e)
{
    bool was_busy = c->state == PGC_BUSY;
    unsigned shift = c->failures < 8 ? c->failures : 8;
    int ms = BACKOFF_MIN_MS << shift;

    ms = ms < BACKOFF_MAX_MS ? ms : BACKOFF_MAX_MS;
    ms = ms / 2 + rand_r(&c->rand_seed) % (ms / 2);
    log_warn("pg.failed", "state=%s retry_ms=%d error=%s", STATES[c->state].name, ms,
             LOGQ(e->text));
    c->failures++;
    disconnect(c);
    enter(c, PGC_BACKOFF);
    c->deadline_ms = clock_mono_ms() + ms;
    wait_for(c, 0);
    if (was_busy) {
        c->hooks->on_result(c->arg, c, NULL, e);
    }
    c->hooks->on_failed(c->arg, c, e);
}

static void fail_pg(struct pgc *c)
{
    struct err e;

    pg_error(c->pg, NULL, &e);
    fail(c, &e);
}

static void expired(struct pgc *c)
{
    struct err e;

    err_set(&e, ERR_RETRYABLE, "TimeoutError", "PostgreSQL did not answer in time (%s)",
            STATES[c->state].name);
    fail(c, &e);
}

static void become_idle(struct pgc *c)
{
    enter(c, PGC_IDLE);
    wait_for(c, EV_READ);
    c->hooks->on_idle(c->arg, c);
}

static void start_connecting(struct pgc *c)
{
    /* What the URL says wins over these. The server, too, gives a query up after PGC_QUERY_MS. */
    char options[128];
    const char *keys[] = {"client_encoding", "fallback_application_name", "options", "dbname",
                          NULL};
    const char *values[] = {"UTF8", "aion2-api", options, c->url, NULL};

    snprintf(options, sizeof options,
             "-c TimeZone=UTC -c statement_timeout=%d -c default_transaction_read_only=%s",
             PGC_QUERY_MS, c->access == PGC_WRITES ? "off" : "on");
    enter(c, PGC_CONNECTING);
    c->pg = PQconnectStartParams(keys, values, 1);
    if (!c->pg || PQstatus(c->pg) == CONNECTION_BAD) {
        fail_pg(c);
        return;
    }
    pg_hear(c->pg);
    wait_for(c, EV_WRITE);
}

static void connecting_io(struct pgc *c, short what)
{
    (void)what;
    switch (PQconnectPoll(c->pg)) {
    case PGRES_POLLING_READING:
        wait_for(c, EV_READ);
        return;
    case PGRES_POLLING_WRITING:
        wait_for(c, EV_WRITE);
        return;
    case PGRES_POLLING_OK:
        if (PQsetnonblocking(c->pg, 1) != 0) {
            break;
        }
        c->failures = 0;
        become_idle(c);
        return;
    default:
        break;
    }
    fail_pg(c);
}

/* Readable while idle: the server said good-bye, or it has a notice for us. */
static void idle_io(struct pgc *c, short what)
{
    (void)what;
    if (PQconsumeInput(c->pg) && PQstatus(c->pg) == CONNECTION_OK) {
        wait_for(c, EV_READ);
        return;
    }
    log_info("pg.lost", "error=%s", LOGQ(PQerrorMessage(c->pg)));
    disconnect(c);
    start_connecting(c);
}

static void query_done(struct pgc *c)
{
    PGresult *r = c->result;
    struct err e;

    c->result = NULL;
    enter(c, PGC_IDLE);
    wait_for(c, EV_READ);
    if (PQresultStatus(r) == PGRES_TUPLES_OK) {
        c->hooks->on_result(c->arg, c, r, NULL);
    } else {
        pg_error(c->pg, r, &e);
        c->hooks->on_result(c->arg, c, NULL, &e);
    }
    PQclear(r);
    c->hooks->on_idle(c->arg, c);
}

static void busy_io(struct pgc *c, short what)
{
    bool read_ok = !(what & EV_READ) || PQconsumeInput(c->pg);
    int unsent = read_ok ? PQflush(c->pg) : -1;

    if (unsent < 0) {
        fail_pg(c);
        return;
    }
    /* Only plain queries are sent: no COPY, whose results do not end by themselves. */
    while (!PQisBusy(c->pg)) {
        PGresult *next = PQgetResult(c->pg);

        if (!next) {
            if (PQstatus(c->pg) != CONNECTION_OK) {
                fail_pg(c);
            } else {
                query_done(c);
            }
            return;
        }
        PQclear(c->result);
        c->result = next;
    }
    wait_for(c, unsent ? EV_READ | EV_WRITE : EV_READ);
}

struct pgc *pgc_new(struct event_base *base, const char *url, enum pgc_access access,
                    const struct pgc_hooks *hooks, void *arg)
{
    struct pgc *c = mem_alloc(sizeof *c);

    c->base = base;
    c->url = url;
    c->access = access;
    c->hooks = hooks;
    c->arg = arg;
    c->rand_seed = (unsigned)clock_mono_us() ^ (unsigned)(uintptr_t)c;
    c->ev = event_new(base, -1, 0, on_event, c);
    MUST(c->ev);
    wait_for(c, 0);
    return c;
}

void pgc_free(struct pgc *c)
{
    if (c) {
        disconnect(c);
        event_free(c->ev);
        free(c);
    }
}

void pgc_query(struct pgc *c, const char *sql, int n, const char *const *values)
{
    MUST(c->state == PGC_IDLE);
    enter(c, PGC_BUSY);
    /* When sending fails libpq keeps the error: the socket is writable and busy_io finds it. */
    (void)PQsendQueryParams(c->pg, sql, n, NULL, values, NULL, NULL, 0);
    wait_for(c, EV_READ | EV_WRITE);
}
