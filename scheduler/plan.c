#include "scheduler/plan.h"

/* How many slots lie in [from_s, to_s), both slots. */
static int64_t count_slots(const struct schedule *s, int64_t from_s, int64_t to_s)
{
    int64_t n = 0;

    if (s->every_s > 0) {
        return (to_s - from_s) / s->every_s;
    }
    while (from_s < to_s && n < PLAN_COUNT_MAX) {
        n++;
        if (!schedule_next(s, from_s, &from_s)) {
            break;
        }
    }
    return n;
}

/* Nothing was ever sent, or what was sent makes no sense: the next slot is the first. */
static void note(const struct schedule *s, int64_t now_s, bool reset, struct plan *p)
{
    if (!schedule_prev(s, now_s, &p->slots[0])) {
        p->slots[0] = now_s;
    }
    p->kind = PLAN_NOTE;
    p->reset = reset;
    p->n = 1;
    p->after = (struct plan_state){.last_s = p->slots[0]};
}

/* The last `most` of the due slots, oldest first. */
static void collect(const struct schedule *s, int64_t slot_s, int most, struct plan *p)
{
    int64_t found[SCHEDULE_MISSED_MAX];
    int n = 0;

    do {
        found[n++] = slot_s;
    } while (n < most && schedule_prev(s, slot_s - 1, &slot_s) && slot_s >= p->from_s);
    for (int i = 0; i < n; i++) {
        p->slots[i] = found[n - 1 - i];
    }
    p->n = n;
}

static enum plan_kind decide(const struct schedule *s, int64_t slot_s, int64_t now_s)
{
    if (s->pause.on) {
        return PLAN_PAUSED;
    }
    return s->missed == SCHEDULE_SKIP && now_s - slot_s > PLAN_GRACE_S ? PLAN_LATE : PLAN_SEND;
}

/* slot_s is due and everything after `done_s` is undecided. */
static void due(const struct schedule *s, int64_t done_s, int64_t slot_s, int64_t now_s,
                struct plan *p)
{
    p->kind = decide(s, slot_s, now_s);
    if (!schedule_next(s, done_s, &p->from_s) || p->from_s > slot_s) {
        p->from_s = slot_s;
    }
    collect(s, slot_s, p->kind == PLAN_SEND && s->missed == SCHEDULE_ALL ? s->missed_max : 1, p);
    p->missed = count_slots(s, p->from_s, p->slots[0]);
    if (!schedule_next(s, slot_s, &p->until_s)) {
        p->until_s = 0;
    }
}

/* Redis' clock is behind the last slot: only what it passed over before is still open. */
static void again(const struct schedule *s, const struct plan_state *st, int64_t now_s,
                  struct plan *p)
{
    int64_t slot_s;

    if (!schedule_prev(s, now_s, &slot_s) || slot_s <= st->gap_from_s || slot_s >= st->gap_to_s) {
        return;
    }
    due(s, st->gap_from_s, slot_s, now_s, p);
    p->after.gap_from_s = slot_s;
}

void plan_make(const struct schedule *s, const struct plan_state *st, int64_t now_s, struct plan *p)
{
    bool ahead = st->last_s > now_s + PLAN_AHEAD_MAX_S;
    int64_t slot_s, last_s = st->last_s;

    *p = (struct plan){.kind = PLAN_NOTHING, .after = *st};
    if (ahead || (last_s == PLAN_NONE && s->since_s == 0)) {
        note(s, now_s, ahead, p);
        return;
    }
    if (last_s > now_s) {
        again(s, st, now_s, p);
        return;
    }
    if (!schedule_prev(s, now_s, &slot_s) || slot_s <= last_s) {
        return;
    }
    due(s, last_s == PLAN_NONE ? s->since_s - 1 : last_s, slot_s, now_s, p);
    p->after.last_s = slot_s;
    if (p->kind == PLAN_SEND && p->missed > 0) {
        p->after.gap_from_s = p->from_s - 1;
        p->after.gap_to_s = p->slots[0];
    }
}
