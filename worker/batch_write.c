#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/entry.h"
#include "worker/batch_parts.h"

/*
 * Rows of one COPY, some 11 MB. The server gives each COPY a ring of 16 MB of buffers, and one that
 * comes round waits for the log and writes pages out itself; the next COPY gets fresh ones.
 */
#define SLICE_ROWS       UINT32_C(120000)
#define ENTRY_FIXED_SIZE 256 /* more than all fields but the name */

/*
 * What the server has to do is mostly parsing, column by column. Two that are the same for
 * everybody scored in this run are the table's defaults; entries that were kept bring their own.
 */
#define SCORED_COLUMNS "character_id, power, power_score, places, class_places, traits, name"
#define SCORED_FIELDS  7
#define KEPT_COLUMNS   SCORED_COLUMNS ", run_id, last_scored_at"
#define KEPT_FIELDS    (SCORED_FIELDS + 2)

static int64_t traits_of(const struct entry *entry, const struct placement *place, bool stale)
{
    return entry_traits_pack(&(struct entry_traits){.group = (int32_t)entry->group,
                                                    .level = entry->level,
                                                    .percentile_c = place->percentile,
                                                    .tier = entry->tier,
                                                    .stale = stale});
}

static char *put_entry(const struct batch *b, char *p, uint32_t number)
{
    const struct entry *entry = &b->people.ranked.at[number];
    const struct placement *place = &b->places[number];
    const struct kept *kept = population_kept(&b->people, number);
    size_t name_len;
    const char *name = population_name(&b->people, entry, &name_len);

    p = pgcopy_put_row(p, kept ? KEPT_FIELDS : SCORED_FIELDS);
    p = pgcopy_put_i64(p, entry->id);
    p = entry->power == POWER_UNKNOWN ? pgcopy_put_null(p) : pgcopy_put_i64(p, entry->power);
    p = pgcopy_put_i64(p, entry->score);
    p = pgcopy_put_i64(p, entry_places(place->rank, place->server_rank));
    p = pgcopy_put_i64(p, entry_places(place->class_rank, place->server_class_rank));
    p = pgcopy_put_i64(p, traits_of(entry, place, kept && kept->stale));
    p = pgcopy_put_text(p, name, name_len);
    if (kept) {
        p = pgcopy_put_i64(p, b->run_id);
        p = pgcopy_put_i64(p, kept->scored_at_us);
    }
    return p;
}

static size_t entry_size(const struct population *p, uint32_t number)
{
    size_t name_len;

    (void)population_name(p, &p->ranked.at[number], &name_len);
    return ENTRY_FIXED_SIZE + name_len;
}

struct range {
    uint32_t from, end;
};

static bool write_slice(struct batch *b, struct copy_writer *w, struct range slice, struct err *e)
{
    for (uint32_t i = slice.from; i < slice.end; i++) {
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

static bool write_range(struct batch *b, const char *columns, struct range all, struct err *e)
{
    char sql[320];
    bool ok = true;

    snprintf(sql, sizeof sql,
             "COPY ranking_entries_%" PRId64 " (%s) FROM STDIN (FORMAT binary, FREEZE)", b->run_id,
             columns);
    for (uint32_t from = all.from; ok && from < all.end; from += SLICE_ROWS) {
        uint32_t left = all.end - from;
        struct range slice = {from, from + (left < SLICE_ROWS ? left : SLICE_ROWS)};
        struct copy_writer w;

        progress_count(b->req->progress, from, b->people.ranked.count);
        ok = copy_write_begin(&w, b->main, sql, e);
        if (ok) {
            ok = write_slice(b, &w, slice, e);
            ok = copy_write_end(&w, ok, e);
        }
    }
    return ok;
}

/*
 * In the order in which the entries lie in memory, not in that of their ranks: whoever reads a
 * generation has the ranks in its rows, and a walk through memory in rank order costs more than
 * the scoring.
 */
static bool write_entries(struct batch *b, struct err *e)
{
    const struct population *p = &b->people;

    return write_range(b, SCORED_COLUMNS, (struct range){0, p->scored}, e) &&
           write_range(b, KEPT_COLUMNS, (struct range){p->scored, p->ranked.count}, e);
}

/*
 * A table of its own: in a table made by this transaction COPY may write frozen rows, which nobody
 * will ever have to vacuum. The check lets ATTACH believe without reading.
 *
 * Not in the transaction that exported the snapshot: there COPY would refuse to freeze. What
 * publishing reads is our own and does not change while we have the lock.
 */
bool batch_begin_write(const struct batch *b, struct err *e)
{
    char now[CLOCK_ISO_SIZE];
    char sql[640];

    snprintf(sql, sizeof sql,
             "COMMIT; BEGIN ISOLATION LEVEL REPEATABLE READ;"
             "CREATE TABLE ranking_entries_%" PRId64 " (LIKE ranking_entries INCLUDING DEFAULTS,"
             " CHECK (run_id = %" PRId64 "));"
             "ALTER TABLE ranking_entries_%" PRId64 " ALTER run_id SET DEFAULT %" PRId64
             ", ALTER last_scored_at SET DEFAULT '%s'",
             b->run_id, b->run_id, b->run_id, b->run_id, clock_iso(b->now_us, "Z", now));
    return pg_run_begin(b->main, sql, e);
}

/*
 * The log of all these rows would wait for COMMIT to be written to disk. A reader, which has
 * nothing to do any more, commits a word of its own and so the log up to here, while the rest is
 * published.
 */
static void flush_log_ahead(void)
{
    PGconn *c = pg_keep_take();

    if (c) {
        pg_keep_leave_with(c, "SELECT pg_logical_emit_message(true, 'aion2rank', 'flush')");
    }
}

bool batch_write(struct batch *b, struct err *e)
{
    if (!pg_run_end(b->main, e) || !write_entries(b, e)) {
        return false;
    }
    flush_log_ahead();
    return true;
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
