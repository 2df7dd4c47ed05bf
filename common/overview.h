#ifndef COMMON_OVERVIEW_H
#define COMMON_OVERVIEW_H

#include <libpq-fe.h>

#include "common/json.h"
#include "common/rds.h"

/*
 * Everything that somebody who operates the system wants on one screen, as one document: the
 * status (status.h) and beside it
 *   "queues"        as queues.h lists them (with "delayed", "quarantine" and "dead")
 *   "timetable"     every schedule: {"name", "when", "tz"?, "next"?, "last"?, "paused"?, "error"?},
 *                   the one that is due next first; at most OVERVIEW_SCHEDULES_MAX
 *   "dead_letters"  the newest OVERVIEW_DEAD_MAX, as letters.h has them
 *   "source"        as source_state.h
 *   "alerts"        what is wrong by the beats' judgement (alert.h): {name: {"since", "text", ...}}
 *   "conservation"  as status.h, when it was asked for
 * A handful of questions, whatever the sizes. What could not be read is absent.
 */
#define OVERVIEW_SCHEDULES_MAX 100
#define OVERVIEW_DEAD_MAX      20

struct overview_of {
    const char *task_queue;
    int64_t batch_interval_s;
    const char *redis_url, *database_url;
    int db;            /* of redis_url */
    bool conservation; /* may cost more: not each time */
};

/* What could be asked. */
struct overview_found {
    bool redis, pg;
    bool schema_ok; /* of the database, when it was asked */
};

/* redis, pg: NULL when they could not be connected to; why_* say the reason then. */
struct overview_links {
    redisContext *redis;
    PGconn *pg;
    struct err redis_why, pg_why;
};
cJSON *overview_make(const struct overview_of *o, struct overview_links *links,
                     struct overview_found *found);

#endif
