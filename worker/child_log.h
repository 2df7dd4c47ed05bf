#ifndef WORKER_CHILD_LOG_H
#define WORKER_CHILD_LOG_H

#include <event2/event.h>

#include "common/base.h"

/*
 * What a child writes to its standard error. Lines go to ours, whole and one by one: those that are
 * log lines as they are (they name the process), all others as events of ours. The last of them are
 * kept, for whoever has to find out why the child died.
 */
struct child_log;

/* fd: the pipe's end for reading, non-blocking; closed by child_log_free. */
struct child_log *child_log_new(struct event_base *base, int fd, int pid);
/* Forwards what is left. NULL is fine. */
void child_log_free(struct child_log *l);
/* Reads what is there already. */
void child_log_drain(struct child_log *l);
/* The last lines, as many as fit into size bytes, and a NUL. Valid UTF-8. */
void child_log_tail(const struct child_log *l, char *out, size_t size);

#endif
