#include "common/conns.h"

#include <event2/buffer.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "common/mem.h"

struct conn {
    struct bufferevent *bev; /* one reference */
    int64_t answered_ms;     /* when the last answer was made, at first when it connected */
};

struct conns {
    struct event_base *base;
    int64_t idle_ms;
    unsigned limit, count;
    struct conn **items; /* owned, limit places */
};

struct conns *conns_new(struct event_base *base, unsigned limit, int64_t idle_ms)
{
    struct conns *c = mem_alloc(sizeof *c);

    c->base = base;
    c->limit = limit;
    c->idle_ms = idle_ms;
    c->items = mem_alloc(limit * sizeof(struct conn *));
    return c;
}

static void on_output(struct evbuffer *buf, const struct evbuffer_cb_info *info, void *arg)
{
    struct conn *conn = arg;

    (void)buf;
    if (info->n_added > 0) {
        conn->answered_ms = clock_mono_ms();
    }
}

static void forget(struct conns *c, unsigned i)
{
    struct conn *conn = c->items[i];

    evbuffer_remove_cb(bufferevent_get_output(conn->bev), on_output, conn);
    bufferevent_decref(conn->bev);
    free(conn);
    c->items[i] = c->items[--c->count];
}

void conns_free(struct conns *c)
{
    if (!c) {
        return;
    }
    while (c->count > 0) {
        forget(c, c->count - 1);
    }
    free(c->items);
    free(c);
}

bool conns_full(const struct conns *c)
{
    return c->count >= c->limit;
}

struct bufferevent *conns_make(struct event_base *base, void *arg)
{
    struct conns *c = arg;
    struct bufferevent *bev;
    struct conn *conn;

    /* Before the new one is in the list: it has no callbacks yet and would look dropped. */
    if (c->count + 1 >= c->limit) {
        conns_sweep(c);
    }
    /*
     * CLOSE_ON_FREE leaves the socket open until our reference goes, too: its number must not be
     * used again while the bufferevent still has events on it. evhttp shuts it down at once.
     */
    bev = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
    if (!bev || c->count >= c->limit) {
        return bev;
    }
    conn = mem_alloc(sizeof *conn);
    conn->bev = bev;
    conn->answered_ms = clock_mono_ms();
    bufferevent_incref(bev);
    evbuffer_add_cb(bufferevent_get_output(bev), on_output, conn);
    c->items[c->count++] = conn;
    return bev;
}

static bool is_dropped(struct bufferevent *bev)
{
    bufferevent_event_cb on_event;

    bufferevent_getcb(bev, NULL, NULL, &on_event, NULL);
    return on_event == NULL;
}

unsigned conns_sweep(struct conns *c)
{
    int64_t too_old_ms = clock_mono_ms() - c->idle_ms;

    for (unsigned i = 0; i < c->count;) {
        struct conn *conn = c->items[i];

        if (is_dropped(conn->bev)) {
            forget(c, i);
            continue;
        }
        if (conn->answered_ms < too_old_ms) {
            /* evhttp sees the end of file and cleans up. */
            shutdown(bufferevent_getfd(conn->bev), SHUT_RDWR);
        }
        i++;
    }
    return c->count;
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
