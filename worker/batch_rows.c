#include <endian.h>
#include <string.h>

#include "worker/batch_parts.h"

/*
 * Nearly every character comes as the eight numbers of stats_packed, the others with their payload.
 *
 * A payload is passed on in full unless it is large or prints as much more than it is: a number of
 * ten bytes may have 131,000 digits. Of the others stats_for_scoring() leaves the eight keys (and
 * so not the mode, which is looked at before); that takes as long as reading 10 KB, so it is not
 * done to those of a few kilobytes.
 *
 * The column's storage compresses nothing, but a value copied from another table comes as it was
 * there, and then pg_column_size() says nothing of what it holds. `#> '{}'` is the same value,
 * unpacked.
 */
const char BATCH_ROW_COLUMNS[] =
    "id, server, name, class, level, power, stats_packed,"
    " CASE WHEN stats_packed IS NOT NULL THEN NULL"
    " WHEN pg_column_compression(stats_payload) IS NULL"
    " AND (pg_column_size(stats_payload) <= 1024"
    " OR (pg_column_size(stats_payload) <= 8192 AND octet_length(stats_payload::text) <= 65536))"
    " THEN stats_payload WHEN stats_payload -> 'mode' = '\"profile\"' THEN '{}'"
    " ELSE stats_for_scoring(stats_payload #> '{}') END";

enum { F_ID, F_SERVER, F_NAME, F_CLASS, F_LEVEL, F_POWER, F_PACKED, F_STATS };

#define JSONB_VERSION 1
#define PACKED_SIZE   (STAT_COUNT * 4) /* in the order of enum stat_key */

static bool take_text(const struct pgcopy_field *f, const char **text, size_t *len)
{
    *text = f->data;
    *len = f->len < 0 ? 0 : (size_t)f->len;
    return f->len >= 0;
}

static bool decode(const struct pgcopy_field *f, struct population_row *row)
{
    row->power = POWER_UNKNOWN;
    return pgcopy_to_i64(&f[F_ID], &row->id) &&
           take_text(&f[F_SERVER], &row->server, &row->server_len) &&
           take_text(&f[F_NAME], &row->name, &row->name_len) &&
           take_text(&f[F_CLASS], &row->class, &row->class_len) &&
           pgcopy_to_i32(&f[F_LEVEL], &row->level) &&
           (f[F_POWER].len < 0 || pgcopy_to_i64(&f[F_POWER], &row->power));
}

/* False: the column is NULL, or not what the batch reads. */
static bool unpack(const struct pgcopy_field *f, struct payload_stats *stats)
{
    if (f->len != PACKED_SIZE) {
        return false;
    }
    for (int i = 0; i < STAT_COUNT; i++) {
        uint32_t v;

        memcpy(&v, f->data + (size_t)i * sizeof v, sizeof v);
        stats->value[i] = be32toh(v);
    }
    stats->fractional = 0;
    return true;
}

static bool has_payload(const struct pgcopy_field *f)
{
    return f->len >= 1 && f->data[0] == JSONB_VERSION;
}

static void copy_text(char dst[FAILURE_TEXT_SIZE], const char *text, size_t len)
{
    len = len < FAILURE_TEXT_SIZE ? len : FAILURE_TEXT_SIZE - 1;
    memcpy(dst, text, len);
    dst[len] = '\0';
}

static bool take_failed(struct batch *b, const struct population_row *row,
                        const struct payload_fault *fault, struct err *e)
{
    struct failure one = {.id = row->id, .stat = fault->stat};

    copy_text(one.server, row->server, row->server_len);
    copy_text(one.name, row->name, row->name_len);
    memcpy(one.reason, fault->reason, sizeof one.reason);
    if (!failures_add(&b->failures, &one)) {
        return batch_no_memory(e);
    }
    return population_add_failed(&b->people, row, e);
}

static bool not_read(struct err *e)
{
    return err_set(e, ERR_PERMANENT, "ProtocolError",
                   "a column of characters is of a type that the batch does not read");
}

/* One whose payload came as it is. */
static bool take_payload(struct batch *b, const struct population_row *row,
                         const struct pgcopy_field *f, struct err *e)
{
    struct payload_stats stats;
    struct payload_fault fault;

    switch (payload_parse(f->data + 1, (size_t)f->len - 1, &stats, &fault)) {
    case PAYLOAD_EMPTY:
    case PAYLOAD_PROFILE:
        return true;
    case PAYLOAD_STATS:
        return population_add_scored(&b->people, row, &stats, e);
    case PAYLOAD_BAD:
    default:
        return take_failed(b, row, &fault, e);
    }
}

bool batch_take_row(void *batch, const struct pgcopy_field *fields, struct err *e)
{
    struct batch *b = batch;
    struct population_row row;
    struct payload_stats stats;

    if (!decode(fields, &row)) {
        return not_read(e);
    }
    b->people.rows++;
    if (unpack(&fields[F_PACKED], &stats)) {
        return population_add_scored(&b->people, &row, &stats, e);
    }
    return has_payload(&fields[F_STATS]) ? take_payload(b, &row, &fields[F_STATS], e) : not_read(e);
}
