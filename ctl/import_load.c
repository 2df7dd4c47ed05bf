#include "ctl/import_load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/pg.h"
#include "common/schema.h"
#include "common/text.h"
#include "ctl/import_row.h"

#define SLOTS           (1u << 17) /* over twice IMPORT_CHUNK_ROWS, a power of two */
#define ATTEMPTS_MAX    5
#define COPY_PIECE      (64 * KIB)
#define SQLSTATE_DATA   "22"
#define SQLSTATE_CHECK  "23"
#define SQLSTATE_LIMITS "54"

/*
 * The temporary table keeps payloads uncompressed: the size check of characters would otherwise see
 * the compressed size.
 */
static const char SESSION_SQL[] =
    "SET client_min_messages = warning; SET temp_buffers = '64MB';"
    "CREATE TEMPORARY TABLE import_rows ("
    " server varchar(64), name varchar(64), class varchar(64), level integer, power bigint,"
    " stats_payload jsonb, raw_payload jsonb, last_fetched_at timestamptz) ON COMMIT DELETE ROWS;"
    "ALTER TABLE import_rows ALTER COLUMN stats_payload SET STORAGE EXTERNAL,"
    " ALTER COLUMN raw_payload SET STORAGE EXTERNAL";

static const char COPY_SQL[] = "COPY import_rows FROM STDIN (FORMAT binary)";

/*
 * What the file does not know (raw_payload, stats_payload, last_fetched_at) stays as it is; an
 * unknown power is unknown. xmax tells an insert from an update, updated_at a change from a mere
 * new fetch of the same data.
 */
static const char UPSERT_SQL[] =
    "WITH w AS (INSERT INTO characters AS c (server, name, class, level, power, stats_payload,"
    "  raw_payload, last_fetched_at)"
    " SELECT server, name, class, level, power, stats_payload, raw_payload, last_fetched_at"
    "  FROM import_rows"
    " ON CONFLICT (server, name) DO UPDATE SET class = EXCLUDED.class, level = EXCLUDED.level,"
    "  power = EXCLUDED.power,"
    "  stats_payload = coalesce(EXCLUDED.stats_payload, c.stats_payload),"
    "  raw_payload = coalesce(EXCLUDED.raw_payload, c.raw_payload),"
    "  last_fetched_at = coalesce(EXCLUDED.last_fetched_at, c.last_fetched_at),"
    "  updated_at = CASE WHEN (c.class, c.level, c.power, c.stats_payload, c.raw_payload)"
    "   IS DISTINCT FROM (EXCLUDED.class, EXCLUDED.level, EXCLUDED.power,"
    "    coalesce(EXCLUDED.stats_payload, c.stats_payload),"
    "    coalesce(EXCLUDED.raw_payload, c.raw_payload))"
    "   THEN now() ELSE c.updated_at END"
    "  WHERE (c.class, c.level, c.power, c.stats_payload, c.raw_payload, c.last_fetched_at)"
    "   IS DISTINCT FROM (EXCLUDED.class, EXCLUDED.level, EXCLUDED.power,"
    "    coalesce(EXCLUDED.stats_payload, c.stats_payload),"
    "    coalesce(EXCLUDED.raw_payload, c.raw_payload),"
    "    coalesce(EXCLUDED.last_fetched_at, c.last_fetched_at))"
    " RETURNING xmax = 0 AS inserted, updated_at = now() AS changed)"
    " SELECT count(*) FILTER (WHERE inserted),"
    "  count(*) FILTER (WHERE NOT inserted AND changed) FROM w";

enum outcome { DONE, REFUSED, BROKEN };

bool import_load_init(struct import_load *l, PGconn *c, struct err *e)
{
    *l = (struct import_load){.c = c};
    buf_init(&l->bytes, IMPORT_CHUNK_BYTES + 3 * IMPORT_LINE_MAX);
    l->rows = mem_try_array(IMPORT_CHUNK_ROWS, sizeof *l->rows);
    l->slots = mem_try_array(SLOTS, sizeof *l->slots);
    if (!l->rows || !l->slots) {
        return err_set(e, ERR_RETRYABLE, "MemoryError", "out of memory");
    }
    return schema_check(c, e) && pg_run(c, SESSION_SQL, e);
}

void import_load_fini(struct import_load *l)
{
    buf_fini(&l->bytes);
    free(l->rows);
    free(l->slots);
}

static bool send_bytes(PGconn *c, const char *p, size_t len)
{
    while (len > 0) {
        size_t piece = len < COPY_PIECE ? len : COPY_PIECE;

        if (PQputCopyData(c, p, (int)piece) != 1) {
            return false;
        }
        p += piece;
        len -= piece;
    }
    return true;
}

/* The tuples of rows lo .. hi - 1 between header and trailer of COPY BINARY. */
static bool send_rows(struct import_load *l, size_t lo, size_t hi)
{
    static const char HEADER[19] = "PGCOPY\n\377\r\n";
    bool ok = send_bytes(l->c, HEADER, sizeof HEADER);

    for (size_t i = lo; ok && i < hi; i++) {
        if (!l->rows[i].superseded) {
            ok = send_bytes(l->c, l->bytes.data + l->rows[i].at, l->rows[i].len);
        }
    }
    return ok && send_bytes(l->c, "\377\377", 2) && PQputCopyEnd(l->c, NULL) == 1;
}

static enum outcome outcome_of(PGconn *c, const PGresult *r, struct err *e)
{
    const char *state = r ? PQresultErrorField(r, PG_DIAG_SQLSTATE) : NULL;

    pg_error(c, r, e);
    return state && (strncmp(state, SQLSTATE_DATA, 2) == 0 ||
                     strncmp(state, SQLSTATE_CHECK, 2) == 0 ||
                     strncmp(state, SQLSTATE_LIMITS, 2) == 0)
               ? REFUSED
               : BROKEN;
}

static enum outcome run_copy(struct import_load *l, size_t lo, size_t hi, struct err *e)
{
    PGresult *r = PQexec(l->c, COPY_SQL);
    enum outcome out = DONE;

    if (PQresultStatus(r) != PGRES_COPY_IN) {
        out = outcome_of(l->c, r, e);
        PQclear(r);
        return out;
    }
    PQclear(r);
    if (!send_rows(l, lo, hi)) {
        pg_error(l->c, NULL, e);
        return BROKEN;
    }
    while ((r = PQgetResult(l->c)) != NULL) {
        if (PQresultStatus(r) != PGRES_COMMAND_OK && out == DONE) {
            out = outcome_of(l->c, r, e);
        }
        PQclear(r);
    }
    return out;
}

static enum outcome run_upsert(struct import_load *l, uint64_t *inserted, uint64_t *changed,
                               struct err *e)
{
    PGresult *r = PQexec(l->c, UPSERT_SQL);
    enum outcome out = DONE;

    if (PQresultStatus(r) == PGRES_TUPLES_OK) {
        *inserted = strtoull(PQgetvalue(r, 0, 0), NULL, 10);
        *changed = strtoull(PQgetvalue(r, 0, 1), NULL, 10);
    } else {
        out = outcome_of(l->c, r, e);
    }
    PQclear(r);
    return out;
}

static size_t count_live(const struct import_load *l, size_t lo, size_t hi)
{
    size_t live = 0;

    for (size_t i = lo; i < hi; i++) {
        live += !l->rows[i].superseded;
    }
    return live;
}

/* Writes rows lo .. hi - 1 in one transaction, or nothing of them. */
static enum outcome write_once(struct import_load *l, size_t lo, size_t hi, struct err *e)
{
    uint64_t inserted = 0, changed = 0;
    struct err ignored;
    enum outcome out;

    if (!pg_run(l->c, "BEGIN", e)) {
        return BROKEN;
    }
    out = run_copy(l, lo, hi, e);
    if (out == DONE) {
        out = run_upsert(l, &inserted, &changed, e);
    }
    if (out == DONE && !pg_run(l->c, "COMMIT", e)) {
        out = BROKEN;
    }
    if (out != DONE) {
        if (!pg_run(l->c, "ROLLBACK", &ignored)) {
            return BROKEN;
        }
        return out;
    }
    l->counts.imported += inserted;
    l->counts.updated += changed;
    l->counts.unchanged += count_live(l, lo, hi) - inserted - changed;
    return DONE;
}

/* Again after a deadlock or the like, as long as the connection stands. */
static enum outcome write_rows(struct import_load *l, size_t lo, size_t hi, struct err *e)
{
    enum outcome out = BROKEN;

    for (unsigned attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
        out = write_once(l, lo, hi, e);
        if (out != BROKEN || e->cls != ERR_RETRYABLE || PQstatus(l->c) != CONNECTION_OK) {
            break;
        }
        usleep(100000u * attempt);
    }
    return out;
}

/* Halves the rows until those that PostgreSQL refuses stand alone; the others are written. */
static bool write_bisecting(struct import_load *l, size_t lo, size_t hi, struct err *e)
{
    enum outcome out;

    if (count_live(l, lo, hi) == 0) {
        return true;
    }
    out = write_rows(l, lo, hi, e);
    if (out != REFUSED) {
        return out == DONE;
    }
    if (hi - lo == 1) {
        l->counts.refused++;
        l->on_refused(l->arg, l->rows[lo].line, e->text);
        return true;
    }
    size_t mid = lo + (hi - lo) / 2;

    return write_bisecting(l, lo, mid, e) && write_bisecting(l, mid, hi, e);
}

bool import_load_flush(struct import_load *l, struct err *e)
{
    bool ok = write_bisecting(l, 0, l->n, e);

    l->n = 0;
    buf_reset(&l->bytes);
    memset(l->slots, 0, SLOTS * sizeof *l->slots);
    return ok;
}

/* Finds the slot of the row's key: free, or of an earlier row with the same key. */
static uint32_t *find_slot(const struct import_load *l, const char *tuple, size_t key_len)
{
    uint64_t h = text_hash(tuple, key_len);

    for (;; h++) {
        uint32_t *slot = &l->slots[h & (SLOTS - 1)];
        const char *other = *slot ? l->bytes.data + l->rows[*slot - 1].at : NULL;

        if (!other ||
            (import_row_key_len(other) == key_len && memcmp(other, tuple, key_len) == 0)) {
            return slot;
        }
    }
}

bool import_load_row(struct import_load *l, size_t at, uint64_t line, struct err *e)
{
    const char *tuple = l->bytes.data + at;
    uint32_t *slot = find_slot(l, tuple, import_row_key_len(tuple));

    if (*slot) {
        l->rows[*slot - 1].superseded = true;
        l->counts.superseded++;
    }
    l->rows[l->n] = (struct load_row){at, l->bytes.len - at, line, false};
    *slot = (uint32_t)++l->n;
    if (l->n == IMPORT_CHUNK_ROWS || l->bytes.len >= IMPORT_CHUNK_BYTES) {
        return import_load_flush(l, e);
    }
    return true;
}
