#include "ctl/await.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/keys.h"
#include "common/mem.h"
#include "common/text.h"

#define REDIS_TIMEOUT_MS 5000
#define LOOK_EVERY_MS    1000

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
    (void)sig;
    interrupted = 1;
}

bool await_is_final(const char *state)
{
    static const char *const FINAL[] = {"SUCCESS", "FAILURE", "REVOKED"};

    for (size_t i = 0; i < ARRAY_LEN(FINAL); i++) {
        if (strcmp(state, FINAL[i]) == 0) {
            return true;
        }
    }
    return false;
}

static void drop_connections(struct await *w)
{
    redisContext **both[] = {&w->sub, &w->cmd};

    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        if (*both[i]) {
            redisFree(*both[i]);
            *both[i] = NULL;
        }
    }
}

static bool open_connections(struct await *w, struct err *e)
{
    redisReply *r = NULL;

    w->cmd = rds_connect(w->addr, REDIS_TIMEOUT_MS, e);
    w->sub = w->cmd ? rds_connect(w->addr, REDIS_TIMEOUT_MS, e) : NULL;
    if (w->sub) {
        r = rds_command(w->sub, e, "SUBSCRIBE " KEY_RESULT_PREFIX "%s", w->id);
    }
    if (!r) {
        drop_connections(w);
        return false;
    }
    freeReplyObject(r);
    return true;
}

/* The stored document: a string reply, or NULL when there is none (or no connection any more). */
static redisReply *look(struct await *w, struct err *e)
{
    redisReply *r = rds_command(w->cmd, e, "GET " KEY_RESULT_PREFIX "%s", w->id);

    if (r && r->type != REDIS_REPLY_STRING) {
        freeReplyObject(r);
        return NULL;
    }
    return r;
}

/* Takes note of a document; true when it is the end of the task and *doc is set. */
static bool consider(struct await *w, const char *text, size_t len, cJSON **doc)
{
    struct err ignored;
    cJSON *v = json_parse(text, len, &ignored);
    const char *state = json_get_str(v, "status");

    if (state) {
        text_copy(w->state, sizeof w->state, state);
        if (await_is_final(state)) {
            *doc = v;
            return true;
        }
    }
    cJSON_Delete(v);
    return false;
}

static bool is_json(const redisReply *r)
{
    struct err ignored;
    cJSON *v = json_parse(r->str, (size_t)r->len, &ignored);

    cJSON_Delete(v);
    return v != NULL;
}

/* Looks at the key. What was there before the task was sent is not its end, unless it stays. */
static bool look_for_end(struct await *w, cJSON **doc)
{
    struct err e = {.cls = ERR_NONE};
    redisReply *r = look(w, &e);
    bool end = false;

    if (r && !(w->prior && strcmp(w->prior, r->str) == 0)) {
        end = consider(w, r->str, (size_t)r->len, doc) || !is_json(r);
    }
    if (r) {
        freeReplyObject(r);
    } else if (e.cls == ERR_RETRYABLE) {
        drop_connections(w);
    }
    return end;
}

/* Reads what has come in on the subscribed connection. */
static bool read_publications(struct await *w, cJSON **doc)
{
    void *any = NULL;
    bool end = false;

    if (redisBufferRead(w->sub) != REDIS_OK) {
        drop_connections(w);
        return false;
    }
    while (!end && redisGetReplyFromReader(w->sub, &any) == REDIS_OK && any) {
        redisReply *r = any;

        if (r->type == REDIS_REPLY_ARRAY && r->elements == 3 &&
            r->element[2]->type == REDIS_REPLY_STRING) {
            end = consider(w, r->element[2]->str, (size_t)r->element[2]->len, doc);
        }
        freeReplyObject(r);
        any = NULL;
    }
    return end;
}

/* Waits at most ms; true when something can be read. Signals arrive only in here. */
static bool wait_readable(const struct await *w, int64_t ms)
{
    struct timespec ts = {ms / 1000, ms % 1000 * 1000000};
    struct pollfd fd = {.fd = w->sub ? w->sub->fd : -1, .events = POLLIN};
    sigset_t none;

    sigemptyset(&none);
    return ppoll(&fd, 1, &ts, &none) > 0;
}

static void draw_progress(const struct await *w, int64_t waited_ms)
{
    if (w->show_progress) {
        fprintf(stderr, "\r\033[K%s  %s  %" PRId64 " s", w->id, w->sub ? w->state : "(Redis away)",
                waited_ms / 1000);
    }
}

static void watch_signals(void)
{
    struct sigaction act = {.sa_handler = on_signal};
    sigset_t held;

    sigemptyset(&held);
    sigaddset(&held, SIGINT);
    sigaddset(&held, SIGTERM);
    sigprocmask(SIG_BLOCK, &held, NULL);
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
}

bool await_begin(struct await *w, const struct rds_addr *addr, const char *id, bool stored_counts,
                 struct err *e)
{
    redisReply *r;
    cJSON *doc = NULL;

    *w = (struct await){.addr = addr, .id = id, .state = "PENDING"};
    if (!open_connections(w, e)) {
        return false;
    }
    watch_signals();
    r = stored_counts ? NULL : look(w, e);
    if (r) {
        bool stays = consider(w, r->str, (size_t)r->len, &doc) && strcmp(w->state, "SUCCESS") == 0;

        w->prior = stays ? NULL : mem_strdup(r->str);
        text_copy(w->state, sizeof w->state, "PENDING");
        cJSON_Delete(doc);
        freeReplyObject(r);
    }
    return true;
}

enum await_end await_result(struct await *w, int64_t timeout_s, cJSON **doc)
{
    int64_t start = clock_mono_ms(), deadline = start + timeout_s * 1000;
    enum await_end end = AWAIT_TIMEOUT;
    struct err ignored;

    for (int64_t now = start; end == AWAIT_TIMEOUT; now = clock_mono_ms()) {
        int64_t pause = deadline - now < LOOK_EVERY_MS ? deadline - now : LOOK_EVERY_MS;

        draw_progress(w, now - start);
        if ((w->sub || open_connections(w, &ignored)) && look_for_end(w, doc)) {
            end = AWAIT_DONE;
        } else if (interrupted) {
            end = AWAIT_INTERRUPTED;
        } else if (pause <= 0) {
            break;
        } else if (wait_readable(w, pause) && read_publications(w, doc)) {
            end = AWAIT_DONE;
        }
    }
    if (w->show_progress) {
        fputs("\r\033[K", stderr);
    }
    return end;
}

void await_fini(struct await *w)
{
    drop_connections(w);
    free(w->prior);
    w->prior = NULL;
}
