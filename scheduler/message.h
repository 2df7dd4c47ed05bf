#ifndef SCHEDULER_MESSAGE_H
#define SCHEDULER_MESSAGE_H

#include "scheduler/claim.h"

/*
 * The message that asks for a slot's run, as a Python beat would send it (Celery protocol 2), and
 * with the slot in the header aion2_slot. The caller's (free()), NULL when out of memory.
 */
char *message_build(const struct schedule *s, int64_t slot_s, const char *queue,
                    size_t *len) MUST_CHECK;

#endif
