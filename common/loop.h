#ifndef COMMON_LOOP_H
#define COMMON_LOOP_H

#include <event2/event.h>

#include "common/base.h"

/* (Re)starts a timer. */
static inline void loop_arm_ms(struct event *timer, int64_t ms)
{
    struct timeval tv = {ms / 1000, (ms % 1000) * 1000};

    event_add(timer, &tv);
}

#endif
