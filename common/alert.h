#ifndef COMMON_ALERT_H
#define COMMON_ALERT_H

#include "common/json.h"

/*
 * What people are to be told by themselves, and the letters that tell them. Pure: facts go in, one
 * JSON document says what is wrong and which letters are still to be delivered. It lies in Redis
 * (alert_store.h), so any number of beats share it, and none of it is lost with one.
 *
 * {"checked": s, "pinged": run id, "succeeded": s, "serial": n,
 *  "alerts": {NAME: {"since", "told", "level", "text"}, ...},             what is wrong now
 *  "outbox": [{"id", "at", "due", "kind": "alert"|"test"|"ping", "run"?,
 *              "items": [{"name", "status", "severity", "since", "text"}, ...],
 *              "left": [{"to", "tries", "next", "lease"}, ...]}, ...]}
 *
 * Times are unix seconds. A clock that went back makes nothing wait for longer than it would.
 */
#define ALERT_GROUP_S     20   /* what happens within it is told in one letter */
#define ALERT_AGAIN_S     3600 /* something that grows worse is told again after it */
#define ALERT_LEASE_S     90   /* somebody who delivers has that long */
#define ALERT_RETRY_MIN_S 10   /* doubles */
#define ALERT_RETRY_MAX_S 600
#define ALERT_ORDER_TRIES 8     /* some 20 minutes */
#define ALERT_GIVE_UP_S   86400 /* a letter that nobody took for so long is dropped */
#define ALERT_PING_S      3600  /* and a ping, which says "now" */
#define ALERT_OUTBOX_MAX  50
#define ALERT_TEXT_SIZE   400

enum alert_rule {
    ALERT_BATCH_FAILED,
    ALERT_RANKING_OLD,
    ALERT_DEAD_LETTERS,
    ALERT_CONSERVATION,
    ALERT_SOURCE_RESTS,
    ALERT_RULE_COUNT
};
struct alert_rule_text {
    const char *name;     /* "batch_failed" */
    const char *severity; /* "critical", "warning" */
    const char *title;    /* for people */
};
extern const struct alert_rule_text ALERT_RULES[ALERT_RULE_COUNT];

/* Where letters go. */
enum alert_channel { ALERT_WEBHOOK, ALERT_MAIL, ALERT_PING, ALERT_CHANNEL_COUNT };
extern const char *const ALERT_CHANNELS[ALERT_CHANNEL_COUNT];

/* What is known of one rule at the moment. */
struct alert_fact {
    bool known; /* false: as it was */
    bool firing;
    int64_t level; /* greater is worse; told again when it has grown */
    char text[ALERT_TEXT_SIZE];
};

struct alert_policy {
    bool to[ALERT_CHANNEL_COUNT]; /* channels that are set up */
};

/* Takes the facts over: letters are written for what begins, grows and ends. */
void alert_step(cJSON *state, const struct alert_fact facts[ALERT_RULE_COUNT],
                const struct alert_policy *p, int64_t now_s);
/* A successful batch: one ping for each, none for the one that was there at the very first look. */
void alert_batch_done(cJSON *state, int64_t run_id, const struct alert_policy *p, int64_t now_s);
/* When the last batch that succeeded ended, as whoever asked PostgreSQL last was told; 0: unknown.
 */
void alert_note_success(cJSON *state, int64_t success_s);
int64_t alert_last_success(const cJSON *state);
/* A letter that tells nothing but that letters arrive. */
void alert_test(cJSON *state, const struct alert_policy *p, int64_t now_s);

/* ---- delivering ---- */

struct alert_job {
    int64_t id; /* of the letter */
    enum alert_channel to;
    const cJSON *letter; /* borrowed from the state */
};
/*
 * The next delivery that is due and that nobody is at; it is leased to the caller. False: none.
 * Letters reach a channel in their order, so that "resolved" is not followed by what it ends: one
 * that was not taken holds up the later ones until ALERT_ORDER_TRIES. What is addressed to a
 * channel that is not set up waits for a beat that has it; a test does not.
 */
bool alert_claim(cJSON *state, const struct alert_policy *p, int64_t now_s,
                 struct alert_job *job) MUST_CHECK;
/* What became of it: delivered, or it is tried again later. Fine when the letter is gone. */
void alert_settle(cJSON *state, const struct alert_job *job, bool delivered, int64_t now_s);
/* Drops what nobody took for too long; returns how many letters. */
int alert_give_up(cJSON *state, int64_t now_s);

/* ---- what is written ---- */

/* "[NAME] FIRING: ..., resolved: ..." of a letter, one line; false when memory is out. */
bool alert_subject(const cJSON *letter, const char *deployment, struct buf *out);
/* Lines for people. */
bool alert_body(const cJSON *letter, const char *deployment, struct buf *out);

#endif
