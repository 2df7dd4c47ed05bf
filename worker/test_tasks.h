#ifndef WORKER_TEST_TASKS_H
#define WORKER_TEST_TASKS_H

#include "worker/task.h"

/* Tasks for tests of the worker itself; they exist only with TEST_TASKS=1. */
cJSON *test_task_add(const struct task_request *req, struct err *e);   /* args: numbers */
cJSON *test_task_sum(const struct task_request *req, struct err *e);   /* the same, or one list */
cJSON *test_task_echo(const struct task_request *req, struct err *e);  /* {"args","kwargs"} */
cJSON *test_task_sleep(const struct task_request *req, struct err *e); /* args: [seconds] */
/* The same, but it never asks whether it is to stop. */
cJSON *test_task_stubborn(const struct task_request *req, struct err *e);
cJSON *test_task_leak(const struct task_request *req, struct err *e); /* args: [bytes] */
/* args: [error type, text]; kwargs: {"class": "retryable", "succeed_after": retries} */
cJSON *test_task_fail(const struct task_request *req, struct err *e);
cJSON *test_task_noop(const struct task_request *req, struct err *e);  /* nothing; null */
cJSON *test_task_clock(const struct task_request *req, struct err *e); /* unix s when it began */
/* args: [path, text]; appends the text as one line to the file, so that runs can be counted. */
cJSON *test_task_append(const struct task_request *req, struct err *e);
/* Kills its own process. kwargs: {"signal": 9, "lines": [written to standard error before]} */
cJSON *test_task_crash(const struct task_request *req, struct err *e);

#endif
