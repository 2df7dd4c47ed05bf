#ifndef WORKER_BATCH_H
#define WORKER_BATCH_H

#include "worker/task.h"

/*
 * The task app.worker.calculate_power_and_rank_batch: reads every character, scores, publishes a
 * new generation. docs/scoring.md has the rules, docs/architecture.md the steps. Returns
 * {"status":"success","processed":n,"failed":n,"servers":n,"timestamp":"..."}, or "no_data", or
 * "skipped" when another task's batch is running. servers: how many have an entry that this run has
 * read; those carried over as a whole do not count. NULL and *e on failure.
 */
cJSON *batch_task(const struct task_request *req, struct err *e);

/*
 * What may wait until the answer is out: the index of the live generation, and dropping generations
 * and records that are past their time. Failures are logged, never more.
 */
void batch_after(const struct settings *s);

#endif
