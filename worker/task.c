#include "worker/task.h"

#include <string.h>

#include "common/base.h"
#include "worker/batch.h"

static const struct task TASKS[] = {
    {.name = "app.worker.calculate_power_and_rank_batch",
     .run = batch_task,
     .max_retries = 3,
     .retry_base_s = 60,
     .hard_limit_s = 1800},
};

const struct task *task_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(TASKS); i++) {
        if (strcmp(TASKS[i].name, name) == 0) {
            return &TASKS[i];
        }
    }
    return NULL;
}

int64_t task_retry_delay_s(const struct task *t, int retries)
{
    MUST(retries >= 0 && retries < 32);
    return (int64_t)t->retry_base_s << retries;
}
