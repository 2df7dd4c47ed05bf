#ifndef SCHEDULER_ALERTS_H
#define SCHEDULER_ALERTS_H

#include "scheduler/alert_facts.h"
#include "scheduler/alert_send.h"

/*
 * A thread beside the beat that looks every now and then whether something is wrong, and tells
 * people. The beats of a deployment share what they know in Redis; while Redis is away each goes by
 * itself, so something may then be told once by each.
 */
struct alerts_config {
    const struct rds_addr *redis;
    const char *database_url; /* "": PostgreSQL is not asked */
    int64_t interval_s;       /* between two looks */
    struct alert_limits limits;
    struct alert_routes routes; /* stop is set by alerts_start */
};
struct alerts;

/* config is borrowed. NULL: no channel is set up, so there is nothing to do. */
struct alerts *alerts_start(const struct alerts_config *config);
/* Waits for its end; a letter on its way is given up and sent later by whoever is there. NULL ok.
 */
void alerts_stop(struct alerts *a);

#endif
