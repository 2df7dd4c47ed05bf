#ifndef API_PGPOOL_H
#define API_PGPOOL_H

#include <event2/event.h>
#include <libpq-fe.h>

#include "api/pgc.h"

/*
 * A few connections of one loop and the queries that wait for them, first come first served. A
 * query ends within PGPOOL_WAIT_MS in the queue and PGC_GIVE_UP_MS on a connection.
 */
#define PGPOOL_CONNECTIONS 2
#define PGPOOL_QUEUE_MAX   256
#define PGPOOL_WAIT_MS     3000
#define PGPOOL_PARAMS_MAX  12

/* SQL: a timestamptz as our answers have it, RFC 3339 in UTC with microseconds. */
#define PGPOOL_TIME(column)                                                                        \
    "to_char(" column " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"

struct pgpool;

/* Called exactly once for each accepted query. r NULL: *e says why. r lives until it returns. */
typedef void (*pgpool_done_fn)(void *arg, const PGresult *r, const struct err *e);

struct pgpool *pgpool_new(struct event_base *base, const char *url, enum pgc_access access);
/* Queries that have not ended end with an error. NULL is fine. */
void pgpool_free(struct pgpool *p);

/*
 * values: n text parameters, copied, NULL is SQL NULL; sql is static text. False and *e: refused,
 * done is not called (the queue is full, or no connection is up or coming up).
 */
bool pgpool_query(struct pgpool *p, const char *sql, int n, const char *const *values,
                  pgpool_done_fn done, void *arg, struct err *e) MUST_CHECK;

/* Queries accepted and not ended. */
unsigned pgpool_pending(const struct pgpool *p);

#endif
