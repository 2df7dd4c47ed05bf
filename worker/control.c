#include "worker/control.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/pidbox.h"
#include "common/text.h"
#include "worker/control_parts.h"

#define COMPLAINTS_MAX     20 /* lines about wrong requests within COMPLAINTS_MS */
#define COMPLAINTS_MS      10000
#define PENDING_MAX        1000
#define PENDING_BYTES_MAX  (64 * MIB)
#define ANSWER_LIVES_S     "60" /* a list that its reader has bound, and will delete */
#define ANSWER_UNBOUND_S   "10" /* one that perhaps nobody reads */
#define ANSWER_LIST_LENGTH "10000"

struct answer {
    struct control *control;
    char *method, *ticket, *reply_to; /* reply_to NULL: nobody wants it */
    size_t bytes;                     /* on their way */
    bool then_shut_down;
};

/* ---- answers ---- */

/*
 * KEYS bindings, list; ARGV member, envelope, seconds if bound, otherwise, length. A client that
 * has gone away has removed its binding: what it does not read any more must not stay.
 */
static const char PUSH[] = "local bound = redis.pcall('SISMEMBER', KEYS[1], ARGV[1]) == 1\n"
                           "local n = redis.pcall('LLEN', KEYS[2])\n"
                           "if type(n) ~= 'number' or n >= tonumber(ARGV[5]) then return 0 end\n"
                           "redis.pcall('LPUSH', KEYS[2], ARGV[2])\n"
                           "redis.pcall('EXPIRE', KEYS[2], bound and ARGV[3] or ARGV[4])\n"
                           "return 1\n";

static void answer_free(struct answer *a)
{
    a->control->pending--;
    a->control->pending_bytes -= a->bytes;
    free(a->method);
    free(a->ticket);
    free(a->reply_to);
    free(a);
}

static void on_pushed(void *ctx, UNUSED uint64_t number, const redisReply *r)
{
    struct answer *a = ctx;

    if (!r) {
        log_warn("control.unanswered", "method=%s reason=\"Redis is away\"", LOGQ(a->method));
    }
    if (a->then_shut_down) {
        a->control->cf.on_shutdown(a->control->cf.ctx);
    }
    answer_free(a);
}

static void push(struct answer *a, const char *envelope, size_t len)
{
    char list[PIDBOX_LIST_SIZE], member[PIDBOX_MEMBER_SIZE];
    const char *argv[] = {"EVAL",
                          PUSH,
                          "2",
                          PIDBOX_BINDINGS,
                          list,
                          member,
                          envelope,
                          ANSWER_LIVES_S,
                          ANSWER_UNBOUND_S,
                          ANSWER_LIST_LENGTH};

    MUST(pidbox_list(list, a->reply_to) && pidbox_member(member, a->reply_to));
    a->bytes = len;
    a->control->pending_bytes += len;
    rdsa_command(a->control->cf.talk, RDSA_COMMAND_MS, on_pushed, a, 0, ARRAY_LEN(argv), argv);
}

static void send_text(struct answer *a, const char *value)
{
    struct control *c = a->control;
    struct pidbox_reply reply = {.reply_to = a->reply_to,
                                 .ticket = a->ticket,
                                 .node = c->cf.node,
                                 .value = value,
                                 .clock = lamport_tick(c->cf.clock)};
    struct buf envelope;

    if (!a->reply_to) {
        on_pushed(a, 0, &(redisReply){.type = REDIS_REPLY_NIL});
        return;
    }
    buf_init(&envelope, ENVELOPE_BYTES_MAX);
    if (!pidbox_write_reply(&envelope, &reply)) {
        buf_fini(&envelope);
        buf_init(&envelope, ENVELOPE_BYTES_MAX);
        reply.value = "{\"error\": \"the answer is too long\"}";
        if (!pidbox_write_reply(&envelope, &reply)) {
            on_pushed(a, 0, NULL);
            return;
        }
    }
    push(a, envelope.data, envelope.len);
    buf_fini(&envelope);
}

void answer_value(struct answer *a, cJSON *value)
{
    char *text = value ? json_print(value) : NULL;

    if (text) {
        text_make_utf8(text); /* settings and names come from outside, too */
    }
    send_text(a, text ? text : "{\"error\": \"MemoryError()\"}");
    free(text);
    cJSON_Delete(value);
}

void answer_null(struct answer *a)
{
    send_text(a, "null");
}

PRINTF_LIKE(3, 0)
static void answer_member(struct answer *a, const char *name, const char *fmt, va_list ap)
{
    cJSON *o = cJSON_CreateObject();
    char *text = NULL;

    if (vasprintf(&text, fmt, ap) < 0) {
        text = NULL;
    }
    if (!text || !cJSON_AddStringToObject(o, name, text)) {
        cJSON_Delete(o);
        o = NULL;
    }
    free(text);
    answer_value(a, o);
}

void answer_ok(struct answer *a, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    answer_member(a, "ok", fmt, ap);
    va_end(ap);
}

void answer_error(struct answer *a, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    answer_member(a, "error", fmt, ap);
    va_end(ap);
}

void answer_missing(struct answer *a, const char *method, const char *argument)
{
    answer_error(a, "TypeError(\"%s() missing 1 required positional argument: '%s'\")", method,
                 argument);
}

void answer_then_shut_down(struct answer *a)
{
    a->then_shut_down = true;
}

struct control *answer_control(const struct answer *a)
{
    return a->control;
}

/* ---- requests ---- */

static const struct control_method *find_in(const struct control_method *methods, size_t n,
                                            const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(methods[i].name, name) == 0 ||
            (methods[i].alias && strcmp(methods[i].alias, name) == 0)) {
            return &methods[i];
        }
    }
    return NULL;
}

static const struct control_method *find(const char *name)
{
    const struct control_method *m = find_in(CONTROL_LOOK, CONTROL_LOOK_COUNT, name);

    return m ? m : find_in(CONTROL_DO, CONTROL_DO_COUNT, name);
}

/* Whoever can publish could fill our log. */
static bool may_complain(struct control *c)
{
    int64_t now = clock_mono_ms();

    if (now - c->complained_ms > COMPLAINTS_MS) {
        c->complained_ms = now;
        c->complaints = 0;
    }
    return ++c->complaints <= COMPLAINTS_MAX;
}

static struct answer *answer_new(struct control *c, const struct pidbox_request *r)
{
    struct answer *a = mem_alloc(sizeof *a);

    c->pending++;
    a->control = c;
    a->method = mem_strdup(r->method);
    a->ticket = r->ticket ? mem_strdup(r->ticket) : NULL;
    a->reply_to = r->reply_to ? mem_strdup(r->reply_to) : NULL;
    return a;
}

static void perform(struct control *c, const struct pidbox_request *r)
{
    const struct control_method *m = find(r->method);
    const cJSON none = {.type = cJSON_Object};
    struct answer *a = answer_new(c, r);

    log_debug("control.request", "method=%s reply=%d", LOGQ(r->method), r->reply_to != NULL);
    if (m) {
        m->fn(c, r->arguments ? r->arguments : &none, a);
        return;
    }
    if (may_complain(c)) {
        log_warn("control.unknown", "method=%s", LOGQ(r->method));
    }
    answer_error(a, "KeyError('%s')", r->method);
}

static void refuse_matcher(struct control *c, const struct pidbox_request *r)
{
    if (may_complain(c)) {
        log_warn("control.ignored", "error=\"unknown matcher\" matcher=%s", LOGQ(r->matcher));
    }
    if (r->reply_to) {
        answer_error(answer_new(c, r),
                     "MatcherNotInstalled('%s: only glob, or name the nodes as destination')",
                     r->matcher);
    }
}

void control_on_message(void *ctx, UNUSED const char *channel, const char *bytes, size_t len)
{
    struct control *c = ctx;
    struct pidbox_request r;
    struct err e;

    if (!pidbox_read_request(bytes, len, &r, &e)) {
        if (may_complain(c)) {
            log_warn("control.ignored", "bytes=%zu error=%s", len, LOGQ(e.text));
        }
    } else if (c->pending >= PENDING_MAX || c->pending_bytes >= PENDING_BYTES_MAX) {
        if (may_complain(c)) {
            log_warn("control.ignored", "method=%s error=\"too many unanswered\"", LOGQ(r.method));
        }
    } else {
        lamport_hear(c->cf.clock, r.clock);
        switch (pidbox_address(&r, c->cf.node)) {
        case PIDBOX_OURS:
            perform(c, &r);
            break;
        case PIDBOX_UNKNOWN_MATCHER:
            refuse_matcher(c, &r);
            break;
        case PIDBOX_OTHERS:
            break;
        }
    }
    pidbox_request_fini(&r);
}

/* ---- arguments ---- */

bool control_each_text(const cJSON *v, void (*fn)(void *ctx, const char *text), void *ctx)
{
    const cJSON *item;

    if (cJSON_IsString(v)) {
        fn(ctx, v->valuestring);
        return true;
    }
    if (!cJSON_IsArray(v)) {
        return false;
    }
    cJSON_ArrayForEach(item, v)
    {
        if (!cJSON_IsString(item)) {
            return false;
        }
    }
    cJSON_ArrayForEach(item, v)
    {
        fn(ctx, item->valuestring);
    }
    return true;
}

bool control_is_true(const cJSON *args, const char *name)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(args, name);

    return cJSON_IsTrue(v) || (cJSON_IsNumber(v) && v->valuedouble != 0);
}

/* ---- life ---- */

struct control *control_new(const struct control_config *config)
{
    struct control *c = mem_alloc(sizeof *c);

    c->cf = *config;
    c->started_ms = clock_mono_ms();
    control_hello_init(c);
    return c;
}

void control_free(struct control *c)
{
    event_free(c->hello_timer);
    free(c);
}
