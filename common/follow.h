#ifndef COMMON_FOLLOW_H
#define COMMON_FOLLOW_H

#include "common/base.h"

/*
 * What a task's end brings with it, beside its own result: messages of the tasks that come next,
 * results of those that will never come. Done in the same atomic step as the end, before the
 * task's own result is stored, and only while the hold is there.
 */
enum follow_kind {
    FOLLOW_PUSH,  /* key is a list: bytes at its left end, as a client does */
    FOLLOW_STORE, /* key is a result's: stored and published, never over a SUCCESS */
    FOLLOW_SET,   /* key is a helper of Celery's: set, expires like a result */
};

struct follow {
    enum follow_kind kind;
    const char *key;
    const char *bytes;
    size_t len;
    /* Group id of the chord whose end this is, "": none. Done only while nobody else has ended that
     * chord, so its body is sent once. */
    const char *guard;
};

#endif
