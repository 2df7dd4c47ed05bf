#include "common/server_stats.h"

#include <stdio.h>
#include <string.h>

#define MEMBERS                                                                                    \
    "'sample_size', s.sample_size, 'averages', json_build_object('attack', s.avg_attack,"          \
    " 'damage_amp', s.avg_damage_amp, 'crit_rate', s.avg_crit_rate, 'crit_damage',"                \
    " s.avg_crit_damage, 'attack_speed', s.avg_attack_speed, 'defense', s.avg_defense,"            \
    " 'damage_reduction', s.avg_damage_reduction, 'hp', s.avg_hp), 'tiers', s.tier_cutoffs"

static const char NOW_SQL[] =
    "SELECT json_build_object('run', (SELECT run_id FROM ranking_state), 'generated_at', (SELECT " PG_ISO(
        "generated_at") " FROM ranking_state), 'servers', (SELECT coalesce(json_agg("
                        "json_build_object('server', s.server, " MEMBERS
                        ") ORDER BY s.server), '[]') FROM server_stats"
                        " AS s WHERE s.run_id = (SELECT run_id FROM ranking_state)))";

/* $1 server, $2 before, $3 limit. One more is read than shown, which tells of a next page. */
static const char HISTORY_SQL[] =
    "WITH page AS (SELECT * FROM server_stats WHERE server = $1"
    " AND ($2::bigint = 0 OR run_id < $2::bigint) ORDER BY run_id DESC LIMIT $3::int + 1),"
    " shown AS (SELECT * FROM page ORDER BY run_id DESC LIMIT $3::int)"
    "SELECT json_build_object('server', $1::text, 'points', (SELECT coalesce(json_agg("
    "json_build_object('run', s.run_id, 'at', " PG_ISO(
        "coalesce(r.finished_at, r.started_at)") ", " MEMBERS
                                                 ") ORDER BY s.run_id DESC), '[]') FROM shown AS s JOIN batch_runs AS r"
                                                 " ON r.id = s.run_id), 'next_before', CASE WHEN (SELECT count(*) FROM page) > $3::int"
                                                 " THEN (SELECT min(run_id) FROM shown) END)"
                                                 " WHERE EXISTS (SELECT FROM server_stats WHERE server = $1)";

cJSON *server_stats_now(PGconn *c, struct err *e)
{
    return pg_document(c, NOW_SQL, 0, NULL, e);
}

cJSON *server_stats_history(PGconn *c, const char *server, int64_t before, int64_t limit,
                            struct err *e)
{
    char from[24], most[24];
    const char *values[] = {server, from, most};
    cJSON *doc;

    snprintf(from, sizeof from, "%" PRId64, before);
    snprintf(most, sizeof most, "%" PRId64, limit);
    doc = pg_document(c, HISTORY_SQL, ARRAY_LEN(values), values, e);
    if (!doc && strcmp(e->type, "LookupError") == 0) {
        err_set(e, ERR_PERMANENT, "LookupError", "no run knows this server");
    }
    return doc;
}
