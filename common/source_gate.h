#ifndef COMMON_SOURCE_GATE_H
#define COMMON_SOURCE_GATE_H

#include "common/command.h"

/*
 * The gate before the source: one pace for the whole deployment, kept in Redis, and a rest for the
 * source when it asks for quiet or does not answer. Whoever is about to send a request asks the
 * gate and reports how it went. While Redis is away each process keeps a gate of its own, by the
 * same rules (gate_local_*).
 *
 *   every request is given the next free moment; moments are interval_ms apart
 *   403, 429, 503, a web page: rest for Retry-After, at least 60 s, doubling while it goes on
 *   5 failures in a row: rest for 60 s, doubling; one success forgets them
 */
#define GATE_REST_MS       60000
#define GATE_REST_MAX_MS   960000
#define GATE_RETRY_MAX_MS  86400000 /* a longer Retry-After is not believed */
#define GATE_FAILURES_OPEN 5

enum gate_verdict {
    GATE_GO,      /* in wait_ms from now; the moment is reserved */
    GATE_CROWDED, /* the next free moment is further away than the caller wants to wait */
    GATE_RESTING, /* nobody may ask for wait_ms */
};
struct gate_answer {
    enum gate_verdict verdict;
    int64_t wait_ms;
};

struct gate_pace {
    int64_t interval_ms;
    int64_t patience_ms; /* longest wait that is worth a reservation */
};

enum gate_result { GATE_OK, GATE_BUSY, GATE_FAILED };
struct gate_report {
    enum gate_result result;
    int64_t retry_after_ms; /* GATE_BUSY; -1: none */
};

/* ---- the one in Redis: hash aion2:source ---- */

extern struct script *const SOURCE_SCRIPTS[];
extern const size_t SOURCE_SCRIPT_COUNT;

void gate_ask(struct command *c, const struct gate_pace *pace);
/* Of the reply to gate_ask; false when it is none of ours. */
bool gate_read(const redisReply *r, struct gate_answer *a) MUST_CHECK;
void gate_tell(struct command *c, const struct gate_report *report);

/* ---- one of this process ---- */

struct gate_local {
    int64_t next_ms;
    int64_t rest_until_ms;
    int64_t failures; /* in a row */
};
struct gate_answer gate_local_ask(struct gate_local *g, const struct gate_pace *pace,
                                  int64_t now_ms);
void gate_local_tell(struct gate_local *g, const struct gate_report *report, int64_t now_ms);

#endif
