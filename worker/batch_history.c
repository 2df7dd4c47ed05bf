/*
 * A point a day of everybody's place: the first generation of each day becomes a partition of
 * character_history. maintenance.prune drops the old ones.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "common/text.h"
#include "worker/batch_parts.h"

#define DAY_SIZE 9 /* "20261123" */

struct day {
    char text[DAY_SIZE];
    int64_t run_id;
};

/* Which day the live generation is of, where the players live. False: nothing is to be written. */
static bool find_day(PGconn *c, const char *zone, struct day *day, struct err *e)
{
    PGresult *r = pg_exec_params(c,
                                 "SELECT d.day, s.run_id FROM ranking_state AS s, LATERAL"
                                 " (SELECT to_char(s.generated_at AT TIME ZONE $1, 'YYYYMMDD')"
                                 " AS day) AS d"
                                 " WHERE to_regclass('character_history_' || d.day) IS NULL",
                                 1, &zone, e);
    bool found = r && PQntuples(r) == 1 && PQgetlength(r, 0, 0) == DAY_SIZE - 1 &&
                 text_to_i64(PQgetvalue(r, 0, 1), 1, INT64_MAX, &day->run_id);

    if (found) {
        text_copy(day->text, sizeof day->text, PQgetvalue(r, 0, 0));
    }
    PQclear(r);
    return found;
}

static PRINTF_LIKE(3, 4) bool run(PGconn *c, struct err *e, const char *fmt, ...)
{
    char sql[320];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(sql, sizeof sql, fmt, ap);
    va_end(ap);
    return pg_run(c, sql, e);
}

/* Filled before it is attached: the check spares PostgreSQL to read it all again. */
static bool write_day(PGconn *c, const struct day *day, struct err *e)
{
    const char *d = day->text;

    return run(c, e,
               "BEGIN; SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '10min'") &&
           run(c, e,
               "CREATE TABLE character_history_%s (LIKE character_history, CHECK (day = '%s'))", d,
               d) &&
           run(c, e,
               "INSERT INTO character_history_%s SELECT '%s', character_id, power, power_score,"
               " (places >> 32)::integer, (places & 4294967295)::integer, (class_places >> 32)::integer"
               " FROM ranking_entries_%" PRId64,
               d, d, day->run_id) &&
           run(c, e, "CREATE INDEX ON character_history_%s (character_id)", d) &&
           run(c, e,
               "ALTER TABLE character_history ATTACH PARTITION character_history_%s"
               " FOR VALUES IN ('%s')",
               d, d) &&
           run(c, e, "COMMIT");
}

void batch_write_history(PGconn *c, const char *zone)
{
    struct err e = {0};
    struct day day;

    if (!find_day(c, zone, &day, &e)) {
        if (e.cls != ERR_NONE) {
            log_warn("batch.history", "text=%s", LOGQ(e.text));
        }
        return;
    }
    if (write_day(c, &day, &e)) {
        log_info("batch.history", "day=%s run=%" PRId64, day.text, day.run_id);
        return;
    }
    /* The next batch tries again; the run that is published needs nothing of this. */
    log_warn("batch.history", "day=%s text=%s", day.text, LOGQ(e.text));
    PQclear(PQexec(c, "ROLLBACK"));
}
