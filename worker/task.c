#include "worker/task.h"

#include <string.h>

#include "common/keys.h"
#include "worker/batch.h"
#include "worker/settings.h"
#include "worker/test_tasks.h"

static const struct task TASKS[] = {
    {TASK_BATCH, batch_task, .after = batch_after, .max_retries = 3, .hard_limit_s = 3600},
};

static const struct task TEST_TASKS[] = {
    {"test.add", test_task_add, .max_retries = 3, .hard_limit_s = 60},
    {"test.sleep", test_task_sleep, .max_retries = 3, .hard_limit_s = 600},
    {"test.fail", test_task_fail, .max_retries = 3, .hard_limit_s = 60},
    {"test.noop", test_task_noop, .max_retries = 3, .hard_limit_s = 60},
    {"test.clock", test_task_clock, .max_retries = 3, .hard_limit_s = 60},
    {"test.append", test_task_append, .max_retries = 3, .hard_limit_s = 60},
    {"test.crash", test_task_crash, .max_retries = 3, .hard_limit_s = 60},
};

static const struct task *find(const struct task *tasks, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(tasks[i].name, name) == 0) {
            return &tasks[i];
        }
    }
    return NULL;
}

const struct task *task_find(const char *name, const struct settings *s)
{
    const struct task *t = find(TASKS, ARRAY_LEN(TASKS), name);

    return t || !s->test_tasks ? t : find(TEST_TASKS, ARRAY_LEN(TEST_TASKS), name);
}
