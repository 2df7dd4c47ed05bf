#ifndef SCHEDULER_CLAIM_H
#define SCHEDULER_CLAIM_H

#include <hiredis/hiredis.h>

#include "common/err.h"

/*
 * The two steps a beat takes in Redis, each one Lua script: claim a slot and send its message, and
 * say "I am here". Both answer with Redis' time, by which everything here goes.
 */

struct schedule {
    const char *name;
    const char *task;
    int64_t interval_s;
};

enum claim_verdict {
    CLAIM_SENT,    /* the slot was new: its message is on the queue */
    CLAIM_NOT_DUE, /* this slot, or a later one, was sent before */
    CLAIM_NOTED,   /* very first start: the slot is noted, the next one will be sent */
    CLAIM_RESET,   /* the last slot was far in the future: noted like a first start */
    CLAIM_MOVED,   /* by Redis' clock another slot is on; look at now_us and ask again */
};

/* A last slot this far ahead of Redis' clock means that the clock was wrong when it was sent. */
#define CLAIM_AHEAD_MAX_S 3600
/* Entries of a schedule's ledger: two weeks of slots of 10 minutes. */
#define CLAIM_LEDGER_MAX 2016

struct claim_request {
    const char *queue;   /* list the message goes to */
    const char *message; /* whole text, made for slot_s */
    size_t message_len;
    const char *task_id;
    int64_t slot_s;
    int64_t known_s; /* last slot that this beat knows of, -1: none; for a Redis that lost it */
};

struct claim_answer {
    enum claim_verdict verdict;
    int64_t last_s; /* last slot sent before this call, -1: none */
    int64_t missed; /* CLAIM_SENT: slots between last_s and this one */
    int64_t now_us; /* Redis' clock */
};

/* False and *e when Redis cannot be asked or answers with an error; then nothing is known. */
bool claim_slot(redisContext *c, const struct schedule *s, const struct claim_request *req,
                struct claim_answer *out, struct err *e) MUST_CHECK;

/* A beat's entry in aion2:beats is renewed at least this often, and dropped after CLAIM_GONE_S. */
#define CLAIM_ALIVE_MS 5000
#define CLAIM_GONE_S   60

/*
 * Renews the entry of this beat, {"host","pid","interval","seen"}, and removes entries not seen for
 * CLAIM_GONE_S. *now_us: Redis' clock.
 */
bool claim_alive(redisContext *c, const char *boot, int64_t interval_s, int64_t *now_us,
                 struct err *e) MUST_CHECK;
/* Removes it. What fails here is of no consequence: the entry ages out. */
void claim_goodbye(redisContext *c, const char *boot);

#endif
