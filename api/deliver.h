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
    /*
     * Written now; else when the loop has made the other answers of this turn. While one is made
     * the client would be woken for the one before, again and again, and take our processor.
     */
    bool at_once;
};

/*
 * Writes an answer, from its status line on, and lets evhttp go on with the connection: the request
 * is freed. What the socket takes at once never sees a buffer; the rest waits in the connection's.
 * head holds everything up to the empty line, and p (NULL: nothing) is not empty.
 */
void deliver(struct conns *conns, struct evhttp_request *http, const struct buf *head,
             const struct deliver_payload *p);

#endif
