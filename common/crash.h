#ifndef COMMON_CRASH_H
#define COMMON_CRASH_H

#include "common/base.h"

/*
 * Named points at which a test can end the process as SIGKILL would: CRASH_AT=name ends it the
 * first time the point is reached, CRASH_AT=name:3 the third time. Without CRASH_AT a point costs
 * one look at a flag. The variable is heeded only by programs that call crash_init(), and they do
 * so only where test tasks are allowed.
 */
extern bool crash_armed;

/* Reads CRASH_AT. Once, at start. */
void crash_init(void);
/* Ends the process when `point` is the one asked for. */
void crash_here(const char *point);
/* The same for the point "step.stage". */
void crash_in_step(const char *step, const char *stage);

#define CRASH_POINT(name)                                                                          \
    do {                                                                                           \
        if (crash_armed) {                                                                         \
            crash_here(name);                                                                      \
        }                                                                                          \
    } while (0)

#define CRASH_IN_STEP(step, stage)                                                                 \
    do {                                                                                           \
        if (crash_armed) {                                                                         \
            crash_in_step(step, stage);                                                            \
        }                                                                                          \
    } while (0)

#endif
