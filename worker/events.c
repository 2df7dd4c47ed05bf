#include "worker/events.h"

#include <stdlib.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/event.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "worker/event_news.h"
#include "worker/job.h"

#define PENDING_BYTES  (256 * KIB) /* published as soon as there is so much */
#define UNANSWERED_MAX 64          /* publications that Redis has not confirmed */

struct events {
    struct events_config cf;
    struct rdsa *talk;
    struct event *beat_timer, *flush_timer;
    struct buf pending; /* "[event, event"; empty: none */
    int pending_count, unanswered;
    bool on;      /* asked for */
    bool heard;   /* somebody got the last one, as far as we know */
    bool offline; /* said so: no heartbeats any more */
    struct events_figures figures;
};

enum { PUBLISHED_TASKS, PUBLISHED_WORKER };

static struct event_head head(struct events *e)
{
    return (struct event_head){
        .node = e->cf.node, .clock = lamport_tick(e->cf.clock), .wall_us = clock_wall_us()};
}

/* ---- publishing ---- */

/*
 * An unwatched worker builds no task events: they stop when nobody got the last ones, and go on
 * when a heartbeat has reached somebody (monitors ask for one when they start).
 */
static void on_published(void *ctx, uint64_t what, const redisReply *r)
{
    struct events *e = ctx;

    e->unanswered--;
    if (!r || r->type != REDIS_REPLY_INTEGER) {
        return;
    }
    if (what == PUBLISHED_TASKS) {
        e->heard = r->integer > 0;
    } else if (r->integer > 0) {
        e->heard = true;
    }
}

/* False when it is not on its way. */
static bool publish(struct events *e, const char *type, const char *body, size_t len, int what)
{
    char channel[EVENT_CHANNEL_SIZE];
    const char *argv[] = {"PUBLISH", event_channel(channel, e->cf.db, type), NULL};
    struct buf envelope;
    bool ok = false;

    if (!e->talk || !rdsa_is_up(e->talk) || e->unanswered >= UNANSWERED_MAX) {
        return false;
    }
    buf_init(&envelope, EVENT_BYTES_MAX);
    if (event_wrap(&envelope, type, e->cf.node, body, len)) {
        argv[2] = envelope.data;
        e->unanswered++;
        rdsa_command(e->talk, RDSA_COMMAND_MS, on_published, e, (uint64_t)what, 3, argv);
        ok = true;
    }
    buf_fini(&envelope);
    return ok;
}

static void flush(struct events *e)
{
    struct buf *b = &e->pending;

    if (e->pending_count == 0) {
        return;
    }
    if (buf_addch(b, ']') && publish(e, EVENT_MULTI, b->data, b->len, PUBLISHED_TASKS)) {
        e->figures.sent += e->pending_count;
    } else {
        e->figures.dropped += e->pending_count;
    }
    e->pending_count = 0;
    buf_reset(b);
}

static void on_flush(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    flush(arg);
}

/* ---- tasks ---- */

static bool wanted(const struct events *e)
{
    return e->on && e->heard && e->talk && rdsa_is_up(e->talk);
}

/* What happens in one turn of the loop goes out at its end, together. */
static void added(struct events *e)
{
    if (e->pending_count++ == 0) {
        loop_arm_ms(e->flush_timer, 0);
    }
    if (e->pending.failed || e->pending.len > PENDING_BYTES) {
        flush(e);
    }
}

static struct buf *begin(struct events *e)
{
    buf_addstr(&e->pending, e->pending_count == 0 ? "[" : ", ");
    return &e->pending;
}

void events_on_news(struct events *e, const struct job_report *report)
{
    if (wanted(e) && report->job->msg.id[0]) {
        struct event_head h = head(e);

        event_news(begin(e), &h, report);
        added(e);
    }
}

void events_on_revoked(struct events *e, const char *id)
{
    if (wanted(e)) {
        struct event_head h = head(e);

        event_revoked(begin(e), &h, id);
        added(e);
    }
}

bool events_switch(struct events *e, bool on)
{
    bool changed = e->on != on;

    e->on = on;
    e->heard |= on; /* whoever asks for them listens */
    if (changed) {
        log_info("events.switched", "on=%d", on);
    }
    return changed;
}

/* ---- the worker itself ---- */

static void say(struct events *e, const char *type)
{
    struct events_load load = e->cf.load(e->cf.ctx);
    struct event_head h = head(e);
    struct buf b;

    flush(e); /* what has happened before */
    buf_init(&b, EVENT_BYTES_MAX);
    event_worker(&b, &h, type, &load);
    if (!b.failed) {
        publish(e, type, b.data, b.len, PUBLISHED_WORKER);
    }
    buf_fini(&b);
}

static void on_beat(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    struct events *e = arg;

    if (!e->offline) {
        loop_arm_ms(e->beat_timer, EVENT_FREQ_S * 1000);
        say(e, "worker-heartbeat");
    }
}

void events_say_heartbeat(struct events *e)
{
    e->heard = true;
    say(e, "worker-heartbeat");
}

void events_say_offline(struct events *e)
{
    if (!e->offline) {
        e->offline = true;
        say(e, "worker-offline");
    }
}

void events_on_up(struct events *e, struct rdsa *talk)
{
    e->talk = talk;
    if (!e->offline) {
        say(e, "worker-online");
        loop_arm_ms(e->beat_timer, EVENT_FREQ_S * 1000);
    }
}

/* ---- life ---- */

struct events *events_new(const struct events_config *config)
{
    struct events *e = mem_alloc(sizeof *e);

    e->cf = *config;
    e->on = config->on;
    e->heard = true;
    buf_init(&e->pending, EVENT_BYTES_MAX / 2);
    e->beat_timer = evtimer_new(config->base, on_beat, e);
    e->flush_timer = evtimer_new(config->base, on_flush, e);
    MUST(e->beat_timer && e->flush_timer);
    return e;
}

void events_free(struct events *e)
{
    event_free(e->beat_timer);
    event_free(e->flush_timer);
    buf_fini(&e->pending);
    free(e);
}

struct events_figures events_figures(const struct events *e)
{
    return e->figures;
}
