#ifndef WORKER_RETRY_H
#define WORKER_RETRY_H

#include "common/err.h"

/* When a failed attempt is repeated. Pure. */

/* Seconds before the attempt that follows `retries` retries: base * 2^retries, at most a day. */
int64_t retry_delay_s(int64_t base_s, int retries);

/* Only what may pass by itself is repeated, and only max_retries times. */
bool retry_wanted(enum err_class cls, int retries, int max_retries);

/* Where a task stands whose attempt has just failed. */
struct retry_times {
    int64_t base_s;
    int retries;     /* made before */
    int max_retries; /* that there will be */
    int64_t now_us;
    int64_t wait_s; /* the next attempt makes no sense earlier; 0: nobody said so */
};

/* Seconds until the next attempt, at most a day. */
int64_t retry_next_s(const struct retry_times *t);

#define RETRY_PLAN_SIZE 512
/*
 * The whole timetable in words, from the attempt that just failed:
 * "attempt 1 of 4 failed; next at 2025-12-31T21:48:16Z (60 s), then 120 s, 240 s"
 */
const char *retry_plan(char out[RETRY_PLAN_SIZE], const struct retry_times *t);
/* The same for programs: {"attempt":1,"attempts":4,"next_at":"...","waits_s":[60,120,240]} */
const char *retry_plan_json(char out[RETRY_PLAN_SIZE], const struct retry_times *t);

#endif
