#include "api/image_load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/entry.h"
#include "common/pg.h"
#include "common/text.h"

/* Microseconds from 1970 to 2000, where PostgreSQL's binary timestamps start. */
#define PG_EPOCH_US INT64_C(946684800000000)

/* A reader of big-endian bytes; `bad` sticks. */
struct cursor {
    const unsigned char *p;
    size_t left;
    bool bad;
};

static const unsigned char *take(struct cursor *c, size_t n)
{
    const unsigned char *p = c->p;

    if (c->bad || n > c->left) {
        c->bad = true;
        return NULL;
    }
    c->p += n;
    c->left -= n;
    return p;
}

static uint64_t take_uint(struct cursor *c, size_t bytes)
{
    const unsigned char *p = take(c, bytes);
    uint64_t v = 0;

    for (size_t i = 0; p && i < bytes; i++) {
        v = v << 8 | p[i];
    }
    return v;
}

/* Length of the next field; -1 is NULL. */
static int32_t field_len(struct cursor *c)
{
    return (int32_t)(uint32_t)take_uint(c, 4);
}

static int64_t take_i64(struct cursor *c)
{
    c->bad |= field_len(c) != 8;
    return (int64_t)take_uint(c, 8);
}

static int64_t take_i64_or(struct cursor *c, int64_t if_null)
{
    struct cursor ahead = *c;

    if (field_len(&ahead) == -1) {
        *c = ahead;
        return if_null;
    }
    return take_i64(c);
}

static const char *take_text(struct cursor *c, size_t *len)
{
    int32_t n = field_len(c);

    *len = n < 0 ? 0 : (size_t)n;
    c->bad |= n < 0;
    return (const char *)take(c, *len);
}

/* The columns, in the order of take_row(). */
#define COLUMNS      "character_id, power, power_score, places, traits, last_scored_at, name"
#define COLUMN_COUNT 7

static void take_row(struct cursor *c, struct image_source *s)
{
    struct entry_traits traits;
    int64_t places;

    s->id = take_i64(c);
    s->power = take_i64_or(c, IMAGE_POWER_NONE);
    s->power_score = take_i64(c);
    places = take_i64(c);
    traits = entry_traits_unpack(take_i64(c));
    s->scored_us = take_i64(c);
    s->name = take_text(c, &s->name_len);
    s->rank = entry_place(places);
    s->server_rank = entry_place_on_server(places);
    s->group = traits.group;
    s->level = traits.level;
    s->percentile_c = traits.percentile_c;
    s->tier = traits.tier;
    s->stale = traits.stale;
    if (__builtin_add_overflow(s->scored_us, PG_EPOCH_US, &s->scored_us)) {
        c->bad = true; /* 'infinity' */
    }
}

static void take_header(struct cursor *c)
{
    static const char SIGNATURE[] = "PGCOPY\n\377\r\n"; /* with its NUL */
    const unsigned char *p = take(c, sizeof SIGNATURE);

    c->bad |= !p || memcmp(p, SIGNATURE, sizeof SIGNATURE) != 0;
    take_uint(c, 4); /* flags */
    take(c, take_uint(c, 4));
}

bool image_copy_feed(struct image_copy *copy, const char *bytes, size_t len, struct err *e)
{
    struct cursor c = {(const unsigned char *)bytes, len, copy->ended};

    if (!copy->past_header) {
        take_header(&c);
        copy->past_header = true;
    }
    while (!c.bad && c.left > 0 && !copy->ended) {
        struct image_source s;
        uint64_t columns = take_uint(&c, 2);

        if (columns == UINT16_MAX) {
            copy->ended = true;
            c.bad |= c.left > 0;
            break;
        }
        c.bad |= columns != COLUMN_COUNT;
        take_row(&c, &s);
        if (!c.bad && !image_builder_add(copy->builder, &s, e)) {
            return false;
        }
    }
    return !c.bad || err_set(e, ERR_PERMANENT, "ImageError", "PostgreSQL sent a malformed COPY");
}

/* What is done with each message of a COPY. */
typedef bool (*feed_fn)(struct image_copy *copy, const char *bytes, size_t len, struct err *e);

/* Every message of the COPY into the builder; leaves the connection ready for the next command. */
static bool drain_copy(PGconn *pg, struct image_copy *copy, feed_fn feed, struct err *e)
{
    bool ok = true;
    PGresult *r;
    char *bytes;
    int n;

    while ((n = PQgetCopyData(pg, &bytes, 0)) > 0) {
        ok = ok && feed(copy, bytes, (size_t)n, e);
        PQfreemem(bytes);
    }
    if (n == -2 && ok) {
        pg_error(pg, NULL, e);
        ok = false;
    }
    while ((r = PQgetResult(pg))) {
        if (ok && PQresultStatus(r) != PGRES_COMMAND_OK) {
            pg_error(pg, r, e);
            ok = false;
        }
        PQclear(r);
    }
    return ok;
}

static bool copy_out(PGconn *pg, const char *sql, struct image_copy *copy, feed_fn feed,
                     struct err *e)
{
    PGresult *r = PQexec(pg, sql);
    bool started = PQresultStatus(r) == PGRES_COPY_OUT;

    if (!started) {
        pg_error(pg, r, e);
        e->cls = ERR_RETRYABLE; /* dropped after two more publications: the next look finds those */
    }
    PQclear(r);
    return started && drain_copy(pg, copy, feed, e);
}

static bool add_groups(struct image_builder *b, const PGresult *r, struct err *e)
{
    bool ok = true;

    for (int i = 0; ok && i < PQntuples(r); i++) {
        const struct image_member_of g = {.server = PQgetvalue(r, i, 1),
                                          .server_len = (size_t)PQgetlength(r, i, 1),
                                          .cls = PQgetvalue(r, i, 2),
                                          .cls_len = (size_t)PQgetlength(r, i, 2)};
        int64_t number;

        ok = (text_to_i64(PQgetvalue(r, i, 0), i, i, &number) ||
              err_set(e, ERR_PERMANENT, "ImageError", "ranking_groups lacks number %d", i)) &&
             image_builder_add_group(b, &g, e);
    }
    return ok;
}

static bool read_groups(PGconn *pg, const char *run_id, struct image_builder *b, struct err *e)
{
    PGresult *r = pg_exec_params(pg,
                                 "SELECT group_no, server, class FROM ranking_groups"
                                 " WHERE run_id = $1 ORDER BY group_no",
                                 1, &run_id, e);
    bool ok = r && add_groups(b, r, e);

    PQclear(r);
    return ok;
}

static bool copy_generation(PGconn *pg, const char *run_id, struct image_builder *b, struct err *e)
{
    struct image_copy copy = {.builder = b};
    char sql[192];

    /* The partition itself: reading it through its parent would lock the parent, too. */
    snprintf(sql, sizeof sql, "COPY ranking_entries_%s (" COLUMNS ") TO STDOUT (FORMAT binary)",
             run_id);
    return copy_out(pg, sql, &copy, image_copy_feed, e);
}

/* ---- averages ---- */

static bool take_averages(const PGresult *r, int row, struct image_averages *a)
{
    bool ok = text_to_i64(PQgetvalue(r, row, 1), 0, INT64_MAX, &a->sample_size);

    a->server = PQgetvalue(r, row, 0);
    a->server_len = (size_t)PQgetlength(r, row, 0);
    for (int i = 0; ok && i < STAT_COUNT; i++) {
        ok = text_to_i64(PQgetvalue(r, row, 2 + i), 0, INT64_MAX, &a->average[i]);
    }
    return ok;
}

static bool read_averages(PGconn *pg, const char *run_id, struct image_builder *b, struct err *e)
{
    PGresult *r =
        pg_exec_params(pg,
                       "SELECT server, sample_size, avg_attack, avg_damage_amp,"
                       " avg_crit_rate, avg_crit_damage, avg_attack_speed, avg_defense,"
                       " avg_damage_reduction, avg_hp FROM server_stats WHERE run_id = $1",
                       1, &run_id, e);
    bool ok = r != NULL;

    for (int i = 0; ok && i < PQntuples(r); i++) {
        struct image_averages a;

        ok = take_averages(r, i, &a)
                 ? image_builder_add_averages(b, &a, e)
                 : err_set(e, ERR_PERMANENT, "ImageError", "server_stats holds no usable numbers");
    }
    PQclear(r);
    return ok;
}

/* ---- the generation before ---- */

static bool feed_before(struct image_copy *copy, const char *bytes, size_t len, struct err *e)
{
    struct cursor c = {(const unsigned char *)bytes, len, copy->ended};

    if (!copy->past_header) {
        take_header(&c);
        copy->past_header = true;
    }
    while (!c.bad && c.left > 0 && !copy->ended) {
        uint64_t columns = take_uint(&c, 2);
        int64_t id, places;

        if (columns == UINT16_MAX) {
            copy->ended = true;
            break;
        }
        id = take_i64(&c);
        places = take_i64(&c);
        c.bad |= columns != 2;
        if (!c.bad) {
            image_builder_add_before(copy->builder, id, entry_place(places),
                                     entry_place_on_server(places));
        }
    }
    return !c.bad || err_set(e, ERR_PERMANENT, "ImageError", "PostgreSQL sent a malformed COPY");
}

static bool is_there(PGconn *pg, int64_t run_id, bool *there, struct err *e)
{
    char name[64];
    const char *value = name;
    PGresult *r;

    snprintf(name, sizeof name, "ranking_entries_%" PRId64, run_id);
    r = pg_exec_params(pg, "SELECT to_regclass($1) IS NOT NULL", 1, &value, e);
    *there = r && PQgetvalue(r, 0, 0)[0] == 't';
    PQclear(r);
    return r != NULL;
}

/* Ranks of the generation before, without the image of it: after a start. */
static bool copy_before(PGconn *pg, int64_t run_id, struct image_builder *b, struct err *e)
{
    struct image_copy copy = {.builder = b};
    char sql[160];
    bool there;

    if (!is_there(pg, run_id, &there, e)) {
        return false;
    }
    snprintf(sql, sizeof sql,
             "COPY ranking_entries_%" PRId64 " (character_id, places) TO STDOUT (FORMAT binary)",
             run_id);
    return !there ||
           (image_builder_expect_before(b, e) && copy_out(pg, sql, &copy, feed_before, e));
}

/* ---- the whole ---- */

struct state {
    bool there;
    int64_t run_id, generated_us, entries;
    int64_t before; /* run id of the generation before, -1: none */
};

static bool read_state(PGconn *pg, struct state *s, struct err *e)
{
    PGresult *r = pg_exec(pg,
                          "SELECT run_id, entries, "
                          "(extract(epoch FROM generated_at) * 1000000)::bigint, "
                          "coalesce(previous_run_id, -1) FROM ranking_state",
                          e);
    bool ok = true;

    if (!r) {
        return false;
    }
    s->there = PQntuples(r) > 0;
    if (s->there) {
        ok = text_to_i64(PQgetvalue(r, 0, 0), 0, INT64_MAX, &s->run_id) &&
             text_to_i64(PQgetvalue(r, 0, 1), 0, INT64_MAX, &s->entries) &&
             text_to_i64(PQgetvalue(r, 0, 2), INT64_MIN, INT64_MAX, &s->generated_us) &&
             text_to_i64(PQgetvalue(r, 0, 3), -1, INT64_MAX, &s->before);
    }
    PQclear(r);
    return ok || err_set(e, ERR_PERMANENT, "ImageError", "ranking_state holds no usable numbers");
}

static bool fill(PGconn *pg, const struct state *s, const struct image *have,
                 struct image_builder *b, struct err *e)
{
    char run_id[24];

    snprintf(run_id, sizeof run_id, "%" PRId64, s->run_id);
    if (!read_groups(pg, run_id, b, e) || !copy_generation(pg, run_id, b, e) ||
        !read_averages(pg, run_id, b, e)) {
        return false;
    }
    if (have && have->head->run_id == s->before) {
        return image_builder_take_before(b, have, e);
    }
    return s->before < 0 || copy_before(pg, s->before, b, e);
}

static enum image_load read_generation(PGconn *pg, const struct state *s, const struct image *have,
                                       struct image **out, struct err *e)
{
    struct image_builder *b = image_builder_new(s->run_id, s->generated_us, s->entries, e);

    if (!b) {
        return IMAGE_LOAD_FAILED;
    }
    if (!fill(pg, s, have, b, e)) {
        image_builder_free(b);
        return IMAGE_LOAD_FAILED;
    }
    *out = image_builder_finish(b, e);
    return *out ? IMAGE_LOAD_NEW : IMAGE_LOAD_FAILED;
}

enum image_load image_load(PGconn *pg, const struct image_want *want, struct image **out,
                           struct err *e)
{
    const struct image *have = want->have;
    enum image_load found = IMAGE_LOAD_FAILED;
    struct state s;

    if (!pg_run(pg, "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY", e)) {
        return IMAGE_LOAD_FAILED;
    }
    if (!read_state(pg, &s, e)) {
        found = IMAGE_LOAD_FAILED;
    } else if (!s.there) {
        found = IMAGE_LOAD_EMPTY;
    } else if (have && have->head->run_id == s.run_id &&
               have->head->generated_us == s.generated_us) {
        found = IMAGE_LOAD_SAME;
    } else {
        want->make_room(want->ctx);
        found = read_generation(pg, &s, have, out, e);
    }
    /* Only reads: how the transaction ends does not matter; a lost connection shows itself next. */
    PQclear(PQexec(pg, "ROLLBACK"));
    return found;
}
