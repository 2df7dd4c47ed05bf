#ifndef SCHEDULER_ROUND_H
#define SCHEDULER_ROUND_H

#include "scheduler/table.h"
#include "scheduler/tell.h"

/*
 * A round makes a plan for every schedule that is due, sends the plans to Redis in one pipeline and
 * reads what became of them.
 */
#define ROUND_FLIGHT 64

struct round {
    struct table *table;
    redisContext *c;
    struct tell *tell;
    int64_t (*now_us)(void *ctx);                                  /* Redis' clock, about */
    void (*set_clock)(void *ctx, int64_t now_us, int64_t sent_us); /* it was read since sent_us */
    void *ctx;
    bool changed; /* the table has changed: load it and make another round */
};

/* Deals with what is due. False when the connection is of no use any more. */
bool round_run(struct round *r, struct err *e) MUST_CHECK;

/* When the next schedule is due, Redis' clock in seconds; INT64_MAX: never. */
int64_t round_next_s(const struct table *t);

#endif
