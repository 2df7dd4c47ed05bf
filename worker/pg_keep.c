#include "worker/pg_keep.h"

#include <poll.h>

#include "common/clock.h"
#include "common/log.h"

/* The one that was left last is taken first, so what is not needed grows old. */
static struct {
    PGconn *c;
    int64_t left_ms;
} kept[PG_KEEP_MAX];
static int count;

/* Something to read from a session that was asked nothing: a farewell, most likely. */
static bool has_spoken(PGconn *c)
{
    struct pollfd fd = {.fd = PQsocket(c), .events = POLLIN};

    return poll(&fd, 1, 0) != 0;
}

/* What pg_keep_leave_with() sent has ended well, or nothing was sent. */
static bool is_at_rest(PGconn *c)
{
    struct err e;

    return PQtransactionStatus(c) == PQTRANS_IDLE ||
           (PQtransactionStatus(c) == PQTRANS_ACTIVE && pg_run_end(c, &e) &&
            PQtransactionStatus(c) == PQTRANS_IDLE);
}

PGconn *pg_keep_take(void)
{
    while (count > 0) {
        PGconn *c = kept[--count].c;

        if (is_at_rest(c) && !has_spoken(c)) {
            return c;
        }
        log_debug("pg.gone", "text=%s", LOGQ(PQerrorMessage(c)));
        PQfinish(c);
    }
    return NULL;
}

bool pg_keep_is_gone(const PGconn *c)
{
    return PQstatus(c) != CONNECTION_OK;
}

static void keep(PGconn *c)
{
    kept[count].c = c;
    kept[count++].left_ms = clock_mono_ms();
}

void pg_keep_leave(PGconn *c)
{
    if (!c || count == PG_KEEP_MAX || PQstatus(c) != CONNECTION_OK ||
        PQtransactionStatus(c) != PQTRANS_IDLE) {
        PQfinish(c);
        return;
    }
    keep(c);
}

void pg_keep_leave_with(PGconn *c, const char *sql)
{
    struct err e;

    if (count == PG_KEEP_MAX || !pg_run_begin(c, sql, &e)) {
        PQfinish(c);
        return;
    }
    keep(c);
}

int pg_keep_expire(void)
{
    int64_t now_ms = clock_mono_ms();
    int stay = 0;

    for (int i = 0; i < count; i++) {
        if (now_ms - kept[i].left_ms >= PG_KEEP_IDLE_MS) {
            PQfinish(kept[i].c);
        } else {
            kept[stay++] = kept[i];
        }
    }
    count = stay;
    return count > 0 ? (int)(kept[0].left_ms + PG_KEEP_IDLE_MS - now_ms) : -1;
}

void pg_keep_close(void)
{
    while (count > 0) {
        PQfinish(kept[--count].c);
    }
}
