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

struct task {
    const char *name;
    task_fn run;
    int max_retries;  /* 3: four attempts in all */
    int retry_base_s; /* the nth retry waits retry_base_s * 2^n */
    int hard_limit_s; /* then the child is killed; 0: no limit */
};

/* NULL when there is no such task. */
const struct task *task_find(const char *name);

/* Seconds to wait before the attempt after `retries` retries: base * 2^retries (60, 120, 240). */
int64_t task_retry_delay_s(const struct task *t, int retries);

#endif
