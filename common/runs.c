#include "common/runs.h"

#include <stdio.h>
#include <string.h>

#include "common/text.h"

#define SECONDS(run)                                                                               \
    "round(extract(epoch FROM coalesce(" run ".finished_at, clock_timestamp()) - " run             \
    ".started_at), 3)"

/* The members that a list shows, without braces. */
#define RUN_MEMBERS                                                                                                                                                      \
    "'id', r.id, 'task_id', r.task_id, 'state', r.state, 'slot', " PG_ISO("r.slot") ", 'attempt', r.attempt, 'worker', r.worker, 'started_at', " PG_ISO(                 \
        "r.started_at") ", 'finished_at', " PG_ISO("r.finished_at") ", 'seconds', " SECONDS("r") ", 'processed', r.processed, 'failed', r.failed, 'servers', r.servers," \
                                                                                                 " 'entries', r.entries, 'error', left(r.error, 400)"

/* One more is read than shown, which tells whether there is a next page. */
static const char LIST_SQL[] =
    "WITH page AS (SELECT * FROM batch_runs WHERE ($1::bigint = 0 OR id < $1::bigint)"
    " AND ($3 = '' OR state = $3) ORDER BY id DESC LIMIT $2::int + 1),"
    " shown AS (SELECT * FROM page ORDER BY id DESC LIMIT $2::int)"
    "SELECT json_build_object('items', (SELECT coalesce(json_agg(json_build_object(" RUN_MEMBERS
    ") ORDER BY r.id DESC), '[]') FROM shown AS r), 'next_before',"
    " CASE WHEN (SELECT count(*) FROM page) > $2::int THEN (SELECT min(id) FROM shown) END)";

/* Phases in the order in which they are gone through; jsonb does not keep it. */
#define PHASES                                                                                     \
    "(SELECT coalesce(json_agg(json_build_object('name', p.key, 'seconds', p.value::numeric)"      \
    " ORDER BY array_position(ARRAY['connect', 'claim', 'lock', 'snapshot', 'read', 'keep',"       \
    " 'score', 'write', 'attach', 'publish'], p.key), p.key), '[]')"                               \
    " FROM jsonb_each_text(r.phases) AS p)"

#define REQUESTED(task)                                                                            \
    "(SELECT json_build_object('by', q.requested_by, 'at', " PG_ISO(                               \
        "q.requested_at") ", 'reason', q.reason) FROM batch_requests AS q WHERE q.task_id = " task \
                          ")"

/* Reasons hold values ("level 7x is no number"), so equal ones are what a stat and a text share. */
#define FAILURES                                                                                   \
    "json_build_object('total', r.failed, 'noted', (SELECT count(*) FROM batch_failures AS f"      \
    " WHERE f.run_id = r.id), 'groups', (SELECT coalesce(json_agg(json_build_object('stat',"       \
    " g.stat, 'reason', g.reason, 'count', g.n, 'examples', g.examples) ORDER BY g.n DESC,"        \
    " g.stat, g.reason), '[]') FROM (SELECT f.stat, f.reason, count(*) AS n, json_agg("            \
    "json_build_object('character_id', f.character_id, 'server', f.server, 'name', f.name)"        \
    " ORDER BY f.seq) FILTER (WHERE f.place <= 3) AS examples FROM (SELECT *, row_number() OVER"   \
    " (PARTITION BY stat, reason ORDER BY seq) AS place FROM batch_failures"                       \
    " WHERE run_id = r.id) AS f GROUP BY f.stat, f.reason ORDER BY n DESC, f.stat, f.reason"       \
    " LIMIT 100) AS g))"

#define AVERAGES                                                                                   \
    "(SELECT coalesce(json_agg(json_build_object('server', s.server, 'sample_size',"               \
    " s.sample_size, 'averages', json_build_object('attack', s.avg_attack, 'damage_amp',"          \
    " s.avg_damage_amp, 'crit_rate', s.avg_crit_rate, 'crit_damage', s.avg_crit_damage,"           \
    " 'attack_speed', s.avg_attack_speed, 'defense', s.avg_defense, 'damage_reduction',"           \
    " s.avg_damage_reduction, 'hp', s.avg_hp)) ORDER BY s.sample_size DESC, s.server), '[]')"      \
    " FROM (SELECT * FROM server_stats WHERE run_id = r.id"                                        \
    " ORDER BY sample_size DESC, server LIMIT 5) AS s)"

/* $1: number or '0', $2: task id. json_build_object takes 100 arguments at most. */
#define WHICH_RUN "WHERE r.id = $1::bigint OR r.task_id = $2"

static const char SHOW_SQL[] =
    "SELECT json_build_object(" RUN_MEMBERS ", 'rules_version', r.rules_version, 'phases', " PHASES
    ", 'requested', " REQUESTED(
        "r.task_id") ", 'failures_by_reason', " FAILURES ", 'averages', " AVERAGES
                     ", 'result', r.result, 'live', r.id = (SELECT run_id FROM"
                     " ranking_state)) FROM batch_runs AS r " WHICH_RUN;

static const char WAITING_SQL[] =
    "SELECT json_build_object('id', NULL, 'task_id', q.task_id, 'state', 'waiting', 'requested', " REQUESTED(
        "q.task_id") ") FROM batch_requests AS q WHERE q.task_id = $1";

static const char FAILURES_SQL[] =
    "WITH page AS (SELECT f.* FROM batch_failures AS f JOIN batch_runs AS r ON r.id = f.run_id"
    " AND (r.id = $1::bigint OR r.task_id = $2) WHERE f.seq > $3::bigint"
    " ORDER BY f.seq LIMIT $4::int + 1),"
    " shown AS (SELECT * FROM page ORDER BY seq LIMIT $4::int)"
    "SELECT json_build_object('run', r.id, 'total', r.failed, 'items', (SELECT coalesce(json_agg("
    "json_build_object('seq', seq, 'character_id', character_id, 'server', server, 'name', name,"
    " 'stat', stat, 'reason', reason) ORDER BY seq), '[]') FROM shown), 'next_after',"
    " CASE WHEN (SELECT count(*) FROM page) > $4::int THEN (SELECT max(seq) FROM shown) END)"
    " FROM batch_runs AS r " WHICH_RUN;

cJSON *runs_list(PGconn *c, const struct runs_filter *f, struct err *e)
{
    char before[24], limit[24];
    const char *values[] = {before, limit, f->state};

    snprintf(before, sizeof before, "%" PRId64, f->before);
    snprintf(limit, sizeof limit, "%" PRId64, f->limit);
    return pg_document(c, LIST_SQL, ARRAY_LEN(values), values, e);
}

/* The number, "0" when it is the id of a task. */
static const char *number_of(const char *run)
{
    int64_t id;

    return text_to_i64(run, 1, INT64_MAX, &id) ? run : "0";
}

cJSON *runs_show(PGconn *c, const char *run, struct err *e)
{
    const char *values[] = {number_of(run), run};
    cJSON *doc = pg_document(c, SHOW_SQL, ARRAY_LEN(values), values, e);

    if (!doc && strcmp(e->type, "LookupError") == 0) {
        doc = pg_document(c, WAITING_SQL, 1, &run, e);
    }
    if (!doc && strcmp(e->type, "LookupError") == 0) {
        err_set(e, ERR_PERMANENT, "LookupError", "there is no such batch");
    }
    return doc;
}

cJSON *runs_failures(PGconn *c, const char *run, int64_t after, int64_t limit, struct err *e)
{
    char from[24], most[24];
    const char *values[] = {number_of(run), run, from, most};
    cJSON *doc;

    snprintf(from, sizeof from, "%" PRId64, after);
    snprintf(most, sizeof most, "%" PRId64, limit);
    doc = pg_document(c, FAILURES_SQL, ARRAY_LEN(values), values, e);
    if (!doc && strcmp(e->type, "LookupError") == 0) {
        err_set(e, ERR_PERMANENT, "LookupError", "there is no such batch, or it has not begun");
    }
    return doc;
}
