#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "worker/prune.h"

#define RUNS_AT_ONCE "100" /* with up to 1,000 failures each */
#define ROWS_AT_ONCE "10000"
#define DAYS_AT_ONCE "1000"

/* Never one that runs, or whose generation is served. $1 days, $2 count; 0: no such bound. */
static const char RUNS_SQL[] =
    "DELETE FROM batch_runs WHERE id IN (SELECT id FROM batch_runs AS r WHERE state <> 'running'"
    " AND NOT EXISTS (SELECT FROM ranking_state AS s WHERE r.id IN (s.run_id, s.previous_run_id))"
    " AND ($1::bigint > 0 AND started_at < now() - make_interval(days => $1::int)"
    "   OR $2::bigint > 0 AND id <= (SELECT id FROM batch_runs ORDER BY id DESC"
    "                                OFFSET $2::bigint LIMIT 1))"
    " ORDER BY id LIMIT " RUNS_AT_ONCE ")";

static const char AUDIT_SQL[] =
    "DELETE FROM admin_audit WHERE id IN (SELECT id FROM admin_audit"
    " WHERE $1::bigint > 0 AND at < now() - make_interval(days => $1::int)"
    "   OR $2::bigint > 0 AND id <= (SELECT id FROM admin_audit ORDER BY id DESC"
    "                                OFFSET $2::bigint LIMIT 1)"
    " ORDER BY id LIMIT " ROWS_AT_ONCE ")";

/* Answers whose day is over, requests whose run is gone; tokens that nobody can use. */
static const char LEFT_OVER_SQL[] =
    "DELETE FROM admin_idempotency WHERE created_at < now() - interval '1 day';"
    "DELETE FROM batch_requests AS q WHERE requested_at < now() - interval '30 days'"
    " AND NOT EXISTS (SELECT FROM batch_runs AS r WHERE r.task_id = q.task_id);"
    "DELETE FROM admin_tokens WHERE least(revoked_at, expires_at) < now() - interval '1 year'";

/* A partition per day, named by it. */
static const char DAYS_SQL[] =
    "SELECT name FROM (SELECT c.relname AS name, d.day, row_number() OVER (ORDER BY d.day DESC) AS n"
    " FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid,"
    " LATERAL (SELECT substring(c.relname FROM '^character_history_([0-9]{8})$') AS day) AS d"
    " WHERE i.inhparent = to_regclass('character_history') AND d.day IS NOT NULL) AS p"
    " WHERE $1::bigint > 0 AND day < to_char(now() - make_interval(days => $1::int), 'YYYYMMDD')"
    " OR $2::bigint > 0 AND n > $2::bigint ORDER BY day LIMIT " DAYS_AT_ONCE;

/* sql with the two bounds as its parameters; NULL and *e. */
static PGresult *run_bounded(PGconn *c, const char *sql, const struct prune_keep *keep,
                             struct err *e)
{
    char days[24], count[24];
    const char *values[] = {days, count};

    snprintf(days, sizeof days, "%" PRId64, keep->days);
    snprintf(count, sizeof count, "%" PRId64, keep->count);
    return pg_exec_params(c, sql, ARRAY_LEN(values), values, e);
}

/* Slice after slice until nothing is left to go. */
static bool delete_slices(struct prune *p, const char *sql, const struct prune_keep *keep,
                          int64_t *gone, struct err *e)
{
    PGconn *c = prune_pg(p, e);
    int64_t some = c ? 1 : -1;

    while (some > 0) {
        PGresult *r;

        if (task_cancelled(p->req, e)) {
            return false;
        }
        r = run_bounded(c, sql, keep, e);
        some = r ? strtoll(PQcmdTuples(r), NULL, 10) : -1;
        *gone += some > 0 ? some : 0;
        PQclear(r);
    }
    return some == 0;
}

bool prune_runs(struct prune *p, const struct prune_keep *keep, int64_t *gone, struct err *e)
{
    return delete_slices(p, RUNS_SQL, keep, gone, e);
}

bool prune_audit(struct prune *p, const struct prune_keep *keep, int64_t *gone, struct err *e)
{
    return delete_slices(p, AUDIT_SQL, keep, gone, e) && pg_run(p->pg, LEFT_OVER_SQL, e);
}

static bool drop_day(PGconn *c, const char *name, struct err *e)
{
    char sql[160];
    char *quoted = PQescapeIdentifier(c, name, strlen(name));

    if (!quoted) {
        pg_error(c, NULL, e);
        return false;
    }
    snprintf(sql, sizeof sql, "DROP TABLE %s", quoted);
    PQfreemem(quoted);
    return pg_run(c, sql, e);
}

bool prune_history(struct prune *p, const struct prune_keep *keep, int64_t *gone, struct err *e)
{
    PGconn *c = prune_pg(p, e);
    PGresult *days = c ? run_bounded(c, DAYS_SQL, keep, e) : NULL;
    bool ok = days != NULL;

    for (int i = 0; days && i < PQntuples(days); i++) {
        struct err one;

        if (task_cancelled(p->req, e)) {
            ok = false;
            break;
        }
        if (drop_day(c, PQgetvalue(days, i, 0), &one)) {
            ++*gone;
        } else {
            log_info("prune.not_dropped", "day=%s text=%s", PQgetvalue(days, i, 0), LOGQ(one.text));
            *e = one;
            ok = false; /* somebody reads it: the next time */
        }
    }
    PQclear(days);
    return ok;
}
