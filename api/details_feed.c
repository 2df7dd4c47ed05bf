#include "api/details_feed.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/pg.h"
#include "common/text.h"

#define CHANGED_MAX     4096 /* ids that wait; more are "many" */
#define CHANGED_AT_ONCE 500
#define SLICE           "4000"
#define IDLE_MS         60000
#define RETRY_MS        1000
#define PAUSE_MIN_MS    500
#define PAUSE_FACTOR    4 /* reading everybody takes at most a fifth of the time */

/* A lock on the table, or a slow disk, must not hold up the ranking for long. */
static const char BEGIN_SQL[] = "BEGIN READ ONLY; SET LOCAL lock_timeout = '300ms'; "
                                "SET LOCAL statement_timeout = '10s'";

/* Two CASEs: the size is looked at before the text is made. */
#define STATS                                                                                      \
    "CASE WHEN pg_column_size(c.stats_payload) <= 4096 THEN "                                      \
    "CASE WHEN octet_length(c.stats_payload::text) <= 4096 THEN c.stats_payload::text END END "

static const char SLICE_SQL[] =
    "SELECT " DETAIL_COLUMNS(STATS) "FROM characters AS c "
                                    "WHERE c.id > $1 ORDER BY c.id LIMIT " SLICE;
static const char CHANGED_SQL[] =
    "SELECT " DETAIL_COLUMNS(STATS) "FROM characters AS c WHERE c.id = ANY ($1)";

struct details_feed {
    struct details *store;
    bool hears;
    int64_t changed[CHANGED_MAX]; /* to be read again */
    size_t changed_count;
    bool reading;          /* everybody, slice by slice */
    bool read_again;       /* after that, or now */
    uint32_t since;        /* the doubt that this reading answers */
    int64_t after_id;      /* the last one read */
    int64_t began_ms;      /* of reading everybody */
    int64_t not_before_ms; /* the next time */
};

struct details_feed *details_feed_new(struct details *store)
{
    struct details_feed *f = mem_alloc(sizeof *f);

    f->store = store;
    return f;
}

void details_feed_free(struct details_feed *f)
{
    free(f);
}

static void doubt_all(struct details_feed *f)
{
    f->changed_count = 0;
    f->read_again = true;
    details_doubt_all(f->store);
}

void details_feed_connect(struct details_feed *f, PGconn *pg)
{
    struct err e;

    f->hears = pg_run(pg, "LISTEN " DETAILS_CHANNEL, &e);
    if (!f->hears) { /* a standby: nothing is kept there, PostgreSQL is asked */
        log_warn("details.listen", "error=%s", LOGQ(e.text));
    }
    f->reading = false;
    doubt_all(f);
}

void details_feed_lost(struct details_feed *f)
{
    f->hears = false;
    f->reading = false;
    doubt_all(f);
}

/* ---- who changed ---- */

static bool note_changed(struct details_feed *f, const char *digits, size_t len)
{
    int64_t id;

    if (f->changed_count == CHANGED_MAX || !text_n_to_i64(digits, len, INT64_MIN, INT64_MAX, &id)) {
        return false;
    }
    f->changed[f->changed_count++] = id;
    details_doubt(f->store, id);
    return true;
}

void details_feed_notify(struct details_feed *f, const char *payload)
{
    for (const char *p = payload;; p++) {
        size_t len = strcspn(p, ",");

        if (!note_changed(f, p, len)) {
            doubt_all(f);
            return;
        }
        p += len;
        if (!*p) {
            return;
        }
    }
}

/* ---- reading ---- */

static PGresult *ask(PGconn *pg, const char *sql, const char *value, struct err *e)
{
    PGresult *r = pg_run(pg, BEGIN_SQL, e) ? pg_exec_params(pg, sql, 1, &value, e) : NULL;

    PQclear(PQexec(pg, "ROLLBACK")); /* only reads; a lost connection shows itself next */
    return r;
}

/* False: a row that is not kept. */
static bool take_row(struct details_feed *f, const PGresult *r, int row)
{
    const char *server = PQgetvalue(r, row, DETAIL_COL_SERVER);
    const char *name = PQgetvalue(r, row, DETAIL_COL_NAME);
    struct detail d;
    bool ok = detail_read(r, row, &d);

    if (ok) {
        details_put(f->store, &d, details_key(server, strlen(server), name, strlen(name)));
    }
    detail_fini(&d);
    return ok;
}

/* Returns the id of the last row. */
static int64_t take_rows(struct details_feed *f, const PGresult *r)
{
    int64_t id = f->after_id;

    for (int i = 0; i < PQntuples(r); i++) {
        MUST(text_to_i64(PQgetvalue(r, i, DETAIL_COL_ID), INT64_MIN, INT64_MAX, &id));
        if (!take_row(f, r, i)) {
            log_warn("details.row", "id=%" PRId64 " error=\"it cannot be kept\"", id);
            details_remove(f->store, id);
        }
    }
    return id;
}

/* "{1,2,3}" */
static void print_ids(struct buf *b, const int64_t *ids, size_t n)
{
    buf_init(b, 24 * CHANGED_MAX);
    buf_addch(b, '{');
    for (size_t i = 0; i < n; i++) {
        buf_addstr(b, i ? "," : "");
        buf_addi64(b, ids[i]);
    }
    buf_addch(b, '}');
}

/* Some of those who changed; who is not there any more goes. */
static bool read_changed(struct details_feed *f, PGconn *pg, struct err *e)
{
    size_t n = f->changed_count < CHANGED_AT_ONCE ? f->changed_count : CHANGED_AT_ONCE;
    const int64_t *ids = f->changed + f->changed_count - n;
    PGresult *r;
    struct buf b;

    print_ids(&b, ids, n);
    r = b.failed ? NULL : ask(pg, CHANGED_SQL, b.data, e);
    buf_fini(&b);
    if (!r) {
        return false;
    }
    take_rows(f, r);
    for (size_t i = 0; i < n; i++) {
        details_remove_doubted(f->store, ids[i]); /* it was not among the rows */
    }
    f->changed_count -= n;
    PQclear(r);
    return true;
}

static void end_reading(struct details_feed *f)
{
    int64_t took_ms = clock_mono_ms() - f->began_ms;

    details_sweep(f->store, f->since);
    f->reading = false;
    f->not_before_ms = clock_mono_ms() + PAUSE_MIN_MS + took_ms * PAUSE_FACTOR;
    log_info("details.loaded", "characters=%u ms=%" PRId64, details_count(f->store), took_ms);
}

static bool read_slice(struct details_feed *f, PGconn *pg, struct err *e)
{
    char after[24];
    PGresult *r;

    snprintf(after, sizeof after, "%" PRId64, f->after_id);
    r = ask(pg, SLICE_SQL, after, e);
    if (!r) {
        return false;
    }
    f->after_id = take_rows(f, r);
    if (PQntuples(r) < atoi(SLICE)) {
        end_reading(f);
    }
    PQclear(r);
    return true;
}

static void begin_reading(struct details_feed *f)
{
    f->reading = true;
    f->read_again = false;
    f->since = details_epoch(f->store);
    f->after_id = INT64_MIN;
    f->began_ms = clock_mono_ms();
}

/* Milliseconds until everybody is to be read again; IDLE_MS: nothing is to do. */
static int wait_ms(const struct details_feed *f)
{
    int64_t left_ms = f->not_before_ms - clock_mono_ms();

    if (f->changed_count > 0 || f->reading) {
        return 0;
    }
    if (!f->read_again) {
        return IDLE_MS;
    }
    return left_ms <= 0 ? 0 : left_ms < IDLE_MS ? (int)left_ms : IDLE_MS;
}

int details_feed_step(struct details_feed *f, PGconn *pg)
{
    struct err e = {0};
    bool ok = true;
    int wait = f->hears ? wait_ms(f) : IDLE_MS;

    if (wait > 0) {
        return wait;
    }
    if (f->changed_count > 0) {
        ok = read_changed(f, pg, &e);
    } else {
        if (!f->reading) {
            begin_reading(f);
        }
        ok = read_slice(f, pg, &e);
    }
    if (!ok) {
        log_warn("details.read", "error=%s", LOGQ(e.text));
        return RETRY_MS;
    }
    return wait_ms(f);
}
