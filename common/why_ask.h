#ifndef COMMON_WHY_ASK_H
#define COMMON_WHY_ASK_H

#include "common/schedules.h"
#include "common/why.h"

/* What why_tell needs of a schedule, read from Redis. */
struct why_read {
    struct why_facts facts; /* points into the rest and to the schedule */
    cJSON *ledger, *notes, *periods;
};
/* r is for why_fini in any case. */
bool why_gather(struct schedules *t, const struct schedule *s, struct why_read *r,
                struct err *e) MUST_CHECK;
void why_fini(struct why_read *r);

/*
 * A time as people write it: "12:10" or "12:10:30" (today), "2026-11-23T12:10" with or without
 * seconds and an offset, unix seconds. Without an offset it is one of the zone ("" our own). Pure.
 */
bool why_read_time(const char *text, const char *zone, int64_t now_s, int64_t *at_s) MUST_CHECK;

/* {"schedule", "slot"?, "verdict", "id"?, "text"}: what became of the slot at at_s, or of the last
 * one before it. NULL and *e when Redis fails. */
cJSON *why_doc(struct schedules *t, const struct schedule *s, int64_t at_s,
               struct err *e) MUST_CHECK;

/* The same of the last slots, at most `count`, the newest first: an array. */
cJSON *why_doc_last(struct schedules *t, const struct schedule *s, int count,
                    struct err *e) MUST_CHECK;

#endif
