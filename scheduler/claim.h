#ifndef SCHEDULER_CLAIM_H
#define SCHEDULER_CLAIM_H

#include "common/rds.h"
#include "scheduler/plan.h"

/*
 * Carrying out a plan is one step in Redis: it looks whether everything that the plan was made from
 * is still so, and then writes all of it or nothing. Any number of beats may make the same
 * plan; the first one does it. Steps are pipelined: append some, then read as many answers.
 */

/* A schedule's state as it stands in Redis; texts as they are there, "" when there is none. */
#define CLAIM_RAW_SIZE 512
struct claim_state {
    char last[CLAIM_RAW_SIZE]; /* slot */
    char gap[CLAIM_RAW_SIZE];  /* "from to" */
    char sent[CLAIM_RAW_SIZE]; /* "slot id tag list" of the last message */
};
/* Reads last and gap; what is no number counts as none. */
struct plan_state claim_plan_state(const struct claim_state *raw);

enum claim_verdict {
    CLAIM_SENT,
    CLAIM_SKIPPED, /* paused or late: that is recorded */
    CLAIM_OVERLAP, /* the predecessor's task waits or runs: the slot is skipped and recorded */
    CLAIM_NOTED,
    CLAIM_STALE,    /* another beat was faster (or data were lost): see state, plan again */
    CLAIM_MOVED,    /* by Redis' clock another slot is on: see now_us, plan again */
    CLAIM_CHANGED,  /* the table of schedules has changed: load it again */
    CLAIM_UNLOADED, /* Redis has forgotten the script: claim_load, then again */
    CLAIM_REFUSED,  /* Redis refuses this one for good (*e says why); others may work */
};

struct claim_request {
    const struct schedule *schedule;
    const struct plan *plan;
    const struct claim_state *state; /* what the plan was made from */
    const char *rev;                 /* of the table of schedules */
    int64_t now_us;                  /* Redis' clock, about */
    int64_t ledger_max;
    int db; /* for remote control's channel */
};

struct claim_answer {
    enum claim_verdict verdict;
    int64_t now_us; /* Redis' clock, -1: not known */
    struct claim_state state;
    char what[64]; /* CLAIM_OVERLAP: "queued", "held" or "delayed"; CLAIM_SENT: "cancelled" or "" */
};

/* Loads the script. */
bool claim_load(redisContext *c, struct err *e) MUST_CHECK;
/* Adds the step to the pipeline. False when memory is out. */
bool claim_append(redisContext *c, const struct claim_request *req, struct err *e) MUST_CHECK;
/* The next answer. False when the connection is of no use any more; then nothing is known. */
bool claim_read(redisContext *c, struct claim_answer *a, struct err *e) MUST_CHECK;

/* The last slots of a schedule that its ledger tells of: 2,016, and fewer when there are many
 * schedules. */
#define CLAIM_LEDGER_MAX   2016
#define CLAIM_LEDGER_MIN   200
#define CLAIM_LEDGER_TOTAL 200000

#endif
