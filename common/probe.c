#include "common/probe.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/conns.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/probe_parts.h"

#define TICK_S  1
#define BACKLOG 16

struct probe {
    struct probe_config cf;
    struct event_base *base;
    struct evhttp *http;
    struct evhttp_bound_socket *bound;
    struct conns *conns;
    struct event *tick, *on_stop;
    int stop_fd; /* of the thread */
    pthread_t thread;
    bool own_thread;
    char path[sizeof((struct sockaddr_un *)0)->sun_path]; /* of the socket, "": it has none */
};

/* ---- answers ---- */

static void answer(struct evhttp_request *http, int status, const char *type,
                   const struct buf *body)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(http);

    evhttp_add_header(headers, "Content-Type", type);
    evhttp_add_header(headers, "Cache-Control", "no-store");
    evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
    evbuffer_add(evhttp_request_get_output_buffer(http), body->data, body->len);
    evhttp_send_reply(http, status, NULL, NULL);
}

static void answer_text(struct evhttp_request *http, int status, const char *text)
{
    struct buf b;

    buf_init(&b, KIB);
    buf_addf(&b, "%s\n", text);
    answer(http, status, "text/plain; charset=utf-8", &b);
    buf_fini(&b);
}

static void on_metrics(struct probe *p, struct evhttp_request *http)
{
    const char *accept = evhttp_find_header(evhttp_request_get_input_headers(http), "Accept");
    enum metrics_format format = metrics_negotiate(accept);
    struct buf b;

    if (p->cf.collect) {
        p->cf.collect(p->cf.ctx);
    }
    buf_init(&b, PROBE_ANSWER_MAX);
    metrics_print(&b, format);
    if (b.failed) {
        answer_text(http, 503, "out of memory");
    } else {
        answer(http, 200, metrics_content_type(format), &b);
    }
    buf_fini(&b);
}

static void on_probe(struct probe *p, struct evhttp_request *http, enum probe_kind kind)
{
    char why[PROBE_WHY_SIZE] = "";

    if (p->cf.check(p->cf.ctx, kind, why)) {
        answer_text(http, 200, "ok");
    } else {
        answer_text(http, 503, why);
    }
}

static void on_request(struct evhttp_request *http, void *arg)
{
    enum evhttp_cmd_type method = evhttp_request_get_command(http);
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(http);
    const char *path = uri ? evhttp_uri_get_path(uri) : NULL;
    enum probe_kind kind;

    if (method != EVHTTP_REQ_GET && method != EVHTTP_REQ_HEAD) {
        evhttp_add_header(evhttp_request_get_output_headers(http), "Allow", "GET, HEAD");
        answer_text(http, 405, "only GET and HEAD");
    } else if (path && strcmp(path, "/metrics") == 0) {
        on_metrics(arg, http);
    } else if (path && path[0] == '/' && probe_kind_parse(path + 1, &kind)) {
        on_probe(arg, http, kind);
    } else {
        answer_text(http, 404, "there are /metrics, /live, /ready and /fresh");
    }
}

/* ---- connections ---- */

static void set_accepting(struct probe *p, bool on)
{
    struct evconnlistener *listener = evhttp_bound_socket_get_listener(p->bound);

    if (on) {
        evconnlistener_enable(listener);
    } else {
        evconnlistener_disable(listener);
    }
}

static struct bufferevent *on_connection(struct event_base *base, void *arg)
{
    struct probe *p = arg;
    struct bufferevent *bev = conns_make(base, p->conns);

    if (conns_full(p->conns)) {
        set_accepting(p, false); /* until a tick finds room */
    }
    if (bev) {
        bufferevent_setwatermark(bev, EV_READ, 0, PROBE_HEADERS_MAX);
    }
    return bev;
}

static void on_tick(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    struct probe *p = arg;

    conns_sweep(p->conns);
    if (!conns_full(p->conns)) {
        set_accepting(p, true);
    }
}

/* accept() failed: out of descriptors. The next tick tries again. */
static void on_accept_error(struct evconnlistener *listener, UNUSED void *arg)
{
    evconnlistener_disable(listener);
}

/* ---- life ---- */

/* What a killed program left there; a socket that somebody serves is not touched. */
static void remove_dead_socket(const struct probe_addr *a)
{
    const struct sockaddr_un *un = (const void *)&a->any;
    struct stat st;
    int fd;

    if (lstat(un->sun_path, &st) != 0 || !S_ISSOCK(st.st_mode)) {
        return;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (const void *)un, sizeof *un) != 0 && errno == ECONNREFUSED) {
        unlink(un->sun_path);
    }
    if (fd >= 0) {
        close(fd);
    }
}

static bool bind_to(struct probe *p, struct err *e)
{
    const unsigned flags = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE;
    struct evconnlistener *listener;
    struct probe_addr a;

    if (!probe_parse_listen(p->cf.listen, &a, e)) {
        return false;
    }
    if (a.any.ss_family == AF_UNIX) {
        remove_dead_socket(&a);
    }
    listener = evconnlistener_new_bind(p->base, NULL, NULL, flags, BACKLOG, (const void *)&a.any,
                                       (int)a.len);
    if (!listener) {
        return err_set(e, ERR_PERMANENT, "OSError", "cannot listen on METRICS_LISTEN=%.100s: %s",
                       p->cf.listen, strerror(errno));
    }
    if (a.any.ss_family == AF_UNIX) {
        snprintf(p->path, sizeof p->path, "%s", p->cf.listen);
    }
    evconnlistener_set_error_cb(listener, on_accept_error);
    p->bound = evhttp_bind_listener(p->http, listener);
    MUST(p->bound);
    return true;
}

static void on_stop(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    struct probe *p = arg;

    event_base_loopbreak(p->base);
}

static void *run(void *arg)
{
    struct probe *p = arg;

    event_base_dispatch(p->base);
    return NULL;
}

/* The program's signals are for its other threads. */
static void start_thread(struct probe *p)
{
    sigset_t all, before;

    sigfillset(&all);
    p->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    MUST(p->stop_fd >= 0);
    p->on_stop = event_new(p->base, p->stop_fd, EV_READ, on_stop, p);
    MUST(p->on_stop && event_add(p->on_stop, NULL) == 0);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    MUST(pthread_create(&p->thread, NULL, run, p) == 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void tear_down(struct probe *p)
{
    evhttp_free(p->http);
    conns_free(p->conns);
    event_free(p->tick);
    if (p->on_stop) {
        event_free(p->on_stop);
        close(p->stop_fd);
    }
    if (p->own_thread) {
        event_base_free(p->base);
    }
    if (p->path[0]) {
        unlink(p->path);
    }
    free(p);
}

struct probe *probe_start(const struct probe_config *config, struct err *e)
{
    const struct timeval tick = {.tv_sec = TICK_S};
    struct probe *p = mem_alloc(sizeof *p);

    p->cf = *config;
    p->own_thread = config->base == NULL;
    p->base = config->base ? config->base : event_base_new();
    MUST(p->base);
    p->conns = conns_new(p->base, PROBE_CONNECTIONS_MAX, PROBE_IDLE_S * 1000);
    p->http = evhttp_new(p->base);
    p->tick = event_new(p->base, -1, EV_PERSIST, on_tick, p);
    MUST(p->http && p->tick && event_add(p->tick, &tick) == 0);
    evhttp_set_max_headers_size(p->http, PROBE_HEADERS_MAX - 1);
    evhttp_set_max_body_size(p->http, 0);
    evhttp_set_timeout(p->http, PROBE_IDLE_S);
    evhttp_set_bevcb(p->http, on_connection, p);
    evhttp_set_gencb(p->http, on_request, p);
    if (!bind_to(p, e)) {
        tear_down(p);
        return NULL;
    }
    if (p->own_thread) {
        start_thread(p);
    }
    log_info("probe.ready", "listen=%s", LOGQ(p->cf.listen));
    return p;
}

void probe_stop(struct probe *p)
{
    const uint64_t one = 1;

    if (!p) {
        return;
    }
    if (p->own_thread) {
        if (write(p->stop_fd, &one, sizeof one) < 0) {
            log_warn("probe.stop", "error=%s", LOGQ(strerror(errno)));
        }
        pthread_join(p->thread, NULL);
    }
    tear_down(p);
}
