#ifndef SCHEDULER_TABLE_H
#define SCHEDULER_TABLE_H

#include "scheduler/claim.h"

/*
 * The schedules that a beat works on: the table in Redis and the built-in ones that are not in it.
 * An entry that cannot be read is left out and said in the log (a built-in one runs as it is
 * built in); nothing else suffers.
 */
#define TABLE_REV_SIZE 32

struct table_entry {
    struct schedule schedule;
    uint64_t hash; /* of its text in Redis, 0: built in */
    struct claim_state state;
    int64_t known_s; /* the last slot that we know to be decided, for a Redis that lost it */
    int64_t due_s;   /* when to look at it next, Redis' clock */
    int tries;       /* in a row, without the answer that it is settled */
    char refused[sizeof((struct err *)0)->text]; /* why it cannot be sent, as logged */
};

struct table {
    struct table_entry *entries; /* sorted by name; owned */
    size_t count;
    char rev[TABLE_REV_SIZE];
    uint64_t hash; /* of the table's contents, so that an unchanged one is not read again */
};

/*
 * Reads the table and, when it is another one than before or `fully`, the state of each schedule.
 * What is known of schedules that stay is kept. *now_us: Redis' clock. False: the connection is of
 * no use, and the table is as before.
 */
bool table_load(struct table *t, redisContext *c, const struct schedule_defaults *d, bool fully,
                int64_t *now_us, struct err *e) MUST_CHECK;
void table_fini(struct table *t);

#endif
