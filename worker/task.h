#ifndef WORKER_TASK_H
#define WORKER_TASK_H

#include <cjson/cJSON.h>

#include "common/err.h"

/*
 * Tasks are a table (task.c). A task function runs in a child process, one at a time, and may
 * block.
 */
struct settings;       /* worker/settings.h */
struct progress_share; /* worker/progress.h */

/* What a task is told about itself. Strings are borrowed for the call. */
struct task_request {
    const char *id;      /* the same over retries and redeliveries */
    const char *worker;  /* name of the worker, for the record */
    const cJSON *args;   /* array, never NULL */
    const cJSON *kwargs; /* object, never NULL */
    int64_t slot_unix_s; /* slot of the schedule that asked for it, -1: none */
    int retries;         /* 0 on the first attempt */
    const struct settings *settings;
    /* The task is to stop when *cancel holds `number`; NULL: nobody can ask it to. */
    const _Atomic uint64_t *cancel;
    uint64_t number;
    /* Where it tells how far it is (progress.h, with `number`); NULL: nobody looks. */
    struct progress_share *progress;
};

/*
 * Asks whether the task is to stop, because its soft limit is over or somebody wants it so; a task
 * that may run for long asks now and then. True: *e is filled in (ERR_CANCELLED), and the task
 * tidies up and returns NULL. SIGUSR1 comes with it, so that system calls return with EINTR; the
 * signal may come just before a call that then blocks, so waits are cut into pieces of
 * TASK_WAIT_MS.
 */
bool task_cancelled(const struct task_request *req, struct err *e);
#define TASK_WAIT_MS 250

/* Returns the result (owned by the caller), or NULL with *e saying whether a retry makes sense. */
typedef cJSON *(*task_fn)(const struct task_request *req, struct err *e);

/*
 * What a task leaves for after its answer is out (the caller does not wait for it). Runs in the
 * same child, whatever the outcome was; it has TASK_AFTER_LIMIT_S, then the child is replaced.
 */
#define TASK_AFTER_LIMIT_S 120
typedef void (*task_after_fn)(const struct settings *s);

struct task {
    const char *name;
    task_fn run;
    task_after_fn after; /* or NULL */
    int max_retries;     /* 3: four attempts in all; when: retry.h */
    int retry_base_s;    /* wait before the first retry; 0: RETRY_BASE_SECONDS */
    int soft_limit_s;    /* then the task is asked to stop; 0: no limit */
    int hard_limit_s;    /* then the child is killed; 0: no limit */
    bool singleton;      /* one of them at a time, in the whole fleet */
    int priority;        /* of messages that we make ourselves, 0 (first) to 9 */
    bool track_started;  /* a STARTED document is stored */
};

/* NULL when there is no such task. Test tasks exist only with TEST_TASKS. */
const struct task *task_find(const char *name, const struct settings *s);
/* The tasks in order, from 0 on; NULL after the last. */
const struct task *task_at(size_t i, const struct settings *s);

/* What remote control has changed, and totals; of this process, gone with it. */
struct task_state {
    int64_t soft_limit_ms, hard_limit_ms; /* 0: none asked for */
    double rate_per_s;                    /* 0: no limit */
    char rate_text[24];                   /* as it was asked for: "10/m" */
    int64_t total;                        /* times it has begun */
};
struct task_state *task_state_of(const struct task *t);

/* From the task's begin on, 0: none. */
struct task_limits {
    int64_t soft_ms, hard_ms;
};
/* The smallest of what the table, remote control and the message (0: does not say) want. */
struct task_limits task_limits_of(const struct task *t, int64_t asked_soft_ms,
                                  int64_t asked_hard_ms);
/* Seconds before the first retry. */
int64_t task_retry_base_s(const struct task *t, const struct settings *s);

#endif
