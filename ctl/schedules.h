#ifndef CTL_SCHEDULES_H
#define CTL_SCHEDULES_H

#include "common/schedule.h"
#include "ctl/ctl.h"

/* The table of schedules as aion2ctl reads and changes it. */
struct schedules {
    const char *command; /* for messages */
    redisContext *c;
    struct rds_addr addr;
    int64_t now_us;             /* Redis' clock */
    struct schedule_defaults d; /* the interval is what the beats say, else our own setting */
    int beats;                  /* that were seen lately */
};

/* Connects and looks around. False: it has said why, *code is what to return. */
bool schedules_open(struct schedules *t, const char *command, const struct ctl_settings *s,
                    int *code) MUST_CHECK;
void schedules_close(struct schedules *t);

enum schedules_found {
    SCHEDULES_STORED,
    SCHEDULES_BUILTIN, /* nothing is stored; it is what is built in */
    SCHEDULES_NONE,
    SCHEDULES_BAD, /* what is stored cannot be read: *e says why */
    SCHEDULES_ERROR,
};
/*
 * One schedule. *text: what is stored ("" when nothing is), the caller's (free()); *s is for
 * schedule_fini in any case.
 */
enum schedules_found schedules_get(struct schedules *t, const char *name, struct schedule *s,
                                   char **text, struct err *e) MUST_CHECK;

/* Its last slot that a beat has decided, -1: none. False and *e when Redis fails. */
bool schedules_last(struct schedules *t, const char *name, int64_t *last_s,
                    struct err *e) MUST_CHECK;

/* Every name, stored or built in, sorted; an array of texts, NULL and *e on failure. */
cJSON *schedules_names(struct schedules *t, struct err *e) MUST_CHECK;

/*
 * Replaces what is stored, if it is still `was`, by `is` ("": nothing); note: for the beats' notes,
 * NULL for none; forget: with its state and ledger. 1: done, 0: it was changed meanwhile,
 * -1: the table is full, -2: *e.
 */
struct schedules_change {
    const char *name, *was, *is, *note;
    bool forget;
};
int schedules_change(struct schedules *t, const struct schedules_change *ch, struct err *e);

/* "every 600 s", "cron 0 4 * * * UTC" and the zone in which its times are shown ("" our own). */
const char *schedules_zone(const struct schedule *s);

/* Explains a failure of schedules_get and gives the exit code. */
int schedules_fail(const struct schedules *t, const char *name, enum schedules_found found,
                   const struct err *e);

#endif
