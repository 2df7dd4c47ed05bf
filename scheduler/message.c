#include "scheduler/message.h"

#include "common/host.h"
#include "common/msg.h"
#include "common/schedule.h"

char *message_build(const struct schedule *s, int64_t slot_s, const char *queue, size_t *len)
{
    char id[UUID_SIZE], origin[HOST_ORIGIN_SIZE];
    struct msg_new n = {.task = s->task,
                        .id = id,
                        .queue = queue,
                        .origin = host_origin(origin),
                        .slot_unix_s = slot_s};

    schedule_task_id(s->name, slot_s, id);
    return msg_build(&n, len);
}
