#include "scheduler/round.h"

#include <string.h>

#include "common/clock.h"
#include "common/crash.h"
#include "common/log.h"
#include "scheduler/figures.h"

#define TRIES_MAX       4
#define REFUSED_AGAIN_S 2

struct flight {
    struct table_entry *entry;
    struct plan plan;
};

/* What Redis says, or what we know when it is behind us: data were lost, or a replica took over. It
 * never counts when it lies in the future: after a reset Redis is right and we are not. */
static struct plan_state state_of(const struct table_entry *entry, int64_t now_s)
{
    struct plan_state st = claim_plan_state(&entry->state);

    if (entry->known_s > st.last_s && entry->known_s <= now_s) {
        st.last_s = entry->known_s;
    }
    return st;
}

static void wait_for_next(struct table_entry *entry, int64_t now_s)
{
    entry->tries = 0;
    if (!schedule_next(&entry->schedule, now_s, &entry->due_s)) {
        entry->due_s = INT64_MAX;
    }
}

/* Makes the plan; false when there is nothing to do before the next slot. */
static bool make_plan(struct table_entry *entry, int64_t now_s, struct plan *p)
{
    struct plan_state st = state_of(entry, now_s);

    plan_make(&entry->schedule, &st, now_s, p);
    if (p->kind != PLAN_NOTHING) {
        return true;
    }
    if (st.last_s != claim_plan_state(&entry->state).last_s) { /* tell the others */
        p->kind = PLAN_NOTE;
        p->n = 1;
        p->slots[0] = st.last_s;
        return true;
    }
    log_debug("beat.nothing_to_do", "schedule=%s now=%" PRId64 " last=%" PRId64,
              entry->schedule.name, now_s, st.last_s);
    wait_for_next(entry, now_s);
    return false;
}

/* ---- what became of a plan ---- */

static void log_sent(const struct flight *f, const struct claim_answer *a)
{
    const char *name = f->entry->schedule.name;
    char id[UUID_SIZE];

    for (int i = 0; i < f->plan.n; i++) {
        schedule_task_id(name, f->plan.slots[i], id);
        log_info("beat.sent",
                 "schedule=%s slot=%" PRId64 " id=%s missed=%" PRId64 " late_ms=%" PRId64 "%s",
                 name, f->plan.slots[i], id, i == 0 ? f->plan.missed : 0,
                 a->now_us / 1000 - f->plan.slots[i] * 1000,
                 a->what[0] ? " note=\"its predecessor was cancelled\"" : "");
    }
}

static void log_noted(const struct flight *f, int64_t slot_s)
{
    const char *name = f->entry->schedule.name;

    if (f->plan.reset) {
        log_warn("beat.clock_was_wrong",
                 "schedule=%s slot=%" PRId64
                 " note=\"the last slot was in the future; starting afresh\"",
                 name, slot_s);
    } else if (f->entry->known_s == PLAN_NONE) {
        log_info("beat.first_start",
                 "schedule=%s slot=%" PRId64 " note=\"nothing was sent before; the next slot is\"",
                 name, slot_s);
    } else {
        log_warn("beat.put_right",
                 "schedule=%s slot=%" PRId64 " note=\"Redis had forgotten that it was sent\"", name,
                 slot_s);
    }
}

static void log_settled(const struct flight *f, const struct claim_answer *a)
{
    const char *name = f->entry->schedule.name;
    int64_t slot_s = f->plan.slots[f->plan.n - 1];

    switch (a->verdict) {
    case CLAIM_SENT:
        log_sent(f, a);
        break;
    case CLAIM_OVERLAP:
        log_info("beat.skipped", "schedule=%s slot=%" PRId64 " reason=overlap predecessor=%s", name,
                 slot_s, LOGQ(a->what));
        break;
    case CLAIM_SKIPPED:
        log_info("beat.skipped", "schedule=%s slot=%" PRId64 " reason=%s", name, slot_s,
                 f->plan.kind == PLAN_PAUSED ? "paused" : "late");
        break;
    default:
        log_noted(f, slot_s);
        break;
    }
}

static void settle(struct round *r, struct flight *f, const struct claim_answer *a)
{
    struct table_entry *entry = f->entry;
    int64_t slot_s = f->plan.slots[f->plan.n - 1];

    log_settled(f, a);
    figures_settled(&f->plan, a->verdict, a->now_us / 1000 - slot_s * 1000);
    entry->state = a->state;
    entry->known_s = claim_plan_state(&a->state).last_s;
    entry->refused[0] = '\0';
    wait_for_next(entry, slot_s);
    if (a->verdict == CLAIM_SENT) {
        tell_append(r->tell, r->c, &entry->schedule, &f->plan, a->now_us);
    }
}

/* At once, and when that does not help, a moment later. */
static void again(struct table_entry *entry, int64_t now_s)
{
    if (++entry->tries >= TRIES_MAX) {
        entry->tries = 0;
        entry->due_s = now_s + 1;
    }
}

static void refuse(struct table_entry *entry, int64_t now_s, const struct err *e)
{
    if (strcmp(entry->refused, e->text) != 0) {
        memcpy(entry->refused, e->text, sizeof entry->refused);
        log_warn("beat.cannot_send", "schedule=%s error=%s", entry->schedule.name, LOGQ(e->text));
    }
    entry->due_s = now_s + REFUSED_AGAIN_S;
}

static void take_answer(struct round *r, struct flight *f, const struct claim_answer *a,
                        const struct err *e)
{
    int64_t now_s = r->now_us(r->ctx) / 1000000;

    switch (a->verdict) {
    case CLAIM_SENT:
    case CLAIM_SKIPPED:
    case CLAIM_OVERLAP:
    case CLAIM_NOTED:
        settle(r, f, a);
        break;
    case CLAIM_STALE:
        f->entry->state = a->state;
        again(f->entry, now_s);
        break;
    case CLAIM_MOVED:
    case CLAIM_UNLOADED:
        again(f->entry, now_s);
        break;
    case CLAIM_CHANGED:
        r->changed = true;
        again(f->entry, now_s);
        break;
    case CLAIM_REFUSED:
        refuse(f->entry, now_s, e);
        break;
    }
}

/* ---- the pipeline ---- */

static bool read_flight(struct round *r, struct flight *flight, size_t n, struct err *e)
{
    int64_t sent_us = clock_mono_us();
    bool unloaded = false;

    for (size_t i = 0; i < n; i++) {
        struct claim_answer a;

        if (!claim_read(r->c, &a, e)) {
            return false;
        }
        if (i == 0) {
            CRASH_POINT("claim.after");
        }
        if (a.verdict == CLAIM_MOVED) {
            r->set_clock(r->ctx, a.now_us, sent_us);
        }
        unloaded = unloaded || a.verdict == CLAIM_UNLOADED;
        take_answer(r, &flight[i], &a, e);
    }
    return tell_finish(r->tell, r->c, e) && (!unloaded || claim_load(r->c, e));
}

static bool append(struct round *r, struct flight *f, int64_t now_us, struct err *e)
{
    struct claim_request req = {.schedule = &f->entry->schedule,
                                .plan = &f->plan,
                                .state = &f->entry->state,
                                .rev = r->table->rev,
                                .now_us = now_us,
                                .db = r->tell->db};

    req.ledger_max = CLAIM_LEDGER_TOTAL / (int64_t)r->table->count;
    req.ledger_max = req.ledger_max > CLAIM_LEDGER_MAX   ? CLAIM_LEDGER_MAX
                     : req.ledger_max < CLAIM_LEDGER_MIN ? CLAIM_LEDGER_MIN
                                                         : req.ledger_max;
    return claim_append(r->c, &req, e);
}

/* Sends up to ROUND_FLIGHT plans from entry *at on. */
static bool fly(struct round *r, size_t *at, struct err *e)
{
    static struct flight flight[ROUND_FLIGHT];
    int64_t now_us = r->now_us(r->ctx);
    size_t n = 0;

    for (; *at < r->table->count && n < ROUND_FLIGHT; (*at)++) {
        struct flight *f = &flight[n];

        f->entry = &r->table->entries[*at];
        if (f->entry->due_s > now_us / 1000000 ||
            !make_plan(f->entry, now_us / 1000000, &f->plan)) {
            continue;
        }
        if (!append(r, f, now_us, e)) {
            return false;
        }
        n++;
    }
    if (n > 0) {
        CRASH_POINT("claim.before");
    }
    return read_flight(r, flight, n, e);
}

bool round_run(struct round *r, struct err *e)
{
    size_t at = 0;

    r->changed = false;
    while (at < r->table->count && !r->changed) {
        if (!fly(r, &at, e)) {
            return false;
        }
    }
    return true;
}

int64_t round_next_s(const struct table *t)
{
    int64_t next_s = INT64_MAX;

    for (size_t i = 0; i < t->count; i++) {
        next_s = t->entries[i].due_s < next_s ? t->entries[i].due_s : next_s;
    }
    return next_s;
}
