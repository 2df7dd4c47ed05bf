#ifndef SCHEDULER_TELL_H
#define SCHEDULER_TELL_H

#include "scheduler/plan.h"

/*
 * task-sent events for monitors. They cost nothing while nobody listens: when the last one reached
 * nobody, one a few seconds later is the next try.
 */
struct tell {
    int db;
    bool watched;
    int64_t try_ms; /* monotonic */
    int pending;    /* replies that are due */
};

/* Adds the events of a plan that was sent to the pipeline. */
void tell_append(struct tell *t, redisContext *c, const struct schedule *s, const struct plan *p,
                 int64_t now_us);
/* Reads the replies to what was added. False when the connection broke. */
bool tell_finish(struct tell *t, redisContext *c, struct err *e) MUST_CHECK;

#endif
