#ifndef WORKER_POOL_H
#define WORKER_POOL_H

#include <event2/event.h>

#include "common/err.h"
#include "worker/progress.h"

/*
 * The children: processes of this same program that run one task at a time. The pool starts them,
 * feeds them, limits their time and their lives and replaces those that end (after a growing pause
 * when they end without having done anything).
 *
 * While tasks are short, a child is given further jobs before it has ended the first, so that it
 * never waits for us. Nothing waits behind something long, though: what a child has not begun is
 * taken back when its task lasts, and another child gets it.
 */
struct pool;

#define POOL_SIZE_MAX  256
#define POOL_QUEUE_MAX 16   /* jobs in one child's hands, the running one included */
#define POOL_TAIL_SIZE 2048 /* of a child's log */

enum pool_end {
    POOL_ANSWERED,   /* frame holds the child's answer (child.h) */
    POOL_LOST,       /* the child died; signal or exit_code says how */
    POOL_TIME_LIMIT, /* it was killed for taking longer than limit_ms */
    POOL_TERMINATED, /* ended by pool_terminate with `signal` */
};
struct pool_outcome {
    enum pool_end end;
    const char *frame; /* borrowed */
    size_t len;
    bool ok;           /* ANSWERED: with a result, not with an error */
    const char *value; /* ok: the result's JSON as it lies in the frame, not terminated */
    size_t value_len;
    int64_t run_us; /* ANSWERED: how long the task ran, by the child's own clock */
    int64_t limit_ms;
    int pid; /* of the child that had it, 0: none had begun it */
    int signal;
    int exit_code;
    char log_tail[POOL_TAIL_SIZE]; /* LOST, TIME_LIMIT: the last lines that the child wrote */
};

struct pool_config {
    struct event_base *base;
    const char *program;      /* of the children; NULL: this one, even if its file is replaced */
    int size;                 /* 1 to POOL_SIZE_MAX */
    int64_t max_tasks;        /* a child is replaced after so many, 0: never */
    int64_t max_memory_bytes; /* or when it holds so much between two tasks, 0: never */
    int64_t stop_limit_ms;    /* a child that stands still for so long is killed */
    /* Once for every job given to pool_run, unless pool_abandon was called for it. */
    void (*on_done)(void *ctx, uint64_t job, const struct pool_outcome *outcome);
    /* A child begins it; may come from within pool_run. Once for each job, before on_done. NULL:
     * nobody asks. */
    void (*on_begin)(void *ctx, uint64_t job, int pid);
    /* pool_capacity is above 0 and may have grown. */
    void (*on_free)(void *ctx);
    void *ctx;
};

struct pool_work {
    uint64_t job;             /* the caller's number for it, not 0 */
    const char *frame;        /* the request (child.h); copied */
    size_t len;               /* at most CHILD_FRAME_MAX */
    int64_t soft_ms, hard_ms; /* limits from its begin on, 0: none */
};

struct pool_child {
    int pid;
    uint64_t job; /* that it runs, 0: none */
    int queued;   /* jobs in its hands that it has not begun */
    int64_t tasks;
    int64_t rss_bytes;
    int64_t started_wall_us;
};

struct pool *pool_new(const struct pool_config *config);
/* Kills what is left and waits for it. Reports nothing. */
void pool_free(struct pool *p);

/* Jobs that pool_run would take now. */
int pool_capacity(const struct pool *p);
/* Moving average of how long tasks took lately, or how long every child is busy with its present
 * one if that is longer; large before the first one. */
int64_t pool_run_us(const struct pool *p);
/* Children alive. */
int pool_alive_count(const struct pool *p);
/* Calls fn for each of them. */
void pool_each_child(const struct pool *p, void (*fn)(void *ctx, const struct pool_child *child),
                     void *ctx);
/* Children that there should be. */
int pool_size(const struct pool *p);
/* Changes that; those too many end when their tasks have. False and *e when out of range. */
bool pool_resize(struct pool *p, int size, struct err *e) MUST_CHECK;

/* Gives a job to the child that has least to do; false when pool_capacity is 0 or memory is out. */
bool pool_run(struct pool *p, const struct pool_work *work) MUST_CHECK;
/* Takes back a job that no child has begun; false: one has, or the pool does not have it. */
bool pool_withdraw(struct pool *p, uint64_t job) MUST_CHECK;
/* Ends the job without a word: kills the child that runs it. */
void pool_abandon(struct pool *p, uint64_t job);
/*
 * Ends the job with a signal, reported as POOL_TERMINATED: from within this call when it has not
 * begun. Signals that children block (those that mean "stop" to the worker) are sent as SIGKILL,
 * and so is what follows when a child survives for 2 s. SIGUSR1 is the soft limit's way: the task
 * is asked to stop. A task that ends well before the signal arrives has ended well.
 */
void pool_terminate(struct pool *p, uint64_t job, int signum);
/* How far the job is; false: no child runs it, or it does not tell. */
bool pool_job_progress(const struct pool *p, uint64_t job, struct progress *progress) MUST_CHECK;
/* Process that runs the job, 0: none does. */
int pool_job_pid(const struct pool *p, uint64_t job);

#endif
