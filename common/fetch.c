#include "common/fetch.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/mem.h"
#include "common/text.h"

#define RETRY_AFTER_MAX_S 86400

struct fetch_call {
    struct fetch_call *next, **link; /* link: what points at us */
    struct fetch *fetch;
    CURL *easy;
    fetch_fn fn;
    void *ctx;
    struct buf body;
    int64_t started_us;
    int64_t retry_after_s;
    char type[FETCH_TYPE_SIZE];
    char error[CURL_ERROR_SIZE];
    bool too_long;
};

struct fetch {
    struct event_base *base;
    CURLM *multi;
    struct event *timer;
    char *user_agent;
    int64_t timeout_ms;
    struct fetch_call *calls;
    int call_count;
};

/* ---- one call ---- */

static void call_free(struct fetch_call *c)
{
    *c->link = c->next;
    if (c->next) {
        c->next->link = c->link;
    }
    c->fetch->call_count--;
    curl_multi_remove_handle(c->fetch->multi, c->easy);
    curl_easy_cleanup(c->easy);
    buf_fini(&c->body);
    free(c);
}

/* Less than n tells libcurl to end the transfer. */
static size_t on_body(char *bytes, size_t size, size_t n, void *call)
{
    struct fetch_call *c = call;

    if (!buf_add(&c->body, bytes, size * n)) {
        c->too_long = true;
        return 0;
    }
    return size * n;
}

/* The value of a header line when it has this name (with its colon), without spaces around. */
static bool header_value(const char *line, size_t len, const char *name, char *out, size_t cap)
{
    size_t name_len = strlen(name);

    if (len < name_len || strncasecmp(line, name, name_len) != 0) {
        return false;
    }
    line += name_len;
    len -= name_len;
    while (len > 0 && (*line == ' ' || *line == '\t')) {
        line++;
        len--;
    }
    while (len > 0 && (line[len - 1] == '\r' || line[len - 1] == '\n' || line[len - 1] == ' ')) {
        len--;
    }
    if (len >= cap) {
        return false;
    }
    memcpy(out, line, len);
    out[len] = '\0';
    return true;
}

static size_t on_header(char *line, size_t size, size_t n, void *call)
{
    struct fetch_call *c = call;
    char value[FETCH_TYPE_SIZE];
    time_t when;

    if (size * n >= 5 && strncmp(line, "HTTP/", 5) == 0) { /* an answer (after a 100) begins */
        c->type[0] = '\0';
        c->retry_after_s = -1;
    } else if (header_value(line, size * n, "Content-Type:", value, sizeof value)) {
        memcpy(c->type, value, sizeof value);
    } else if (header_value(line, size * n, "Retry-After:", value, sizeof value) &&
               !text_to_i64(value, 0, RETRY_AFTER_MAX_S, &c->retry_after_s)) {
        when = curl_getdate(value, NULL);
        if (when >= 0) {
            int64_t s = (int64_t)when - clock_wall_us() / 1000000;

            c->retry_after_s = s < 0 ? 0 : s > RETRY_AFTER_MAX_S ? RETRY_AFTER_MAX_S : s;
        }
    }
    return size * n;
}

static void finish(struct fetch_call *c, CURLcode rc)
{
    struct fetch_reply r = {.type = c->type,
                            .body = c->body.data ? c->body.data : "",
                            .len = c->body.len,
                            .retry_after_s = c->retry_after_s,
                            .took_us = clock_mono_us() - c->started_us};

    curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &r.status);
    if (c->too_long) {
        r.error = "the answer is longer than is allowed";
    } else if (rc != CURLE_OK) {
        r.error = c->error[0] ? c->error : curl_easy_strerror(rc);
    }
    if (r.error) {
        r.status = 0;
    }
    c->fn(c->ctx, &r);
    call_free(c);
}

static void finish_done(struct fetch *f)
{
    CURLMsg *m;
    int left;

    while ((m = curl_multi_info_read(f->multi, &left))) {
        struct fetch_call *c;

        if (m->msg == CURLMSG_DONE) {
            curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&c);
            finish(c, m->data.result);
        }
    }
}

/* ---- libcurl's sockets and timer on our loop ---- */

static void on_socket_ready(evutil_socket_t fd, short what, void *fetch)
{
    struct fetch *f = fetch;
    int action = (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0);
    int running;

    curl_multi_socket_action(f->multi, (curl_socket_t)fd, action, &running);
    finish_done(f);
}

static void on_timer(UNUSED evutil_socket_t fd, UNUSED short what, void *fetch)
{
    struct fetch *f = fetch;
    int running;

    curl_multi_socket_action(f->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    finish_done(f);
}

static int on_curl_timer(UNUSED CURLM *multi, long ms, void *fetch)
{
    struct fetch *f = fetch;
    struct timeval tv = {ms / 1000, ms % 1000 * 1000};

    if (ms < 0) {
        event_del(f->timer);
    } else {
        event_add(f->timer, &tv);
    }
    return 0;
}

static int on_curl_socket(UNUSED CURL *easy, curl_socket_t s, int what, void *fetch, void *socket)
{
    struct fetch *f = fetch;
    struct event *ev = socket;
    short kind = (short)((what & CURL_POLL_IN ? EV_READ : 0) |
                         (what & CURL_POLL_OUT ? EV_WRITE : 0) | EV_PERSIST);

    if (ev) {
        event_free(ev);
        curl_multi_assign(f->multi, s, NULL);
    }
    if (what == CURL_POLL_REMOVE) {
        return 0;
    }
    ev = event_new(f->base, (evutil_socket_t)s, kind, on_socket_ready, f);
    if (!ev || event_add(ev, NULL) != 0) {
        return -1;
    }
    curl_multi_assign(f->multi, s, ev);
    return 0;
}

/* ---- life ---- */

struct fetch *fetch_new(const struct fetch_config *config, struct err *e)
{
    struct fetch *f = mem_alloc(sizeof *f);

    f->base = config->base;
    f->timeout_ms = config->timeout_ms > 0 ? config->timeout_ms : FETCH_TIMEOUT_MS;
    f->user_agent = strdup(config->user_agent);
    f->timer = evtimer_new(f->base, on_timer, f);
    f->multi = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? curl_multi_init() : NULL;
    if (!f->user_agent || !f->timer || !f->multi) {
        err_set(e, ERR_RETRYABLE, "MemoryError", "libcurl cannot be set up");
        fetch_free(f);
        return NULL;
    }
    curl_multi_setopt(f->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
    curl_multi_setopt(f->multi, CURLMOPT_SOCKETDATA, f);
    curl_multi_setopt(f->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
    curl_multi_setopt(f->multi, CURLMOPT_TIMERDATA, f);
    curl_multi_setopt(f->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, 1L);
    curl_multi_setopt(f->multi, CURLMOPT_MAXCONNECTS, 1L);
    return f;
}

void fetch_free(struct fetch *f)
{
    if (!f) {
        return;
    }
    while (f->calls) {
        call_free(f->calls);
    }
    if (f->multi) {
        curl_multi_cleanup(f->multi);
    }
    if (f->timer) {
        event_free(f->timer);
    }
    free(f->user_agent);
    free(f);
}

static bool set_options(struct fetch_call *c, const char *url)
{
    CURL *h = c->easy;

    return curl_easy_setopt(h, CURLOPT_URL, url) == CURLE_OK &&
           curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(h, CURLOPT_USERAGENT, c->fetch->user_agent) == CURLE_OK &&
           curl_easy_setopt(h, CURLOPT_ACCEPT_ENCODING, "") == CURLE_OK &&
           curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)c->fetch->timeout_ms) == CURLE_OK &&
           curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(h, CURLOPT_ERRORBUFFER, c->error) == CURLE_OK &&
           curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
           curl_easy_setopt(h, CURLOPT_WRITEDATA, c) == CURLE_OK &&
           curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK &&
           curl_easy_setopt(h, CURLOPT_HEADERDATA, c) == CURLE_OK &&
           curl_easy_setopt(h, CURLOPT_PRIVATE, c) == CURLE_OK;
}

static bool is_web_url(const char *url)
{
    return strlen(url) <= FETCH_URL_MAX &&
           (strncmp(url, "https://", 8) == 0 || strncmp(url, "http://", 7) == 0);
}

struct fetch_call *fetch_get(struct fetch *f, const char *url, fetch_fn fn, void *ctx,
                             struct err *e)
{
    struct fetch_call *c;

    if (!is_web_url(url)) {
        err_set(e, ERR_PERMANENT, "ValueError", "not an http or https URL of at most %d bytes",
                FETCH_URL_MAX);
        return NULL;
    }
    if (f->call_count >= FETCH_WAITING_MAX) {
        err_set(e, ERR_RETRYABLE, "Busy", "%d requests wait already", f->call_count);
        return NULL;
    }
    c = mem_alloc(sizeof *c);
    *c = (struct fetch_call){.fetch = f, .fn = fn, .ctx = ctx, .retry_after_s = -1};
    buf_init(&c->body, FETCH_BODY_MAX);
    c->started_us = clock_mono_us();
    c->easy = curl_easy_init();
    if (!c->easy || !set_options(c, url) || curl_multi_add_handle(f->multi, c->easy) != CURLM_OK) {
        err_set(e, ERR_RETRYABLE, "MemoryError", "libcurl takes no further request");
        curl_easy_cleanup(c->easy);
        free(c);
        return NULL;
    }
    c->link = &f->calls;
    c->next = f->calls;
    if (c->next) {
        c->next->link = &c->next;
    }
    f->calls = c;
    f->call_count++;
    return c;
}

void fetch_cancel(struct fetch_call *c)
{
    if (c) {
        call_free(c);
    }
}
