#include <stdio.h>
#include <string.h>

#include "worker/batch_parts.h"

#define ENTRY_FIELDS     16
#define ENTRY_FIXED_SIZE 256 /* more than all fields but the texts */

/* Names are at most 64 characters in the database; room is asked for what is really there. */
struct entry_texts {
    const char *server, *name, *class;
    size_t server_len, name_len, class_len;
};

static struct entry_texts texts_of(const struct population *p, const struct entry *entry)
{
    const struct group *group = population_group(p, entry->group);
    struct entry_texts t;

    t.server = names_get(&p->servers, group->server, &t.server_len);
    t.class = names_get(&p->classes, group->class, &t.class_len);
    t.name = population_name(p, entry, &t.name_len);
    return t;
}

/* The columns of ranking_entries, in their order. */
static char *put_entry(const struct batch *b, char *p, const struct entry *entry,
                       const struct placement *place)
{
    struct entry_texts t = texts_of(&b->people, entry);

    p = pgcopy_put_row(p, ENTRY_FIELDS);
    p = pgcopy_put_i64(p, b->run_id);
    p = pgcopy_put_i64(p, entry->id);
    p = pgcopy_put_text(p, t.server, t.server_len);
    p = pgcopy_put_text(p, t.name, t.name_len);
    p = pgcopy_put_text(p, t.class, t.class_len);
    p = pgcopy_put_i32(p, entry->level);
    p = entry->power == POWER_UNKNOWN ? pgcopy_put_null(p) : pgcopy_put_i64(p, entry->power);
    p = pgcopy_put_i64(p, entry->score);
    p = pgcopy_put_text(p, score_tier_name(place->tier), 2);
    p = pgcopy_put_double(p, place->percentile);
    p = pgcopy_put_i32(p, place->rank);
    p = pgcopy_put_i32(p, place->server_rank);
    p = pgcopy_put_i32(p, place->class_rank);
    p = pgcopy_put_i32(p, place->server_class_rank);
    p = pgcopy_put_bool(p, place->kept && place->kept->stale);
    return pgcopy_put_i64(p, place->kept ? place->kept->scored_at_us : b->now_us - PGCOPY_EPOCH_US);
}

static size_t entry_size(const struct population *p, const struct entry *entry)
{
    struct entry_texts t = texts_of(p, entry);

    return ENTRY_FIXED_SIZE + t.server_len + t.name_len + t.class_len;
}

/* Entries lie in memory as they were read, so the next ones of the ranking are fetched early. */
#define AHEAD 16

static void fetch_ahead(const struct batch *b, uint32_t i)
{
    const struct population *p = &b->people;

    if (i + 2 * AHEAD < b->order.count) {
        __builtin_prefetch(&p->ranked.at[b->order.at[i + 2 * AHEAD]]);
        __builtin_prefetch(p->name_text + p->ranked.at[b->order.at[i + AHEAD]].name);
    }
}

static bool write_entries(struct batch *b, struct copy_writer *w, struct err *e)
{
    for (uint32_t i = 0; i < b->order.count; i++) {
        const struct entry *entry = &b->people.ranked.at[b->order.at[i]];
        struct placement place;
        char *p;

        fetch_ahead(b, i);
        p = copy_write_room(w, entry_size(&b->people, entry), e);
        if (!p) {
            return false;
        }
        place = walk_place(&b->walk, b->order.at[i]);
        copy_write_row(w, put_entry(b, p, entry, &place));
    }
    return true;
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
    char sql[128];
    struct copy_writer w;
    bool ok;

    if (!begin_publishing(b, e) || !create_table(b, e)) {
        return false;
    }
    snprintf(sql, sizeof sql, "COPY ranking_entries_%" PRId64 " FROM STDIN (FORMAT binary, FREEZE)",
             b->run_id);
    if (!copy_write_begin(&w, b->main, sql, e)) {
        return false;
    }
    ok = write_entries(b, &w, e);
    return copy_write_end(&w, ok, e);
}

static bool run_on_table(const struct batch *b, const char *before, const char *after,
                         struct err *e)
{
    char sql[256];

    snprintf(sql, sizeof sql, "%s ranking_entries_%" PRId64 " %s", before, b->run_id, after);
    return pg_run(b->main, sql, e);
}

static bool attach(const struct batch *b, struct err *e)
{
    char values[64];

    snprintf(values, sizeof values, "FOR VALUES IN (%" PRId64 ")", b->run_id);
    return run_on_table(b, "ALTER TABLE ranking_entries ATTACH PARTITION", values, e);
}

bool batch_index(struct batch *b, struct err *e)
{
    /* Rows lie in the order of the ranks, so a few kilobytes tell where each rank is. */
    return run_on_table(b, "CREATE UNIQUE INDEX ON", "(character_id)", e) &&
           run_on_table(b, "CREATE INDEX ON", "USING brin (rank) WITH (pages_per_range = 16)", e) &&
           attach(b, e);
}
