#ifndef WORKER_RUN_ONCE_H
#define WORKER_RUN_ONCE_H

#include "worker/settings.h"
#include "worker/task.h"

/*
 * Runs one task in this process, without Redis: prints its result as JSON on standard output, or
 * one line "class type: text" on standard error. id NULL: a random one. slot_unix_s -1: no slot.
 * Returns the exit code of the program: 0 done, 1 failed, 64 no such task.
 */
int run_once(const struct settings *s, const char *task_name, const char *id, int64_t slot_unix_s);

#endif
