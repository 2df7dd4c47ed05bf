#ifndef WORKER_PG_KEEP_H
#define WORKER_PG_KEEP_H

#include "common/pg.h"

/*
 * Sessions of PostgreSQL that a child keeps open between two runs of a task: opening one and
 * reading the catalogues again costs a small batch more than all its scoring. All of one kind, of
 * this process; one thread.
 */
#define PG_KEEP_MAX     9 /* the one that publishes and eight that read */
#define PG_KEEP_IDLE_MS (15 * 60 * 1000)

/*
 * One that was left and still answers, the caller's now; NULL: there is none. Those that do not
 * answer any more (a restart, a failover, somebody ended them) are closed.
 */
PGconn *pg_keep_take(void) MUST_CHECK;

/*
 * Takes the session over. It is kept when it is whole and in no transaction, and all its advisory
 * locks are let go; otherwise it is closed. NULL is fine.
 */
void pg_keep_leave(PGconn *c);

/*
 * Closes those that were left PG_KEEP_IDLE_MS ago. Returns the milliseconds until the next one is
 * due, -1: none is kept.
 */
int pg_keep_expire(void);
/* Closes all. */
void pg_keep_close(void);

#endif
