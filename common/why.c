#include "common/why.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Year 9999. */
#define TIME_MAX_S 253402300799.0
/* Sent within this is on time. */
#define ON_TIME_S 1.0

static const char *const NAMES[] = {
    [WHY_SENT] = "sent",       [WHY_SKIPPED] = "skipped", [WHY_MISSED] = "missed",
    [WHY_WAITING] = "waiting", [WHY_FUTURE] = "future",   [WHY_UNKNOWN] = "unknown",
    [WHY_NO_SLOT] = "no-slot"};

const char *why_verdict_name(enum why_verdict v)
{
    return NAMES[v];
}

const char *why_span(double seconds, char out[WHY_SPAN_SIZE])
{
    static const struct {
        double below;
        int64_t unit, part;
        const char *unit_name, *part_name;
    } STEPS[] = {
        {3600, 60, 1, "min", "s"}, {86400, 3600, 60, "h", "min"}, {1e15, 86400, 3600, "d", "h"}};
    int64_t s = seconds < TIME_MAX_S ? (int64_t)seconds : (int64_t)TIME_MAX_S;
    size_t i = 0;
    int n;

    if (seconds < 0.9995) {
        snprintf(out, WHY_SPAN_SIZE, "%d ms", (int)(seconds * 1000 + 0.5));
        return out;
    }
    if (s < 60) {
        snprintf(out, WHY_SPAN_SIZE, "%d s", (int)s);
        return out;
    }
    while (seconds >= STEPS[i].below && i + 1 < ARRAY_LEN(STEPS)) {
        i++;
    }
    n = snprintf(out, WHY_SPAN_SIZE, "%" PRId64 " %s", s / STEPS[i].unit, STEPS[i].unit_name);
    if (s % STEPS[i].unit / STEPS[i].part > 0) {
        snprintf(out + n, WHY_SPAN_SIZE - (size_t)n, " %" PRId64 " %s",
                 s % STEPS[i].unit / STEPS[i].part, STEPS[i].part_name);
    }
    return out;
}

static void say(struct why *w, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Appends; what does not fit is cut. */
static void say(struct why *w, const char *fmt, ...)
{
    size_t len = strlen(w->text);
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(w->text + len, sizeof w->text - len, fmt, ap);
    va_end(ap);
}

static int64_t number(const cJSON *o, const char *name, int64_t fallback)
{
    int64_t n;

    return json_get_i64(o, name, INT64_MIN, INT64_MAX, &n) ? n : fallback;
}

static double real(const cJSON *o, const char *name, double fallback)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, name);

    return cJSON_IsNumber(v) ? v->valuedouble : fallback;
}

static bool is_text(const cJSON *o, const char *name, const char *text)
{
    const char *s = json_get_str(o, name);

    return s && strcmp(s, text) == 0;
}

static void say_time(const struct why_facts *f, struct why *w, double at_s)
{
    char text[ZONE_TEXT_SIZE];

    at_s = at_s > 0 && at_s < TIME_MAX_S ? at_s : 0; /* whatever stood in the ledger */
    say(w, "%s", zone_text(f->zone, (int64_t)at_s, text));
}

/* ---- causes ---- */

/* The clock was put forward over the slot. */
static bool say_step(const struct why_facts *f, int64_t slot_s, struct why *w)
{
    char span[WHY_SPAN_SIZE];
    const cJSON *n;

    cJSON_ArrayForEach(n, f->notes)
    {
        double at = real(n, "at", 0), step = real(n, "step", 0);

        if (is_text(n, "what", "clock") && step > 0 && (double)slot_s > at - step - 2 &&
            (double)slot_s <= at) {
            say(w, "Redis' clock jumped forward by %s at ", why_span(step, span));
            say_time(f, w, at);
            return true;
        }
    }
    return false;
}

static bool say_outage(const struct why_facts *f, int64_t slot_s, struct why *w)
{
    double from = 1e300, to = 0;
    const cJSON *n;

    cJSON_ArrayForEach(n, f->notes)
    {
        double a = real(n, "from", 0), b = real(n, "to", 0);

        /* What one beat saw a little later than another is the same outage. */
        if (is_text(n, "what", "redis") && (double)slot_s >= a - 2 && (double)slot_s <= b) {
            from = fmin(from, a);
            to = fmax(to, b);
        }
    }
    if (to == 0) {
        return false;
    }
    say(w, "Redis was down from ");
    say_time(f, w, from);
    say(w, " to ");
    say_time(f, w, to);
    return true;
}

static bool say_no_beat(const struct why_facts *f, int64_t slot_s, struct why *w)
{
    int64_t before = -1, after = -1;
    const cJSON *p;

    cJSON_ArrayForEach(p, f->periods)
    {
        int64_t from = number(p, "from", -1), to = number(p, "to", -1);

        if (from >= 0 && slot_s >= from && slot_s < to) {
            return false;
        }
        if (from > slot_s && (after < 0 || from < after)) {
            after = from;
        }
        if (to >= 0 && to <= slot_s && to > before) {
            before = to;
        }
    }
    if (before < 0 && after < 0) {
        return false;
    }
    say(w, "no beat was running");
    if (before >= 0) {
        say(w, " from about ");
        say_time(f, w, before);
    }
    if (after >= 0) {
        say(w, before >= 0 ? " to " : " before ");
        say_time(f, w, after);
    }
    return true;
}

static bool say_cause(const struct why_facts *f, int64_t slot_s, struct why *w)
{
    return say_step(f, slot_s, w) || say_outage(f, slot_s, w) || say_no_beat(f, slot_s, w);
}

/* ---- the ledger ---- */

/* When the next slot after slot_s had begun, this one was made up for. */
static void tell_sent(const struct why_facts *f, const cJSON *e, struct why *w)
{
    double sent_at = real(e, "sent_at", (double)w->slot_s), late = sent_at - (double)w->slot_s;
    int64_t missed = number(e, "missed", 0), next_s;
    char span[WHY_SPAN_SIZE];
    bool over = schedule_next(f->schedule, w->slot_s, &next_s) && (double)next_s <= sent_at;

    w->verdict = WHY_SENT;
    snprintf(w->id, sizeof w->id, "%s", json_get_str(e, "id") ? json_get_str(e, "id") : "");
    if (late < ON_TIME_S) {
        say(w, " was sent on time (%s after it began)", why_span(late > 0 ? late : 0, span));
    } else {
        say(w, " was %s %s late, at ", over ? "caught up" : "sent", why_span(late, span));
        say_time(f, w, sent_at);
    }
    say(w, " as task %s", w->id);
    if (missed > 0) {
        say(w, ", also for the %" PRId64 " slot%s missed since ", missed, missed == 1 ? "" : "s");
        say_time(f, w, (double)number(e, "missed_from", w->slot_s));
    }
    if (json_get_str(e, "cancelled")) {
        say(w, "; its predecessor, task %.60s, was cancelled for it", json_get_str(e, "cancelled"));
    }
    if (late >= ON_TIME_S) {
        size_t len = strlen(w->text);

        say(w, ": ");
        if (!say_cause(f, w->slot_s, w)) {
            w->text[len] = '\0';
        }
    }
}

static void tell_paused(const struct why_facts *f, const char *by, const char *reason,
                        int64_t since_s, struct why *w)
{
    say(w, "%s was paused", f->schedule->name);
    if (by && *by) {
        say(w, " by %.200s", by);
    }
    if (since_s > 0) {
        say(w, " since ");
        say_time(f, w, (double)since_s);
    }
    if (reason && *reason) {
        say(w, " (%.200s)", reason);
    }
}

static void tell_overlap(const cJSON *e, struct why *w)
{
    static const struct {
        const char *state, *text;
    } STATES[] = {{"queued", "still waited in the queue"},
                  {"delayed", "waited for its next attempt"},
                  {"held", "was still held by a worker"}};
    const char *id = json_get_str(e, "with");

    snprintf(w->id, sizeof w->id, "%s", id ? id : "");
    say(w, "its predecessor, task %s, ", w->id);
    for (size_t i = 0; i < ARRAY_LEN(STATES); i++) {
        if (is_text(e, "state", STATES[i].state)) {
            say(w, "%s", STATES[i].text);
            return;
        }
    }
    say(w, "had not ended");
}

static void tell_missed(const struct why_facts *f, const cJSON *e, struct why *w)
{
    w->verdict = WHY_MISSED;
    say(w, " was not sent: ");
    if (!say_cause(f, w->slot_s, w)) {
        say(w, "no beat sent it in time, and no reason is on record");
    }
    if (!json_get_str(e, "skipped")) {
        say(w, "; the next one that was sent is that of ");
        say_time(f, w, (double)number(e, "slot", 0));
    }
}

static void tell_skipped(const struct why_facts *f, const cJSON *e, struct why *w)
{
    int64_t since_s = number(e, "since", 0);

    /* What was missed before the pause began is one thing, what the pause skipped another. */
    if (is_text(e, "skipped", "missed") || since_s > w->slot_s) {
        tell_missed(f, e, w);
        return;
    }
    w->verdict = WHY_SKIPPED;
    say(w, " was skipped: ");
    if (is_text(e, "skipped", "paused")) {
        tell_paused(f, json_get_str(e, "by"), json_get_str(e, "reason"), since_s, w);
    } else if (is_text(e, "skipped", "overlap")) {
        tell_overlap(e, w);
    } else {
        size_t len;

        say(w, "it could not be sent within a minute, and %s skips what it missed",
            f->schedule->name);
        len = strlen(w->text);
        say(w, "; ");
        if (!say_cause(f, w->slot_s, w)) {
            w->text[len] = '\0';
        }
    }
}

static bool is_run(const cJSON *e)
{
    return json_get_bool(e, "run", false);
}

/*
 * What the ledger says of the slot; false when it says nothing. Newest first: a slot that was
 * missed and sent when its time came again was sent.
 */
static bool tell_ledger(const struct why_facts *f, struct why *w)
{
    const cJSON *e, *missed = NULL;

    cJSON_ArrayForEach(e, f->ledger)
    {
        int64_t slot_s = number(e, "slot", -1), to_s = number(e, "to", slot_s);

        if (is_run(e) || slot_s < 0) {
            continue;
        }
        if (json_get_str(e, "skipped") && slot_s <= w->slot_s && w->slot_s <= to_s) {
            tell_skipped(f, e, w);
            return true;
        }
        if (!json_get_str(e, "skipped") && slot_s == w->slot_s) {
            tell_sent(f, e, w);
            return true;
        }
        if (!missed && number(e, "missed", 0) > 0 &&
            number(e, "missed_from", slot_s) <= w->slot_s && w->slot_s < slot_s) {
            missed = e;
        }
    }
    if (missed) {
        tell_missed(f, missed, w);
    }
    return missed != NULL;
}

/* ---- without the ledger ---- */

static void tell_future(const struct why_facts *f, struct why *w)
{
    char span[WHY_SPAN_SIZE];

    w->verdict = WHY_FUTURE;
    say(w, " is due in %s", why_span((double)(w->slot_s - f->now_s), span));
    if (f->schedule->pause.on) {
        say(w, ", but will be skipped unless it is resumed: ");
        tell_paused(f, f->schedule->pause.by, f->schedule->pause.reason, f->schedule->pause.since_s,
                    w);
    } else if (f->beats == 0) {
        say(w, ", but no beat is running now");
    }
}

static void tell_waiting(const struct why_facts *f, struct why *w)
{
    char span[WHY_SPAN_SIZE];

    w->verdict = WHY_WAITING;
    say(w, " was due %s ago and has not been dealt with yet: ",
        why_span((double)(f->now_s - w->slot_s), span));
    say(w, f->beats == 0 ? "no beat is running" : "a beat is running and should send it now");
}

/* The note of a pause that ended before any beat could write down what it skipped; NULL: none. */
static const cJSON *noted_pause(const struct why_facts *f, int64_t slot_s)
{
    int64_t resumed_s = INT64_MAX;
    const cJSON *n;

    cJSON_ArrayForEach(n, f->notes)
    {
        int64_t at_s = number(n, "at", -1);

        if (!is_text(n, "schedule", f->schedule->name) || at_s < 0) {
            continue;
        }
        if (is_text(n, "what", "resume")) {
            resumed_s = at_s;
        } else if (is_text(n, "what", "pause") && at_s <= slot_s) {
            return slot_s <= resumed_s ? n : NULL;
        }
    }
    return NULL;
}

static bool tell_noted_pause(const struct why_facts *f, struct why *w)
{
    const cJSON *n = noted_pause(f, w->slot_s);

    if (n) {
        w->verdict = WHY_SKIPPED;
        say(w, " was skipped: ");
        tell_paused(f, json_get_str(n, "by"), json_get_str(n, "reason"), number(n, "at", 0), w);
    }
    return n != NULL;
}

static int64_t oldest_slot(const struct why_facts *f)
{
    const cJSON *e = cJSON_GetArrayItem(f->ledger, cJSON_GetArraySize(f->ledger) - 1);
    int64_t slot_s = number(e, "slot", -1);

    return e ? number(e, "missed_from", slot_s) : -1;
}

static void tell_unknown(const struct why_facts *f, struct why *w)
{
    int64_t oldest_s = oldest_slot(f);

    w->verdict = WHY_UNKNOWN;
    if (oldest_s >= 0 && w->slot_s < oldest_s) {
        say(w, " is older than the ledger, which begins at ");
        say_time(f, w, (double)oldest_s);
    } else if (oldest_s < 0) {
        say(w, " is from before the first start: no slot of %s was ever sent or skipped",
            f->schedule->name);
    } else {
        size_t len;

        say(w, " left no trace: the timetable was another one then, or Redis lost data");
        len = strlen(w->text);
        say(w, "; ");
        if (!say_cause(f, w->slot_s, w)) {
            w->text[len] = '\0';
        }
    }
}

/* The ledger or a note tells of slot_s: by itself, or in a run that was skipped or missed. */
static bool is_told(const struct why_facts *f, int64_t slot_s)
{
    const cJSON *e;

    cJSON_ArrayForEach(e, f->ledger)
    {
        int64_t first_s = number(e, "missed_from", number(e, "slot", INT64_MAX));

        if (!is_run(e) && first_s <= slot_s && slot_s <= number(e, "to", number(e, "slot", -1))) {
            return true;
        }
    }
    return noted_pause(f, slot_s) != NULL;
}

/*
 * The slot at at_s or the last one before it. A slot of an earlier timetable counts when the ledger
 * tells of it.
 */
static int64_t slot_of(const struct why_facts *f, int64_t at_s)
{
    struct schedule always = *f->schedule;
    int64_t slot_s = -1, earlier_s;
    const cJSON *e;

    always.since_s = 0;
    if (!schedule_prev(f->schedule, at_s, &slot_s)) {
        slot_s = schedule_prev(&always, at_s, &earlier_s) && is_told(f, earlier_s) ? earlier_s : -1;
    }
    cJSON_ArrayForEach(e, f->ledger)
    {
        int64_t s = number(e, "slot", -1);

        if (!is_run(e) && s > slot_s && s <= at_s) {
            slot_s = s;
        }
    }
    return slot_s;
}

void why_tell(const struct why_facts *f, int64_t at_s, struct why *w)
{
    *w = (struct why){.slot_s = slot_of(f, at_s)};
    if (w->slot_s < 0) {
        w->verdict = WHY_NO_SLOT;
        say(w, "%s has no slot at or before ", f->schedule->name);
        say_time(f, w, (double)at_s);
        if (f->schedule->since_s > at_s) {
            say(w, ": its timetable counts since ");
            say_time(f, w, (double)f->schedule->since_s);
        }
        say(w, ".");
        return;
    }
    say(w, "The slot of %s at ", f->schedule->name);
    say_time(f, w, (double)w->slot_s);
    if (w->slot_s > f->now_s) {
        tell_future(f, w);
    } else if (!tell_ledger(f, w) && !tell_noted_pause(f, w)) {
        if (w->slot_s > f->last_s && f->last_s >= 0) {
            tell_waiting(f, w);
        } else {
            tell_unknown(f, w);
        }
    }
    say(w, ".");
}
