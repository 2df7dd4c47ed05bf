#include "worker/progress.h"

#include <string.h>

#include "common/clock.h"

void progress_begin_phase(struct progress_share *s, uint64_t job, const char *phase)
{
    uint64_t packed = 0;

    if (!s) {
        return;
    }
    memcpy(&packed, phase, strnlen(phase, PROGRESS_PHASE_MAX));
    atomic_store(&s->of, 0);
    atomic_store(&s->done, 0);
    atomic_store(&s->since_us, clock_wall_us());
    atomic_store(&s->phase, packed);
    atomic_store(&s->job, job);
}

void progress_count(struct progress_share *s, uint64_t done, uint64_t of)
{
    if (s) {
        atomic_store_explicit(&s->done, done, memory_order_relaxed);
        atomic_store_explicit(&s->of, of, memory_order_relaxed);
    }
}

bool progress_read(const struct progress_share *s, uint64_t job, struct progress *p)
{
    uint64_t packed;

    if (atomic_load(&s->job) != job || job == 0) {
        return false;
    }
    memset(p, 0, sizeof *p);
    packed = atomic_load(&s->phase);
    memcpy(p->phase, &packed, sizeof packed);
    for (char *c = p->phase; *c; c++) { /* a task may have gone wild over it */
        *c = *c > ' ' && *c < 0x7f ? *c : '?';
    }
    p->since_us = atomic_load(&s->since_us);
    p->of = atomic_load(&s->of);
    p->done = atomic_load(&s->done);
    p->done = p->done < p->of ? p->done : p->of;
    return true;
}
