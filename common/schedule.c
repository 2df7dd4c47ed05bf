#include "common/schedule.h"

#include <stdio.h>

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

int64_t schedule_missed(int64_t last_s, int64_t slot_s, int64_t interval_s)
{
    int64_t between = floor_div(slot_s, interval_s) - floor_div(last_s, interval_s) - 1;

    return between > 0 ? between : 0;
}

bool schedule_is_late(int64_t last_s, int64_t now_us, int64_t interval_s)
{
    return floor_div(now_us, 1000000) - last_s > 2 * interval_s;
}

void schedule_task_id(const char *schedule, int64_t slot_s, char out[UUID_SIZE])
{
    char name[128];
    int len = snprintf(name, sizeof name, "%s:%" PRId64, schedule, slot_s);

    MUST(len > 0 && (size_t)len < sizeof name); /* names of schedules are ours */
    uuid_from_name(name, out);
}
