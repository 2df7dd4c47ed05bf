#ifndef CTL_WHY_H
#define CTL_WHY_H

#include "ctl/schedules.h"
#include "ctl/why_tell.h"

/* What why_tell needs of a schedule, read from Redis. */
struct why_read {
    struct why_facts facts; /* points into the rest and to the schedule */
    cJSON *ledger, *notes, *periods;
};
/* r is for why_fini in any case. */
bool why_gather(struct schedules *t, const struct schedule *s, struct why_read *r,
                struct err *e) MUST_CHECK;
void why_fini(struct why_read *r);

#endif
