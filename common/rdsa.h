#ifndef COMMON_RDSA_H
#define COMMON_RDSA_H

#include <event2/event.h>
#include <hiredis/hiredis.h>

#include "common/command.h"

/*
 * One connection to Redis on a libevent loop that is always there or on its way back. It
 * authenticates, selects the database and loads the scripts before it calls itself up. Each
 * command has a deadline: an answer that is late, or any error answer, ends the connection,
 * which then comes back after RDSA_BACKOFF_*. A caller needs to know only up and down.
 *
 * Names are looked up, and Sentinels asked, on a thread (common/lookup.h). With Sentinels it goes
 * to the master only, and follows a failover: any error answer (READONLY, UNBLOCKED) ends a
 * connection, and the next one begins with asking where the master is.
 */
#define RDSA_BACKOFF_MIN_MS 100
#define RDSA_BACKOFF_MAX_MS 1500 /* so that work goes on within 2 s of Redis' return */
#define RDSA_CONNECT_MS     5000
#define RDSA_COMMAND_MS     5000
#define RDSA_PING_MS        3000 /* how often a silent connection is asked whether it lives */
#define RDSA_PONG_MS        4000 /* for the answer to that */

struct rdsa;

/* Scripts to be loaded on every connection; static. */
#define RDSA_SCRIPT_TABLES_MAX 3
struct rdsa_scripts {
    struct script *const *list;
    size_t count;
};

struct rdsa_config {
    struct event_base *base;
    const struct rds_addr *addr;                         /* borrowed */
    const char *role;                                    /* static text for logs */
    struct rdsa_scripts scripts[RDSA_SCRIPT_TABLES_MAX]; /* that rdsa_script may run */
    bool quiet;              /* state changes are worth a debug line only */
    bool errors_are_answers; /* an error answer is given to the caller and ends nothing */
    /* Connects to where that one is, when that one is up, and goes with it. NULL: to addr. */
    struct rdsa *like;
    void (*on_up)(void *ctx);
    void (*on_down)(void *ctx); /* may be NULL */
    /*
     * A subscribing connection: it is up when Redis has confirmed every channel, and takes no
     * commands. The names are borrowed. bytes: as published, with a NUL after them; gone after the
     * call.
     */
    const char *const *channels;
    int channel_count; /* 0: not a subscribing one */
    void (*on_message)(void *ctx, const char *channel, const char *bytes, size_t len);
    void *ctx;
};

/* Starts connecting. */
struct rdsa *rdsa_new(const struct rdsa_config *config);
/* Not from within a callback of this module. Outstanding commands get their NULL. */
void rdsa_free(struct rdsa *c);
bool rdsa_is_up(const struct rdsa *c);
/*
 * Sends at once, as far as the socket takes it, what would go out in the next turn of the loop:
 * when there may be none.
 */
void rdsa_flush(struct rdsa *c);

/* r is NULL when no good answer came; it is gone after the call. number: as given. */
typedef void (*rdsa_fn)(void *ctx, uint64_t number, const redisReply *r);

/* Both call fn exactly once, later or, when the connection is not up, at once. */
void rdsa_script(struct rdsa *c, const struct command *cmd, rdsa_fn fn, void *ctx, uint64_t number);
void rdsa_command(struct rdsa *c, int timeout_ms, rdsa_fn fn, void *ctx, uint64_t number, int argc,
                  const char **argv);

#endif
