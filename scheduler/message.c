#include "scheduler/message.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/msg.h"
#include "common/schedule.h"
#include "common/text.h"

char *message_build(const struct schedule *s, int64_t slot_s, const char *queue, size_t *len)
{
    char id[UUID_SIZE], host[HOST_NAME_MAX + 1] = "", origin[HOST_NAME_MAX + 32];
    struct msg_new n = {
        .task = s->task, .id = id, .queue = queue, .origin = origin, .slot_unix_s = slot_s};

    gethostname(host, sizeof host - 1);
    snprintf(origin, sizeof origin, "gen%d@%s", (int)getpid(),
             text_is_utf8(host, strlen(host)) ? host : "localhost");
    schedule_task_id(s->name, slot_s, id);
    return msg_build(&n, len);
}
