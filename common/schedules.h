#ifndef COMMON_SCHEDULES_H
#define COMMON_SCHEDULES_H

#include "common/rds.h"
#include "common/schedule.h"

/* The table of schedules as an operator's programs read and change it. */
struct schedules {
    redisContext *c;            /* borrowed */
    int db;                     /* of REDIS_URL: events are named after it */
    int64_t now_us;             /* Redis' clock */
    struct schedule_defaults d; /* the interval is what the beats say, else our own setting */
    int beats;                  /* that were seen lately */
};

/* Looks around. d: our own settings. False and *e when Redis fails. */
bool schedules_open(struct schedules *t, redisContext *c, int db, const struct schedule_defaults *d,
                    struct err *e) MUST_CHECK;

enum schedules_found {
    SCHEDULES_STORED,
    SCHEDULES_BUILTIN, /* nothing is stored; it is what is built in */
    SCHEDULES_NONE,
    SCHEDULES_BAD, /* what is stored cannot be read: *e says why */
    SCHEDULES_ERROR,
};
/*
 * One schedule. *text: what is stored ("" when nothing is), the caller's (free()); *s is for
 * schedule_fini in any case.
 */
enum schedules_found schedules_get(struct schedules *t, const char *name, struct schedule *s,
                                   char **text, struct err *e) MUST_CHECK;

/* Its last slot that a beat has decided, -1: none. False and *e when Redis fails. */
bool schedules_last(struct schedules *t, const char *name, int64_t *last_s,
                    struct err *e) MUST_CHECK;

/*
 * Replaces what is stored, if it is still `was`, by `is` ("": nothing); note: for the beats' notes,
 * NULL for none; forget: with its state and ledger. 1: done, 0: it was changed meanwhile,
 * -1: the table is full, -2: *e.
 */
struct schedules_change {
    const char *name, *was, *is, *note;
    bool forget;
};
int schedules_change(struct schedules *t, const struct schedules_change *ch, struct err *e);

/* The zone in which its times are shown, "" our own. */
const char *schedules_zone(const struct schedule *s);

/* ---- documents (schedules_doc.c) ---- */

/*
 * One schedule as it is in effect: {"name", "task", "every" or "cron" and "tz", "when", "queue",
 * "priority", "args", "kwargs", "missed", "missed_max"?, "overlap", "expires"?, "paused"?:
 * {"reason", "by", "since"}, "stored", "next"?, "last"?}, times in unix seconds. One that cannot be
 * read: {"name", "error", "text"} and SCHEDULES_BAD. *doc is the caller's; NULL with
 * SCHEDULES_NONE and SCHEDULES_ERROR (*e).
 */
enum schedules_found schedules_doc(struct schedules *t, const char *name, cJSON **doc,
                                   struct err *e) MUST_CHECK;
/* The same of every schedule, stored or built in, by name, in two questions. NULL and *e. */
cJSON *schedules_doc_list(struct schedules *t, struct err *e) MUST_CHECK;

#define SCHEDULES_NEXT_MAX 10000
/* The slots after after_s, at most `count`: [{"at", "text" (in the zone)}, ...]. */
cJSON *schedules_doc_next(const struct schedule *s, int64_t after_s, int64_t count);

#endif
