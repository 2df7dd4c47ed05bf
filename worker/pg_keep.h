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
 * One that was left, the caller's now; NULL: there is none. Those whose end is known (a restart,
 * somebody ended them) are closed. The first statement of the others may still find out that
 * nobody is there any more: pg_keep_is_gone(), and another one is taken.
 */
PGconn *pg_keep_take(void) MUST_CHECK;
/* After a statement has failed: because the session is no more. */
bool pg_keep_is_gone(const PGconn *c);

/*
 * Takes the session over, whose locks the caller has let go. It is kept when it is whole and in no
 * transaction; otherwise it is closed. NULL is fine.
 */
void pg_keep_leave(PGconn *c);
/*
 * The same after a last statement that nobody waits for; it has to end a transaction that there is,
 * and leave no lock behind. Whoever takes the session next finds out how it went.
 */
void pg_keep_leave_with(PGconn *c, const char *sql);

/*
 * Closes those that were left PG_KEEP_IDLE_MS ago. Returns the milliseconds until the next one is
 * due, -1: none is kept.
 */
int pg_keep_expire(void);
/* Closes all. */
void pg_keep_close(void);

#endif
