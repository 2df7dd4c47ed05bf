#ifndef CTL_RESULT_GROUP_H
#define CTL_RESULT_GROUP_H

#include "ctl/ctl.h"
#include "ctl/term.h"

/*
 * A group that a Celery client has saved (GroupResult.save): the states of its tasks.
 *   {"group_id", "tasks": [{"task_id", "status"}, ...], "ready", "failed"}
 * "PENDING" where nothing is stored. NULL with e->cls ERR_NONE: there is no such group; else *e.
 */
#define RESULT_GROUP_MAX 10000 /* tasks looked at */
cJSON *result_group(redisContext *c, const char *id, struct err *e) MUST_CHECK;

/* CTL_OK: all succeeded, CTL_FAILED: one did not, CTL_TIMEOUT: not all have ended. */
int result_group_code(const cJSON *doc);
void result_group_print(const struct term *t, const cJSON *doc);

#endif
