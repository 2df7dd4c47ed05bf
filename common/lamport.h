#ifndef COMMON_LAMPORT_H
#define COMMON_LAMPORT_H

#include "common/base.h"

/*
 * The logical clock that Celery's programs stamp events and replies with, so that a monitor can put
 * them in order without trusting anybody's wall clock.
 */
struct lamport {
    int64_t n;
};

/* Whoever claims more is lying, or a bit flipped: with it, everybody's clock would be spoilt. */
#define LAMPORT_MAX (INT64_C(1) << 50)

/* The stamp of what happens now. */
static inline int64_t lamport_tick(struct lamport *l)
{
    return ++l->n;
}

/* Something stamped `theirs` was heard; 0 or nonsense: a stamp that counts only as an event. */
static inline void lamport_hear(struct lamport *l, int64_t theirs)
{
    if (theirs > l->n && theirs < LAMPORT_MAX) {
        l->n = theirs;
    }
    l->n++;
}

#endif
