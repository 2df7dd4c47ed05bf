#ifndef WORKER_PREFLIGHT_H
#define WORKER_PREFLIGHT_H

#include <event2/event.h>

#include "common/rds.h"

/*
 * Looks at Redis once before anything is taken from it: waits until it is there and no replica, and
 * refuses one that deletes data by itself, unless that is allowed.
 */
struct preflight;

struct preflight_config {
    struct event_base *base;
    const struct rds_addr *redis; /* borrowed */
    bool allow_unsafe;
    void (*on_end)(void *ctx, bool safe); /* once; the reason has been logged */
    void *ctx;
};

struct preflight *preflight_start(const struct preflight_config *config);
/* Also before its end. Not from within on_end. */
void preflight_free(struct preflight *p);

#endif
