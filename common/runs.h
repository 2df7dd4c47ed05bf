#ifndef COMMON_RUNS_H
#define COMMON_RUNS_H

#include "common/json.h"
#include "common/pg.h"
#include "common/rds.h"
#include "common/uuid.h"

/*
 * Runs of the scoring batch as operators see them: table batch_runs and what belongs to it, and
 * what workers tell of the one that runs.
 */
#define RUNS_PAGE_MAX 200

/* {"items": [run, ...], "next_before": id or null}, newest first. NULL and *e on failure. */
struct runs_filter {
    int64_t before;    /* only with a smaller number; 0: from the newest on */
    int64_t limit;     /* 1 to RUNS_PAGE_MAX */
    const char *state; /* "": any */
};
#define RUNS_STATES "running|success|no_data|skipped|failed|cancelled"
cJSON *runs_list(PGconn *c, const struct runs_filter *f, struct err *e) MUST_CHECK;

/*
 * Asks for a batch now: notes who wants it and why (reason may be NULL), then sends the task.
 * {"task_id", "queue", "requested_at"}. The same task_id again changes nothing more. NULL and *e on
 * failure.
 */
struct runs_start {
    const char *task_id;
    const char *queue;
    const char *by;
    const char *reason;
};
cJSON *runs_start(PGconn *pg, redisContext *redis, int db, const struct runs_start *s,
                  struct err *e) MUST_CHECK;

#endif
