#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/mem.h"
#include "common/schema.h"
#include "worker/batch_parts.h"

#define TIERS_JSON_MAX (8 * KIB)
#define FIXED_SIZE     256 /* more than the fields of fixed size of any row here */
#define ALL_BOARD      "all"

struct board {
    const char *name;
    size_t name_len;
    int64_t generated_at_us;
    uint32_t total;
};

static bool write_board(struct copy_writer *w, const struct batch *b, const struct board *board,
                        struct err *e)
{
    char *p = copy_write_room(w, FIXED_SIZE + board->name_len, e);

    if (!p) {
        return false;
    }
    p = pgcopy_put_row(p, 4);
    p = pgcopy_put_i64(p, b->run_id);
    p = pgcopy_put_text(p, board->name, board->name_len);
    p = pgcopy_put_i64(p, board->generated_at_us - PGCOPY_EPOCH_US);
    p = pgcopy_put_i64(p, board->total);
    copy_write_row(w, p);
    return true;
}

/* When the board of a server that failed as a whole was made. */
static bool find_old_time(const struct batch *b, const struct failed_server *server, int64_t *us,
                          struct err *e)
{
    char run[24];
    const char *values[] = {run, server->name};
    PGresult *r;

    snprintf(run, sizeof run, "%" PRId64, b->live_run_id);
    r = pg_exec_params(b->main,
                       "SELECT (extract(epoch FROM generated_at) * 1000000)::bigint"
                       " FROM ranking_boards WHERE run_id = $1 AND server = $2",
                       2, values, e);
    *us = r && PQntuples(r) > 0 ? strtoll(PQgetvalue(r, 0, 0), NULL, 10) : b->now_us;
    PQclear(r);
    return r != NULL;
}

/* When each server's board was made: now, but for those that are carried over. Caller frees. */
static int64_t *board_times(const struct batch *b, struct err *e)
{
    const struct names *servers = &b->people.servers;
    int64_t *us = mem_try_array(servers->count, sizeof *us);
    bool ok = us || batch_no_memory(e);

    for (uint32_t s = 0; ok && s < servers->count; s++) {
        us[s] = b->now_us;
    }
    for (uint32_t i = 0; ok && i < b->failures.server_count; i++) {
        const struct failed_server *f = &b->failures.servers[i];
        uint32_t s = names_find(servers, f->name, f->name_len);

        ok = s == NAMES_NONE || find_old_time(b, f, &us[s], e);
    }
    if (!ok) {
        free(us);
        return NULL;
    }
    return us;
}

static bool write_boards(struct copy_writer *w, const struct batch *b, const int64_t *times,
                         struct err *e)
{
    const struct population *p = &b->people;
    struct board all = {ALL_BOARD, strlen(ALL_BOARD), b->now_us, b->order.count};
    bool ok = write_board(w, b, &all, e);

    for (uint32_t s = 0; ok && s < p->servers.count; s++) {
        struct board board = {.generated_at_us = times[s], .total = b->walk.servers[s].ranked};

        if (board.total > 0) {
            board.name = names_get(&p->servers, s, &board.name_len);
            ok = write_board(w, b, &board, e);
        }
    }
    return ok;
}

static bool publish_boards(struct batch *b, struct err *e)
{
    int64_t *times = board_times(b, e);
    struct copy_writer w;
    bool ok = times && copy_write_begin(&w, b->main,
                                        "COPY ranking_boards (run_id, server, generated_at, total)"
                                        " FROM STDIN (FORMAT binary)",
                                        e);

    if (ok) {
        ok = write_boards(&w, b, times, e);
        ok = copy_write_end(&w, ok, e);
    }
    free(times);
    return ok;
}

/* {"S1": {"min_score": 1500, "count": 3}, ...} */
static bool make_cutoffs(struct buf *json, const struct server_walk *s)
{
    const char *comma = "";

    buf_reset(json);
    buf_addch(json, '{');
    for (int tier = 0; tier < SCORE_TIERS; tier++) {
        if (s->tier_count[tier] > 0) {
            buf_addf(json, "%s\"%s\":{\"min_score\":%" PRId64 ",\"count\":%" PRIu32 "}", comma,
                     score_tier_name(tier), s->tier_min[tier], s->tier_count[tier]);
            comma = ",";
        }
    }
    return buf_addch(json, '}');
}

static bool write_server(struct copy_writer *w, const struct batch *b, uint32_t s,
                         const struct buf *json, struct err *e)
{
    size_t len;
    const char *name = names_get(&b->people.servers, s, &len);
    char *p = copy_write_room(w, FIXED_SIZE + len + json->len, e);

    if (!p) {
        return false;
    }
    p = pgcopy_put_row(p, 4 + STAT_COUNT);
    p = pgcopy_put_i64(p, b->run_id);
    p = pgcopy_put_text(p, name, len);
    p = pgcopy_put_i64(p, b->averages[s].sample_size);
    for (int stat = 0; stat < STAT_COUNT; stat++) {
        p = pgcopy_put_i64(p, b->averages[s].avg[stat]);
    }
    copy_write_row(w, pgcopy_put_jsonb(p, json->data, json->len));
    return true;
}

static bool write_servers(struct copy_writer *w, const struct batch *b, struct err *e)
{
    struct buf json;
    bool ok = true;

    buf_init(&json, TIERS_JSON_MAX);
    for (uint32_t s = 0; ok && s < b->people.servers.count; s++) {
        if (b->averages[s].sample_size > 0) {
            ok = make_cutoffs(&json, &b->walk.servers[s]) || batch_no_memory(e);
            ok = ok && write_server(w, b, s, &json, e);
        }
    }
    buf_fini(&json);
    return ok;
}

static bool carry_server(const struct batch *b, const struct failed_server *server, struct err *e)
{
    char run[24];
    char live[24];
    const char *values[] = {run, live, server->name};
    PGresult *r;

    snprintf(run, sizeof run, "%" PRId64, b->run_id);
    snprintf(live, sizeof live, "%" PRId64, b->live_run_id);
    r = pg_exec_params(
        b->main,
        "INSERT INTO server_stats SELECT $1::bigint, server, sample_size, avg_attack,"
        " avg_damage_amp, avg_crit_rate, avg_crit_damage, avg_attack_speed,"
        " avg_defense, avg_damage_reduction, avg_hp, tier_cutoffs"
        " FROM server_stats WHERE run_id = $2 AND server = $3",
        ARRAY_LEN(values), values, e);
    PQclear(r);
    return r != NULL;
}

static bool publish_servers(struct batch *b, struct err *e)
{
    struct copy_writer w;
    bool ok = copy_write_begin(&w, b->main,
                               "COPY server_stats (run_id, server, sample_size, avg_attack,"
                               " avg_damage_amp, avg_crit_rate, avg_crit_damage, avg_attack_speed,"
                               " avg_defense, avg_damage_reduction, avg_hp, tier_cutoffs)"
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

static bool write_group(struct copy_writer *w, const struct batch *b, uint32_t number,
                        struct err *e)
{
    const struct group *group = population_group(&b->people, number);
    size_t server_len, class_len;
    const char *server = names_get(&b->people.servers, group->server, &server_len);
    const char *class = names_get(&b->people.classes, group->class, &class_len);
    char *p = copy_write_room(w, FIXED_SIZE + server_len + class_len, e);

    if (!p) {
        return false;
    }
    p = pgcopy_put_row(p, 4);
    p = pgcopy_put_i64(p, b->run_id);
    p = pgcopy_put_i32(p, (int32_t)number);
    p = pgcopy_put_text(p, server, server_len);
    copy_write_row(w, pgcopy_put_text(p, class, class_len));
    return true;
}

static bool publish_groups(struct batch *b, struct err *e)
{
    struct copy_writer w;
    bool ok;

    if (!copy_write_begin(&w, b->main,
                          "COPY ranking_groups (run_id, group_no, server, class)"
                          " FROM STDIN (FORMAT binary)",
                          e)) {
        return false;
    }
    ok = true;
    for (uint32_t i = 0; ok && i < b->people.groups.count; i++) {
        ok = write_group(&w, b, i, e);
    }
    return copy_write_end(&w, ok, e);
}

struct failure_row {
    const int64_t *id; /* NULL: the server as a whole */
    const char *server, *name, *stat, *reason;
};

static bool write_failure(struct copy_writer *w, const struct batch *b, int32_t seq,
                          const struct failure_row *row, struct err *e)
{
    size_t texts = strlen(row->server) + (row->name ? strlen(row->name) : 0) + strlen(row->stat) +
                   strlen(row->reason);
    char *p = copy_write_room(w, FIXED_SIZE + texts, e);

    if (!p) {
        return false;
    }
    p = pgcopy_put_row(p, 7);
    p = pgcopy_put_i64(p, b->run_id);
    p = pgcopy_put_i32(p, seq);
    p = row->id ? pgcopy_put_i64(p, *row->id) : pgcopy_put_null(p);
    p = pgcopy_put_text(p, row->server, strlen(row->server));
    p = row->name ? pgcopy_put_text(p, row->name, strlen(row->name)) : pgcopy_put_null(p);
    p = pgcopy_put_text(p, row->stat, strlen(row->stat));
    copy_write_row(w, pgcopy_put_text(p, row->reason, strlen(row->reason)));
    return true;
}

/* Servers first, then characters by id; FAILURES_MAX in all. */
static bool write_failures(struct copy_writer *w, const struct batch *b, struct err *e)
{
    const struct failures *f = &b->failures;
    int32_t seq = 0;
    bool ok = true;

    for (uint32_t i = 0; ok && i < f->server_count && seq < FAILURES_MAX; i++) {
        struct failure_row row = {
            .server = f->servers[i].name, .stat = "", .reason = f->servers[i].reason};

        ok = write_failure(w, b, ++seq, &row, e);
    }
    for (uint32_t i = 0; ok && i < f->count && seq < FAILURES_MAX; i++) {
        const struct failure *one = &f->at[i];
        struct failure_row row = {&one->id, one->server, one->name, one->stat, one->reason};

        ok = write_failure(w, b, ++seq, &row, e);
    }
    return ok;
}

static bool publish_failures(struct batch *b, struct err *e)
{
    struct copy_writer w;
    bool ok;

    if (b->failures.count + b->failures.server_count == 0) {
        return true;
    }
    if (!copy_write_begin(&w, b->main,
                          "COPY batch_failures (run_id, seq, character_id, server, name, stat,"
                          " reason) FROM STDIN (FORMAT binary)",
                          e)) {
        return false;
    }
    ok = write_failures(&w, b, e);
    return copy_write_end(&w, ok, e);
}

static bool move_pointer(struct batch *b, struct err *e)
{
    char run[24];
    char entries[24];
    char now[24];
    const char *values[] = {run, entries, now, SCHEMA_NOTIFY_CHANNEL};
    PGresult *r;

    snprintf(run, sizeof run, "%" PRId64, b->run_id);
    snprintf(entries, sizeof entries, "%" PRIu32, b->order.count);
    snprintf(now, sizeof now, "%" PRId64, b->now_us);
    r = pg_exec_params(
        b->main,
        "WITH moved AS (INSERT INTO ranking_state AS s (run_id, generated_at, entries)"
        " VALUES ($1, 'epoch'::timestamptz + $3::bigint * interval '1 microsecond', $2)"
        " ON CONFLICT (only_row) DO UPDATE SET previous_run_id = s.run_id,"
        " run_id = excluded.run_id, generated_at = excluded.generated_at,"
        " entries = excluded.entries RETURNING s.run_id)"
        " SELECT pg_notify($4, run_id::text) FROM moved",
        ARRAY_LEN(values), values, e);
    PQclear(r);
    return r != NULL;
}

/* Servers on this generation's boards that this run has read. */
static uint32_t count_servers(const struct batch *b)
{
    uint32_t count = 0;

    for (uint32_t s = 0; s < b->people.servers.count; s++) {
        size_t len;
        const char *name = names_get(&b->people.servers, s, &len);

        count += b->walk.servers[s].ranked > 0 && !failures_has_server(&b->failures, name, len);
    }
    return count;
}

bool batch_publish(struct batch *b, struct err *e)
{
    b->servers = count_servers(b);
    b->result = batch_make_result(b, "success");
    if (!b->result) {
        return batch_no_memory(e);
    }
    if (publish_groups(b, e) && publish_boards(b, e) && publish_servers(b, e) &&
        publish_failures(b, e) && batch_finish_row(b, "success", b->result, e) &&
        move_pointer(b, e) && pg_run(b->main, "COMMIT; " BATCH_UNLOCK_SQL, e)) {
        b->published = b->unlocked = true;
        return true;
    }
    return false;
}
