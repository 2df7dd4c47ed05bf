#ifndef COMMON_SOURCE_GATE_H
#define COMMON_SOURCE_GATE_H

#include "common/command.h"

/*
 * The gate before the source: one pace and one request at a time for the whole deployment, kept in
 * Redis, and a rest for the source when it asks for quiet or does not answer. A request goes
 * through it in three steps:
 *
 *   ask    reserves the next free moment; moments are interval_ms apart
 *   start  when that moment has come: nothing else is under way, the last start is interval_ms ago
 *   tell   how it went
 *
 *   403, 429, 503, a web page: rest for Retry-After, at least 60 s, doubling while it goes on
 *   5 failures in a row: the same; one success forgets all of it
 *
 * While Redis is away each process keeps a gate of its own by the same rules (gate_local_*).
 */
#define GATE_REST_MS         60000
#define GATE_REST_MAX_MS     960000
#define GATE_RETRY_MAX_MS    86400000 /* a longer Retry-After is not believed */
#define GATE_FAILURES_OPEN   5
#define GATE_PATIENCE_MAX_MS 300000
#define GATE_POLL_MS         50 /* how often a request asks whether the one under way has ended */
#define GATE_ID_SIZE         64

enum gate_verdict {
    GATE_GO,      /* ask: in wait_ms from now; start: now */
    GATE_CROWDED, /* ask: the next free moment is further away than the caller wants to wait */
    GATE_RESTING, /* nobody may ask for wait_ms */
    GATE_WAIT,    /* start: not yet, try again in wait_ms */
};
struct gate_answer {
    enum gate_verdict verdict;
    int64_t wait_ms;
};

struct gate_pace {
    int64_t interval_ms;
    int64_t patience_ms; /* longest wait that is worth a reservation; <= GATE_PATIENCE_MAX_MS */
    int64_t lease_ms;    /* a request without a word for so long has died with its process */
};

enum gate_result {
    GATE_OK,
    GATE_BUSY,
    GATE_FAILED,
    GATE_GIVEN_UP, /* nobody waited for the answer any more: tells nothing about the source */
};
struct gate_report {
    enum gate_result result;
    int64_t retry_after_ms; /* GATE_BUSY; -1: none */
};

/* ---- the one in Redis: hash aion2:source. id: of the request, nobody else's ---- */

extern struct script GATE_LUA_ASK, GATE_LUA_START, GATE_LUA_TELL;

void gate_ask(struct command *c, const struct gate_pace *pace);
void gate_start(struct command *c, const struct gate_pace *pace, const char *id);
/* Of the reply to the two; false when it is none of ours. */
bool gate_read(const redisReply *r, struct gate_answer *a) MUST_CHECK;
/* Replies for how many milliseconds the source rests now. */
void gate_tell(struct command *c, const struct gate_report *report, const char *id);

/* ---- one of this process ---- */

struct gate_local {
    int64_t next_ms; /* the next free moment */
    int64_t started_ms;
    bool has_started;
    int64_t flight_until_ms; /* 0: none is under way */
    char flight_id[GATE_ID_SIZE];
    int64_t rest_until_ms;
    int64_t failures; /* in a row, of any kind */
    int64_t rests;    /* in a row */
};
struct gate_answer gate_local_ask(struct gate_local *g, const struct gate_pace *pace,
                                  int64_t now_ms);
struct gate_answer gate_local_start(struct gate_local *g, const struct gate_pace *pace,
                                    const char *id, int64_t now_ms);
int64_t gate_local_tell(struct gate_local *g, const struct gate_report *report, const char *id,
                        int64_t now_ms);

#endif
