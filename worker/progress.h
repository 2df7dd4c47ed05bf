#ifndef WORKER_PROGRESS_H
#define WORKER_PROGRESS_H

#include <stdatomic.h>

#include "common/base.h"

/*
 * How far a task is, in memory that its child shares with the supervisor: written whenever the
 * task likes, read when a heartbeat is made; nobody waits for anybody. What is read may mix two
 * moments of one job, never two jobs.
 */
#define PROGRESS_PHASE_MAX 8 /* bytes of a phase's name */

struct progress_share {
    _Atomic uint64_t job;   /* number of the job it is about, 0: none */
    _Atomic uint64_t phase; /* its name, a byte a character */
    _Atomic int64_t since_us;
    _Atomic uint64_t done, of; /* of: 0, nothing is counted */
};

struct progress {
    char phase[PROGRESS_PHASE_MAX + 1];
    int64_t since_us; /* wall clock: when the phase began */
    uint64_t done, of;
};

/* A phase begins; its name is cut to PROGRESS_PHASE_MAX bytes of ASCII. s NULL: nobody looks. */
void progress_begin_phase(struct progress_share *s, uint64_t job, const char *phase);
/* So much of it is done. */
void progress_count(struct progress_share *s, uint64_t done, uint64_t of);
/* False: the job has told nothing. */
bool progress_read(const struct progress_share *s, uint64_t job, struct progress *p) MUST_CHECK;

#endif
