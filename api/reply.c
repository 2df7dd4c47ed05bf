#include "api/request.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "api/client.h"
#include "api/cors.h"
#include "api/figures.h"
#include "api/negotiate.h"
#include "api/problem.h"
#include "api/protocol.h"
#include "api/route.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"

#define RETRY_AFTER_S "2"
#define BLOCK_MAX     512

struct request *request_keep(const struct request *rq)
{
    struct request *copy = mem_alloc(sizeof *copy);

    *copy = *rq;
    copy->query = NULL;
    return copy;
}

static void add_header(struct evhttp_request *http, const char *key, const char *value)
{
    MUST(evhttp_add_header(http->output_headers, key, value) == 0);
}

static void release_body(const void *data, size_t len, void *arg)
{
    (void)data;
    (void)len;
    body_unref(arg);
}

/* Body bytes are not copied: the connection holds a reference until they are written. */
static void add_body(const struct request *rq, struct body *b)
{
    char len[24];

    snprintf(len, sizeof len, "%zu", b->len);
    add_header(rq->http, "Content-Length", len);
    if (rq->head || b->len == 0) {
        return;
    }
    MUST(evbuffer_add_reference(rq->http->output_buffer, b->data, b->len, release_body,
                                body_ref(b)) == 0);
}

/*
 * Several headers as one entry of evhttp's list, lines and all: each entry costs three allocations
 * and a printf, which for a small answer is as much as everything else together. Only for headers
 * that evhttp does not look for itself; it looks for the name of the first.
 */
struct block {
    char text[BLOCK_MAX];
    size_t len;
};

static void block_add(struct block *b, const char *key, const char *value)
{
    char *end = b->text + b->len;

    MUST(strlen(key) + strlen(value) + sizeof ": \r\n" <= sizeof b->text - b->len);
    end = stpcpy(stpcpy(stpcpy(stpcpy(end, key), ": "), value), "\r\n");
    b->len = (size_t)(end - b->text);
}

/* Without the last end of line, which evhttp writes. Its memory is evhttp's from here on. */
static void add_block(struct evhttp_request *http, struct block *b)
{
    struct evkeyval *entry = mem_alloc(sizeof *entry);
    char *colon = strchr(b->text, ':');

    MUST(colon && b->len >= 2);
    b->text[b->len - 2] = '\0';
    *colon = '\0';
    entry->key = mem_strdup(b->text);
    entry->value = mem_strdup(colon + 2);
    TAILQ_INSERT_TAIL(http->output_headers, entry, next);
}

static void block_caching(struct block *b, const struct reply *r)
{
    char text[64];

    if (r->etag) {
        block_add(b, "ETag", r->etag);
    }
    if (r->max_age_s >= 0) {
        snprintf(text, sizeof text, "public, max-age=%" PRId64, r->max_age_s);
    } else {
        snprintf(text, sizeof text, "no-cache");
    }
    block_add(b, "Cache-Control", r->cache ? r->cache : text);
    snprintf(text, sizeof text, "Accept-Encoding%s", r->vary ? r->vary : "");
    block_add(b, "Vary", text);
    if (r->age_s >= 0) {
        snprintf(text, sizeof text, "%" PRId64, r->age_s);
        block_add(b, "Age", text);
    }
}

/* ---- the log of requests ---- */

#define SLOW_MS 500

/* By the first letter of off, slow and all. */
static bool wants_log(const struct request *rq, int status, int64_t ms)
{
    char which = rq->loop->settings->access_log[0];

    return which == 'a' || (which == 's' && (status >= 500 || ms >= SLOW_MS));
}

void reply_note(const struct request *rq, int status)
{
    int64_t us = rq->loop ? clock_mono_us() - rq->began_us : -1;
    char client[NET_TEXT_SIZE];
    struct net_addr from;

    figures_request(rq->loop ? rq->route : ROUTE_COUNT, status, us);
    if (!rq->loop || !wants_log(rq, status, us / 1000)) {
        return;
    }
    client_address(rq, &from);
    log_info("http.request", "method=%s target=%s status=%d us=%" PRId64 " bytes=%zu client=%s",
             protocol_method(rq->http->type), LOGQ(rq->http->uri), status, us,
             evbuffer_get_length(rq->http->output_buffer), LOGQ(net_text(&from, client)));
}

/* Hands the answer over to evhttp, which frees the request. */
static void finish(const struct request *rq, int status)
{
    reply_note(rq, status);
    if (rq->loop && rq->loop->draining) {
        add_header(rq->http, "Connection", "close");
    }
    evhttp_send_reply(rq->http, status, problem_reason(status), NULL);
}

void reply_add_header(const struct request *rq, const char *key, const char *value)
{
    add_header(rq->http, key, value);
}

/* Everything but the bytes. False: 304, which has none. */
static bool send_head(const struct request *rq, const struct reply *r, bool gzip)
{
    const char *if_none_match = evhttp_find_header(rq->http->input_headers, "If-None-Match");
    struct block head = {.len = 0};

    block_add(&head, "Date", rq->loop->date); /* evhttp would make one each time */
    block_caching(&head, r);
    if (r->etag && if_none_match && negotiate_not_modified(if_none_match, r->etag)) {
        add_block(rq->http, &head);
        finish(rq, 304);
        return false;
    }
    if (gzip) {
        block_add(&head, "Content-Encoding", "gzip");
    }
    add_block(rq->http, &head);
    add_header(rq->http, "Content-Type", r->type ? r->type : "application/json");
    return true;
}

void reply_body(const struct request *rq, const struct reply *r, struct body *b)
{
    if (send_head(rq, r, b->gzip)) {
        add_body(rq, b);
        finish(rq, r->status);
    }
}

void reply_static(const struct request *rq, const struct reply *r, const struct reply_bytes *b)
{
    char len[24];

    if (!send_head(rq, r, b->gzip)) {
        return;
    }
    snprintf(len, sizeof len, "%zu", b->len);
    add_header(rq->http, "Content-Length", len);
    if (!rq->head && b->len > 0) {
        MUST(evbuffer_add_reference(rq->http->output_buffer, b->data, b->len, NULL, NULL) == 0);
    }
    finish(rq, r->status);
}

void reply_buf(const struct request *rq, const struct reply *r, struct buf *b)
{
    struct body *body = b->failed ? NULL : body_new(b->data, b->len, rq->gzip);

    buf_fini(b);
    if (!body) {
        reply_unavailable(rq, "The service is out of memory.");
        return;
    }
    reply_body(rq, r, body);
    body_unref(body);
}

/* ---- pages of other origins ---- */

void reply_allow_origin(const struct request *rq)
{
    const char *list = rq->loop->settings->cors_origins;
    const char *origin = evhttp_find_header(rq->http->input_headers, "Origin");

    if (!*list) {
        return;
    }
    if (strcmp(list, "*") == 0) {
        add_header(rq->http, "Access-Control-Allow-Origin", "*");
        origin = "*";
    } else {
        add_header(rq->http, "Vary", "Origin"); /* caches keep an answer per origin */
        if (!origin || !cors_allows(list, origin)) {
            return;
        }
        add_header(rq->http, "Access-Control-Allow-Origin", origin);
    }
    add_header(rq->http, "Access-Control-Expose-Headers",
               "ETag, Retry-After, Age, RateLimit-Limit, RateLimit-Remaining, "
               "RateLimit-Reset, RateLimit-Policy");
}

void reply_preflight(const struct request *rq, const char *allow)
{
    add_header(rq->http, "Access-Control-Allow-Methods", allow);
    add_header(rq->http, "Access-Control-Allow-Headers", "Content-Type, If-None-Match");
    add_header(rq->http, "Access-Control-Max-Age", "600");
    add_header(rq->http, "Content-Length", "0");
    finish(rq, 204);
}

static void send_problem(const struct request *rq, const struct problem *p)
{
    struct body *body;
    struct buf b;

    buf_init(&b, PROBLEM_MAX);
    MUST(problem_write(&b, p));
    body = body_new(b.data, b.len, false);
    buf_fini(&b);
    MUST(body);
    add_header(rq->http, "Content-Type", PROBLEM_TYPE);
    add_header(rq->http, "Cache-Control", "no-store");
    if (rq->loop) {
        add_header(rq->http, "Date", rq->loop->date);
    }
    add_body(rq, body);
    body_unref(body);
    finish(rq, p->status);
}

void reply_problem(const struct request *rq, int status, const char *param, const char *detail)
{
    send_problem(rq, &(struct problem){status, detail, "param", param});
}

void reply_gone(const struct request *rq, const char *latest, const char *detail)
{
    send_problem(rq, &(struct problem){410, detail, "latest", latest});
}

void reply_unavailable(const struct request *rq, const char *detail)
{
    add_header(rq->http, "Retry-After", RETRY_AFTER_S);
    reply_problem(rq, 503, NULL, detail);
}

void reply_not_allowed(const struct request *rq, const char *allow)
{
    char detail[160];

    snprintf(detail, sizeof detail, "This address answers %s only.", allow);
    add_header(rq->http, "Allow", allow);
    reply_problem(rq, 405, NULL, detail);
}

/* More header bytes than allowed were read, or wait in the buffer without an end of line. */
static bool headers_too_large(const struct evhttp_request *http)
{
    struct bufferevent *bev = http->evcon ? evhttp_connection_get_bufferevent(http->evcon) : NULL;
    size_t waiting = bev ? evbuffer_get_length(bufferevent_get_input(bev)) : 0;

    return http->headers_size > LOOP_HEADERS_MAX || waiting > LOOP_HEADERS_MAX;
}

static _Thread_local struct {
    void (*fn)(void *arg, struct evhttp_request *http, int status);
    void *arg;
} watch;

void reply_watch_refusals(void (*fn)(void *arg, struct evhttp_request *http, int status), void *arg)
{
    watch.fn = fn;
    watch.arg = arg;
}

static int refusal_of(const struct evhttp_request *http, int error)
{
    return error == 400 && headers_too_large(http) ? 431 : error;
}

/*
 * This takes the place of libevent's own function (the loader of the program looks here first, as
 * it does for malloc), which answers in HTML. evhttp calls it for what it refuses by itself:
 * malformed requests, headers and bodies over the limits. It offers no hook for that before 2.2.
 */
void evhttp_send_error(struct evhttp_request *http, int error, const char *reason)
{
    struct request rq = {.http = http, .head = http->type == EVHTTP_REQ_HEAD};

    (void)reason;
    if (http->major != 1) { /* none was read, or a strange one; evhttp puts it into the answer */
        http->major = 1;
        http->minor = 1;
    }
    evhttp_clear_headers(http->output_headers);
    add_header(http, "Connection", "close");
    error = refusal_of(http, error);
    if (watch.fn) {
        watch.fn(watch.arg, http, error);
    }
    reply_problem(&rq, error, NULL,
                  error == 413   ? "The body of a request may have 64 KiB."
                  : error == 431 ? "The headers of a request may have 16 KiB."
                  : error == 400 ? "This is not a well-formed HTTP request."
                                 : "This cannot be answered.");
}
