#include "api/admin/admin.h"

#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "api/admin/parts.h"
#include "api/loop.h"
#include "api/request.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"

#define TICK_MS         1000
#define QUICK_TICK_MS   100
#define DRAIN_MS        10000
#define METHODS_ALL     0xffff
#define TOKEN_BYTES_MIN 32

/* ---- settings ---- */

static bool check_token(const struct api_settings *s, struct err *e)
{
    size_t len = strlen(s->admin_token);

    for (const char *p = s->admin_token; *p; p++) {
        if (*p <= ' ' || *p >= 0x7f) {
            return err_set(e, ERR_PERMANENT, "ConfigError",
                           "ADMIN_TOKEN: must be visible ASCII characters");
        }
    }
    return len == 0 || len >= TOKEN_BYTES_MIN ||
           err_set(e, ERR_PERMANENT, "ConfigError", "ADMIN_TOKEN: must have %d characters or more",
                   TOKEN_BYTES_MIN);
}

bool admin_check_settings(const struct api_settings *s, struct err *e)
{
    struct sockaddr_storage addr;
    struct rds_addr redis;
    char path[108];

    return check_token(s, e) && doors_read_settings(s, &addr, path, e) &&
           rds_parse_url(s->redis_url, &redis, e);
}

/* ---- answers that are ready ---- */

/* On a thread of the jobs. */
static void on_job_done(struct ask *k)
{
    struct admin *a = k->admin;
    const uint64_t one = 1;

    pthread_mutex_lock(&a->lock);
    k->next = a->done;
    a->done = k;
    pthread_mutex_unlock(&a->lock);
    if (write(a->done_fd, &one, sizeof one) < 0) {
        log_warn("admin.wake", "pending=1"); /* the counter is full: it wakes anyhow */
    }
}

static void on_done(evutil_socket_t fd, UNUSED short what, void *arg)
{
    struct admin *a = arg;
    struct ask *k, *next;
    uint64_t count;

    if (read(fd, &count, sizeof count) != sizeof count) {
        return;
    }
    pthread_mutex_lock(&a->lock);
    k = a->done;
    a->done = NULL;
    pthread_mutex_unlock(&a->lock);
    for (; k; k = next) {
        next = k->next;
        a->at_work--;
        send_answer(k);
    }
}

/* ---- connections ---- */

static void set_tick(struct admin *a, int ms)
{
    struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

    event_add(a->tick, &tv);
}

static void pause_accepting(struct door *d, bool paused)
{
    struct evconnlistener *listener = d->bound ? evhttp_bound_socket_get_listener(d->bound) : NULL;

    if (listener && paused) {
        evconnlistener_disable(listener);
    } else if (listener) {
        evconnlistener_enable(listener);
    }
    if (paused && !d->paused) {
        set_tick(d->admin, QUICK_TICK_MS);
    }
    d->paused = paused;
}

static struct bufferevent *on_connection(struct event_base *base, void *arg)
{
    struct door *d = arg;
    struct bufferevent *bev = conns_make(base, d->conns);

    if (conns_full(d->conns)) {
        pause_accepting(d, true);
    }
    if (bev) {
        bufferevent_setwatermark(bev, EV_READ, 0, LOOP_INPUT_MAX);
    }
    return bev;
}

static void sweep(struct door *d)
{
    conns_sweep(d->conns);
    if (!d->admin->draining) {
        pause_accepting(d, conns_full(d->conns));
    }
}

/* ---- the thread ---- */

static void on_stop(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    struct admin *a = arg;

    if (!a->draining) {
        a->draining = true;
        a->drain_until_ms = clock_mono_ms() + DRAIN_MS;
        doors_close(a);
        set_tick(a, QUICK_TICK_MS);
    }
}

static void on_tick(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    struct admin *a = arg;

    sweep(&a->tcp);
    sweep(&a->local);
    if (a->draining) {
        bool busy = conns_busy(a->tcp.conns) || conns_busy(a->local.conns);
        bool late = clock_mono_ms() >= a->drain_until_ms;

        if (late) {
            jobs_hurry(a->jobs);
        }
        /* What a job still works on is answered whatever it takes: evhttp waits for it. */
        if (a->at_work == 0 && (late || !busy)) {
            event_base_loopbreak(a->base);
            return;
        }
    } else {
        doors_update(a);
    }
    set_tick(a, a->draining || a->tcp.paused || a->local.paused ? QUICK_TICK_MS : TICK_MS);
}

static void *run(void *arg)
{
    struct admin *a = arg;

    reply_watch_refusals(serve_refused, a);
    event_base_dispatch(a->base);
    return NULL;
}

static struct event *fd_event(struct admin *a, int fd, event_callback_fn fn)
{
    struct event *ev = event_new(a->base, fd, EV_READ | EV_PERSIST, fn, a);

    MUST(ev && event_add(ev, NULL) == 0);
    return ev;
}

static void set_up_events(struct admin *a)
{
    a->stop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    a->done_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    MUST(a->stop_fd >= 0 && a->done_fd >= 0);
    a->on_stop = fd_event(a, a->stop_fd, on_stop);
    a->on_done = fd_event(a, a->done_fd, on_done);
    a->tick = evtimer_new(a->base, on_tick, a);
    MUST(a->tick);
    set_tick(a, 0);
}

static void set_up_door(struct admin *a, struct door *d, const char *name)
{
    const struct api_settings *s = a->settings;

    d->admin = a;
    d->name = name;
    d->conns = conns_new(a->base, ADMIN_CONNECTIONS_MAX, s->idle_timeout_s * 1000);
    if (s->request_timeout_s < s->idle_timeout_s) {
        conns_limit_requests(d->conns, s->request_timeout_s * 1000);
    }
    d->http = evhttp_new(a->base);
    MUST(d->http);
    evhttp_set_max_headers_size(d->http, LOOP_INPUT_MAX - 1); /* as for players: loop.c */
    evhttp_set_max_body_size(d->http, LOOP_BODY_MAX);
    evhttp_set_timeout(d->http, (int)s->idle_timeout_s);
    evhttp_set_allowed_methods(d->http, METHODS_ALL);
    evhttp_set_bevcb(d->http, on_connection, d);
    evhttp_set_gencb(d->http, serve_request, d);
}

static void tear_down_door(struct door *d)
{
    evhttp_free(d->http);
    conns_free(d->conns);
}

struct admin *admin_start(const struct api_settings *s, struct err *e)
{
    struct admin *a = mem_alloc(sizeof *a);

    a->settings = a->env.settings = s;
    a->socket_lock = -1;
    if (!doors_read_settings(s, &a->addr, a->socket_path, e) ||
        !rds_parse_url(s->redis_url, &a->env.redis, e)) {
        free(a);
        return NULL;
    }
    pthread_mutex_init(&a->lock, NULL);
    a->base = event_base_new();
    MUST(a->base);
    a->keeper = keeper_start(s);
    a->jobs = jobs_start(&a->env, on_job_done);
    set_up_events(a);
    set_up_door(a, &a->tcp, "tcp");
    set_up_door(a, &a->local, "unix");
    MUST(pthread_create(&a->thread, NULL, run, a) == 0);
    return a;
}

void admin_stop(struct admin *a)
{
    const uint64_t one = 1;

    if (write(a->stop_fd, &one, sizeof one) < 0) {
        log_warn("admin.stop", "pending=1");
    }
}

void admin_join(struct admin *a)
{
    if (!a) {
        return;
    }
    pthread_join(a->thread, NULL);
    jobs_stop(a->jobs);
    keeper_stop(a->keeper);
    tear_down_door(&a->tcp);
    tear_down_door(&a->local);
    event_free(a->on_stop);
    event_free(a->on_done);
    event_free(a->tick);
    event_base_free(a->base);
    close(a->stop_fd);
    close(a->done_fd);
    pthread_mutex_destroy(&a->lock);
    free(a);
}
