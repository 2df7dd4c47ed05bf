#ifndef CTL_AWAIT_H
#define CTL_AWAIT_H

#include "common/json.h"
#include "common/rds.h"

/*
 * Waiting for a task's result document: subscribed to its channel, and looking at its key every
 * second as well, so that neither a missed publication nor a lost connection matters.
 */
struct await {
    const struct rds_addr *addr; /* borrowed */
    const char *id;              /* borrowed */
    char *prior;                 /* document that was stored before the task was sent, or NULL */
    redisContext *sub;           /* NULL: connection lost, to be made again */
    redisContext *cmd;
    char state[32];     /* last state seen, "PENDING" at first; for the progress line */
    bool show_progress; /* a line on standard error that is drawn over and over */
};

enum await_end { AWAIT_DONE, AWAIT_TIMEOUT, AWAIT_INTERRUPTED };

/*
 * Subscribes; call it before the task is sent. A result stored under this id by an earlier task is
 * remembered and not taken for the answer (except a SUCCESS, which stays), unless stored_counts:
 * the task was sent before. False and *e when Redis cannot be reached. await_fini in any case.
 */
bool await_begin(struct await *w, const struct rds_addr *addr, const char *id, bool stored_counts,
                 struct err *e) MUST_CHECK;

/*
 * AWAIT_DONE: *doc is the document of a task that ended (cJSON_Delete), NULL when what is stored
 * is not JSON (Python writes NaN and Infinity, for one). Connections that break are
 * made again until the time is over. SIGINT and SIGTERM interrupt.
 */
enum await_end await_result(struct await *w, int64_t timeout_s, cJSON **doc) MUST_CHECK;
void await_fini(struct await *w);

/* SUCCESS, FAILURE or REVOKED: nothing more will come. */
bool await_is_final(const char *state);

#endif
