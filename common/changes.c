#include "common/changes.h"

#include <stdio.h>
#include <stdlib.h>

/* NULL stays NULL; *failed when memory is out. The caller frees. */
static char *text_of(const cJSON *v, bool *failed)
{
    char *text = v ? json_print(v) : NULL;

    *failed = *failed || (v && !text);
    return text;
}

static const char *status_text(int status, char out[16])
{
    snprintf(out, 16, "%d", status);
    return status ? out : NULL;
}

int64_t changes_add(PGconn *c, const struct change *ch, struct err *e)
{
    char status[16];
    bool failed = false;
    char *before = text_of(ch->before, &failed), *after = text_of(ch->after, &failed);
    const char *values[] = {ch->principal, ch->address, ch->action,
                            ch->target,    ch->key,     status_text(ch->status, status),
                            ch->detail,    before,      after};
    PGresult *r = NULL;
    int64_t id = -1;

    if (failed) {
        err_set(e, ERR_RETRYABLE, "MemoryError", "out of memory");
    } else {
        r = pg_exec_params(c,
                           "INSERT INTO admin_audit (principal, address, action, target,"
                           " idempotency_key, status, detail, before, after)"
                           " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id",
                           ARRAY_LEN(values), values, e);
    }
    if (r) {
        id = strtoll(PQgetvalue(r, 0, 0), NULL, 10);
    }
    PQclear(r);
    free(before);
    free(after);
    return id;
}

bool changes_finish(PGconn *c, int64_t id, const struct change *ch, struct err *e)
{
    char number[24], status[16];
    bool failed = false;
    char *before = text_of(ch->before, &failed), *after = text_of(ch->after, &failed);
    const char *values[] = {number,     ch->target, status_text(ch->status, status),
                            ch->detail, before,     after};
    PGresult *r = NULL;

    snprintf(number, sizeof number, "%" PRId64, id);
    if (failed) {
        err_set(e, ERR_RETRYABLE, "MemoryError", "out of memory");
    } else {
        r = pg_exec_params(c,
                           "UPDATE admin_audit SET target = $2, status = $3, detail = $4,"
                           " before = $5, after = $6 WHERE id = $1",
                           ARRAY_LEN(values), values, e);
    }
    PQclear(r);
    free(before);
    free(after);
    return r != NULL;
}

/* One more is read than shown, which tells whether there is a next page. */
static const char LIST_SQL[] =
    "WITH page AS (SELECT * FROM admin_audit WHERE ($1::bigint = 0 OR id < $1::bigint)"
    " AND ($3 = '' OR principal = $3) AND ($4 = '' OR action = $4)"
    " AND (NOT $5::boolean OR status >= 400) ORDER BY id DESC LIMIT $2::int + 1),"
    " shown AS (SELECT * FROM page ORDER BY id DESC LIMIT $2::int)"
    "SELECT json_build_object('items', (SELECT coalesce(json_agg(json_build_object("
    "'id', id, 'at', " PG_ISO(
        "at") ", 'principal', principal, 'address', address,"
              " 'action', action, 'target', target, 'status', status, 'detail', detail, 'before', before,"
              " 'after', after, 'idempotency_key', idempotency_key) ORDER BY id DESC), '[]') FROM shown),"
              " 'next_before', CASE WHEN (SELECT count(*) FROM page) > $2::int"
              " THEN (SELECT min(id) FROM shown) END)";

cJSON *changes_list(PGconn *c, const struct changes_filter *f, struct err *e)
{
    char before[24], limit[24];
    const char *values[] = {before, limit, f->principal, f->action, f->refused ? "t" : "f"};

    snprintf(before, sizeof before, "%" PRId64, f->before);
    snprintf(limit, sizeof limit, "%" PRId64, f->limit);
    return pg_document(c, LIST_SQL, ARRAY_LEN(values), values, e);
}
