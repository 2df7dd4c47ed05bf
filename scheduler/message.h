#ifndef SCHEDULER_MESSAGE_H
#define SCHEDULER_MESSAGE_H

#include "common/host.h"
#include "common/schedule.h"

/* Texts that a message borrows while it is built. */
struct message_texts {
    char id[UUID_SIZE];
    char origin[HOST_ORIGIN_SIZE];
};

/*
 * What a Python beat would send for a slot (Celery protocol 2), with the slot in the header
 * aion2_slot; now_us is Redis' clock. *n borrows from s and t.
 */
void message_describe(const struct schedule *s, int64_t slot_s, int64_t now_us,
                      struct message_texts *t, struct msg_new *n);

/* Its text with that delivery tag. The caller's (free()), NULL when out of memory. */
char *message_build(const struct schedule *s, int64_t slot_s, const char *tag, int64_t now_us,
                    size_t *len) MUST_CHECK;

#endif
