#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/admin/parts.h"
#include "api/policy.h"
#include "api/problem.h"
#include "common/clock.h"
#include "common/log.h"

#define RETRY_AFTER_S "2"
#define SLOW_US       2000000

static void add_header(struct ask *k, const char *key, const char *value)
{
    MUST(evhttp_add_header(k->http->output_headers, key, value) == 0);
}

static void free_bytes(const void *data, size_t len, void *arg)
{
    (void)data;
    (void)len;
    free(arg);
}

/* The answer's bytes, the caller's; reply becomes text here, on the thread of the listener. */
static char *take_bytes(struct ask *k, size_t *len)
{
    struct admin_call *c = &k->call;
    char *bytes = c->bytes;

    *len = c->bytes_len;
    c->bytes = NULL;
    if (!bytes) {
        bytes = json_print(c->reply);
        *len = bytes ? strlen(bytes) : 0;
    }
    if (bytes && *len > ADMIN_ANSWER_MAX) {
        free(bytes);
        bytes = NULL;
    }
    return bytes;
}

static const char *type_of(const struct admin_call *c)
{
    return *c->type           ? c->type
           : c->status >= 400 ? PROBLEM_TYPE /* one that is repeated */
                              : "application/json";
}

static void add_headers(struct ask *k)
{
    const struct admin_call *c = &k->call;

    add_header(k, "Content-Type", type_of(c));
    add_header(k, "Cache-Control", "no-store");
    if (k->route && k->route->open) {
        for (size_t i = 0; i < POLICY_HEADER_COUNT; i++) {
            add_header(k, POLICY_HEADERS[i].key, POLICY_HEADERS[i].value);
        }
    } else {
        add_header(k, "X-Content-Type-Options", "nosniff");
    }
    if (*c->location) {
        add_header(k, "Location", c->location);
    }
    if (k->replayed) {
        add_header(k, "Idempotent-Replayed", "true");
    }
    if (k->challenge) {
        add_header(k, "WWW-Authenticate", "Bearer realm=\"aion2rank admin\"");
    }
    if (*k->allow) {
        add_header(k, "Allow", k->allow);
    }
    if (c->status == 503 || c->status == 409) {
        add_header(k, "Retry-After", RETRY_AFTER_S);
    }
    if (k->admin->draining) {
        add_header(k, "Connection", "close");
    }
}

/* Path only: what people put into a query is theirs. */
static void log_request(const struct ask *k)
{
    int64_t us = clock_mono_us() - k->began_us;
    bool told = k->call.status >= 400 || us >= SLOW_US || k->route->action;
    enum log_level level = told && !k->quiet ? LOG_INFO : LOG_DEBUG;

    if (log_enabled(level)) {
        log_event(level, "admin.request",
                  "method=%s path=%s status=%d us=%" PRId64 " who=%s client=%s", k->method,
                  LOGQ(k->path), k->call.status, us, LOGQ(k->who.name), LOGQ(k->who.address));
    }
}

void send_answer(struct ask *k)
{
    size_t len;
    char *bytes = take_bytes(k, &len);

    if (!bytes) {
        admin_problem(&k->call, 503, NULL, "The answer is too large, or memory is out.");
        bytes = take_bytes(k, &len);
    }
    MUST(bytes);
    log_request(k);
    add_headers(k);
    if (evbuffer_add_reference(k->http->output_buffer, bytes, len, free_bytes, bytes) != 0) {
        free(bytes);
    }
    evhttp_send_reply(k->http, k->call.status, problem_reason(k->call.status), NULL);
    ask_free(k);
}
