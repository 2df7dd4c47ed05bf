#include <stdlib.h>

#include "ctl/schedule.h"

bool schedule_call_open(struct schedules *t, const char *command, const struct ctl_settings *s,
                        int *code)
{
    const struct schedule_defaults d = {s->task_queue, s->batch_interval_s};
    struct rds_addr addr;
    redisContext *c = ctl_redis(command, s, &addr, code);
    struct err e;

    if (!c) {
        return false;
    }
    if (!schedules_open(t, c, addr.db, &d, &e)) {
        *code = ctl_fail_err(command, &e);
        redisFree(c);
        return false;
    }
    return true;
}

void schedule_call_close(struct schedules *t)
{
    redisFree(t->c);
    t->c = NULL;
}

bool schedule_call_get(struct schedules *t, const char *command, const char *name,
                       struct schedule *s, int *code)
{
    struct err e;
    char *text;
    enum schedules_found found = schedules_get(t, name, s, &text, &e);

    free(text);
    if (found == SCHEDULES_STORED || found == SCHEDULES_BUILTIN) {
        return true;
    }
    *code = schedule_call_fail(command, name, found, &e);
    schedule_fini(s);
    return false;
}

int schedule_call_fail(const char *command, const char *name, enum schedules_found found,
                       const struct err *e)
{
    switch (found) {
    case SCHEDULES_NONE:
        return ctl_fail(command, CTL_FAILED,
                        "there is no schedule \"%.80s\"; see aion2ctl schedule list", name);
    case SCHEDULES_BAD:
        return ctl_fail(command, CTL_FAILED, "the schedule \"%.80s\" cannot be read: %s", name,
                        e->text);
    default:
        return ctl_fail_err(command, e);
    }
}
