#include <poll.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "common/pg.h"

#define PIECE_MS 250

/* Of this thread. */
static __thread struct {
    pg_watch_fn asked;
    void *ctx;
    bool cancelled;           /* the statement that runs now */
    int limit_ms;             /* of a statement; 0: none */
    const atomic_bool *hurry; /* NULL: none */
    int64_t until_ms;         /* of the statement that runs now */
} watch;

void pg_watch(pg_watch_fn asked, void *ctx)
{
    watch.asked = asked;
    watch.ctx = ctx;
}

bool pg_watch_says_stop(void)
{
    return watch.asked && watch.asked(watch.ctx);
}

void pg_patience(int limit_ms, const atomic_bool *hurry)
{
    watch.limit_ms = limit_ms;
    watch.hurry = hurry;
}

static bool in_pieces(void)
{
    return watch.asked || watch.limit_ms > 0;
}

static bool is_out_of_patience(void)
{
    return watch.limit_ms > 0 &&
           (clock_mono_ms() >= watch.until_ms || (watch.hurry && atomic_load(watch.hurry)));
}

static void begin_statement(void)
{
    watch.cancelled = false;
    watch.until_ms = clock_mono_ms() + watch.limit_ms;
}

void pg_cancel(PGconn *c)
{
    PGcancel *cancel = PQgetCancel(c);
    char ignored[256]; /* the server is away, then: the wait finds out */

    if (cancel) {
        (void)PQcancel(cancel, ignored, sizeof ignored);
        PQfreeCancel(cancel);
    }
}

/* The server ends the statement with 57014, and we go on waiting for that. */
static void cancel_statement(PGconn *c)
{
    watch.cancelled = true;
    pg_cancel(c);
}

/* Until something has arrived or the piece is over. False: the connection is broken. */
static bool wait_a_piece(PGconn *c)
{
    struct pollfd fd = {.fd = PQsocket(c), .events = POLLIN};

    if (!watch.cancelled && pg_watch_says_stop()) {
        cancel_statement(c);
    }
    if (is_out_of_patience()) {
        shutdown(PQsocket(c), SHUT_RDWR);
        return false;
    }
    return poll(&fd, 1, PIECE_MS) <= 0 || PQconsumeInput(c) == 1;
}

PGresult *pg_next_result(PGconn *c)
{
    while (in_pieces() && PQisBusy(c) && wait_a_piece(c)) {
    }
    return PQgetResult(c);
}

int pg_next_copied(PGconn *c, char **bytes)
{
    int len = PQgetCopyData(c, bytes, in_pieces());

    while (len == 0 && wait_a_piece(c)) {
        len = PQgetCopyData(c, bytes, 1);
    }
    return len == 0 ? -2 : len;
}

bool pg_query_begin(PGconn *c, const char *sql)
{
    begin_statement();
    return PQsendQuery(c, sql) == 1;
}

/* As PQexec does: the last result counts, and one that begins a COPY. */
PGresult *pg_query_end(PGconn *c)
{
    PGresult *last = NULL;
    PGresult *r;

    while ((r = pg_next_result(c)) != NULL) {
        ExecStatusType status = PQresultStatus(r);

        PQclear(last);
        last = r;
        if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || PQstatus(c) != CONNECTION_OK) {
            break;
        }
    }
    return last;
}

PGresult *pg_query(PGconn *c, const char *sql)
{
    if (!in_pieces()) {
        return PQexec(c, sql);
    }
    return pg_query_begin(c, sql) ? pg_query_end(c) : NULL;
}

PGresult *pg_query_params(PGconn *c, const char *sql, int n, const char *const *values)
{
    if (!in_pieces()) {
        return PQexecParams(c, sql, n, NULL, values, NULL, NULL, 0);
    }
    begin_statement();
    return PQsendQueryParams(c, sql, n, NULL, values, NULL, NULL, 0) ? pg_query_end(c) : NULL;
}
