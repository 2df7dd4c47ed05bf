#ifndef WORKER_POOL_H
#define WORKER_POOL_H

#include <event2/event.h>

#include "common/base.h"

/*
 * The children: processes of this same program that run one job each. The pool starts them,
 * feeds them, limits their time and replaces those that die (after a growing pause when they die
 * without having done anything).
 */
struct pool;

enum pool_end {
    POOL_ANSWERED,   /* frame holds the child's answer (child.h) */
    POOL_LOST,       /* the child died; signal or exit_code says how */
    POOL_TIME_LIMIT, /* it was killed for taking too long */
};
struct pool_outcome {
    enum pool_end end;
    const char *frame; /* borrowed */
    size_t len;
    int signal;
    int exit_code;
};

struct pool_config {
    struct event_base *base;
    int size;
    /* Once for every job given to pool_run, unless pool_abandon was called for it. */
    void (*on_done)(void *ctx, uint64_t job, const struct pool_outcome *outcome);
    /* A child has become free. */
    void (*on_free)(void *ctx);
    void *ctx;
};

struct pool *pool_new(const struct pool_config *config);
/* Kills what is left and waits for it. */
void pool_free(struct pool *p);

/* Children that could take a job now. */
int pool_free_count(const struct pool *p);
/* Children alive. */
int pool_alive_count(const struct pool *p);
/* Gives a job (a frame's text, copied) to a free child; false when none is free. limit_s 0: none.
 */
bool pool_run(struct pool *p, uint64_t job, const char *frame, int64_t limit_s) MUST_CHECK;
/* Kills the child that runs the job; nothing is reported. */
void pool_abandon(struct pool *p, uint64_t job);
/* Process that runs the job, 0: none. */
int pool_job_pid(const struct pool *p, uint64_t job);

#endif
