#ifndef WORKER_JOB_PARTS_H
#define WORKER_JOB_PARTS_H

#include "worker/job.h"

/* The inside of job.h: job.c (life, examination, the request), job_end.c (how it ended and what is
 * said about it), job_flow.c (what follows, and the step that ends the hold). */

void job_begin_step(struct job *j, enum job_state state);

/* Endings that only examination knows. */
void job_end_delay(struct job *j);
void job_end_quarantine(struct job *j, const char *reason);

/*
 * The task is over: j->end has status, result, traceback and dead (all taken). Builds what follows
 * and the step; a task that has succeeded has failed when that cannot be built.
 */
void job_finish(struct job *j, const struct settings *s);
void job_end_fini(struct job_end *end);

#endif
