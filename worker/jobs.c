#include "worker/jobs.h"

#include <stdlib.h>

#include "common/mem.h"

#define SLOTS_FIRST 64

void jobs_init(struct jobs *js)
{
    *js = (struct jobs){.slot_count = SLOTS_FIRST};
    TAILQ_INIT(&js->all);
    TAILQ_INIT(&js->ready);
    js->slots = mem_alloc(js->slot_count * sizeof(struct job *));
}

void jobs_fini(struct jobs *js)
{
    MUST(js->count == 0);
    free(js->slots);
}

/* Numbers are given one after the other, so their low bits spread them well. */
static struct job **slot_of(const struct jobs *js, uint64_t number)
{
    return &js->slots[number & (js->slot_count - 1)];
}

static void chain(struct jobs *js, struct job *j)
{
    struct job **slot = slot_of(js, j->number);

    j->chained = *slot;
    *slot = j;
}

static void grow(struct jobs *js)
{
    struct job *j;

    free(js->slots);
    js->slot_count *= 2;
    js->slots = mem_alloc(js->slot_count * sizeof(struct job *));
    TAILQ_FOREACH(j, &js->all, all)
    {
        chain(js, j);
    }
}

void jobs_add(struct jobs *js, struct job *j)
{
    TAILQ_INSERT_TAIL(&js->all, j, all);
    if ((size_t)++js->count > js->slot_count) {
        grow(js);
    } else {
        chain(js, j);
    }
    j->noted = JOB_TAKEN;
    js->in_state[JOB_TAKEN]++;
    jobs_note(js, j);
}

void jobs_note(struct jobs *js, struct job *j)
{
    if (j->state == j->noted) {
        return;
    }
    if (j->noted == JOB_READY) {
        TAILQ_REMOVE(&js->ready, j, ready);
    }
    if (j->state == JOB_READY) {
        TAILQ_INSERT_TAIL(&js->ready, j, ready);
    }
    js->in_state[j->noted]--;
    js->in_state[j->state]++;
    j->noted = j->state;
}

void jobs_drop(struct jobs *js, struct job *j)
{
    struct job **at = slot_of(js, j->number);

    while (*at != j) {
        at = &(*at)->chained;
    }
    *at = j->chained;
    if (j->noted == JOB_READY) {
        TAILQ_REMOVE(&js->ready, j, ready);
    }
    TAILQ_REMOVE(&js->all, j, all);
    js->in_state[j->noted]--;
    js->count--;
    job_free(j);
}

struct job *jobs_find(const struct jobs *js, uint64_t number)
{
    struct job *j = *slot_of(js, number);

    while (j && j->number != number) {
        j = j->chained;
    }
    return j;
}
