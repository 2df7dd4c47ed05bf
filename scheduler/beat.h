#ifndef SCHEDULER_BEAT_H
#define SCHEDULER_BEAT_H

#include <signal.h>

#include "common/rds.h"
#include "common/schedule.h"

struct alerts_config;  /* scheduler/alerts.h */
struct probe_settings; /* common/probe.h */

struct beat_config {
    struct rds_addr redis;
    struct schedule_defaults defaults;
    bool allow_unsafe; /* also in a Redis that deletes data by itself */
    const char *only;  /* --healthcheck NAME; NULL: every schedule */
    const struct alerts_config *alerts;
    const struct probe_settings *probe;
    const volatile sig_atomic_t *stop; /* becomes true when it is time to go */
    int wake_fd;                       /* becomes readable at the same moment */
};

/*
 * Sends the slots of every schedule until *stop. Lives through everything that Redis may do. False,
 * at once: this Redis is not fit for it (that has been logged).
 */
bool beat_run(const struct beat_config *cfg) MUST_CHECK;

/*
 * --healthcheck: true when a beat has been seen lately and no schedule (or not the one asked for)
 * has two slots in a row that were not dealt with; otherwise *e says what is wrong (retryable:
 * Redis cannot be asked).
 */
bool beat_check_health(const struct beat_config *cfg, struct err *e) MUST_CHECK;

#endif
