#ifndef API_DELIVER_H
#define API_DELIVER_H

#include <event2/http.h>

#include "api/body.h"
#include "common/buf.h"
#include "common/conns.h"

/* What follows the head of an answer. */
struct deliver_payload {
    const char *data;
    size_t len;
    struct body *owner; /* has the bytes, and is kept until they are written; NULL: they last */
};

/*
 * Writes an answer, from its status line on, and lets evhttp go on with the connection: the request
 * is freed. What the socket takes at once never sees a buffer; the rest waits in the connection's.
 * head holds everything up to the empty line, and p (NULL: nothing) is not empty.
 */
void deliver(struct conns *conns, struct evhttp_request *http, const struct buf *head,
             const struct deliver_payload *p);

#endif
