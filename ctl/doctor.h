#ifndef CTL_DOCTOR_H
#define CTL_DOCTOR_H

#include <cjson/cJSON.h>

#include "ctl/ctl.h"

/*
 * aion2ctl doctor: examinations that only look. Each part below adds findings; what cannot be seen
 * (forbidden, on another machine) is said and is no problem by itself.
 */
enum doctor_level { DOCTOR_OK, DOCTOR_UNSEEN, DOCTOR_WARNING, DOCTOR_PROBLEM, DOCTOR_LEVELS };

#define DOCTOR_TIMEOUT_MS 3000

struct doctor {
    const struct ctl_settings *settings;
    cJSON *checks; /* array of {"area", "name", "level", "text", "advice"?} */
    const char *area;
    enum doctor_level worst;
    bool unreachable;   /* Redis or PostgreSQL does not answer */
    bool know_redis_us; /* the next one is known: */
    int64_t redis_us;   /* Redis' clock minus ours */
};

/* Adds a finding. advice: what to do, NULL for none. */
void doctor_say(struct doctor *d, const char *name, enum doctor_level level, const char *advice,
                const char *fmt, ...) PRINTF_LIKE(5, 6);
/* Compares a clock with ours; whose: "PostgreSQL's". ahead_us: theirs minus ours. */
void doctor_judge_clock(struct doctor *d, const char *name, const char *whose, int64_t ahead_us);
/* Room on the file system of dir, as far as this machine can see it. */
void doctor_judge_disk(struct doctor *d, const char *dir);

/* The server Redis, and the Sentinels when there are any. NULL: it is not reachable. */
redisContext *doctor_redis(struct doctor *d, const struct rds_addr *a);
/* What our programs keep there: queue, workers, beats, what was put aside. */
void doctor_jobs(struct doctor *d, redisContext *c);
/* Types of our keys; a part of doctor_jobs. */
void doctor_keys(struct doctor *d, redisContext *c);
void doctor_pg(struct doctor *d);

#endif
