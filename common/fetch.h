#ifndef COMMON_FETCH_H
#define COMMON_FETCH_H

#include <event2/event.h>

#include "common/err.h"

/*
 * HTTP GET requests on a libevent loop: libcurl's multi interface, so nothing blocks, names are
 * looked up on a thread of libcurl's. For asking one site politely: one connection, no redirects,
 * no cookies, no Origin, a bound on time and size. http and https only; certificates are checked.
 */
#define FETCH_BODY_MAX    (5 * MIB) /* after decompression */
#define FETCH_TIMEOUT_MS  8000      /* a whole request, a drip as well */
#define FETCH_URL_MAX     2048
#define FETCH_TYPE_SIZE   128
#define FETCH_WAITING_MAX 64 /* requests given at once; they share the connection */

struct fetch;
struct fetch_call;

struct fetch_config {
    struct event_base *base;
    const char *user_agent; /* copied */
    int64_t timeout_ms;     /* 0: FETCH_TIMEOUT_MS */
};

/* What came of it. Everything is gone after the callback. */
struct fetch_reply {
    long status;      /* 0: no answer, error says why */
    const char *type; /* Content-Type, "" when absent */
    const char *body; /* NUL-terminated */
    size_t len;
    int64_t retry_after_s; /* -1: none given */
    const char *error;     /* NULL: an answer came */
    int64_t took_us;
};
typedef void (*fetch_fn)(void *ctx, const struct fetch_reply *r);

/* NULL and *e when libcurl cannot be set up. */
struct fetch *fetch_new(const struct fetch_config *config, struct err *e) MUST_CHECK;
/* Outstanding calls are forgotten without a word. Not from within a fetch_fn. */
void fetch_free(struct fetch *f);

/*
 * Asks; fn is called once, from the loop, never from within this call. NULL and *e: not started (a
 * wrong URL, too many waiting).
 */
struct fetch_call *fetch_get(struct fetch *f, const char *url, fetch_fn fn, void *ctx,
                             struct err *e) MUST_CHECK;
/* Forgets a call; fn is not called any more. Fine from within another call's fn. */
void fetch_cancel(struct fetch_call *c);

#endif
