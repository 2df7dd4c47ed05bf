#ifndef SCHEDULER_PLAN_H
#define SCHEDULER_PLAN_H

#include "common/schedule.h"

/*
 * What a schedule's state and the time call for. Pure: Redis decides (claim.h) whether it is
 * still true when it is done.
 *
 * The gap is the last run of slots that nobody sent because time passed over them (a clock that
 * jumped, a time without beats): should Redis' clock go back into it, they are sent when their time
 * comes again. All other slots up to last_s have been decided and are never sent again.
 */
#define PLAN_NONE INT64_C(-1)
/* A last slot this far ahead of Redis' clock means that the clock was wrong when it was sent. */
#define PLAN_AHEAD_MAX_S 3600
/* A schedule that skips what it missed still sends a slot that is this late. */
#define PLAN_GRACE_S 60
/* Slots counted one by one; beyond that a number means "at least". */
#define PLAN_COUNT_MAX 10000

struct plan_state {
    int64_t last_s;               /* last slot that was decided, PLAN_NONE: none */
    int64_t gap_from_s, gap_to_s; /* slots between the two, both excluded; 0, 0: no gap */
};

enum plan_kind {
    PLAN_NOTHING,
    PLAN_NOTE, /* only last_s is written: a first start, or a clock that was wrong */
    PLAN_SEND,
    PLAN_PAUSED, /* from_s to slots[0] are skipped */
    PLAN_LATE,   /* the same, because the schedule skips what it missed */
};

struct plan {
    enum plan_kind kind;
    bool reset; /* PLAN_NOTE: the last slot was far in the future */
    int n;
    int64_t slots[SCHEDULE_MISSED_MAX]; /* oldest first; to be sent, or slots[0] the last skipped */
    int64_t until_s;                    /* the plan is true from the last slot until then, 0: on */
    int64_t missed;                     /* slots that went by before slots[0] */
    int64_t from_s;                     /* the first of them, or slots[0] */
    struct plan_state after;
};

void plan_make(const struct schedule *s, const struct plan_state *st, int64_t now_s,
               struct plan *p);

#endif
