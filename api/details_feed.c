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
#define DAY_SIZE        9 /* "20261123" */
#define DAY_LOOK_MS     5000
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

/* The newest day of the history, as it is in the name of its partition. */
static const char NEWEST_DAY_SQL[] =
    "SELECT max(substring(c.relname FROM '^character_history_([0-9]{8})$')) FROM pg_inherits AS i "
    "JOIN pg_class AS c ON c.oid = i.inhrelid WHERE i.inhparent = to_regclass('character_history')";

struct details_feed {
    struct details *store;
    bool hears;
    int64_t changed[CHANGED_MAX]; /* to be read again */
    size_t changed_count;
    bool complete;         /* everybody was read at least once */
    bool reading;          /* everybody, slice by slice */
    bool read_again;       /* after that, or now */
    uint32_t since;        /* the doubt that this reading answers */
    int64_t after_id;      /* the last one read */
    int64_t began_ms;      /* of reading everybody */
    int64_t not_before_ms; /* the next time */
    char day[DAY_SIZE];    /* of the history whose places are in the store; "": none */
    bool reading_day;      /* slice by slice */
    int64_t after_place;   /* the last one read */
    int64_t day_look_ms;   /* when to look for a newer day */
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

bool details_feed_is_complete(const struct details_feed *f)
{
    return f->complete;
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

/* value: the only parameter, NULL: none. */
static PGresult *ask(PGconn *pg, const char *sql, const char *value, struct err *e)
{
    PGresult *r = pg_run(pg, BEGIN_SQL, e)
                      ? pg_exec_params(pg, sql, value != NULL, value ? &value : NULL, e)
                      : NULL;

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
    f->complete = true;
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

/* ---- places of the day ---- */

static void begin_day(struct details_feed *f, const char *day)
{
    char text[DETAILS_DAY_SIZE];

    snprintf(text, sizeof text, "%.4s-%.2s-%.2s", day, day + 4, day + 6);
    details_begin_day(f->store, text);
    text_copy(f->day, sizeof f->day, day);
    f->reading_day = true;
    f->after_place = INT64_MIN;
}

static bool look_for_day(struct details_feed *f, PGconn *pg, struct err *e)
{
    PGresult *r = ask(pg, NEWEST_DAY_SQL, NULL, e);
    const char *day = r ? PQgetvalue(r, 0, 0) : "";

    f->day_look_ms = clock_mono_ms() + DAY_LOOK_MS;
    if (strlen(day) == DAY_SIZE - 1 && strcmp(day, f->day) != 0) {
        begin_day(f, day);
    }
    PQclear(r);
    return r != NULL;
}

static void take_place(struct details_feed *f, const PGresult *r, int row)
{
    int64_t rank, server_rank;

    MUST(text_to_i64(PQgetvalue(r, row, 0), INT64_MIN, INT64_MAX, &f->after_place));
    if (text_to_i64(PQgetvalue(r, row, 1), 1, UINT32_MAX, &rank) &&
        text_to_i64(PQgetvalue(r, row, 2), 1, UINT32_MAX, &server_rank)) {
        details_put_place(f->store, f->after_place, (uint32_t)rank, (uint32_t)server_rank);
    }
}

static bool read_places(struct details_feed *f, PGconn *pg, struct err *e)
{
    char sql[192], after[24];
    PGresult *r;

    snprintf(sql, sizeof sql,
             "SELECT character_id, rank, server_rank FROM character_history_%s"
             " WHERE character_id > $1 ORDER BY character_id LIMIT " SLICE,
             f->day);
    snprintf(after, sizeof after, "%" PRId64, f->after_place);
    r = ask(pg, sql, after, e);
    if (!r) {
        f->reading_day = false; /* it may be dropped by now: the next look finds out */
        f->day[0] = '\0';
        return false;
    }
    for (int i = 0; i < PQntuples(r); i++) {
        take_place(f, r, i);
    }
    f->reading_day = PQntuples(r) == atoi(SLICE);
    PQclear(r);
    return true;
}

/* ---- the next piece of work ---- */

static bool is_due(int64_t at_ms)
{
    return clock_mono_ms() >= at_ms;
}

static int at_most(int ms, int64_t until_ms)
{
    int64_t left_ms = until_ms - clock_mono_ms();

    return left_ms <= 0 ? 0 : left_ms < ms ? (int)left_ms : ms;
}

/* Milliseconds until there is something to do. */
static int wait_ms(const struct details_feed *f)
{
    int ms = at_most(IDLE_MS, f->day_look_ms);

    if (f->changed_count > 0 || f->reading || f->reading_day) {
        return 0;
    }
    return f->read_again ? at_most(ms, f->not_before_ms) : ms;
}

/* The most urgent first. */
static bool work(struct details_feed *f, PGconn *pg, struct err *e)
{
    if (f->changed_count > 0) {
        return read_changed(f, pg, e);
    }
    if (!f->reading && f->read_again && is_due(f->not_before_ms)) {
        begin_reading(f);
    }
    if (f->reading) {
        return read_slice(f, pg, e);
    }
    return f->reading_day ? read_places(f, pg, e) : look_for_day(f, pg, e);
}

int details_feed_step(struct details_feed *f, PGconn *pg)
{
    struct err e = {0};
    int wait = f->hears ? wait_ms(f) : IDLE_MS;

    if (wait > 0) {
        return wait;
    }
    if (!work(f, pg, &e)) {
        log_warn("details.read", "error=%s", LOGQ(e.text));
        return RETRY_MS;
    }
    return wait_ms(f);
}
