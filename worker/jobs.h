#ifndef WORKER_JOBS_H
#define WORKER_JOBS_H

#include "worker/job.h"

/*
 * The jobs of a consumer: in the order of their numbers, found by number without a search, counted
 * by state; those that are ready also in a queue of their own. A job's state is changed by job.c;
 * jobs_note() is told afterwards.
 */
struct jobs {
    struct job_queue all; /* oldest first */
    struct job_queue ready;
    struct job **slots; /* by number, chained; a power of two of them */
    size_t slot_count;
    int count;
    int in_state[JOB_STATES];
};

void jobs_init(struct jobs *js);
/* Every job must have been removed. */
void jobs_fini(struct jobs *js);
/* Takes over j, whose number is higher than that of any job here. */
void jobs_add(struct jobs *js, struct job *j);
/* Removes and frees j. */
void jobs_drop(struct jobs *js, struct job *j);
/* NULL when there is none. */
struct job *jobs_find(const struct jobs *js, uint64_t number);
/* j->state may have changed. */
void jobs_note(struct jobs *js, struct job *j);

#endif
