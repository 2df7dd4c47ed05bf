#ifndef SCHEDULER_ALIVE_H
#define SCHEDULER_ALIVE_H

#include "common/rds.h"
#include "common/uuid.h"

/*
 * What beats tell of themselves and of what they saw, so that a slot that was not sent can be
 * explained later.
 */

/* A beat's entry in aion2:beats is renewed at least this often, and dropped after ALIVE_GONE_S. */
#define ALIVE_EVERY_MS 5000
#define ALIVE_GONE_S   60
/* A longer time without any beat ends a period in aion2:beat:periods. */
#define ALIVE_GAP_S       8
#define ALIVE_PERIODS_MAX 1000
#define ALIVE_NOTES_MAX   1000

/*
 * Renews the entry of this beat, {"host","pid","interval","schedules","seen"}, removes entries not
 * seen for ALIVE_GONE_S, and goes on with the period in which some beat is alive. *now_us: Redis'
 * clock.
 */
struct alive {
    const char *boot;
    int64_t interval_s; /* of the built-in batch */
    size_t schedules;
};
bool alive_renew(redisContext *c, const struct alive *a, int64_t *now_us, struct err *e) MUST_CHECK;
/* Removes it. What fails here is of no consequence: the entry ages out. */
void alive_goodbye(redisContext *c, const char *boot);

/* Notes in aion2:beat:notes, newest first. Nobody depends on them, so failures are only logged. */
/* Redis could not be used between the two, by its own clock as far as it is known. */
void alive_note_outage(redisContext *c, int64_t from_us, int64_t to_us);
/* Redis' clock made a step against ours. */
void alive_note_step(redisContext *c, int64_t now_us, int64_t step_us);

#endif
