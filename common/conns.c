#include "common/conns.h"

#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"

#define LOOK_MS        100 /* how long a closed connection may count as one of its address */
#define LOOK_AGAIN_MS  20  /* when somebody is about to be refused */
#define SAY_REFUSED_MS 10000
#define DRAIN_BYTES    4096
#define FDS_MIN        64

#define TOO_MANY                                                                                   \
    "{\"type\":\"about:blank\",\"title\":\"Too Many Requests\",\"status\":429,"                    \
    "\"detail\":\"This address has too many connections.\"}"
static const char REFUSAL[] = "HTTP/1.1 429 Too Many Requests\r\n"
                              "Content-Type: application/problem+json\r\n"
                              "Content-Length: 113\r\nRetry-After: 1\r\n"
                              "Cache-Control: no-store\r\nConnection: close\r\n\r\n" TOO_MANY;
_Static_assert(sizeof TOO_MANY - 1 == 113, "as in Content-Length");

/* What a connection is doing, and how long it may, see limit_of(). */
enum phase {
    CONN_IDLE,      /* the answer before was made, or there was no request yet */
    CONN_READING,   /* the first byte of a request is here */
    CONN_ANSWERING, /* the request is here, its answer is not made yet */
};

struct conn {
    LIST_ENTRY(conn) fresh;  /* while is_fresh */
    struct bufferevent *bev; /* one reference */
    int fd;                  /* -1: not known yet */
    unsigned number;         /* of its place in items */
    bool is_fresh;           /* evhttp has not told its socket yet */
    enum phase phase;
    int64_t since_ms;
    bool is_counted;
    struct net_addr peer; /* for whom */
};

struct conns {
    struct event_base *base;
    int64_t idle_ms, request_ms;
    unsigned limit, count, counted;
    struct conn **items; /* owned, limit places */
    struct conn **by_fd; /* the same by their socket */
    size_t by_fd_size;
    struct peers *peers;       /* borrowed, NULL: addresses do not matter */
    struct event *meet, *look; /* owned */
    LIST_HEAD(, conn) fresh;
    int64_t swept_ms;
    int64_t say_refused_ms; /* not to be logged again before */
    uint64_t refused;
};

static void begin_phase(struct conn *conn, enum phase phase)
{
    conn->phase = phase;
    conn->since_ms = clock_mono_ms();
}

static bool is_waiting_for_more(const struct conn *conn)
{
    return evbuffer_get_length(bufferevent_get_input(conn->bev)) > 0;
}

/* What was sent ahead is a request that has begun. */
static void end_answering(struct conn *conn)
{
    begin_phase(conn, is_waiting_for_more(conn) ? CONN_READING : CONN_IDLE);
}

static void on_output(struct evbuffer *buf, const struct evbuffer_cb_info *info, void *arg)
{
    (void)buf;
    if (info->n_added > 0) {
        end_answering(arg);
    }
}

static void on_input(struct evbuffer *buf, const struct evbuffer_cb_info *info, void *arg)
{
    struct conn *conn = arg;

    (void)buf;
    if (info->n_added > 0 && conn->phase == CONN_IDLE) {
        begin_phase(conn, CONN_READING);
    }
}

/* ---- by socket ---- */

static bool grow_by_fd(struct conns *c, size_t fd)
{
    size_t size = c->by_fd_size ? c->by_fd_size : FDS_MIN;
    struct conn **more;

    while (size <= fd) {
        size *= 2;
    }
    more = mem_try_resize(c->by_fd, size, sizeof(struct conn *));
    if (!more) {
        return false;
    }
    memset(more + c->by_fd_size, 0, (size - c->by_fd_size) * sizeof(struct conn *));
    c->by_fd = more;
    c->by_fd_size = size;
    return true;
}

/* False: memory is out, or evhttp could not use the socket. */
static bool keep_fd(struct conns *c, struct conn *conn)
{
    int fd = bufferevent_getfd(conn->bev);

    if (fd < 0 || ((size_t)fd >= c->by_fd_size && !grow_by_fd(c, (size_t)fd))) {
        return false;
    }
    c->by_fd[fd] = conn;
    conn->fd = fd;
    return true;
}

/* NULL: one that is not watched. */
static struct conn *find(const struct conns *c, struct bufferevent *bev)
{
    int fd = bufferevent_getfd(bev);
    struct conn *conn = fd >= 0 && (size_t)fd < c->by_fd_size ? c->by_fd[fd] : NULL;

    return conn && conn->bev == bev ? conn : NULL;
}

void conns_received(struct conns *c, struct bufferevent *bev)
{
    struct conn *conn = find(c, bev);

    if (conn) {
        begin_phase(conn, CONN_ANSWERING);
    }
}

void conns_answered(struct conns *c, struct bufferevent *bev)
{
    struct conn *conn = find(c, bev);

    if (conn) {
        end_answering(conn);
    }
}

/* ---- the end of one ---- */

static void forget(struct conns *c, struct conn *conn)
{
    if (conn->fd >= 0) {
        c->by_fd[conn->fd] = NULL;
    }
    if (conn->is_fresh) {
        LIST_REMOVE(conn, fresh);
    }
    if (conn->is_counted) {
        peers_remove(c->peers, &conn->peer);
        c->counted--;
    }
    c->items[conn->number] = c->items[--c->count];
    c->items[conn->number]->number = conn->number;
    evbuffer_remove_cb(bufferevent_get_output(conn->bev), on_output, conn);
    evbuffer_remove_cb(bufferevent_get_input(conn->bev), on_input, conn);
    bufferevent_decref(conn->bev);
    free(conn);
}

static bool is_dropped(struct bufferevent *bev)
{
    bufferevent_event_cb on_event;

    bufferevent_getcb(bev, NULL, NULL, &on_event, NULL);
    return on_event == NULL;
}

/* evhttp sees the end of file and cleans up. */
static void cut_off(struct conn *conn)
{
    shutdown(conn->fd, SHUT_RDWR);
}

static int64_t limit_of(const struct conns *c, enum phase phase)
{
    return phase == CONN_READING ? c->request_ms : c->idle_ms;
}

unsigned conns_sweep(struct conns *c)
{
    int64_t now_ms = clock_mono_ms();

    c->swept_ms = now_ms;
    for (unsigned i = 0; i < c->count;) {
        struct conn *conn = c->items[i];

        if (is_dropped(conn->bev)) {
            forget(c, conn);
            continue;
        }
        if (now_ms - conn->since_ms > limit_of(c, conn->phase)) {
            cut_off(conn);
        }
        i++;
    }
    return c->count;
}

bool conns_full(const struct conns *c)
{
    return c->count >= c->limit;
}

bool conns_busy(const struct conns *c)
{
    for (unsigned i = 0; i < c->count; i++) {
        struct bufferevent *bev = c->items[i]->bev;

        if (!is_dropped(bev) && evbuffer_get_length(bufferevent_get_output(bev)) > 0) {
            return true;
        }
    }
    return false;
}

/* ---- one too many of its address ---- */

static void say_refused(struct conns *c, const struct net_addr *key)
{
    int64_t now_ms = clock_mono_ms();
    char text[NET_TEXT_SIZE];

    c->refused++;
    if (now_ms >= c->say_refused_ms) {
        c->say_refused_ms = now_ms + SAY_REFUSED_MS;
        log_warn("connections.refused", "client=%s refused=%" PRIu64, net_client_text(key, text),
                 c->refused);
    }
}

/*
 * Nothing of it is read for evhttp. What is here already is taken away: the kernel answers unread
 * bytes with a reset, which may overtake the answer.
 */
static void refuse(struct conn *conn)
{
    char drain[DRAIN_BYTES];

    if (send(conn->fd, REFUSAL, sizeof REFUSAL - 1, MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
        (void)!recv(conn->fd, drain, sizeof drain, MSG_DONTWAIT);
    }
    cut_off(conn);
}

/* Some of the others may have gone meanwhile; a flood must not make us look all the time. */
static bool has_share(struct conns *c, const struct sockaddr *peer, struct net_addr *key)
{
    if (peers_add(c->peers, peer, key)) {
        return true;
    }
    if (clock_mono_ms() - c->swept_ms < LOOK_AGAIN_MS) {
        return false;
    }
    conns_sweep(c);
    return peers_add(c->peers, peer, key);
}

/* False: one too many. */
static bool count_in(struct conns *c, struct conn *conn)
{
    static const struct timeval LOOK = {.tv_usec = LOOK_MS * 1000};
    struct sockaddr_storage peer = {.ss_family = AF_UNSPEC};
    socklen_t len = sizeof peer;

    if (getpeername(conn->fd, (struct sockaddr *)&peer, &len) < 0) {
        return true; /* it has gone again */
    }
    if (!has_share(c, (struct sockaddr *)&peer, &conn->peer)) {
        say_refused(c, &conn->peer);
        return false;
    }
    conn->is_counted = conn->peer.family != 0;
    if (conn->is_counted && c->counted++ == 0) {
        MUST(event_add(c->look, &LOOK) == 0);
    }
    return true;
}

/* evhttp has told the new connections their sockets by now; nothing was read from them yet. */
static void on_meet(evutil_socket_t fd, short what, void *arg)
{
    struct conns *c = arg;
    struct conn *conn;

    (void)fd;
    (void)what;
    while ((conn = LIST_FIRST(&c->fresh))) {
        LIST_REMOVE(conn, fresh);
        conn->is_fresh = false;
        if (!keep_fd(c, conn)) {
            cut_off(conn);
        } else if (c->peers && !count_in(c, conn)) {
            refuse(conn);
        }
    }
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
    struct conns *c = arg;

    (void)fd;
    (void)what;
    conns_sweep(c);
    if (c->counted == 0) {
        event_del(c->look);
    }
}

/* ---- life ---- */

struct conns *conns_new(struct event_base *base, unsigned limit, int64_t idle_ms)
{
    struct conns *c = mem_alloc(sizeof *c);

    c->base = base;
    c->limit = limit;
    c->idle_ms = c->request_ms = idle_ms;
    c->items = mem_alloc(limit * sizeof(struct conn *));
    c->meet = event_new(base, -1, 0, on_meet, c);
    c->look = event_new(base, -1, EV_PERSIST, on_look, c);
    MUST(c->meet && c->look);
    LIST_INIT(&c->fresh);
    return c;
}

void conns_limit_requests(struct conns *c, int64_t request_ms)
{
    c->request_ms = request_ms;
}

void conns_limit_addresses(struct conns *c, struct peers *peers)
{
    c->peers = peers;
}

void conns_free(struct conns *c)
{
    if (!c) {
        return;
    }
    while (c->count > 0) {
        forget(c, c->items[0]);
    }
    event_free(c->meet);
    event_free(c->look);
    free(c->items);
    free(c->by_fd);
    free(c);
}

static void watch(struct conns *c, struct bufferevent *bev)
{
    struct conn *conn = mem_alloc(sizeof *conn);

    conn->fd = -1;
    conn->bev = bev;
    conn->number = c->count;
    conn->is_fresh = true;
    begin_phase(conn, CONN_IDLE);
    bufferevent_incref(bev);
    evbuffer_add_cb(bufferevent_get_output(bev), on_output, conn);
    evbuffer_add_cb(bufferevent_get_input(bev), on_input, conn);
    c->items[c->count++] = conn;
    LIST_INSERT_HEAD(&c->fresh, conn, fresh);
    event_active(c->meet, 0, 0);
}

struct bufferevent *conns_make(struct event_base *base, void *arg)
{
    struct conns *c = arg;
    struct bufferevent *bev;

    /* Before the new one is in the list: it has no callbacks yet and would look dropped. */
    if (c->count + 1 >= c->limit) {
        conns_sweep(c);
    }
    /*
     * CLOSE_ON_FREE leaves the socket open until our reference goes, too: its number must not be
     * used again while the bufferevent still has events on it. evhttp shuts it down at once.
     */
    bev = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
    if (bev && c->count < c->limit) {
        watch(c, bev);
    }
    return bev;
}
