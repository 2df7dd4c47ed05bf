#ifndef COMMON_WORKERS_H
#define COMMON_WORKERS_H

#include "common/json.h"
#include "common/rds.h"

/* The workers: what they and their children are doing, and having them stop, grow or shrink. */

#define WORKERS_LISTED_MAX 1000
#define WORKERS_ASK_MS     2000 /* how long a worker may take to answer */
#define WORKERS_STEP_MAX   512  /* children more or fewer at once */

/*
 * Out of the heartbeats, without asking anybody: {"at", "workers": [{"name", "boot", "alive",
 * "held", "pid", "children", "queues", "version", "stopping", "running": [{"id", "task", "since",
 * "for_s", "progress"?}]}, ...]}, sorted by name. A silent one has "boot", "alive" and "held" only.
 * NULL and *e when Redis fails.
 */
cJSON *workers_list(redisContext *c, struct err *e) MUST_CHECK;

enum workers_end {
    WORKERS_DONE,
    WORKERS_NONE,    /* there is no worker of that name */
    WORKERS_SILENT,  /* it does not answer */
    WORKERS_REFUSED, /* it will not: *e says why */
    WORKERS_FAILED,  /* *e: Redis failed */
};

/*
 * One in full: as in the list, and what it says itself when asked: "processes": [{"pid", "id"?,
 * "task"?, "for_s"?, "args"?, "kwargs"?}] (one of each child, idle ones without a task),
 * "uptime_s", "memory_bytes", "prefetch", "totals" (task -> how many). db: of REDIS_URL. *doc is
 * the caller's, set with WORKERS_DONE, and with WORKERS_SILENT to what is known all the same.
 */
enum workers_end workers_one(redisContext *c, int db, const char *name, cJSON **doc,
                             struct err *e) MUST_CHECK;

enum workers_verb {
    WORKERS_STOP,   /* as SIGTERM: what runs may end, the rest goes back into the queue */
    WORKERS_GROW,   /* by n children */
    WORKERS_SHRINK, /* the same, idle ones first; what runs may end */
};
struct workers_order {
    const char *name;
    enum workers_verb verb;
    int64_t n;
};
/* Has a worker do it: {"worker", "answer"}; *doc as above, only with WORKERS_DONE. */
enum workers_end workers_tell(redisContext *c, int db, const struct workers_order *o, cJSON **doc,
                              struct err *e) MUST_CHECK;

#endif
