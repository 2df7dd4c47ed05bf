#include "api/request.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

#include "api/client.h"
#include "api/cors.h"
#include "api/deliver.h"
#include "api/figures.h"
#include "api/negotiate.h"
#include "api/problem.h"
#include "api/protocol.h"
#include "api/route.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"

#define RETRY_AFTER_S "2"

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

/* ---- the head of an answer ---- */

static void head_begin(const struct request *rq, int status)
{
    struct buf *h = &rq->loop->head;

    buf_reset(h);
    buf_addstr(h, rq->http->minor == 0 ? "HTTP/1.0 " : "HTTP/1.1 ");
    buf_addi64(h, status);
    buf_addch(h, ' ');
    buf_addstr(h, problem_reason(status));
    buf_addstr(h, "\r\nDate: ");
    buf_addstr(h, rq->loop->date);
    buf_addstr(h, "\r\n");
}

static void head_add(struct buf *h, const char *key, const char *value)
{
    buf_addstr(h, key);
    buf_addstr(h, ": ");
    buf_addstr(h, value);
    buf_addstr(h, "\r\n");
}

static void head_add_number(struct buf *h, const char *key, int64_t value)
{
    buf_addstr(h, key);
    buf_addi64(h, value);
    buf_addstr(h, "\r\n");
}

static void head_add_caching(struct buf *h, const struct reply *r)
{
    if (r->etag) {
        head_add(h, "ETag", r->etag);
    }
    if (r->cache || r->max_age_s < 0) {
        head_add(h, "Cache-Control", r->cache ? r->cache : "no-cache");
    } else {
        head_add_number(h, "Cache-Control: public, max-age=", r->max_age_s);
    }
    buf_addstr(h, "Vary: Accept-Encoding");
    buf_addstr(h, r->vary ? r->vary : "");
    buf_addstr(h, "\r\n");
    if (r->age_s >= 0) {
        head_add_number(h, "Age: ", r->age_s);
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

static void reply_note_bytes(const struct request *rq, int status, size_t bytes)
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
             protocol_method(rq->http->type), LOGQ(rq->http->uri), status, us, bytes,
             LOGQ(net_text(&from, client)));
}

void reply_note(const struct request *rq, int status)
{
    reply_note_bytes(rq, status, evbuffer_get_length(rq->http->output_buffer));
}

/* Whether a Connection header, which is a list, names this option. */
static bool has_option(const struct evkeyvalq *headers, const char *option)
{
    const struct evkeyval *entry;
    size_t len = strlen(option);

    TAILQ_FOREACH(entry, headers, next)
    {
        const char *p = strcasecmp(entry->key, "Connection") == 0 ? entry->value : "";

        while (*(p += strspn(p, " \t,"))) {
            size_t n = strcspn(p, " \t,");

            if (n == len && strncasecmp(p, option, n) == 0) {
                return true;
            }
            p += n;
        }
    }
    return false;
}

static bool begins_with(const char *text, const char *prefix)
{
    return text && strncasecmp(text, prefix, strlen(prefix)) == 0;
}

/*
 * What becomes of the connection. evhttp finds "close" where it is the whole header, so what we
 * say is set for it as well; of a request with a whole URI it ends the connection in any case.
 */
static void set_connection(const struct request *rq)
{
    const struct evhttp_request *http = rq->http;

    if (evhttp_find_header(http->output_headers, "Connection")) {
        return;
    }
    if (rq->loop->draining || (http->flags & EVHTTP_PROXY_REQUEST) ||
        has_option(http->input_headers, "close")) {
        add_header(rq->http, "Connection", "close");
    } else if (http->minor == 0 &&
               begins_with(evhttp_find_header(http->input_headers, "Connection"), "keep-alive")) {
        add_header(rq->http, "Connection", "keep-alive"); /* as evhttp does */
    }
}

/* The headers that were set before the answer began. */
static void head_end(const struct request *rq)
{
    struct buf *h = &rq->loop->head;
    const struct evkeyval *entry;

    set_connection(rq);
    TAILQ_FOREACH(entry, rq->http->output_headers, next)
    {
        head_add(h, entry->key, entry->value);
    }
    buf_addstr(h, "\r\n");
    MUST(!h->failed);
}

/* The request is gone after that. */
static void finish(const struct request *rq, int status, const struct deliver_payload *p)
{
    reply_note_bytes(rq, status, p ? p->len : 0);
    head_end(rq);
    deliver(rq->loop->conns, rq->http, &rq->loop->head, p);
}

static void finish_with(const struct request *rq, int status, const struct deliver_payload *p)
{
    head_add_number(&rq->loop->head, "Content-Length: ", (int64_t)p->len);
    finish(rq, status, rq->head || p->len == 0 ? NULL : p);
}

void reply_add_header(const struct request *rq, const char *key, const char *value)
{
    add_header(rq->http, key, value);
}

static void send_reply(const struct request *rq, const struct reply *r, bool gzip,
                       const struct deliver_payload *p)
{
    const char *if_none_match = evhttp_find_header(rq->http->input_headers, "If-None-Match");
    bool known = r->etag && if_none_match && negotiate_not_modified(if_none_match, r->etag);
    struct buf *h = &rq->loop->head;

    head_begin(rq, known ? 304 : r->status);
    head_add_caching(h, r);
    if (known) {
        finish(rq, 304, NULL);
        return;
    }
    if (gzip) {
        head_add(h, "Content-Encoding", "gzip");
    }
    head_add(h, "Content-Type", r->type ? r->type : "application/json");
    finish_with(rq, r->status, p);
}

void reply_body(const struct request *rq, const struct reply *r, struct body *b)
{
    send_reply(rq, r, b->gzip, &(struct deliver_payload){b->data, b->len, b, r->at_once});
}

void reply_static(const struct request *rq, const struct reply *r, const struct reply_bytes *b)
{
    send_reply(rq, r, b->gzip, &(struct deliver_payload){b->data, b->len, NULL, true});
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
    head_begin(rq, 204);
    finish(rq, 204, NULL); /* which has no body, and so no length of one either */
}

/* evhttp has refused the request by itself: it also answers. */
static void refuse_by_evhttp(const struct request *rq, int status, const struct body *body)
{
    char len[24];

    snprintf(len, sizeof len, "%zu", body->len);
    add_header(rq->http, "Content-Length", len);
    MUST(evbuffer_add(rq->http->output_buffer, body->data, rq->head ? 0 : body->len) == 0);
    reply_note(rq, status);
    evhttp_send_reply(rq->http, status, problem_reason(status), NULL);
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
        head_begin(rq, p->status);
        finish_with(rq, p->status, &(struct deliver_payload){body->data, body->len, body, true});
    } else {
        refuse_by_evhttp(rq, p->status, body);
    }
    body_unref(body);
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
