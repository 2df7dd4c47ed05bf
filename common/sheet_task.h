#ifndef COMMON_SHEET_TASK_H
#define COMMON_SHEET_TASK_H

#include "common/command.h"
#include "common/msg.h"

/*
 * Has a character's sheet read at the source: pushes a task source.fetch_sheet. Equal requests
 * within SHEET_TASK_ONCE_S are one: the first pushes, the others find that it did.
 */
#define SHEET_TASK_ONCE_S 300
/* One that has waited for so long is not run any more: the source reads some hundred in an hour. */
#define SHEET_TASK_EXPIRES_S 3600
/* Of kombu's priorities: a person waits for one, nobody for the other. */
#define SHEET_TASK_PRIORITY_PERSON  3
#define SHEET_TASK_PRIORITY_REFRESH 9

struct sheet_task {
    const char *server; /* canonical */
    const char *name;
    const char *queue;
    const char *origin; /* who sends it, "api@host" */
    int priority;
    int64_t now_us;
};

extern struct script *const SHEET_TASK_SCRIPTS[];
extern const size_t SHEET_TASK_SCRIPT_COUNT;

/* Replies 1, or 0: it was pushed lately. Without memory the command is failed. */
void sheet_task_push(struct command *c, const struct sheet_task *t);

#endif
