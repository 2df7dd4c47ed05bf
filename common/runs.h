#ifndef COMMON_RUNS_H
#define COMMON_RUNS_H

#include "common/json.h"
#include "common/pg.h"
#include "common/rds.h"

/*
 * Runs of the scoring batch as operators see them: table batch_runs and what belongs to it, and
 * what workers tell of the one that runs. A run is named by its number, or by the id of its task:
 * one that was asked for has no number before a worker has begun it.
 */
#define RUNS_PAGE_MAX     200
#define RUNS_FAILURES_MAX 1000
#define RUNS_STATES       "running|success|no_data|skipped|failed|cancelled"

/* ---- runs.c: out of PostgreSQL. NULL and *e on failure, "LookupError" when there is none. ---- */

/* {"items": [run, ...], "next_before": id or null}, newest first. */
struct runs_filter {
    int64_t before;    /* only with a smaller number; 0: from the newest on */
    int64_t limit;     /* 1 to RUNS_PAGE_MAX */
    const char *state; /* "": any */
};
cJSON *runs_list(PGconn *c, const struct runs_filter *f, struct err *e) MUST_CHECK;

/*
 * A run with "phases" (in their order, with seconds), "requested" (by whom, when, why; null),
 * "failures" (grouped by reason, with examples), "averages" (of some of its servers) and "result".
 * Of one that no worker has begun: {"id": null, "task_id", "state": "waiting", "requested"}.
 */
cJSON *runs_show(PGconn *c, const char *run, struct err *e) MUST_CHECK;

/*
 * {"run", "items": [{"seq", "character_id", "server", "name", "stat", "reason"}, ...],
 * "next_after": seq or null}: the failures that were noted, those after `after`.
 */
cJSON *runs_failures(PGconn *c, const char *run, int64_t after, int64_t limit,
                     struct err *e) MUST_CHECK;

/* ---- runs_progress.c ---- */

/*
 * Adds to the document of a run that runs: "progress": {"phase", "done", "of", "phase_seconds",
 * "share" (0 to 1), "seconds_left", "estimated_end_at", "from_runs"} by its worker's heartbeat and
 * by how long the phases of the last runs took; null when nobody tells of it. False and *e when
 * Redis or PostgreSQL fails.
 */
bool runs_add_progress(cJSON *run, PGconn *pg, redisContext *redis, struct err *e);

/* Phases in the order in which a batch goes through them; pure, for tests. */
struct runs_phase {
    const char *name;
    double seconds; /* it took on average, below 0: not known */
};
/*
 * Seconds until the end of a run that has been in `phase` for so long and has done that part of it
 * (0 to 1, below 0: not known). Below 0: cannot be said.
 */
double runs_estimate(const struct runs_phase *phases, int n, const char *phase, double in_phase_s,
                     double part);

/* ---- runs_change.c ---- */

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

/*
 * Cancels a run that runs or waits. First its row says so, and from then on it cannot publish,
 * whatever its worker does; then the worker is told to end it. {"id", "task_id", "state":
 * "cancelled", "was": "running", "waiting" or "cancelled", "told", "workers": that answered}.
 * told: false when there is no Redis (redis NULL) or it fails: what runs goes on in vain then.
 * "LookupError": there is no such run; "StateError": it has ended.
 */
struct runs_cancel {
    const char *run;
    const char *by;
};
cJSON *runs_cancel(PGconn *pg, redisContext *redis, int db, const struct runs_cancel *k,
                   struct err *e) MUST_CHECK;

#endif
