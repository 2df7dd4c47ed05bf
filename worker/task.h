#ifndef WORKER_TASK_H
#define WORKER_TASK_H

#include <cjson/cJSON.h>

#include "common/err.h"

/*
 * Tasks are a table (task.c). A task function runs in a child process, one at a time, and may
 * block.
 */
struct settings; /* worker/settings.h */

/* What a task is told about itself. Strings are borrowed for the call. */
struct task_request {
    const char *id;      /* the same over retries and redeliveries */
    const char *worker;  /* name of the worker, for the record */
    const cJSON *args;   /* array, never NULL */
    const cJSON *kwargs; /* object, never NULL */
    int64_t slot_unix_s; /* slot of the schedule that asked for it, -1: none */
    int retries;         /* 0 on the first attempt */
    const struct settings *settings;
};

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
    int hard_limit_s;    /* then the child is killed; 0: no limit */
};

/* NULL when there is no such task. Test tasks exist only with TEST_TASKS. */
const struct task *task_find(const char *name, const struct settings *s);

#endif
