#ifndef COMMON_RDSA_PARTS_H
#define COMMON_RDSA_PARTS_H

#include <hiredis/async.h>

#include "common/lookup.h"
#include "common/rdsa.h"

/* The inside of rdsa, shared by rdsa.c (being connected or not) and rdsa_talk.c (what is said). */

#define RDSA_CHANNELS_MAX 8

/* A command on its way; answers come in the order of the commands. */
struct op {
    struct rdsa *conn;
    struct op *next;
    rdsa_fn fn;
    void *ctx;
    uint64_t number;
    int64_t deadline_ms;
    const struct script *script; /* of a step, NULL: another command */
    struct script *load;         /* part of setting up: the script that is being loaded */
    bool ask_role;               /* part of setting up: only a master will do */
    bool setup;
};

struct rdsa {
    struct rdsa_config cf;
    redisAsyncContext *ac; /* NULL: waiting for the next try, or for the look-up */
    struct op *ops;        /* oldest first */
    struct op **ops_end;
    struct event *deadline;
    struct event *again;
    struct event *ping;       /* to say something when nobody else does */
    struct lookup *lookup;    /* on its way, NULL: none */
    bool look_again;          /* and then another one */
    struct rds_place at;      /* where it is or was, host "": not known, or a Unix socket */
    struct rdsa_watch *watch; /* of the Sentinels, NULL without */
    struct rdsa *followers;   /* those that connect to where this one is */
    struct rdsa *next;        /* in that list */
    int64_t confirm_until_ms; /* a SUBSCRIBE is to be confirmed by then, 0: none */
    int64_t connecting_until_ms;
    int64_t up_since_ms;
    int backoff_ms;
    int setup_left;
    bool connected;
    bool up;
    bool told_down;
};

/* rdsa.c */
/* Ends the connection, gives every command its NULL and plans the next try. */
void rdsa_drop(struct rdsa *c, const char *why);
/* Set up: commands may come. */
void rdsa_come_up(struct rdsa *c);
/*
 * Logs that it is back. A server that is loading or read-only lets us in and refuses the first real
 * command; so only a good answer to one is news.
 */
void rdsa_tell_up(struct rdsa *c);

/* The master may be elsewhere now: asks the Sentinels, and leaves it if so. */
void rdsa_look_again(struct rdsa *c);

/* rdsa_watch.c: listens to the Sentinels for c, which must outlive that. */
struct rdsa_watch *rdsa_watch_start(struct rdsa *c);
void rdsa_watch_free(struct rdsa_watch *w); /* NULL is fine */

/* rdsa_talk.c */
/* Connected: says who we are and what is needed; rdsa_come_up follows, or rdsa_drop. */
void rdsa_start_setup(struct rdsa *c);
/* A timer's. */
void rdsa_on_ping(evutil_socket_t fd, short what, void *rdsa);

#endif
