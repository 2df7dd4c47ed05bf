#ifndef COMMON_PG_H
#define COMMON_PG_H

#include <libpq-fe.h>
#include <stdatomic.h>

#include "common/err.h"
#include "common/json.h"

/*
 * Blocking libpq with our defaults: application_name, a connect time-out of 5 s, TCP keepalives of
 * about 15 s, UTC, client_encoding UTF8, and an SQLSTATE made into an error class.
 */
PGconn *pg_connect(const char *url, const char *application_name, struct err *e) MUST_CHECK;
/* What the server says by itself goes into our log, not as it is to standard error. */
void pg_hear(PGconn *c);

/* NULL and *e unless the result is PGRES_TUPLES_OK or PGRES_COMMAND_OK. PQclear it. */
PGresult *pg_exec(PGconn *c, const char *sql, struct err *e) MUST_CHECK;
/* Text parameters; values[i] == NULL is SQL NULL. */
PGresult *pg_exec_params(PGconn *c, const char *sql, int n, const char *const *values,
                         struct err *e) MUST_CHECK;
/*
 * A statement whose one value is a JSON document, which the server builds: nothing is spelled
 * twice. NULL and *e on failure; NULL and *e with the type "LookupError" when there is no row or
 * the value is NULL.
 */
cJSON *pg_document(PGconn *c, const char *sql, int n, const char *const *values,
                   struct err *e) MUST_CHECK;
/* A column of times in such a document: "2026-11-23T12:00:00.000000Z". */
#define PG_ISO(column) "to_char(" column " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
/* For statements whose result does not matter. */
bool pg_run(PGconn *c, const char *sql, struct err *e) MUST_CHECK;
/* pg_run() in two halves: between them the server works, and the session is asked nothing else. */
bool pg_run_begin(PGconn *c, const char *sql, struct err *e) MUST_CHECK;
bool pg_run_end(PGconn *c, struct err *e) MUST_CHECK;
/* Asks the server to end the statement that runs; it may have ended before. */
void pg_cancel(PGconn *c);

/*
 * While a watch is set, this thread waits for PostgreSQL in short pieces and asks between them
 * whether it is to give up. If so, the statement is cancelled on the server and fails (57014,
 * ERR_CANCELLED). NULL ends the watch.
 */
typedef bool (*pg_watch_fn)(void *ctx);
void pg_watch(pg_watch_fn asked, void *ctx);
bool pg_watch_says_stop(void);

/*
 * From now on this thread waits at most limit_ms for a statement, and when *hurry (NULL: never) is
 * set not at all. A server that says nothing for so long is not asked to cancel, as that would wait
 * for it, too: the connection is cut, and the statement fails as after any lost connection.
 */
void pg_patience(int limit_ms, const atomic_bool *hurry);

/* libpq's PQexec (whole, and its two halves), PQexecParams (text), PQgetResult and waiting
 * PQgetCopyData under all that. */
PGresult *pg_query(PGconn *c, const char *sql) MUST_CHECK;
bool pg_query_begin(PGconn *c, const char *sql) MUST_CHECK;
PGresult *pg_query_end(PGconn *c) MUST_CHECK;
PGresult *pg_query_params(PGconn *c, const char *sql, int n, const char *const *values) MUST_CHECK;
PGresult *pg_next_result(PGconn *c) MUST_CHECK;
int pg_next_copied(PGconn *c, char **bytes) MUST_CHECK;

/*
 * The class of an SQLSTATE, by a table: what may pass by itself (connections, conflicts, space,
 * shutdowns) and no SQLSTATE at all (libpq's own errors) are retryable, 57014 is cancelled,
 * everything else is permanent. Source: PostgreSQL, appendix A.
 */
enum err_class pg_sqlstate_class(const char *sqlstate);
/* From a failed result (or, with r == NULL, from the connection). */
void pg_error(PGconn *c, const PGresult *r, struct err *e);

#endif
