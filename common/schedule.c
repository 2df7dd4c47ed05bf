#include "common/schedule.h"

#include <stdio.h>
#include <string.h>

#include "common/keys.h"

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

int64_t schedule_slot_s(int64_t now_us, int64_t interval_s)
{
    return floor_div(floor_div(now_us, 1000000), interval_s) * interval_s;
}

int64_t schedule_next_us(int64_t now_us, int64_t interval_s)
{
    return (schedule_slot_s(now_us, interval_s) + interval_s) * 1000000;
}

bool schedule_is_late(int64_t last_s, int64_t now_us, int64_t interval_s)
{
    return floor_div(now_us, 1000000) - last_s > 2 * interval_s;
}

void schedule_task_id(const char *schedule, int64_t slot_s, char out[UUID_SIZE])
{
    char name[128];
    int len = snprintf(name, sizeof name, "%s:%" PRId64, schedule, slot_s);

    MUST(len > 0 && (size_t)len < sizeof name);
    uuid_from_name(name, out);
}

bool schedule_next(const struct schedule *s, int64_t after_s, int64_t *slot_s)
{
    struct cron_zone z = zone_of(s->zone);

    if (after_s < s->since_s - 1) {
        after_s = s->since_s - 1;
    }
    if (s->every_s == 0) {
        return cron_next(&s->cron, &z, after_s, slot_s);
    }
    *slot_s = (floor_div(after_s, s->every_s) + 1) * s->every_s;
    return true;
}

bool schedule_prev(const struct schedule *s, int64_t at_s, int64_t *slot_s)
{
    struct cron_zone z = zone_of(s->zone);
    bool found = true;

    if (s->every_s == 0) {
        found = cron_prev(&s->cron, &z, at_s, slot_s);
    } else {
        *slot_s = floor_div(at_s, s->every_s) * s->every_s;
    }
    return found && *slot_s >= s->since_s;
}

static void fill_batch(const struct schedule_defaults *d, struct schedule *s)
{
    s->every_s = d->batch_interval_s;
}

/* Long before the busy hours, and off the full hour. */
static void fill_prune(const struct schedule_defaults *d, struct schedule *s)
{
    struct err never;

    (void)d;
    snprintf(s->cron_text, sizeof s->cron_text, "20 4 * * *");
    snprintf(s->zone, sizeof s->zone, "UTC");
    MUST(cron_parse(s->cron_text, &s->cron, &never));
}

static const struct {
    const char *name;
    const char *task;
    void (*fill)(const struct schedule_defaults *d, struct schedule *s);
} BUILTINS[SCHEDULE_BUILTINS] = {
    {SCHEDULE_BATCH, TASK_BATCH, fill_batch},
    {SCHEDULE_PRUNE, TASK_PRUNE, fill_prune},
};

bool schedule_builtin(size_t n, const struct schedule_defaults *d, struct schedule *s)
{
    if (n >= ARRAY_LEN(BUILTINS)) {
        return false;
    }
    *s = (struct schedule){.missed = SCHEDULE_LATEST, .overlap = SCHEDULE_OVERLAP_SKIP};
    snprintf(s->name, sizeof s->name, "%s", BUILTINS[n].name);
    snprintf(s->task, sizeof s->task, "%s", BUILTINS[n].task);
    snprintf(s->queue, sizeof s->queue, "%s", d->queue);
    BUILTINS[n].fill(d, s);
    return true;
}

bool schedule_is_builtin(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(BUILTINS); i++) {
        if (strcmp(BUILTINS[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

const char *schedule_when(const struct schedule *s, char out[SCHEDULE_WHEN_SIZE])
{
    if (s->every_s > 0) {
        snprintf(out, SCHEDULE_WHEN_SIZE, "every %" PRId64 " s", s->every_s);
    } else {
        snprintf(out, SCHEDULE_WHEN_SIZE, "cron %s %s", s->cron_text, s->zone);
    }
    return out;
}
