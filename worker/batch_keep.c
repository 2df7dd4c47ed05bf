#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "worker/batch_parts.h"

/*
 * Who keeps the score of the previous board: characters that failed now, with the name, class,
 * level and power read now, and all entries of a server that failed as a whole, as they were.
 */
enum {
    F_ID,
    F_SERVER,
    F_NAME,
    F_CLASS,
    F_LEVEL,
    F_POWER,
    F_SCORE,
    F_TIER,
    F_PERCENTILE,
    F_SCORED_AT,
    F_STALE,
    F_COUNT
};

#define IDS_AT_ONCE 4096

struct old_entry {
    struct population_row row;
    int64_t score;
    struct kept kept;
    int tier;
};

static bool decode(const struct pgcopy_field *f, struct old_entry *old)
{
    struct population_row *row = &old->row;

    *row = (struct population_row){.power = POWER_UNKNOWN,
                                   .server = f[F_SERVER].data,
                                   .server_len = (size_t)f[F_SERVER].len,
                                   .name = f[F_NAME].data,
                                   .name_len = (size_t)f[F_NAME].len,
                                   .class = f[F_CLASS].data,
                                   .class_len = (size_t)f[F_CLASS].len};
    if (f[F_SERVER].len < 0 || f[F_NAME].len < 0 || f[F_CLASS].len < 0 || f[F_TIER].len < 0) {
        return false;
    }
    old->tier = score_tier_parse(f[F_TIER].data, (size_t)f[F_TIER].len);
    return old->tier >= 0 && pgcopy_to_i64(&f[F_ID], &row->id) &&
           pgcopy_to_i32(&f[F_LEVEL], &row->level) &&
           (f[F_POWER].len < 0 || pgcopy_to_i64(&f[F_POWER], &row->power)) &&
           pgcopy_to_i64(&f[F_SCORE], &old->score) &&
           pgcopy_to_double(&f[F_PERCENTILE], &old->kept.percentile) &&
           pgcopy_to_i64(&f[F_SCORED_AT], &old->kept.scored_at_us) &&
           pgcopy_to_bool(&f[F_STALE], &old->kept.stale);
}

static bool not_decoded(struct err *e)
{
    return err_set(e, ERR_PERMANENT, "ProtocolError",
                   "a column of ranking_rows is of a type or value that the batch does not read");
}

static bool keep(struct batch *b, struct entry *entry, const struct old_entry *old, struct err *e)
{
    entry->score = old->score;
    entry->tier = (uint8_t)old->tier;
    return population_add_kept(&b->people, entry, &old->kept, e);
}

static int by_id(const void *a, const void *b)
{
    const struct entry *x = a;
    const struct entry *y = b;

    return (x->id > y->id) - (x->id < y->id);
}

static bool keep_failed(void *batch, const struct pgcopy_field *fields, struct err *e)
{
    struct batch *b = batch;
    struct entry_list *failed = &b->people.failed;
    struct old_entry old;
    struct entry key;
    struct entry *entry;

    if (!decode(fields, &old)) {
        return not_decoded(e);
    }
    key.id = old.row.id;
    entry = bsearch(&key, failed->at, failed->count, sizeof key, by_id);
    MUST(entry); /* the server was asked for these ids only */
    old.kept.stale = true;
    return keep(b, entry, &old, e);
}

static bool keep_of_server(void *batch, const struct pgcopy_field *fields, struct err *e)
{
    struct batch *b = batch;
    struct old_entry old;
    struct entry entry;

    if (!decode(fields, &old)) {
        return not_decoded(e);
    }
    return population_make_entry(&b->people, &old.row, &entry, e) && keep(b, &entry, &old, e);
}

/*
 * Rows of the live generation that fit the condition. Those that cannot be read are left out: the
 * next run would find the same damage, and nobody would ever be ranked again.
 */
static bool read_live(struct batch *b, const char *condition, copy_row_fn take, struct err *e)
{
    char sqlstate[SQLSTATE_SIZE];
    char sql[512];
    const struct copy_source source = {.sql = sql, .fields = F_COUNT, .take = take, .ctx = b};

    snprintf(sql, sizeof sql,
             "COPY (SELECT character_id, server, name, class, level, power, power_score,"
             " power_rank, percentile, last_scored_at, stale FROM ranking_rows"
             " WHERE run_id = %" PRId64 " AND %s) TO STDOUT (FORMAT binary)",
             b->live_run_id, condition);
    if (copy_read(b->main, &source, sqlstate, e)) {
        return true;
    }
    if (!batch_is_data_error(sqlstate)) {
        return false;
    }
    log_error("batch.not_kept", "run=%" PRId64 " live_run=%" PRId64 " text=%s", b->run_id,
              b->live_run_id, LOGQ(e->text));
    return pg_run(b->main, "ROLLBACK; BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", e);
}

/* '{1,2,3}' */
static char *ids_text(const struct entry *at, uint32_t count)
{
    struct buf ids;

    buf_init(&ids, IDS_AT_ONCE * 24);
    for (uint32_t i = 0; i < count; i++) {
        buf_addch(&ids, i == 0 ? '{' : ',');
        buf_addi64(&ids, at[i].id);
    }
    buf_addch(&ids, '}');
    return buf_take(&ids, NULL);
}

static bool keep_some_failed(struct batch *b, uint32_t from, struct err *e)
{
    uint32_t left = b->people.failed.count - from;
    char *ids = ids_text(b->people.failed.at + from, left < IDS_AT_ONCE ? left : IDS_AT_ONCE);
    bool ok = ids || batch_no_memory(e);

    ok = ok && batch_set_parameter(b->main, BATCH_IDS_GUC, ids, e) &&
         read_live(b, "character_id = ANY (current_setting('" BATCH_IDS_GUC "')::bigint[])",
                   keep_failed, e);
    free(ids);
    return ok;
}

static bool keep_server(struct batch *b, const struct failed_server *server, struct err *e)
{
    return batch_set_parameter(b->main, BATCH_SERVER_GUC, server->name, e) &&
           read_live(b, "server = current_setting('" BATCH_SERVER_GUC "')", keep_of_server, e);
}

bool batch_keep(struct batch *b, struct err *e)
{
    struct entry_list *failed = &b->people.failed;

    if (b->live_run_id == 0) {
        return true;
    }
    if (failed->count > 0) {
        qsort(failed->at, failed->count, sizeof *failed->at, by_id);
    }
    for (uint32_t i = 0; i < failed->count; i += IDS_AT_ONCE) {
        if (!keep_some_failed(b, i, e)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < b->failures.server_count; i++) {
        if (!keep_server(b, &b->failures.servers[i], e)) {
            return false;
        }
    }
    return true;
}
