#ifndef SCHEDULER_ALERT_FACTS_H
#define SCHEDULER_ALERT_FACTS_H

#include <libpq-fe.h>

#include "common/alert.h"
#include "common/rds.h"

/*
 * What the alerts are made from, asked of Redis and PostgreSQL. Blocking. What cannot be asked is
 * not known; the age of the ranking goes on growing from what was known last.
 */
struct alert_limits {
    int64_t ranking_age_s;
    int64_t dead_letters; /* more than these fire */
};

/* What was seen, from one look to the next; begins as {0}. */
struct alert_sight {
    int64_t run_id;    /* of the last batch that succeeded; 0: none known */
    int64_t success_s; /* when it ended */
    bool pg_asked;     /* PostgreSQL has answered at least once, us or others */
    char pg_away[200]; /* why it does not; "": it does */
    bool looked;       /* the dead letters were looked through when there were so many: */
    int64_t dead_ever, dead_count;
    int64_t letter_s; /* the newest of a batch; 0: none */
    char letter_text[200];
    int unbalanced; /* audits in a row that did not add up */
};

/* What others were told of the last success, and we before we were started anew; 0: nothing. */
void alert_recall(struct alert_sight *sight, int64_t success_s);

/* All facts; redis or pg may be NULL (away). With pg_away set pg is not to be used again. */
void alert_look(struct alert_sight *sight, redisContext *redis, PGconn *pg,
                const struct alert_limits *limits, int64_t now_s,
                struct alert_fact facts[ALERT_RULE_COUNT]);

/* ---- pure parts ---- */

/* "42 min", "3 h 5 min", "2 d 4 h" */
const char *alert_span(int64_t s, char out[32]);
void alert_judge_age(const struct alert_sight *sight, const struct alert_limits *limits,
                     int64_t now_s, struct alert_fact *f);

#endif
