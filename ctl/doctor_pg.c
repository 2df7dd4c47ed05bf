#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/pg.h"
#include "common/schema.h"
#include "common/text.h"
#include "ctl/doctor.h"

#define VERSION_MIN 150000

/* Everything in one row. data_directory is NULL for users that may not see it. */
static const char QUERY[] =
    "SELECT pg_is_in_recovery(), current_setting('fsync'), current_setting('full_page_writes'),"
    " current_setting('synchronous_commit'), current_setting('default_transaction_read_only'),"
    " (extract(epoch FROM clock_timestamp()) * 1000000)::int8,"
    " (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),"
    " current_setting('max_connections'),"
    " coalesce((SELECT floor(extract(epoch FROM max(clock_timestamp() - xact_start)))"
    "   FROM pg_stat_activity WHERE backend_type = 'client backend'), 0)::int8,"
    " CASE WHEN inet_server_addr() IS NULL OR inet_server_addr() <<= '127.0.0.0/8'"
    "   OR inet_server_addr() = '::1' THEN"
    "   (SELECT setting FROM pg_settings WHERE name = 'data_directory') END,"
    " current_setting('autovacuum')";

enum column {
    COL_RECOVERY,
    COL_FSYNC,
    COL_FULL_PAGE,
    COL_SYNC_COMMIT,
    COL_READ_ONLY,
    COL_NOW_US,
    COL_CONNECTIONS,
    COL_CONNECTIONS_MAX,
    COL_OLDEST_S,
    COL_DIRECTORY,
    COL_AUTOVACUUM,
};

static int64_t number(const PGresult *r, enum column col)
{
    int64_t n = 0;

    return text_to_i64(PQgetvalue(r, 0, col), INT64_MIN, INT64_MAX, &n) ? n : 0;
}

/* Settings that must have one value. */
static void check_settings(struct doctor *d, const PGresult *r)
{
    static const struct {
        const char *name;
        enum column col;
        const char *good;
        enum doctor_level level;
        const char *advice;
    } SETTINGS[] = {
        {"in recovery", COL_RECOVERY, "f", DOCTOR_PROBLEM,
         "This is a standby: let DATABASE_URL name the primary "
         "(target_session_attrs=read-write)."},
        {"read-only", COL_READ_ONLY, "off", DOCTOR_PROBLEM,
         "The batch writes: set default_transaction_read_only off for this role."},
        {"fsync", COL_FSYNC, "on", DOCTOR_PROBLEM,
         "Set fsync on: a crash of the machine destroys the database otherwise."},
        {"full pages", COL_FULL_PAGE, "on", DOCTOR_PROBLEM,
         "Set full_page_writes on: a crash of the machine may destroy pages otherwise."},
        {"sync commit", COL_SYNC_COMMIT, "on|local|remote_write|remote_apply", DOCTOR_WARNING,
         "Set synchronous_commit on: a crash takes back the last publications otherwise."},
        {"autovacuum", COL_AUTOVACUUM, "on", DOCTOR_WARNING,
         "Set autovacuum on: the catalogs grow with every generation otherwise."},
    };

    for (size_t i = 0; i < ARRAY_LEN(SETTINGS); i++) {
        const char *value = PQgetvalue(r, 0, SETTINGS[i].col);
        bool good = value[0] && strstr(SETTINGS[i].good, value);

        doctor_say(d, SETTINGS[i].name, good ? DOCTOR_OK : SETTINGS[i].level,
                   good ? NULL : SETTINGS[i].advice, "%s",
                   strcmp(value, "f") == 0   ? "no, it is a primary"
                   : strcmp(value, "t") == 0 ? "yes"
                                             : value);
    }
}

static void check_use(struct doctor *d, const PGresult *r)
{
    int64_t used = number(r, COL_CONNECTIONS), max = number(r, COL_CONNECTIONS_MAX);
    int64_t oldest_s = number(r, COL_OLDEST_S);
    bool crowded = used * 100 > max * 80;

    doctor_say(d, "connections", crowded ? DOCTOR_WARNING : DOCTOR_OK,
               crowded ? "Raise max_connections, or find out who holds them." : NULL,
               "%" PRId64 " of %" PRId64, used, max);
    if (oldest_s > 3600) {
        doctor_say(d, "transactions", DOCTOR_WARNING,
                   "It keeps old generations from being dropped; look at pg_stat_activity.",
                   "one has been open for %" PRId64 " minutes", oldest_s / 60);
    }
    if (PQgetisnull(r, 0, COL_DIRECTORY)) {
        doctor_say(d, "disk", DOCTOR_UNSEEN, NULL,
                   "PostgreSQL runs on another machine, or does not tell its folder");
    } else {
        doctor_judge_disk(d, PQgetvalue(r, 0, COL_DIRECTORY));
    }
}

static void check_clock(struct doctor *d, int64_t pg_us, int64_t wall_us)
{
    doctor_judge_clock(d, "clock", "PostgreSQL's", pg_us - wall_us);
    if (d->know_redis_us) {
        int64_t apart_us = pg_us - wall_us - d->redis_us;

        apart_us = apart_us < 0 ? -apart_us : apart_us;
        doctor_say(d, "clocks", apart_us < 1000000 ? DOCTOR_OK : DOCTOR_WARNING,
                   apart_us < 1000000 ? NULL : "Let NTP set the clocks of both machines.",
                   "Redis and PostgreSQL are %" PRId64 " ms apart", apart_us / 1000);
    }
}

static void check_server(struct doctor *d, PGconn *c)
{
    int version = PQserverVersion(c);
    bool fits = version >= VERSION_MIN;
    struct err e;
    PGresult *r;
    int64_t before_us, after_us;

    doctor_say(d, "version", fits ? DOCTOR_OK : DOCTOR_PROBLEM,
               fits ? NULL : "PostgreSQL 15 or later is needed.", "PostgreSQL %d.%d",
               version / 10000, version % 10000);
    before_us = clock_wall_us();
    r = pg_exec(c, QUERY, &e);
    after_us = clock_wall_us();
    if (!r) {
        doctor_say(d, "server", DOCTOR_PROBLEM, NULL, "%s", e.text);
        return;
    }
    check_settings(d, r);
    check_clock(d, number(r, COL_NOW_US), before_us + (after_us - before_us) / 2);
    check_use(d, r);
    PQclear(r);
}

void doctor_pg(struct doctor *d)
{
    struct err e;
    PGconn *c;

    d->area = "PostgreSQL";
    c = pg_connect(d->settings->database_url, "aion2ctl", &e);
    if (!c || !pg_run(c, "SET statement_timeout = '5s'", &e)) {
        d->unreachable = true;
        doctor_say(d, "reachable", DOCTOR_PROBLEM, "Start it, or correct DATABASE_URL.", "%s",
                   e.text);
        PQfinish(c);
        return;
    }
    doctor_say(d, "reachable", DOCTOR_OK, NULL, "%s", conf_mask_url(d->settings->database_url));
    check_server(d, c);
    if (schema_check(c, &e)) {
        doctor_say(d, "migrations", DOCTOR_OK, NULL, "all %d are there", SCHEMA_MIGRATION_COUNT);
    } else {
        doctor_say(d, "migrations", DOCTOR_PROBLEM, NULL, "%s", e.text);
    }
    PQfinish(c);
}
