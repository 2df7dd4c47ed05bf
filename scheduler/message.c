#include "scheduler/message.h"

#include "common/host.h"

void message_describe(const struct schedule *s, int64_t slot_s, int64_t now_us,
                      struct message_texts *t, struct msg_new *n)
{
    schedule_task_id(s->name, slot_s, t->id);
    *n = (struct msg_new){.task = s->task,
                          .id = t->id,
                          .queue = s->queue,
                          .origin = host_origin(t->origin),
                          .args = s->args,
                          .kwargs = s->kwargs,
                          .priority = s->priority,
                          .slot_unix_s = slot_s};
    if (s->expires_s > 0) {
        n->expires_us = now_us + s->expires_s * 1000000;
    }
}

char *message_build(const struct schedule *s, int64_t slot_s, const char *tag, int64_t now_us,
                    size_t *len)
{
    struct message_texts t;
    struct msg_new n;

    message_describe(s, slot_s, now_us, &t, &n);
    n.tag = tag;
    return msg_build(&n, len);
}
