#ifndef SCHEDULER_FIGURES_H
#define SCHEDULER_FIGURES_H

#include "scheduler/claim.h"

/*
 * What a beat counts for /metrics: its own slots, and what it reads in Redis of the whole
 * deployment (fleet.c), as beats run wherever the system runs. docs/metrics.md has the names.
 */
void figures_open(void);

/* ---- of the beat's loop ---- */

/* A plan was carried out: what became of its slots. late_ms: of the last one, of PLAN_SEND. */
void figures_settled(const struct plan *p, enum claim_verdict verdict, int64_t late_ms);
void figures_schedules(int64_t count);
/* The loop has turned; with_redis: and Redis could be used. */
void figures_turned(bool with_redis);
/* When that was last, monotonic ms. From any thread. */
int64_t figures_turned_ms(void);
int64_t figures_used_redis_ms(void);

/* ---- of the deployment ---- */

struct fleet;

/* Reads Redis every FLEET_LOOK_MS on a thread of its own. queue: borrowed, as redis. */
#define FLEET_LOOK_MS 10000
struct fleet *fleet_start(const struct rds_addr *redis, const char *queue);
void fleet_stop(struct fleet *f); /* NULL is fine */
/* When the last ranking was made, unix us; METRIC_UNKNOWN: nobody has said. From any thread. */
int64_t fleet_published_us(const struct fleet *f);

/* Sets what is only looked up when somebody asks. */
void figures_collect(void);

#endif
