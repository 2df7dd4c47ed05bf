#include "common/rdsa.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/rdsa_parts.h"

/* hiredis' adapter for libevent is a header of static functions. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wredundant-decls"
#pragma GCC diagnostic ignored "-Wcast-qual"
#ifndef hi_calloc
#define hi_calloc calloc
#endif
#include <hiredis/adapters/libevent.h>
#pragma GCC diagnostic pop

#define STEADY_MS          10000 /* a connection that lasted so long ends the back-off */
#define LOOKUP_NAME_MS     1000  /* then where it was before has to do, if that is known */
#define LOOKUP_SENTINEL_MS 4000

static void on_located(void *ctx, const struct rds_place *place, const struct err *e);

/* ---- following the master ---- */

void rdsa_look_again(struct rdsa *c)
{
    if (c->lookup || !c->ac) {
        c->look_again = true; /* what is under way may have asked one that does not know yet */
    } else {
        c->lookup = lookup_start(c->cf.base, c->cf.addr, on_located, c);
    }
}

/* Looks once more, if that was asked for while it could not be done. */
static void catch_up(struct rdsa *c)
{
    bool wanted = c->look_again;

    c->look_again = false;
    if (wanted) {
        rdsa_look_again(c);
    }
}

/* ---- down and up ---- */

/* Full jitter on the upper half, so that a fleet does not come back in one instant. */
static void schedule_retry(struct rdsa *c)
{
    int64_t half = c->backoff_ms / 2;

    loop_arm_ms(c->again, half + random() % (half + 1));
    c->backoff_ms *= 2;
    if (c->backoff_ms > RDSA_BACKOFF_MAX_MS) {
        c->backoff_ms = RDSA_BACKOFF_MAX_MS;
    }
}

/* The connection is gone already; tells and plans the next try. */
static void went_down(struct rdsa *c, const char *why)
{
    bool was_up = c->up;

    if (!c->told_down) {
        log_event(c->cf.quiet ? LOG_DEBUG : LOG_WARN, "redis.down", "role=%s error=%s", c->cf.role,
                  LOGQ(why));
        c->told_down = true;
    }
    if (was_up && clock_mono_ms() - c->up_since_ms > STEADY_MS) {
        c->backoff_ms = RDSA_BACKOFF_MIN_MS;
    }
    if (!was_up && c->cf.addr->master[0]) {
        rds_distrust_sentinel();
    }
    c->up = c->connected = false;
    c->confirm_until_ms = 0;
    event_del(c->deadline);
    event_del(c->ping);
    schedule_retry(c);
    if (was_up && c->cf.on_down) {
        c->cf.on_down(c->cf.ctx);
    }
}

void rdsa_drop(struct rdsa *c, const char *why)
{
    redisAsyncContext *ac = c->ac;

    if (ac) {
        c->ac = NULL;
        went_down(c, why);
        redisAsyncFree(ac); /* gives every outstanding command its NULL */
    }
}

void rdsa_tell_up(struct rdsa *c)
{
    char where[RDS_TEXT_SIZE];

    if (c->told_down) {
        log_event(c->cf.quiet ? LOG_DEBUG : LOG_INFO, "redis.up", "role=%s redis=%s at=%s port=%d",
                  c->cf.role, LOGQ(rds_addr_text(c->cf.addr, where)), LOGQ(c->at.host), c->at.port);
        c->told_down = false;
    }
}

static bool same_place(const struct rds_place *a, const struct rds_place *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

/* Those that wait for us come now; those that are where the master was come, too. */
static void call_followers(struct rdsa *c)
{
    for (struct rdsa *f = c->followers; f; f = f->next) {
        if (!same_place(&f->at, &c->at)) {
            rdsa_drop(f, "Redis has moved");
        }
        if (!f->ac) {
            f->backoff_ms = RDSA_BACKOFF_MIN_MS;
            loop_arm_ms(f->again, 0);
        }
    }
}

void rdsa_come_up(struct rdsa *c)
{
    c->up = true;
    c->up_since_ms = clock_mono_ms();
    loop_arm_ms(c->ping, RDSA_PING_MS);
    call_followers(c);
    catch_up(c);
    c->cf.on_up(c->cf.ctx);
}

/* ---- connecting ---- */

static void on_connect(const redisAsyncContext *ac, int status)
{
    struct rdsa *c = ac->data;

    if (!c || c->ac != ac) {
        return;
    }
    if (status != REDIS_OK) {
        c->ac = NULL; /* hiredis frees it */
        went_down(c, ac->errstr && ac->errstr[0] ? ac->errstr : "connection refused");
        return;
    }
    c->connected = true;
    rdsa_start_setup(c);
}

static void on_disconnect(const redisAsyncContext *ac, UNUSED int status)
{
    struct rdsa *c = ac->data;

    if (c && c->ac == ac) {
        c->ac = NULL;
        went_down(c, ac->errstr && ac->errstr[0] ? ac->errstr : "closed");
    }
}

/* To c->at, whose host is a number, or to the socket. */
static void connect_now(struct rdsa *c)
{
    const char *path = c->cf.addr->path;
    redisAsyncContext *ac =
        path[0] ? redisAsyncConnectUnix(path) : redisAsyncConnect(c->at.host, c->at.port);

    event_del(c->again);
    if (!ac || ac->err) {
        went_down(c, ac ? ac->errstr : "out of memory");
        if (ac) {
            redisAsyncFree(ac);
        }
        return;
    }
    rds_tune_socket(ac->c.fd);
    ac->data = c;
    c->ac = ac;
    c->connecting_until_ms = clock_mono_ms() + RDSA_CONNECT_MS;
    redisLibeventAttach(ac, c->cf.base);
    redisAsyncSetConnectCallback(ac, on_connect);
    redisAsyncSetDisconnectCallback(ac, on_disconnect);
    loop_arm_ms(c->deadline, RDSA_CONNECT_MS);
}

/* Without an answer to the look-up, where it was is better than nothing. Not where a master was. */
static void connect_without_lookup(struct rdsa *c, const char *why)
{
    if (c->at.host[0] && !c->cf.addr->master[0]) {
        connect_now(c);
    } else {
        went_down(c, why);
    }
}

/* Still connected, but perhaps to what is no longer the master. */
static void leave_if_moved(struct rdsa *c, const struct rds_place *now)
{
    if (now && c->cf.addr->master[0] && !same_place(now, &c->at)) {
        c->backoff_ms = RDSA_BACKOFF_MIN_MS;
        rdsa_drop(c, "Redis has moved");
    }
}

static void on_located(void *ctx, const struct rds_place *place, const struct err *e)
{
    struct rdsa *c = ctx;

    c->lookup = NULL;
    if (c->ac) {
        leave_if_moved(c, place);
        catch_up(c);
        return;
    }
    if (!place) {
        connect_without_lookup(c, e->text);
        return;
    }
    c->at = *place;
    connect_now(c);
}

/* One at a time: a look-up that is late is still waited for. */
static void look_up(struct rdsa *c)
{
    int64_t ms = c->cf.addr->master[0] ? LOOKUP_SENTINEL_MS : LOOKUP_NAME_MS;

    if (!c->lookup) {
        c->lookup = lookup_start(c->cf.base, c->cf.addr, on_located, c);
    }
    if (!c->lookup) {
        connect_without_lookup(c, "no thread for looking up its name");
        return;
    }
    c->connecting_until_ms = clock_mono_ms() + ms;
    loop_arm_ms(c->deadline, ms);
}

static void try_connect(struct rdsa *c)
{
    if (c->cf.like) {
        c->at = c->cf.like->at;
    }
    if (c->cf.addr->path[0] || c->cf.like || rds_locate_at_once(c->cf.addr, &c->at)) {
        connect_now(c);
    } else {
        look_up(c);
    }
}

/* A follower waits until it is called. */
static void on_again(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    struct rdsa *c = arg;

    if (!c->ac && (!c->cf.like || c->cf.like->up)) {
        try_connect(c);
    }
}

/* When the next answer must be there; 0: nothing is awaited. */
static int64_t awaited_until(const struct rdsa *c)
{
    if (!c->ac) {
        return c->lookup ? c->connecting_until_ms : 0;
    }
    if (!c->connected) {
        return c->connecting_until_ms;
    }
    return c->ops ? c->ops->deadline_ms : c->confirm_until_ms;
}

static void on_deadline(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    struct rdsa *c = arg;
    int64_t now = clock_mono_ms(), until = awaited_until(c);

    if (until == 0) {
        return;
    }
    if (until > now) {
        loop_arm_ms(c->deadline, until - now);
    } else if (c->ac) {
        rdsa_drop(c, c->connected ? "no answer in time" : "no connection in time");
    } else {
        connect_without_lookup(c, "its name was not looked up in time");
    }
}

/* ---- life ---- */

struct rdsa *rdsa_new(const struct rdsa_config *config)
{
    struct rdsa *c = mem_alloc(sizeof *c);

    c->cf = *config;
    c->ops_end = &c->ops;
    c->backoff_ms = RDSA_BACKOFF_MIN_MS;
    c->deadline = evtimer_new(config->base, on_deadline, c);
    c->again = evtimer_new(config->base, on_again, c);
    c->ping = evtimer_new(config->base, rdsa_on_ping, c);
    MUST(c->deadline && c->again && c->ping);
    MUST(c->cf.channel_count <= RDSA_CHANNELS_MAX);
    MUST(c->cf.channel_count == 0 || c->cf.on_message);
    if (c->cf.like) {
        c->next = c->cf.like->followers;
        c->cf.like->followers = c;
    } else if (c->cf.addr->master[0]) {
        c->watch = rdsa_watch_start(c);
    }
    loop_arm_ms(c->again, 0);
    return c;
}

/* Out of its leader's list; and those that followed it go their own ways. */
static void leave_others(struct rdsa *c)
{
    struct rdsa **at = c->cf.like ? &c->cf.like->followers : NULL;

    while (at && *at != c) {
        at = &(*at)->next;
    }
    if (at) {
        *at = c->next;
    }
    for (struct rdsa *f = c->followers; f; f = f->next) {
        f->cf.like = NULL;
        if (!f->ac) {
            loop_arm_ms(f->again, 0);
        }
    }
}

void rdsa_free(struct rdsa *c)
{
    redisAsyncContext *ac = c->ac;

    leave_others(c);
    rdsa_watch_free(c->watch);
    c->ac = NULL;
    c->up = false;
    if (ac) {
        ac->data = NULL;
        redisAsyncFree(ac);
    }
    if (c->lookup) {
        lookup_cancel(c->lookup);
    }
    event_free(c->deadline);
    event_free(c->again);
    event_free(c->ping);
    free(c);
}

void rdsa_flush(struct rdsa *c)
{
    int done = 0;

    if (c->up && c->cf.channel_count == 0) {
        (void)redisBufferWrite(&c->ac->c, &done); /* a failure shows itself with the next event */
    }
}

bool rdsa_is_up(const struct rdsa *c)
{
    return c->up;
}
