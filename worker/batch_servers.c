#include <stdio.h>
#include <string.h>

#include "common/entry.h"
#include "worker/batch_parts.h"

#define ALL_BOARD  "all"
#define FIXED_SIZE 128 /* more than the fields of fixed size of any row here */

/* ---- ranking_servers ---- */

struct server_row {
    const char *name;
    size_t name_len;
    bool has_board;
    uint32_t total;                       /* on it */
    const struct server_average *average; /* NULL: nobody was scored, and there are no tiers */
    const struct server_walk *walk;
};

#define AVERAGES_BYTES    (STAT_COUNT * (4 + sizeof(int64_t)))
#define TIER_SCORES_BYTES (SCORE_TIERS * (4 + sizeof(int64_t)))
#define TIER_COUNTS_BYTES (SCORE_TIERS * (4 + sizeof(int32_t)))
#define ARRAYS_SIZE                                                                                \
    (3 * PGCOPY_ARRAY_HEAD_SIZE + AVERAGES_BYTES + TIER_SCORES_BYTES + TIER_COUNTS_BYTES)

static char *put_figures(char *p, const struct server_row *row)
{
    p = pgcopy_put_i64(p, row->average->sample_size);
    p = pgcopy_put_array(p, PGCOPY_OID_INT8, STAT_COUNT, AVERAGES_BYTES);
    for (int i = 0; i < STAT_COUNT; i++) {
        p = pgcopy_put_i64(p, row->average->avg[i]);
    }
    p = pgcopy_put_array(p, PGCOPY_OID_INT8, SCORE_TIERS, TIER_SCORES_BYTES);
    for (int i = 0; i < SCORE_TIERS; i++) {
        p = pgcopy_put_i64(p, row->walk->tier_count[i] > 0 ? row->walk->tier_min[i] : 0);
    }
    p = pgcopy_put_array(p, PGCOPY_OID_INT4, SCORE_TIERS, TIER_COUNTS_BYTES);
    for (int i = 0; i < SCORE_TIERS; i++) {
        p = pgcopy_put_i32(p, (int32_t)row->walk->tier_count[i]);
    }
    return p;
}

static bool write_server(struct copy_writer *w, const struct batch *b, const struct server_row *row,
                         struct err *e)
{
    char *p = copy_write_room(w, FIXED_SIZE + ARRAYS_SIZE + row->name_len, e);

    if (!p) {
        return false;
    }
    p = pgcopy_put_row(p, 8);
    p = pgcopy_put_i64(p, b->run_id);
    p = pgcopy_put_text(p, row->name, row->name_len);
    if (row->has_board) {
        p = pgcopy_put_i64(p, b->now_us - PGCOPY_EPOCH_US);
        p = pgcopy_put_i64(p, row->total);
    } else {
        p = pgcopy_put_null(pgcopy_put_null(p));
    }
    if (row->average) {
        p = put_figures(p, row);
    } else {
        p = pgcopy_put_null(pgcopy_put_null(pgcopy_put_null(pgcopy_put_null(p))));
    }
    copy_write_row(w, p);
    return true;
}

/* All that this run has read: those that failed as a whole are carried over. */
static bool write_servers(struct copy_writer *w, const struct batch *b, struct err *e)
{
    const struct names *servers = &b->people.servers;
    struct server_row all = {.name = ALL_BOARD,
                             .name_len = strlen(ALL_BOARD),
                             .has_board = true,
                             .total = b->order.count};
    bool ok = write_server(w, b, &all, e);

    for (uint32_t s = 0; ok && s < servers->count; s++) {
        const struct server_average *average = &b->averages[s];
        uint32_t total = b->walk.servers[s].ranked;
        struct server_row row = {.has_board = total > 0,
                                 .total = total,
                                 .average = average->sample_size > 0 ? average : NULL,
                                 .walk = &b->walk.servers[s]};

        row.name = names_get(servers, s, &row.name_len);
        if ((row.has_board || row.average) &&
            !failures_has_server(&b->failures, row.name, row.name_len)) {
            ok = write_server(w, b, &row, e);
        }
    }
    return ok;
}

/* $5: when its board was made, if nothing tells it any more. */
static const char CARRY_SQL[] =
    "INSERT INTO ranking_servers"
    " SELECT $1::bigint, $3::text, CASE WHEN $4::bigint > 0 THEN coalesce(o.generated_at,"
    " 'epoch'::timestamptz + $5::bigint * interval '1 microsecond') END, nullif($4::bigint, 0),"
    " o.sample_size, o.averages, o.tier_scores, o.tier_counts"
    " FROM (SELECT) AS one LEFT JOIN ranking_servers AS o ON o.run_id = $2 AND o.server = $3"
    " WHERE $4::bigint > 0 OR o.sample_size IS NOT NULL";

static bool carry_server(const struct batch *b, const struct failed_server *server, struct err *e)
{
    uint32_t s = names_find(&b->people.servers, server->name, server->name_len);
    char run[24], live[24], total[24], now[24];
    const char *values[] = {run, live, server->name, total, now};
    PGresult *r;

    snprintf(run, sizeof run, "%" PRId64, b->run_id);
    snprintf(live, sizeof live, "%" PRId64, b->live_run_id);
    snprintf(total, sizeof total, "%" PRIu32, s == NAMES_NONE ? 0 : b->walk.servers[s].ranked);
    snprintf(now, sizeof now, "%" PRId64, b->now_us);
    r = pg_exec_params(b->main, CARRY_SQL, ARRAY_LEN(values), values, e);
    PQclear(r);
    return r != NULL;
}

bool batch_publish_servers(struct batch *b, struct err *e)
{
    struct copy_writer w;
    bool ok = copy_write_begin(&w, b->main,
                               "COPY ranking_servers (run_id, server, generated_at, total,"
                               " sample_size, averages, tier_scores, tier_counts)"
                               " FROM STDIN (FORMAT binary)",
                               e);

    if (ok) {
        ok = write_servers(&w, b, e);
        ok = copy_write_end(&w, ok, e);
    }
    for (uint32_t i = 0; ok && i < b->failures.server_count; i++) {
        ok = carry_server(b, &b->failures.servers[i], e);
    }
    return ok;
}

/* ---- ranking_group_lists ---- */

struct group_name {
    const char *text;
    size_t len;
};

static struct group_name server_of(const struct population *p, uint32_t group)
{
    struct group_name name;

    name.text = names_get(&p->servers, population_group(p, group)->server, &name.len);
    return name;
}

static struct group_name class_of(const struct population *p, uint32_t group)
{
    struct group_name name;

    name.text = names_get(&p->classes, population_group(p, group)->class, &name.len);
    return name;
}

struct group_range {
    uint32_t first, end;
};

typedef struct group_name (*group_name_fn)(const struct population *p, uint32_t group);

static size_t list_bytes(const struct population *p, struct group_range groups, group_name_fn of)
{
    size_t bytes = 0;

    for (uint32_t i = groups.first; i < groups.end; i++) {
        bytes += 4 + of(p, i).len;
    }
    return bytes;
}

static char *put_list(char *out, const struct population *p, struct group_range groups,
                      group_name_fn of)
{
    out = pgcopy_put_array(out, PGCOPY_OID_VARCHAR, groups.end - groups.first,
                           list_bytes(p, groups, of));
    for (uint32_t i = groups.first; i < groups.end; i++) {
        struct group_name name = of(p, i);

        out = pgcopy_put_text(out, name.text, name.len);
    }
    return out;
}

static bool write_groups(struct copy_writer *w, const struct batch *b, struct group_range groups,
                         struct err *e)
{
    const struct population *people = &b->people;
    char *p = copy_write_room(w,
                              FIXED_SIZE + list_bytes(people, groups, server_of) +
                                  list_bytes(people, groups, class_of),
                              e);

    if (!p) {
        return false;
    }
    p = pgcopy_put_row(p, 4);
    p = pgcopy_put_i64(p, b->run_id);
    p = pgcopy_put_i32(p, (int32_t)(groups.first / ENTRY_GROUPS_LISTED));
    p = put_list(p, people, groups, server_of);
    copy_write_row(w, put_list(p, people, groups, class_of));
    return true;
}

bool batch_publish_groups(struct batch *b, struct err *e)
{
    uint32_t count = b->people.groups.count;
    struct copy_writer w;
    bool ok = true;

    if (!copy_write_begin(&w, b->main,
                          "COPY ranking_group_lists (run_id, list_no, servers, classes)"
                          " FROM STDIN (FORMAT binary)",
                          e)) {
        return false;
    }
    for (uint32_t i = 0; ok && i < count; i += ENTRY_GROUPS_LISTED) {
        uint32_t left = count - i;
        struct group_range groups = {i,
                                     i + (left < ENTRY_GROUPS_LISTED ? left : ENTRY_GROUPS_LISTED)};

        ok = write_groups(&w, b, groups, e);
    }
    return copy_write_end(&w, ok, e);
}
