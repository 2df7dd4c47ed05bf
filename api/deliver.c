/*
 * evhttp's own way is to print each header into a buffer, to ask the loop when the socket can be
 * written to, and to take that wish back: for a small answer half of its whole work. But
 * it also sends answers piece by piece, where the pieces are the program's and only their end is
 * evhttp's: evhttp_send_reply_end(). It looks whether the connection's buffer is empty and, if so,
 * turns to the next request; else it does that when the buffer has become empty.
 */
#include "api/deliver.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http_struct.h>
#include <sys/socket.h>
#include <sys/uio.h>

static void release(const void *data, size_t len, void *owner)
{
    (void)data;
    (void)len;
    body_unref(owner);
}

/* How much was written; any error is left to the loop, which finds it again. */
static size_t write_now(int fd, const struct buf *head, const struct deliver_payload *p)
{
    struct iovec parts[2] = {{.iov_base = head->data, .iov_len = head->len}};
    struct msghdr m = {.msg_iov = parts, .msg_iovlen = 1};
    ssize_t n;

    if (p) {
        parts[1] = (struct iovec){.iov_base = (void *)(uintptr_t)p->data, .iov_len = p->len};
        m.msg_iovlen = 2;
    }
    n = sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
    return n < 0 ? 0 : (size_t)n;
}

/* Of head and p what follows their first `sent` bytes. */
static void add_rest(struct evbuffer *out, size_t sent, const struct buf *head,
                     const struct deliver_payload *p)
{
    size_t of_head = sent < head->len ? sent : head->len;
    size_t of_payload = sent - of_head;

    MUST(evbuffer_add(out, head->data + of_head, head->len - of_head) == 0);
    if (p && of_payload < p->len) {
        MUST(evbuffer_add_reference(out, p->data + of_payload, p->len - of_payload,
                                    p->owner ? release : NULL,
                                    p->owner ? body_ref(p->owner) : NULL) == 0);
    }
}

/* Until all is written nothing is read for evhttp, which would not know what to do with it. */
static void wait_for_socket(struct bufferevent *bev)
{
    bufferevent_event_cb on_event;
    bufferevent_data_cb on_written;
    void *arg;

    bufferevent_getcb(bev, NULL, &on_written, &on_event, &arg);
    bufferevent_setcb(bev, NULL, on_written, on_event, arg);
    bufferevent_enable(bev, EV_READ | EV_WRITE); /* reading: to learn that the client has gone */
}

void deliver(struct conns *conns, struct evhttp_request *http, const struct buf *head,
             const struct deliver_payload *p)
{
    struct evhttp_connection *conn = evhttp_request_get_connection(http);
    size_t len = head->len + (p ? p->len : 0), sent = 0;
    struct bufferevent *bev;
    struct evbuffer *out;

    if (conn) { /* else the client has gone meanwhile */
        bev = evhttp_connection_get_bufferevent(conn);
        out = bufferevent_get_output(bev);
        if ((!p || p->at_once) && evbuffer_get_length(out) == 0) {
            sent = write_now(bufferevent_getfd(bev), head, p);
        }
        if (sent < len) {
            add_rest(out, sent, head, p);
            wait_for_socket(bev);
        }
        conns_answered(conns, bev);
    }
    http->chunked = 0; /* the request's body may have been; of an answer it would send an end */
    evhttp_send_reply_end(http);
}
