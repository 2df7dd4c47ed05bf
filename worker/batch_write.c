#include <stdio.h>
#include <string.h>

#include "worker/batch_parts.h"

#define ENTRY_FIELDS 15
/*
 * Rows of one COPY, some 12 MB. The server gives each COPY a ring of 16 MB of buffers, and one that
 * comes round waits for the log and writes pages out itself; the next COPY gets fresh ones.
 */
#define SLICE_ROWS       UINT32_C(120000)
#define ENTRY_FIXED_SIZE 256 /* more than all fields but the name */

/* The columns of ranking_entries, in their order. */
static char *put_entry(const struct batch *b, char *p, uint32_t number)
{
    const struct entry *entry = &b->people.ranked.at[number];
    const struct placement *place = &b->places[number];
    const struct kept *kept = population_kept(&b->people, number);
    size_t name_len;
    const char *name = population_name(&b->people, entry, &name_len);

    p = pgcopy_put_row(p, ENTRY_FIELDS);
    p = pgcopy_put_i64(p, b->run_id);
    p = pgcopy_put_i64(p, entry->id);
    p = entry->power == POWER_UNKNOWN ? pgcopy_put_null(p) : pgcopy_put_i64(p, entry->power);
    p = pgcopy_put_i64(p, entry->score);
    p = pgcopy_put_i64(p, kept ? kept->scored_at_us : b->now_us - PGCOPY_EPOCH_US);
    p = pgcopy_put_i32(p, place->rank);
    p = pgcopy_put_i32(p, place->server_rank);
    p = pgcopy_put_i32(p, place->class_rank);
    p = pgcopy_put_i32(p, place->server_class_rank);
    p = pgcopy_put_i32(p, entry->level);
    p = pgcopy_put_i32(p, (int32_t)entry->group);
    p = pgcopy_put_i16(p, place->percentile);
    p = pgcopy_put_i16(p, entry->tier);
    p = pgcopy_put_bool(p, kept && kept->stale);
    return pgcopy_put_text(p, name, name_len);
}

static size_t entry_size(const struct population *p, uint32_t number)
{
    size_t name_len;

    (void)population_name(p, &p->ranked.at[number], &name_len);
    return ENTRY_FIXED_SIZE + name_len;
}

static bool write_slice(struct batch *b, struct copy_writer *w, uint32_t from, struct err *e)
{
    uint32_t end = b->people.ranked.count - from;

    end = from + (end < SLICE_ROWS ? end : SLICE_ROWS);
    for (uint32_t i = from; i < end; i++) {
        char *p;

        if (b->places[i].rank == 0) {
            continue;
        }
        p = copy_write_room(w, entry_size(&b->people, i), e);
        if (!p) {
            return false;
        }
        copy_write_row(w, put_entry(b, p, i));
    }
    return true;
}

/*
 * In the order in which the entries lie in memory, not in that of their ranks: whoever reads a
 * generation has the ranks in its rows, and a walk through memory in rank order costs more than
 * the scoring.
 */
static bool write_entries(struct batch *b, struct err *e)
{
    char sql[128];
    bool ok = true;

    snprintf(sql, sizeof sql, "COPY ranking_entries_%" PRId64 " FROM STDIN (FORMAT binary, FREEZE)",
             b->run_id);
    for (uint32_t from = 0; ok && from < b->people.ranked.count; from += SLICE_ROWS) {
        struct copy_writer w;

        ok = copy_write_begin(&w, b->main, sql, e);
        if (ok) {
            ok = write_slice(b, &w, from, e);
            ok = copy_write_end(&w, ok, e);
        }
    }
    return ok;
}

/*
 * Not in the transaction that exported the snapshot: there COPY would refuse to freeze. What
 * publishing reads is our own and does not change while we have the lock.
 */
static bool begin_publishing(const struct batch *b, struct err *e)
{
    return pg_run(b->main, "COMMIT", e) &&
           pg_run(b->main, "BEGIN ISOLATION LEVEL REPEATABLE READ", e);
}

/*
 * A table of its own: in a table made by this transaction COPY may write frozen rows, which nobody
 * will ever have to vacuum. The check lets ATTACH believe without reading.
 */
static bool create_table(const struct batch *b, struct err *e)
{
    char sql[512];

    snprintf(sql, sizeof sql,
             "CREATE TABLE ranking_entries_%" PRId64 " (LIKE ranking_entries INCLUDING DEFAULTS,"
             " CHECK (run_id = %" PRId64 "))",
             b->run_id, b->run_id);
    return pg_run(b->main, sql, e);
}

bool batch_write(struct batch *b, struct err *e)
{
    return begin_publishing(b, e) && create_table(b, e) && write_entries(b, e);
}

bool batch_attach(struct batch *b, struct err *e)
{
    char sql[160];

    snprintf(sql, sizeof sql,
             "ALTER TABLE ranking_entries ATTACH PARTITION ranking_entries_%" PRId64
             " FOR VALUES IN (%" PRId64 ")",
             b->run_id, b->run_id);
    return pg_run(b->main, sql, e);
}
