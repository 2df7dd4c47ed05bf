/*
 * aion2ctl events: subscribes to the channels on which workers and senders of tasks tell what
 * happens, and prints it. A connection that breaks, or says nothing any more, is made anew.
 */
#include <fnmatch.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/clock.h"
#include "common/envelope.h"
#include "common/event.h"
#include "common/mem.h"
#include "common/nodes.h"
#include "ctl/ctl.h"
#include "ctl/events_line.h"
#include "ctl/interrupt.h"

#define REDIS_TIMEOUT_MS 5000
#define QUIET_MS         10000 /* then the connection is asked whether it lives */
#define AGAIN_MS         1000  /* between attempts to connect */
#define SPAN_MAX_S       31536000

const char CTL_EVENTS_HELP[] =
    "Usage: aion2ctl events [--type TYPE] [--id ID] [--task NAME] [--node NAME]\n"
    "                       [--heartbeats] [--enable] [--count N] [--for TIME]\n"
    "                       [--dump | --json]\n"
    "\n"
    "Follows what happens: tasks sent, received, started, ended, workers that come\n"
    "and go. Ours tell it while somebody listens; Celery's workers tell of tasks when\n"
    "they were started with -E, or after --enable. Times are UTC.\n"
    "\n"
    "  --type TYPE    only these; may be a pattern: 'task-*'\n"
    "  --id ID        only this task\n"
    "  --task NAME    only tasks of this name; may be a pattern (where the name is\n"
    "                 known)\n"
    "  --node NAME    only from this node; may be a pattern\n"
    "  --heartbeats   also the workers' heartbeats, every 2 s each\n"
    "  --enable       ask all workers to send events of tasks\n"
    "  --count N      end after so many\n"
    "  --for TIME     end after this time: 90s, 15m, 2h, 1d\n"
    "  --dump         every member of each event, one event a line\n"
    "  --json         one JSON object a line, as it was sent\n"
    "\n"
    "Examples:\n"
    "  aion2ctl events\n"
    "  aion2ctl events --type 'task-failed' --json | jq -r .exception\n"
    "  aion2ctl events --id 6f1c2a9e-0d42-4c39-9a54-0a3f7a7f6f7c --count 3 --for 1m\n"
    "\n"
    "Exit codes: 0 ended as asked (also by an interrupt), 2 less than --count came\n"
    "within --for, 64 wrong usage, 69 Redis not reachable at the beginning.\n";

struct options {
    const char *type, *id, *task, *node;
    int64_t count, for_s;
    bool heartbeats, enable, dump, json;
};

const struct opt CTL_EVENTS_OPTS[] = {
    {"type", OPT_TEXT, offsetof(struct options, type), 0, 0, NULL},
    {"id", OPT_TEXT, offsetof(struct options, id), 0, 0, NULL},
    {"task", OPT_TEXT, offsetof(struct options, task), 0, 0, NULL},
    {"node", OPT_TEXT, offsetof(struct options, node), 0, 0, NULL},
    {"heartbeats", OPT_FLAG, offsetof(struct options, heartbeats), 0, 0, NULL},
    {"enable", OPT_FLAG, offsetof(struct options, enable), 0, 0, NULL},
    {"count", OPT_I64, offsetof(struct options, count), 1, INT64_MAX, NULL},
    {"for", OPT_SPAN, offsetof(struct options, for_s), 1, SPAN_MAX_S, NULL},
    {"dump", OPT_FLAG, offsetof(struct options, dump), 0, 0, NULL},
    {"json", OPT_FLAG, offsetof(struct options, json), 0, 0, NULL},
    OPT_END,
};

struct follow {
    const struct options *o;
    const struct rds_addr *addr;
    struct term term;
    struct event_names *names;
    redisContext *sub; /* NULL: not connected */
    const volatile sig_atomic_t *stop;
    int64_t deadline_ms; /* 0: none */
    int64_t shown, unreadable;
    bool asked; /* whether the connection lives */
};

/* --------------------------------------------------------------------------- what is printed */

static bool matches(const char *pattern, const char *text)
{
    return !pattern || (text && fnmatch(pattern, text, 0) == 0);
}

static bool is_wanted(const struct follow *f, const cJSON *event)
{
    const char *type = json_get_str(event, "type"), *id = json_get_str(event, "uuid");
    const char *name = id ? event_names_find(f->names, id) : NULL;

    if (strcmp(type, "worker-heartbeat") == 0 && !f->o->heartbeats && !f->o->type) {
        return false;
    }
    return matches(f->o->type, type) && matches(f->o->node, json_get_str(event, "hostname")) &&
           (!f->o->id || (id && strcmp(id, f->o->id) == 0)) && matches(f->o->task, name);
}

static bool is_over(const struct follow *f)
{
    return *f->stop || (f->o->count > 0 && f->shown >= f->o->count) ||
           (f->deadline_ms > 0 && clock_mono_ms() >= f->deadline_ms) || ferror(f->term.out);
}

static void show(struct follow *f, const cJSON *event)
{
    if (!event_is_one(event)) {
        f->unreadable++;
        return;
    }
    event_names_learn(f->names, event);
    if (is_over(f) || !is_wanted(f, event)) {
        return;
    }
    f->shown++;
    if (f->o->json) {
        ctl_print_json("events", cJSON_Duplicate(event, true));
    } else if (f->o->dump) {
        event_print_dump(&f->term, event);
    } else {
        event_print_line(&f->term, event, f->names, term_width(&f->term));
    }
}

/* A publication: an envelope around an event, or around an array of them. */
static void take(struct follow *f, const redisReply *bytes)
{
    struct envelope v;
    struct err ignored;
    const cJSON *event;

    if (!envelope_open(&v, bytes->str, (size_t)bytes->len, &ignored)) {
        f->unreadable++;
    } else if (cJSON_IsArray(v.body)) {
        cJSON_ArrayForEach(event, v.body)
        {
            show(f, event);
        }
    } else {
        show(f, v.body);
    }
    envelope_fini(&v);
    fflush(f->term.out);
}

/* ------------------------------------------------------------------------------- connections */

static void disconnect(struct follow *f)
{
    if (f->sub) {
        redisFree(f->sub);
        f->sub = NULL;
    }
}

/*
 * Workers of ours that nobody listened to are silent until they are asked for a heartbeat, or hear
 * that somebody is there.
 */
static bool wake_workers(const struct follow *f, struct err *e)
{
    redisContext *c = rds_connect(f->addr, REDIS_TIMEOUT_MS, e);
    struct nodes_question q = {.db = f->addr->db, .method = "heartbeat", .arguments = "{}"};
    bool ok = c && nodes_tell(c, &q, e);

    if (ok && f->o->enable) {
        q.method = "enable_events";
        ok = nodes_tell(c, &q, e);
    }
    if (c) {
        redisFree(c);
    }
    return ok;
}

static bool connect_and_subscribe(struct follow *f, struct err *e)
{
    redisReply *r = NULL;

    f->sub = rds_connect(f->addr, REDIS_TIMEOUT_MS, e);
    if (f->sub) {
        r = rds_command(f->sub, e, "PSUBSCRIBE /%d." EVENT_EXCHANGE "/*", f->addr->db);
    }
    freeReplyObject(r);
    if (!r || !wake_workers(f, e)) {
        disconnect(f);
        return false;
    }
    f->asked = false;
    return true;
}

/* Reads what has come; the connection is dropped when it broke. */
static void read_events(struct follow *f)
{
    void *any = NULL;

    if (redisBufferRead(f->sub) != REDIS_OK) {
        disconnect(f);
        return;
    }
    f->asked = false;
    while (redisGetReplyFromReader(f->sub, &any) == REDIS_OK && any) {
        const redisReply *r = any;

        if (r->type == REDIS_REPLY_ARRAY && r->elements == 4 &&
            r->element[3]->type == REDIS_REPLY_STRING) { /* pmessage, pattern, channel, bytes */
            take(f, r->element[3]);
        }
        freeReplyObject(any);
    }
}

/* Nothing came for a while: a PING, and when that was not answered either, the end of it. */
static void check_alive(struct follow *f)
{
    int done = 0;

    if (f->asked || redisAppendCommand(f->sub, "PING") != REDIS_OK) {
        disconnect(f);
        return;
    }
    while (!done) {
        if (redisBufferWrite(f->sub, &done) != REDIS_OK) {
            disconnect(f);
            return;
        }
    }
    f->asked = true;
}

static int pause_ms(const struct follow *f, int64_t at_most)
{
    int64_t left = f->deadline_ms > 0 ? f->deadline_ms - clock_mono_ms() : at_most;

    left = left < at_most ? left : at_most;
    return left > 0 ? (int)left : 0;
}

static void wait_and_read(struct follow *f)
{
    struct pollfd p = {.fd = f->sub->fd, .events = POLLIN};
    int n = poll(&p, 1, pause_ms(f, QUIET_MS));

    if (n > 0) {
        read_events(f);
    } else if (n == 0 && !is_over(f)) {
        check_alive(f);
    }
}

static int follow(struct follow *f)
{
    struct err e;

    if (!connect_and_subscribe(f, &e)) {
        return ctl_fail("events", CTL_UNAVAILABLE, "%s", e.text);
    }
    while (!is_over(f)) {
        if (f->sub) {
            wait_and_read(f);
        } else {
            ctl_fail("events", CTL_UNAVAILABLE, "the connection broke, trying again");
            while (!is_over(f) && !connect_and_subscribe(f, &e)) {
                poll(NULL, 0, pause_ms(f, AGAIN_MS));
            }
        }
    }
    disconnect(f);
    if (f->unreadable > 0) {
        ctl_fail("events", CTL_FAILED, "%" PRId64 " publications were no events", f->unreadable);
    }
    return f->o->count > 0 && f->shown < f->o->count && !*f->stop ? CTL_TIMEOUT : CTL_OK;
}

int ctl_events(const struct ctl_settings *s, int argc, char **argv)
{
    struct options o = {0};
    int code, first = opt_parse("events", CTL_EVENTS_OPTS, argc, argv, &o);
    struct follow f = {.o = &o};
    struct rds_addr addr;
    struct err e;

    if (first < 0 || ctl_no_more("events", first, argc, argv) != CTL_OK) {
        return CTL_USAGE;
    }
    if (!rds_parse_url(s->redis_url, &addr, &e)) {
        return ctl_fail("events", CTL_USAGE, "%s", e.text);
    }
    term_init(&f.term, stdout);
    f.addr = &addr;
    f.names = mem_alloc(sizeof *f.names);
    f.stop = interrupt_watch();
    f.deadline_ms = o.for_s > 0 ? clock_mono_ms() + o.for_s * 1000 : 0;
    code = follow(&f);
    free(f.names);
    return code;
}
