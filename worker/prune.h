#ifndef WORKER_PRUNE_H
#define WORKER_PRUNE_H

#include "common/pg.h"
#include "common/rds.h"
#include "worker/settings.h"
#include "worker/task.h"

/*
 * The task maintenance.prune: removes what is too old or too much, in small steps; to be scheduled
 * once a day or so. What to keep is in the settings PRUNE_*; kwargs win over them, with the names
 * in small letters: {"dead_days": 7, "runs_count": 100}; {"only": ["dead", "runs"]} leaves the rest
 * alone. The result says how many went: {"runs": 3, "history": 0, ...}. What cannot be pruned does
 * not keep the rest from it; the task fails with the first error, then.
 */
cJSON *prune_task(const struct task_request *req, struct err *e);

/* ---- for prune*.c ---- */

struct prune {
    const struct task_request *req;
    bool wanted[PRUNE_KIND_COUNT];
    struct prune_keep keep[PRUNE_KIND_COUNT];
    PGconn *pg;          /* NULL until somebody needs it */
    redisContext *redis; /* the same */
};

/* What to keep, by settings and kwargs. False and *e (TypeError, ValueError) on a wrong kwarg. */
bool prune_plan(struct prune *p, struct err *e) MUST_CHECK;

/* Connected, or NULL and *e. */
PGconn *prune_pg(struct prune *p, struct err *e) MUST_CHECK;
redisContext *prune_redis(struct prune *p, struct err *e) MUST_CHECK;

/* One for each kind: counts what went in *gone, also when it fails in the middle. */
bool prune_runs(struct prune *p, const struct prune_keep *keep, int64_t *gone, struct err *e);
bool prune_history(struct prune *p, const struct prune_keep *keep, int64_t *gone, struct err *e);
/* The log of changes, with answers kept for Idempotency-Keys and requests for batches. */
bool prune_audit(struct prune *p, const struct prune_keep *keep, int64_t *gone, struct err *e);
bool prune_dead(struct prune *p, const struct prune_keep *keep, int64_t *gone, struct err *e);
bool prune_quarantine(struct prune *p, const struct prune_keep *keep, int64_t *gone, struct err *e);
bool prune_oversized(struct prune *p, const struct prune_keep *keep, int64_t *gone, struct err *e);

#endif
