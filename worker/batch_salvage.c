#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/text.h"
#include "worker/batch_parts.h"

/*
 * Some data cannot be read. Everything is read again server by server, over the unique index of
 * (server, name) so that pages of other servers are not touched, each server in a transaction of
 * its own: an error ends the transaction, the exported snapshot lets the next one see the same.
 */
static const char BY_INDEX_SQL[] = "SET enable_seqscan = off; SET enable_bitmapscan = off";

/* Jumps to the next server along the index. */
static const char NEXT_SQL[] =
    "SELECT server FROM characters WHERE server > $1 ORDER BY server LIMIT 1";

/* The same by the boards that are live. $2: their run. */
static const char NEXT_KNOWN_SQL[] = "SELECT server FROM ranking_boards WHERE server > $1"
                                     " AND run_id = $2 AND server <> 'all' ORDER BY server LIMIT 1";

static const char COUNT_SQL[] =
    "SELECT count(*) FROM characters WHERE server = $1 AND stats_payload IS NOT NULL";

#define SERVER_NAME_SIZE 264 /* varchar(64) in UTF-8 and its NUL */

struct salvage {
    struct batch *b;
    PGconn *c;
};

/* Reads one server; *sqlstate is set when the server said why it could not. */
static bool read_server(struct salvage *s, const char *server, char sqlstate[SQLSTATE_SIZE],
                        struct err *e)
{
    char sql[BATCH_SQL_MAX];
    const struct copy_source source = {
        .sql = sql, .fields = BATCH_ROW_FIELDS, .take = batch_take_row, .ctx = s->b};

    sqlstate[0] = '\0';
    snprintf(sql, sizeof sql,
             "COPY (SELECT %s FROM characters WHERE stats_payload IS NOT NULL"
             " AND server = current_setting('" BATCH_SERVER_GUC "')) TO STDOUT (FORMAT binary)",
             BATCH_ROW_COLUMNS);
    return batch_set_parameter(s->c, BATCH_SERVER_GUC, server, e) &&
           copy_read(s->c, &source, sqlstate, e);
}

/* The failed transaction ends, another one with the same snapshot begins. */
static bool begin_again(struct salvage *s, struct err *e)
{
    return pg_run(s->c, "ROLLBACK", e) && batch_begin_reader(s->b, s->c, e);
}

/* How many characters of it there are to fail; false when not even that can be read. */
static bool count_server(struct salvage *s, const char *server, uint64_t *count)
{
    struct err ignored;
    const char *values[] = {server};
    PGresult *r = pg_exec_params(s->c, COUNT_SQL, 1, values, &ignored);

    *count = r ? strtoull(PQgetvalue(r, 0, 0), NULL, 10) : 0;
    PQclear(r);
    return r != NULL;
}

static bool fail_server(struct salvage *s, const char *server, const struct err *why, struct err *e)
{
    struct failed_server *f = failures_add_server(&s->b->failures, server, strlen(server));
    bool counted;

    if (!f) {
        return batch_no_memory(e);
    }
    failures_drop_server(&s->b->failures, server);
    if (!begin_again(s, e)) {
        return false;
    }
    counted = count_server(s, server, &f->characters);
    if (!counted) {
        f->characters = 1; /* of a number that cannot be known */
    }
    snprintf(f->reason, sizeof f->reason, "%.300s%s", why->text,
             counted ? "" : " (its characters cannot be counted either)");
    text_make_utf8(f->reason); /* a character may have been cut in two */
    s->b->failed += f->characters;
    log_error("batch.server_failed", "run=%" PRId64 " server=%s characters=%" PRIu64 " reason=%s",
              s->b->run_id, LOGQ(server), f->characters, LOGQ(f->reason));
    return counted || begin_again(s, e);
}

/* *failed: it could not be read, and that has been noted. */
static bool salvage_server(struct salvage *s, const char *server, bool *failed, struct err *e)
{
    struct population_mark mark = population_mark(&s->b->people);
    char sqlstate[SQLSTATE_SIZE];
    struct err why;

    *failed = false;
    if (read_server(s, server, sqlstate, &why)) {
        return true;
    }
    if (!batch_is_data_error(sqlstate)) {
        *e = why;
        return false;
    }
    *failed = true;
    population_rollback(&s->b->people, &mark);
    return fail_server(s, server, &why, e);
}

/* A name, or "" when there is none. The column's type bounds its length. */
static void take_name(const PGresult *r, char name[SERVER_NAME_SIZE])
{
    MUST(text_copy(name, SERVER_NAME_SIZE, PQntuples(r) > 0 ? PQgetvalue(r, 0, 0) : ""));
}

/* Nothing after `name` can be listed, so it is a server we know: the one whose rows are damaged. */
static bool next_known_server(struct salvage *s, char name[SERVER_NAME_SIZE], struct err *e)
{
    struct err why = *e;
    char live[24];
    const char *values[] = {name, live};
    PGresult *r;
    bool ok;

    snprintf(live, sizeof live, "%" PRId64, s->b->live_run_id);
    if (!begin_again(s, e)) {
        return false;
    }
    r = pg_exec_params(s->c, NEXT_KNOWN_SQL, ARRAY_LEN(values), values, e);
    ok = r != NULL;
    if (ok) {
        take_name(r, name);
    }
    PQclear(r);
    if (ok && name[0] == '\0') {
        *e = why;
        return false;
    }
    return ok;
}

/* The server after `name`, "" after the last. *sure: it was found among the characters. */
static bool next_server(struct salvage *s, char name[SERVER_NAME_SIZE], bool *sure, struct err *e)
{
    const char *values[] = {name};
    PGresult *r = pg_query_params(s->c, NEXT_SQL, 1, values);
    bool ok = true;

    *sure = PQresultStatus(r) == PGRES_TUPLES_OK;
    if (*sure) {
        take_name(r, name);
    } else {
        pg_error(s->c, r, e);
        ok = r && batch_is_data_error(PQresultErrorField(r, PG_DIAG_SQLSTATE)) &&
             next_known_server(s, name, e);
    }
    PQclear(r);
    return ok;
}

static bool salvage_all(struct salvage *s, struct err *e)
{
    char server[SERVER_NAME_SIZE] = "";

    for (;;) {
        bool sure;
        bool failed;

        if (!next_server(s, server, &sure, e)) {
            return false;
        }
        if (server[0] == '\0') {
            return true;
        }
        if (!salvage_server(s, server, &failed, e)) {
            return false;
        }
        if (!sure && !failed) {
            return err_set(e, ERR_PERMANENT, "DataError",
                           "a server before %s is damaged and cannot even be listed", server);
        }
    }
}

bool batch_salvage(struct batch *b, struct err *e)
{
    struct salvage s = {.b = b};
    bool ok;

    population_fini(&b->people);
    failures_fini(&b->failures);
    s.c = batch_open_session(b->req->settings, BATCH_SESSION, e);
    ok = s.c && pg_run(s.c, BY_INDEX_SQL, e) && batch_begin_reader(b, s.c, e) && salvage_all(&s, e);
    PQfinish(s.c);
    return ok;
}
