#include "worker/task.h"

#include <stdatomic.h>
#include <string.h>

#include "common/keys.h"
#include "common/sheet_task.h"
#include "worker/batch.h"
#include "worker/prune.h"
#include "worker/settings.h"
#include "worker/sheet.h"
#include "worker/test_tasks.h"

static const struct task TASKS[] = {
    {TASK_BATCH, batch_task, .after = batch_after, .max_retries = 3, .soft_limit_s = 3300,
     .hard_limit_s = 3600},
    {"maintenance.prune", prune_task, .max_retries = 3, .soft_limit_s = 600, .hard_limit_s = 900,
     .singleton = true, .priority = 6},
    /* One at a time: the source is asked at one pace, and the other children are for other tasks.
     */
    {TASK_FETCH_SHEET, sheet_task, .max_retries = 3, .soft_limit_s = 620, .hard_limit_s = 680,
     .singleton = true, .priority = SHEET_TASK_PRIORITY_PERSON},
    {TASK_REFRESH_STALEST, sheet_refresh_task, .max_retries = 3, .soft_limit_s = 60,
     .hard_limit_s = 90, .singleton = true, .priority = SHEET_TASK_PRIORITY_REFRESH},
};

static const struct task TEST_TASKS[] = {
    {"test.add", test_task_add, .max_retries = 3, .hard_limit_s = 60},
    {"test.low", test_task_add, .max_retries = 3, .hard_limit_s = 60, .priority = 6},
    {"test.sum", test_task_sum, .max_retries = 3, .hard_limit_s = 60},
    {"test.echo", test_task_echo, .max_retries = 3, .hard_limit_s = 60},
    {"test.limited", test_task_sleep, .max_retries = 3, .soft_limit_s = 1, .hard_limit_s = 60},
    {"test.stubborn", test_task_stubborn, .max_retries = 3, .soft_limit_s = 1, .hard_limit_s = 3},
    {"test.leak", test_task_leak, .max_retries = 3, .hard_limit_s = 60},
    {"test.single", test_task_sleep, .max_retries = 3, .hard_limit_s = 60, .singleton = true},
    {"test.tracked", test_task_sleep, .max_retries = 3, .hard_limit_s = 60, .track_started = true},
    {"test.sleep", test_task_sleep, .max_retries = 3, .hard_limit_s = 600},
    {"test.fail", test_task_fail, .max_retries = 3, .hard_limit_s = 60},
    {"test.noop", test_task_noop, .max_retries = 3, .hard_limit_s = 60},
    {"test.clock", test_task_clock, .max_retries = 3, .hard_limit_s = 60},
    {"test.append", test_task_append, .max_retries = 3, .hard_limit_s = 60},
    {"test.crash", test_task_crash, .max_retries = 3, .hard_limit_s = 60},
};

static struct task_state states[ARRAY_LEN(TASKS)];
static struct task_state test_states[ARRAY_LEN(TEST_TASKS)];

const struct task *task_at(size_t i, const struct settings *s)
{
    if (i < ARRAY_LEN(TASKS)) {
        return &TASKS[i];
    }
    i -= ARRAY_LEN(TASKS);
    return s->test_tasks && i < ARRAY_LEN(TEST_TASKS) ? &TEST_TASKS[i] : NULL;
}

const struct task *task_find(const char *name, const struct settings *s)
{
    const struct task *t;

    for (size_t i = 0; (t = task_at(i, s)) != NULL; i++) {
        if (strcmp(t->name, name) == 0) {
            return t;
        }
    }
    return NULL;
}

struct task_state *task_state_of(const struct task *t)
{
    if (t >= TASKS && t < TASKS + ARRAY_LEN(TASKS)) {
        return &states[t - TASKS];
    }
    MUST(t >= TEST_TASKS && t < TEST_TASKS + ARRAY_LEN(TEST_TASKS));
    return &test_states[t - TEST_TASKS];
}

/* 0 stands for no limit. */
static int64_t smaller(int64_t a, int64_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

struct task_limits task_limits_of(const struct task *t, int64_t asked_soft_ms,
                                  int64_t asked_hard_ms)
{
    const struct task_state *state = task_state_of(t);
    int64_t soft_ms = smaller((int64_t)t->soft_limit_s * 1000, state->soft_limit_ms);
    int64_t hard_ms = smaller((int64_t)t->hard_limit_s * 1000, state->hard_limit_ms);

    return (struct task_limits){smaller(soft_ms, asked_soft_ms), smaller(hard_ms, asked_hard_ms)};
}

int64_t task_retry_base_s(const struct task *t, const struct settings *s)
{
    return t->retry_base_s > 0 ? t->retry_base_s : s->retry_base_s;
}

bool task_cancelled(const struct task_request *req, struct err *e)
{
    if (!req->cancel || atomic_load(req->cancel) != req->number) {
        return false;
    }
    err_set(e, ERR_CANCELLED, "SoftTimeLimitExceeded", "the task was asked to stop");
    return true;
}
