#ifndef API_PGC_H
#define API_PGC_H

#include <event2/event.h>
#include <libpq-fe.h>

#include "common/err.h"

/*
 * One asynchronous PostgreSQL connection. Nothing here blocks (but for the look-up of a host name
 * that is not an address). Every state that waits has a deadline.
 *
 *   DOWN -> CONNECTING -> IDLE <-> BUSY
 *               ^   \       \      /
 *               |    v       v    v      a connection lost while idle is replaced at once,
 *               +- BACKOFF <--+--+       after a failure there is a pause
 */
enum pgc_state { PGC_DOWN, PGC_CONNECTING, PGC_IDLE, PGC_BUSY, PGC_BACKOFF, PGC_STATE_COUNT };

#define PGC_CONNECT_MS 3000
#define PGC_QUERY_MS   3000 /* then the server gives the query up, */
#define PGC_GIVE_UP_MS 3500 /* then we the connection */

struct pgc;

/* Called as the last thing in a turn: a hook may start a query or free the connection. */
struct pgc_hooks {
    /* A query may be started. */
    void (*on_idle)(void *arg, struct pgc *c);
    /*
     * The query that was started has ended, once for each. r is the callee's to read, not to
     * clear; NULL: *e says why. on_idle or on_failed follows.
     */
    void (*on_result)(void *arg, struct pgc *c, const PGresult *r, const struct err *e);
    /* The connection failed; it comes back by itself. */
    void (*on_failed)(void *arg, struct pgc *c, const struct err *e);
};

/* What a connection may do: whoever only reads cannot change anything by mistake. */
enum pgc_access { PGC_READS, PGC_WRITES };

/* Starts to connect in the next turn of the loop. url and hooks are borrowed. */
struct pgc *pgc_new(struct event_base *base, const char *url, enum pgc_access access,
                    const struct pgc_hooks *hooks, void *arg);
/* Ends the connection without calling a hook. NULL is fine. */
void pgc_free(struct pgc *c);
enum pgc_state pgc_state(const struct pgc *c);
/* Only while idle. Text parameters, NULL is SQL NULL. An error comes through on_result in a later
 * turn. */
void pgc_query(struct pgc *c, const char *sql, int n, const char *const *values);

#endif
