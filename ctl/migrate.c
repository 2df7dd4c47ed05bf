/*
 * aion2ctl migrate: forward only. A migration and its row in schema_migrations are one transaction,
 * so a failure leaves nothing of it behind. An advisory lock makes a second migrator wait.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/pg.h"
#include "ctl/ctl.h"
#include "ctl/migrate_plan.h"

const char CTL_MIGRATE_HELP[] =
    "Usage: aion2ctl migrate [--status] [--json] [--wait SECONDS]\n"
    "\n"
    "Brings the schema of DATABASE_URL up to this program. Each migration is one\n"
    "transaction. Running it again changes nothing; two at once wait for each other.\n"
    "\n"
    "  --status        list the migrations and change nothing; exit 0 when up to\n"
    "                  date, else 1\n"
    "  --json          print JSON\n"
    "  --wait SECONDS  how long to wait for another migrator or for a lock (default\n"
    "                  60)\n"
    "\n"
    "Examples:\n"
    "  aion2ctl migrate\n"
    "  aion2ctl migrate --status\n"
    "\n"
    "Exit codes: 0 up to date, 1 refused or failed (nothing half done), 69\n"
    "PostgreSQL not reachable.\n";

static const char CREATE_TABLE_SQL[] = "CREATE TABLE IF NOT EXISTS schema_migrations ("
                                       " version    integer     PRIMARY KEY,"
                                       " name       text        NOT NULL,"
                                       " checksum   text        NOT NULL,"
                                       " applied_at timestamptz NOT NULL DEFAULT now(),"
                                       " applied_by text        NOT NULL)";
static const char SELECT_SQL[] = "SELECT version, name, checksum,"
                                 " to_char(applied_at, 'YYYY-MM-DD HH24:MI:SSOF')"
                                 " FROM schema_migrations ORDER BY version";
static const char INSERT_SQL[] = "INSERT INTO schema_migrations (version, name, checksum, "
                                 "applied_by) VALUES ($1, $2, $3, $4)";

struct options {
    bool status, json;
    int64_t wait_s;
};

/* The rows of schema_migrations, or *rows = NULL when there is no such table. PQclear them. */
static bool read_rows(PGconn *c, PGresult **rows, struct err *e)
{
    PGresult *r = pg_exec(c, "SELECT to_regclass('schema_migrations') IS NOT NULL", e);
    bool there;

    *rows = NULL;
    if (!r) {
        return false;
    }
    there = strcmp(PQgetvalue(r, 0, 0), "t") == 0;
    PQclear(r);
    if (there) {
        *rows = pg_exec(c, SELECT_SQL, e);
    }
    return *rows || !there;
}

static void print_lines_json(const struct migrate_plan *p)
{
    struct buf b;

    buf_init(&b, 64 * MIB);
    buf_addf(&b, "{\"up_to_date\":%s,\"migrations\":[",
             migrate_plan_up_to_date(p) ? "true" : "false");
    for (size_t i = 0; i < p->n; i++) {
        const struct migrate_line *l = &p->lines[i];

        buf_addf(&b, "%s{\"version\":%d,\"name\":", i ? "," : "", l->version);
        buf_add_json(&b, l->name, strlen(l->name));
        buf_addstr(&b, ",\"applied_at\":");
        if (l->state == MIGRATE_PENDING) {
            buf_addstr(&b, "null");
        } else {
            buf_add_json(&b, l->applied_at, strlen(l->applied_at));
        }
        buf_addf(&b, ",\"state\":\"%s\"}", MIGRATE_STATE_NAMES[l->state]);
    }
    buf_addstr(&b, "]}");
    puts(b.failed ? "{}" : b.data);
    buf_fini(&b);
}

static void print_lines(const struct migrate_plan *p)
{
    printf("%-8s %-32s %-24s %s\n", "version", "name", "applied at", "state");
    for (size_t i = 0; i < p->n; i++) {
        const struct migrate_line *l = &p->lines[i];

        printf("%-8d %-32s %-24s %s\n", l->version, l->name, *l->applied_at ? l->applied_at : "-",
               MIGRATE_STATE_NAMES[l->state]);
    }
}

static int fail(PGconn *c, const struct err *e)
{
    bool lost = PQstatus(c) != CONNECTION_OK;

    return ctl_fail("migrate", lost ? CTL_UNAVAILABLE : CTL_FAILED, "%s", e->text);
}

static int run_status(PGconn *c, bool json)
{
    struct migrate_plan p;
    PGresult *rows;
    struct err e;
    int code;

    if (!read_rows(c, &rows, &e)) {
        return fail(c, &e);
    }
    if (migrate_plan_make(&p, rows, SCHEMA_MIGRATIONS, (size_t)SCHEMA_MIGRATION_COUNT, &e)) {
        code = migrate_plan_up_to_date(&p) ? CTL_OK : CTL_FAILED;
        if (json) {
            print_lines_json(&p);
        } else {
            print_lines(&p);
        }
        migrate_plan_fini(&p);
    } else {
        code = fail(c, &e);
    }
    PQclear(rows);
    return code;
}

/* Waits for the session lock, at most the lock_timeout of the session. Closing releases it. */
static bool take_lock(PGconn *c, int64_t wait_s, struct err *e)
{
    char sql[160];
    PGresult *r;
    bool free_now;

    snprintf(sql, sizeof sql,
             "SET client_min_messages = warning; SET statement_timeout = 0; "
             "SET lock_timeout = '%" PRId64 "s'",
             wait_s);
    if (!pg_run(c, sql, e)) {
        return false;
    }
    snprintf(sql, sizeof sql, "SELECT pg_try_advisory_lock(%" PRId64 ")", SCHEMA_LOCK_MIGRATE);
    r = pg_exec(c, sql, e);
    if (!r) {
        return false;
    }
    free_now = strcmp(PQgetvalue(r, 0, 0), "t") == 0;
    PQclear(r);
    if (free_now) {
        return true;
    }
    fprintf(stderr, "aion2ctl migrate: another migration is running, waiting for it\n");
    snprintf(sql, sizeof sql, "SELECT pg_advisory_lock(%" PRId64 ")", SCHEMA_LOCK_MIGRATE);
    if (!pg_run(c, sql, e)) {
        return PQstatus(c) == CONNECTION_OK
                   ? err_set(e, ERR_RETRYABLE, "LockError",
                             "another migration is still running after %" PRId64
                             " s; nothing was changed. Try again when it is done",
                             wait_s)
                   : false;
    }
    return true;
}

/* The 1-based line of a 1-based character position in valid UTF-8. */
static int line_of_position(const char *sql, int position)
{
    int line = 1;

    for (int i = 1; *sql && i < position; sql++) {
        line += *sql == '\n';
        i += ((unsigned char)sql[1] & 0xc0) != 0x80;
    }
    return line;
}

/* Whole files may hold several statements and $$ bodies: the simple protocol takes them as is. */
static bool run_sql(PGconn *c, const struct migration *m, struct err *e)
{
    PGresult *r = PQexec(c, m->sql);
    ExecStatusType status = PQresultStatus(r);
    const char *position;

    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
        PQclear(r);
        return true;
    }
    pg_error(c, r, e);
    position = r ? PQresultErrorField(r, PG_DIAG_STATEMENT_POSITION) : NULL;
    if (position) {
        char where[64];

        snprintf(where, sizeof where, "line %d", line_of_position(m->sql, atoi(position)));
        err_prefix(e, where);
    }
    PQclear(r);
    return false;
}

static bool note_applied(PGconn *c, const struct migration *m, struct err *e)
{
    char version[16];
    const char *values[] = {version, m->name, m->checksum, "aion2ctl " AION2RANK_VERSION};
    PGresult *r;

    snprintf(version, sizeof version, "%d", m->version);
    r = pg_exec_params(c, INSERT_SQL, ARRAY_LEN(values), values, e);
    PQclear(r);
    return r != NULL;
}

static bool apply_one(PGconn *c, const struct migration *m, struct err *e)
{
    struct err ignored;
    char what[120];

    if (pg_run(c, "BEGIN", e) && run_sql(c, m, e) && note_applied(c, m, e) &&
        pg_run(c, "COMMIT", e)) {
        return true;
    }
    if (!pg_run(c, "ROLLBACK", &ignored)) {
        /* The connection is gone; the server rolls back by itself. */
    }
    snprintf(what, sizeof what, "migration %s failed and was rolled back", m->name);
    return err_prefix(e, what);
}

/* Applies what is pending; prints a line each, or with `b` adds to a JSON list. */
static bool apply_pending(PGconn *c, const struct migrate_plan *p, struct buf *b, struct err *e)
{
    size_t done = 0;

    for (size_t i = 0; i < p->n; i++) {
        const struct migrate_line *l = &p->lines[i];
        int64_t start_ms = clock_mono_ms();

        if (l->state != MIGRATE_PENDING) {
            continue;
        }
        if (!apply_one(c, l->known, e)) {
            return false;
        }
        int64_t took_ms = clock_mono_ms() - start_ms;

        if (b) {
            buf_addf(b, "%s{\"version\":%d,\"name\":\"%s\",\"ms\":%" PRId64 "}", done ? "," : "",
                     l->version, l->name, took_ms);
        } else {
            printf("applied %s (%" PRId64 " ms)\n", l->name, took_ms);
            fflush(stdout);
        }
        done++;
    }
    if (!b && done == 0) {
        puts("up to date, nothing to apply");
    }
    return true;
}

static bool apply_plan(PGconn *c, const struct migrate_plan *p, bool json, struct err *e)
{
    struct buf b;
    bool ok;

    buf_init(&b, MIB);
    ok = migrate_plan_check(p, e) && apply_pending(c, p, json ? &b : NULL, e);
    if (json) {
        printf("{\"ok\":%s,\"applied\":[%s]}\n", ok ? "true" : "false", b.data ? b.data : "");
    }
    buf_fini(&b);
    return ok;
}

static bool apply_locked(PGconn *c, bool json, struct err *e)
{
    struct migrate_plan p;
    PGresult *rows;
    bool ok;

    if (!pg_run(c, CREATE_TABLE_SQL, e) || !read_rows(c, &rows, e)) {
        return false;
    }
    ok = migrate_plan_make(&p, rows, SCHEMA_MIGRATIONS, (size_t)SCHEMA_MIGRATION_COUNT, e);
    if (ok) {
        ok = apply_plan(c, &p, json, e);
        migrate_plan_fini(&p);
    }
    PQclear(rows);
    return ok;
}

const struct opt CTL_MIGRATE_OPTS[] = {
    {"status", OPT_FLAG, offsetof(struct options, status), 0, 0, NULL},
    {"json", OPT_FLAG, offsetof(struct options, json), 0, 0, NULL},
    {"wait", OPT_I64, offsetof(struct options, wait_s), 1, 86400, NULL},
    OPT_END,
};

int ctl_migrate(const struct ctl_settings *s, int argc, char **argv)
{
    struct options o = {.wait_s = 60};
    int first = opt_parse("migrate", CTL_MIGRATE_OPTS, argc, argv, &o);
    struct err e;
    PGconn *c;
    int code;

    if (first < 0 || ctl_no_more("migrate", first, argc, argv) != CTL_OK) {
        return CTL_USAGE;
    }
    c = pg_connect(s->database_url, "aion2ctl", &e);
    if (!c) {
        return ctl_fail("migrate", CTL_UNAVAILABLE, "%s", e.text);
    }
    if (o.status) {
        code = run_status(c, o.json);
    } else if (take_lock(c, o.wait_s, &e) && apply_locked(c, o.json, &e)) {
        code = CTL_OK;
    } else {
        code = fail(c, &e);
    }
    PQfinish(c);
    return code;
}
