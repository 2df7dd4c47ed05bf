#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "common/source_parts.h"

/*
 * One request: ask the gate for a moment, start when it has come, fetch, read, tell the gate. The
 * gate is the one in Redis; when that gives no answer, the one of this process.
 */
#define LOOKUP_PATIENCE_MS 5000 /* somebody waits */
#define SHEET_PATIENCE_MS  60000
#define LEASE_MORE_MS      5000 /* beyond the time that the request may take */

static void ask_gate(struct source_job *j);

static struct gate_pace pace_of(const struct source_job *j)
{
    const struct source_settings *s = j->src->settings;

    return (struct gate_pace){.interval_ms = s->interval_ms,
                              .patience_ms = j->sheet ? SHEET_PATIENCE_MS : LOOKUP_PATIENCE_MS,
                              .lease_ms = s->timeout_ms + LEASE_MORE_MS};
}

/* ---- what Redis says is remembered, for when it is away ---- */

static void note_rest(struct source *s, int64_t rest_ms)
{
    s->gate.rest_until_ms = clock_mono_ms() + rest_ms;
}

static void note_start(struct source *s)
{
    s->gate.has_started = true;
    s->gate.started_ms = clock_mono_ms();
}

/* ---- telling the gate, and the end ---- */

static void log_report(const struct source_job *j, int64_t rest_ms)
{
    const struct source_asked *asked = &j->ask.asked;

    if (asked->outcome == SOURCE_RESTING || asked->outcome == SOURCE_UNAVAILABLE) {
        log_warn("source.failed", "rest_ms=%" PRId64 " error=%s", rest_ms, LOGQ(asked->err.text));
    }
}

static void on_told(struct source_job *j, const redisReply *r)
{
    struct source_ask *a = &j->ask;
    struct source *s = j->src;
    bool told = r && r->type == REDIS_REPLY_INTEGER;
    int64_t rest_ms =
        told ? r->integer : gate_local_tell(&s->gate, &a->report, a->id, clock_mono_ms());

    if (told) {
        note_rest(s, rest_ms);
    } else {
        s->untold |= rest_ms > 0;
    }
    log_report(j, rest_ms);
    if (a->again) {
        a->again = false;
        ask_gate(j);
        return;
    }
    if (a->asked.outcome == SOURCE_RESTING) {
        a->asked.retry_after_ms = rest_ms;
    }
    a->done(j, &a->asked);
}

/* One that was started while Redis was away ends here, whoever counts how it went. */
static void end_local_flight(struct source_job *j)
{
    gate_local_tell(&j->src->gate, &(struct gate_report){GATE_GIVEN_UP, -1}, j->ask.id,
                    clock_mono_ms());
}

static void tell_gate(struct source_job *j)
{
    struct command c;

    j->ask.started = false;
    end_local_flight(j);
    if (source_redis_state(j->src) == SOURCE_REDIS_UP) {
        gate_tell(&c, &j->ask.report, j->ask.id);
        source_redis(j, &c, on_told);
    } else {
        on_told(j, NULL);
    }
}

/* ---- the answer ---- */

static enum plaync_verdict judge(struct source_job *j, const struct fetch_reply *r, struct err *e)
{
    enum plaync_verdict v;
    cJSON *doc;

    if (r->status == 0) {
        err_set(e, ERR_RETRYABLE, "SourceError", "the source did not answer: %s", r->error);
        return PLAYNC_UNAVAILABLE;
    }
    doc = json_parse(r->body, r->len, e);
    if (!doc && r->status == 200 && r->len > 0 && plaync_is_json(r->type)) {
        err_prefix(e, "the source's answer cannot be read");
        return PLAYNC_UNAVAILABLE; /* broken or cut off, not a page that asks for quiet */
    }
    v = plaync_judge(r->status, r->type, doc, e);
    if (v == PLAYNC_OK) {
        v = j->ask.read(j, doc, e);
    }
    cJSON_Delete(doc);
    return v;
}

/* What an answer means for who asked, and for the gate. */
static const struct {
    enum source_outcome outcome;
    enum gate_result result;
} MEANINGS[] = {
    [PLAYNC_OK] = {SOURCE_FOUND, GATE_OK},
    [PLAYNC_NOT_FOUND] = {SOURCE_NOT_FOUND, GATE_OK},
    [PLAYNC_BUSY] = {SOURCE_RESTING, GATE_BUSY},
    [PLAYNC_UNAVAILABLE] = {SOURCE_UNAVAILABLE, GATE_FAILED},
};

static void on_fetched(void *ctx, const struct fetch_reply *r)
{
    struct source_job *j = ctx;
    struct source_ask *a = &j->ask;
    enum plaync_verdict v = judge(j, r, &a->asked.err);

    log_debug("source.asked", "status=%ld ms=%" PRId64 " bytes=%zu url=%s", r->status,
              r->took_us / 1000, r->len, LOGQ(a->url));
    a->call = NULL;
    a->asked.outcome = MEANINGS[v].outcome;
    a->report.result = MEANINGS[v].result;
    a->report.retry_after_ms =
        v == PLAYNC_BUSY && r->retry_after_s >= 0 ? r->retry_after_s * 1000 : -1;
    /* A single 503 is a hiccup more often than a wish for quiet. */
    if (r->status == 503 && a->report.retry_after_ms < 0 && !a->tried) {
        a->tried = a->again = true;
        a->report.result = GATE_FAILED;
    }
    tell_gate(j);
}

static void send_request(struct source_job *j)
{
    struct source_ask *a = &j->ask;

    a->started = true;
    a->call = fetch_get(j->src->fetch, a->url, on_fetched, j, &a->asked.err);
    if (!a->call) {
        a->asked.outcome = SOURCE_UNAVAILABLE;
        a->report = (struct gate_report){GATE_GIVEN_UP, -1};
        tell_gate(j);
    }
}

/* ---- through the gate ---- */

static void turned_away(struct source_job *j, const struct gate_answer *g)
{
    struct source_asked *asked = &j->ask.asked;

    asked->retry_after_ms = g->wait_ms;
    if (g->verdict == GATE_CROWDED) {
        asked->outcome = SOURCE_CROWDED;
        err_set(&asked->err, ERR_RETRYABLE, "SourceCrowded",
                "too many requests wait for the source");
    } else {
        note_rest(j->src, g->wait_ms);
        asked->outcome = SOURCE_RESTING;
        err_set(&asked->err, ERR_RETRYABLE, "SourceResting",
                "the source is given a rest for another %" PRId64 " s", (g->wait_ms + 999) / 1000);
    }
    j->ask.done(j, asked);
}

static void start_gate(struct source_job *j);

static void on_start(struct source_job *j, const redisReply *r)
{
    struct gate_pace pace = pace_of(j);
    struct gate_answer g;

    if (!gate_read(r, &g)) {
        g = gate_local_start(&j->src->gate, &pace, j->ask.id, clock_mono_ms());
    }
    if (g.verdict == GATE_GO) {
        note_start(j->src);
        send_request(j);
    } else if (g.verdict == GATE_WAIT) {
        source_job_after(j, g.wait_ms, start_gate);
    } else {
        turned_away(j, &g);
    }
}

static void start_gate(struct source_job *j)
{
    struct gate_pace pace = pace_of(j);
    struct command c;

    if (source_redis_state(j->src) == SOURCE_REDIS_UP) {
        gate_start(&c, &pace, j->ask.id);
        source_redis(j, &c, on_start);
    } else {
        on_start(j, NULL);
    }
}

static void on_moment(struct source_job *j, const redisReply *r)
{
    struct gate_pace pace = pace_of(j);
    struct gate_answer g;

    if (!gate_read(r, &g)) {
        g = gate_local_ask(&j->src->gate, &pace, clock_mono_ms());
    }
    if (g.verdict == GATE_GO) {
        source_job_after(j, g.wait_ms, start_gate);
    } else {
        turned_away(j, &g);
    }
}

/* What went wrong while Redis was away, when it is back: the site still wants quiet. */
static void catch_up(struct source *s)
{
    int64_t left_ms = s->gate.rest_until_ms - clock_mono_ms();
    struct command c;

    if (s->untold && left_ms > 0) {
        gate_tell(&c, &(struct gate_report){GATE_BUSY, left_ms}, "");
        source_redis_tell(s, &c);
    }
    s->untold = false;
    s->gate.rest_until_ms = s->gate.failures = s->gate.rests = 0;
}

static void ask_gate(struct source_job *j)
{
    struct gate_pace pace = pace_of(j);
    struct command c;

    switch (source_redis_state(j->src)) {
    case SOURCE_REDIS_COMING:
        source_job_after(j, SOURCE_REDIS_POLL_MS, ask_gate);
        break;
    case SOURCE_REDIS_UP:
        catch_up(j->src);
        gate_ask(&c, &pace);
        source_redis(j, &c, on_moment);
        break;
    case SOURCE_REDIS_NONE:
        on_moment(j, NULL);
        break;
    }
}

void source_ask(struct source_job *j, source_read_fn read, source_asked_fn done)
{
    struct source_ask *a = &j->ask;

    a->read = read;
    a->done = done;
    a->asked = (struct source_asked){0};
    a->tried = a->again = false;
    snprintf(a->id, sizeof a->id, "%s:%" PRIu64, j->src->id, ++j->src->last_number);
    source_job_after(j, 0, ask_gate);
}

void source_ask_stop(struct source_job *j)
{
    struct source_ask *a = &j->ask;

    fetch_cancel(a->call);
    a->call = NULL;
    if (a->started) {
        a->report = (struct gate_report){GATE_GIVEN_UP, -1};
        a->started = false;
        end_local_flight(j);
        if (source_redis_state(j->src) == SOURCE_REDIS_UP) {
            struct command c;

            gate_tell(&c, &a->report, a->id);
            source_redis_tell(j->src, &c);
        }
    }
}
