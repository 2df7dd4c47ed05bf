#ifndef API_REQUEST_H
#define API_REQUEST_H

#include "api/loop.h"
#include "common/buf.h"

/* What a handler gets, and how it answers. Exactly one reply_*() per request ends it. */
struct request {
    struct evhttp_request *http;
    struct loop *loop;
    size_t route;      /* its row in ROUTES; ROUTE_COUNT: none */
    const char *query; /* what follows "?", or NULL; borrowed from http */
    bool head;
    bool gzip;        /* the client likes gzip */
    int64_t began_us; /* monotonic */
};

/*
 * A copy for a handler that answers in a later turn; free() it. evhttp keeps the request until it
 * is answered, also when the client has gone: it does not read from the connection meanwhile.
 */
struct request *request_keep(const struct request *rq) MUST_CHECK;

struct reply {
    int status;
    const char *etag;  /* NULL: none */
    int64_t max_age_s; /* how long the answer may be kept; below 0: it must be asked for again */
    int64_t age_s;     /* below 0: no Age header */
    const char *type;  /* media type; NULL: JSON */
    const char *cache; /* Cache-Control instead of the one that max_age_s makes, or NULL */
    const char *vary;  /* what it depends on beside Accept-Encoding (", Cookie"), or NULL */
    bool at_once;      /* the body was at hand, see deliver.h */
};

/* Bytes that last as long as the program does. */
struct reply_bytes {
    const char *data;
    size_t len;
    bool gzip;
};

/*
 * A page of another origin asks: allows it to read the answer where CORS_ORIGINS says so. Once per
 * request, before it is answered.
 */
void reply_allow_origin(const struct request *rq);
/* 204 to the question of a browser whether a page may ask; allow: methods of the address. */
void reply_preflight(const struct request *rq, const char *allow);
/* Counts the request, and writes its line where that is wanted. For who does not answer by reply_*.
 */
void reply_note(const struct request *rq, int status);

/* Answers with a body (JSON); takes a reference of its own. Heeds HEAD and If-None-Match. */
void reply_body(const struct request *rq, const struct reply *r, struct body *b);
/* The same with bytes that are copied; b is freed. A failed buffer becomes a 503. */
void reply_buf(const struct request *rq, const struct reply *r, struct buf *b);

/* The same with bytes of the program itself. */
void reply_static(const struct request *rq, const struct reply *r, const struct reply_bytes *b);
/* A header of its own for the answer that follows. */
void reply_add_header(const struct request *rq, const char *key, const char *value);

/* Errors, RFC 9457. param may be NULL. */
void reply_problem(const struct request *rq, int status, const char *param, const char *detail);
/* 503 with Retry-After. */
void reply_unavailable(const struct request *rq, const char *detail);
/* 410, with the address of what is there instead. */
void reply_gone(const struct request *rq, const char *latest, const char *detail);
/*
 * From now on fn learns of what evhttp refuses by itself on this thread (malformed, too large).
 */
void reply_watch_refusals(void (*fn)(void *arg, struct evhttp_request *http, int status),
                          void *arg);
/* 405. */
void reply_not_allowed(const struct request *rq, const char *allow);

#endif
