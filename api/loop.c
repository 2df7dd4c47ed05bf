#include "api/loop.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "api/figures.h"
#include "api/route.h"
#include "api/search.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"

#define LISTEN_BACKLOG 1024
#define TICK_S         1
#define SAY_FULL_MS    10000
#define METHODS_ALL    0xffff
#define HEAD_MAX       (64 * KIB) /* settings, such as CORS_ORIGINS, are part of some */

bool loop_is_stale(const struct loop *l)
{
    int64_t age_us;

    if (!l->image || loader_state(l->loader) == LOADER_LIVE) {
        return false;
    }
    age_us = clock_wall_us() - l->image->head->generated_us;
    return !loader_confirmed(l->loader) || age_us > 2 * 1000000 * l->settings->batch_interval_s;
}

static void set_date(struct loop *l)
{
    time_t now = time(NULL);
    struct tm tm;

    MUST(gmtime_r(&now, &tm));
    MUST(strftime(l->date, sizeof l->date, "%a, %d %b %Y %H:%M:%S GMT", &tm) > 0);
}

static void set_tick(struct loop *l, int ms)
{
    struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

    event_add(l->tick, &tv);
}

const char *loop_describe_image(const struct loop *l, const struct image *img, bool stale,
                                char out[LOOP_SNAPSHOT_SIZE])
{
    int64_t interval_us = l->settings->batch_interval_s * 1000000;
    int64_t made_us = img->head->generated_us;
    char made[CLOCK_ISO_SIZE], next[CLOCK_ISO_SIZE];

    snprintf(out, LOOP_SNAPSHOT_SIZE,
             ",\"snapshot\":{\"id\":%" PRId64 ",\"generated_at\":\"%s\",\"stale\":%s,"
             "\"next_expected_at\":\"%s\"}",
             img->head->run_id, clock_iso(made_us, "Z", made), stale ? "true" : "false",
             clock_iso((made_us / interval_us + 1) * interval_us, "Z", next));
    return out;
}

const char *loop_etag(const struct image *img, bool stale, bool gzip, char out[LOOP_ETAG_SIZE])
{
    snprintf(out, LOOP_ETAG_SIZE, "\"%" PRId64 "-%" PRIx64 "%s%s\"", img->head->run_id,
             (uint64_t)img->head->generated_us, stale ? "-stale" : "", gzip ? "-gz" : "");
    return out;
}

/* Once for many answers: a formatted time costs as much as some items. */
static void describe(struct loop *l)
{
    for (int stale = 0; stale < 2; stale++) {
        loop_describe_image(l, l->image, stale, l->snapshot[stale]);
        for (int gzip = 0; gzip < 2; gzip++) {
            loop_etag(l->image, stale, gzip, l->etag[stale][gzip]);
        }
    }
}

static void take_image(struct loop *l)
{
    image_unref(l->image);
    l->image = loader_image(l->loader);
    if (l->image) {
        describe(l);
    }
    cache_clear(l->cache);
    body_unref(l->servers); /* tells of the ranking as well */
    l->servers = NULL;
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    uint64_t count;

    (void)what;
    if (read(fd, &count, sizeof count) == sizeof count) {
        take_image(arg);
    }
}

static struct evconnlistener *listener_of(struct loop *l)
{
    return evhttp_bound_socket_get_listener(l->bound);
}

static void pause_accepting(struct loop *l)
{
    int64_t now_ms = clock_mono_ms();

    if (now_ms >= l->say_full_ms) {
        l->say_full_ms = now_ms + SAY_FULL_MS;
        log_warn("connections.full", "limit=%" PRId64, l->settings->connections_max);
    }
    if (!l->paused) {
        l->paused = true;
        evconnlistener_disable(listener_of(l));
        set_tick(l, LOOP_WAIT_TICK_MS);
    }
}

/* evhttp asks for a bufferevent for a connection that it has accepted. */
static struct bufferevent *on_connection(struct event_base *base, void *arg)
{
    struct loop *l = arg;
    struct bufferevent *bev = conns_make(base, l->conns);

    if (conns_full(l->conns)) {
        pause_accepting(l);
    }
    if (bev) {
        /* While an answer is written evhttp reads on: what is sent ahead stays bounded. */
        bufferevent_setwatermark(bev, EV_READ, 0, LOOP_INPUT_MAX);
    }
    return bev;
}

/*
 * accept() failed: out of descriptors or memory. Trying again at once would only burn time; the
 * next tick does. The argument is evhttp's, not ours: it has taken the listener over.
 */
static void on_accept_error(struct evconnlistener *listener, void *arg)
{
    (void)arg;
    log_warn("accept.failed", "error=%s", LOGQ(strerror(errno)));
    evconnlistener_disable(listener);
}

static void on_stop(evutil_socket_t fd, short what, void *arg)
{
    struct loop *l = arg;

    (void)fd;
    (void)what;
    if (l->draining) {
        return;
    }
    l->draining = true;
    l->drain_until_ms = clock_mono_ms() + LOOP_DRAIN_MS;
    set_tick(l, LOOP_WAIT_TICK_MS);
}

/*
 * First the listener goes: until then it accepted whoever was in its queue, whom closing it would
 * have cut off. Then, a tick later at the earliest, the loop ends when nothing is left to answer.
 */
static void drain(struct loop *l)
{
    if (l->bound) {
        evhttp_del_accept_socket(l->http, l->bound);
        l->bound = NULL;
    } else if ((pgpool_pending(l->pg) == 0 && l->searching == 0 && !conns_busy(l->conns)) ||
               clock_mono_ms() >= l->drain_until_ms) {
        event_base_loopbreak(l->base);
    }
}

static void tell_connections(struct loop *l, int count)
{
    figures_connections(count - l->conns_told);
    l->conns_told = count;
}

int64_t loop_turned_ms(const struct loop *l)
{
    return atomic_load_explicit(&l->turned_ms, memory_order_relaxed);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct loop *l = arg;

    (void)fd;
    (void)what;
    set_date(l);
    atomic_store_explicit(&l->turned_ms, clock_mono_ms(), memory_order_relaxed);
    tell_connections(l, (int)conns_sweep(l->conns));
    if (l->draining) {
        drain(l);
    } else if (!conns_full(l->conns)) {
        l->paused = false;
        evconnlistener_enable(listener_of(l)); /* also after on_accept_error() */
    }
    set_tick(l, l->draining || l->paused ? LOOP_WAIT_TICK_MS : TICK_S * 1000);
}

static void *run(void *arg)
{
    struct loop *l = arg;

    figures_thread();
    event_base_dispatch(l->base);
    return NULL;
}

static struct event_base *new_base(void)
{
    struct event_config *cfg = event_config_new();
    struct event_base *base;

    MUST(cfg);
    /* One thread per base: no locks. The changelist saves an epoll_ctl per answer. */
    event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
    base = event_base_new_with_config(cfg);
    event_config_free(cfg);
    MUST(base);
    return base;
}

static bool listen_on(struct loop *l, const struct sockaddr_storage *addr, struct err *e)
{
    const unsigned flags =
        LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE | LEV_OPT_REUSEABLE_PORT;
    int len = addr->ss_family == AF_INET6 ? (int)sizeof(struct sockaddr_in6)
                                          : (int)sizeof(struct sockaddr_in);
    const struct sockaddr *sa = (const void *)addr;
    struct evconnlistener *listener =
        evconnlistener_new_bind(l->base, NULL, NULL, flags, LISTEN_BACKLOG, sa, len);
    const int on = 1;

    if (!listener) {
        return err_set(e, ERR_PERMANENT, "OSError", "cannot listen on API_LISTEN=%s: %s",
                       l->settings->listen, strerror(errno));
    }
    /* Accepted sockets inherit it. An answer in several writes must not wait for the client's ACK.
     */
    if (setsockopt(evconnlistener_get_fd(listener), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0) {
        log_warn("listen.nodelay", "error=%s", LOGQ(strerror(errno)));
    }
    evconnlistener_set_error_cb(listener, on_accept_error);
    l->bound = evhttp_bind_listener(l->http, listener);
    MUST(l->bound);
    return true;
}

static bool set_up_http(struct loop *l, const struct sockaddr_storage *addr, struct err *e)
{
    l->http = evhttp_new(l->base);
    MUST(l->http);
    /* The routes heed the real limit: where evhttp does, one cannot tell 431 from 400. */
    evhttp_set_max_headers_size(l->http, LOOP_INPUT_MAX - 1);
    evhttp_set_max_body_size(l->http, LOOP_BODY_MAX);
    evhttp_set_timeout(l->http, (int)l->settings->idle_timeout_s);
    evhttp_set_allowed_methods(l->http, METHODS_ALL); /* the routes decide */
    evhttp_set_bevcb(l->http, on_connection, l);
    evhttp_set_gencb(l->http, route_request, l);
    return listen_on(l, addr, e);
}

static struct event *fd_event(struct loop *l, int fd, event_callback_fn fn)
{
    struct event *ev = event_new(l->base, fd, EV_READ | EV_PERSIST, fn, l);

    MUST(ev && event_add(ev, NULL) == 0);
    return ev;
}

static void set_up_events(struct loop *l)
{
    l->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    l->stop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    MUST(l->wake_fd >= 0 && l->stop_fd >= 0);
    l->on_wake = fd_event(l, l->wake_fd, on_wake);
    l->on_stop = fd_event(l, l->stop_fd, on_stop);
    l->tick = evtimer_new(l->base, on_tick, l);
    MUST(l->tick);
    set_tick(l, TICK_S * 1000);
    set_date(l);
}

void loop_free(struct loop *l)
{
    struct mail *m;

    while ((m = mailbox_take(l->searched))) {
        search_drop(m);
    }
    mailbox_free(l->searched);
    pgpool_free(l->pg); /* its queries end with an error, which is still sent to evhttp */
    evhttp_free(l->http);
    conns_free(l->conns);
    event_free(l->on_wake);
    event_free(l->on_stop);
    event_free(l->tick);
    event_base_free(l->base);
    close(l->wake_fd);
    close(l->stop_fd);
    cache_free(l->cache);
    buf_fini(&l->scratch);
    buf_fini(&l->head);
    body_unref(l->servers);
    image_unref(l->image);
    free(l);
}

struct loop *loop_start(const struct api_settings *s, const struct loop_shared *shared,
                        const struct sockaddr_storage *addr, struct err *e)
{
    struct loop *l = mem_alloc(sizeof *l);
    int threads = api_settings_threads(s);
    int64_t limit = s->connections_max / threads;

    l->settings = s;
    l->loader = shared->loader;
    l->searcher = shared->searcher;
    atomic_init(&l->turned_ms, clock_mono_ms());
    l->base = new_base();
    l->conns = conns_new(l->base, limit > 0 ? (unsigned)limit : 1, s->idle_timeout_s * 1000);
    if (s->request_timeout_s < s->idle_timeout_s) {
        conns_limit_requests(l->conns, s->request_timeout_s * 1000);
    }
    conns_limit_addresses(l->conns, shared->peers);
    l->cache = cache_new();
    buf_init(&l->scratch, BODY_MAX);
    buf_init(&l->head, HEAD_MAX);
    l->pg = pgpool_new(l->base, s->database_url, PGC_READS);
    l->searched = mailbox_new(l->base, search_answer, l);
    set_up_events(l);
    if (!net_list_parse(s->trusted_proxies, &l->proxies, e) || !set_up_http(l, addr, e)) {
        loop_free(l);
        return NULL;
    }
    loader_subscribe(l->loader, l->wake_fd);
    take_image(l);
    MUST(pthread_create(&l->thread, NULL, run, l) == 0);
    return l;
}

void loop_stop(struct loop *l)
{
    const uint64_t one = 1;

    if (write(l->stop_fd, &one, sizeof one) < 0) {
        log_warn("loop.stop", "error=%s", LOGQ(strerror(errno)));
    }
}

void loop_join(struct loop *l)
{
    pthread_join(l->thread, NULL);
}
