#ifndef SCHEDULER_BEAT_H
#define SCHEDULER_BEAT_H

#include <signal.h>

#include "common/rds.h"
#include "scheduler/claim.h"

struct beat_config {
    struct rds_addr redis;
    const char *queue;
    struct schedule schedule;
    const volatile sig_atomic_t *stop; /* becomes true when it is time to go */
    int wake_fd;                       /* becomes readable at the same moment */
};

/* Sends the schedule's slots until *stop. Lives through everything that Redis may do. */
void beat_run(const struct beat_config *cfg);

/*
 * --healthcheck: true when a beat has been seen lately and the last slot is not older than two
 * intervals; otherwise *e says what is wrong (retryable: Redis cannot be asked).
 */
bool beat_check_health(const struct beat_config *cfg, struct err *e) MUST_CHECK;

#endif
