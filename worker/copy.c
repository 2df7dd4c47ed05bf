#include "worker/copy.h"

#include "common/text.h"

#define SEND_BYTES (256 * KIB)
#define ROW_MAX    (8 * MIB)

bool copy_take_message(const struct copy_source *s, struct pgcopy_reader *in, const char *bytes,
                       size_t len, struct err *e)
{
    struct pgcopy_field fields[COPY_FIELDS_MAX];

    MUST(s->fields <= COPY_FIELDS_MAX);
    pgcopy_feed(in, bytes, len);
    for (;;) {
        switch (pgcopy_read(in, fields, s->fields)) {
        case PGCOPY_NO_MORE:
            return true;
        case PGCOPY_MALFORMED:
            return err_set(e, ERR_PERMANENT, "ProtocolError",
                           "PostgreSQL sent a row that is not of COPY's binary format");
        case PGCOPY_ROW:
            if (!s->take(s->ctx, fields, e)) {
                return false;
            }
        }
    }
}

static void note_failure(PGconn *c, const PGresult *r, char *sqlstate, struct err *e)
{
    const char *state = r ? PQresultErrorField(r, PG_DIAG_SQLSTATE) : NULL;

    pg_error(c, r, e);
    if (sqlstate) {
        text_copy(sqlstate, SQLSTATE_SIZE, state ? state : "");
    }
}

/* Takes the results that are left; true when all of them are good. */
static bool finish_results(PGconn *c, char *sqlstate, struct err *e)
{
    PGresult *r;
    bool ok = true;

    while ((r = pg_next_result(c)) != NULL) {
        if (ok && PQresultStatus(r) != PGRES_COMMAND_OK) {
            note_failure(c, r, sqlstate, e);
            ok = false;
        }
        PQclear(r);
    }
    return ok;
}

static bool start(PGconn *c, const char *sql, ExecStatusType wanted, char *sqlstate, struct err *e)
{
    PGresult *r = pg_query(c, sql);
    bool ok = PQresultStatus(r) == wanted;

    if (!ok) {
        note_failure(c, r, sqlstate, e);
    }
    PQclear(r);
    return ok;
}

bool copy_read(PGconn *c, const struct copy_source *s, char sqlstate[SQLSTATE_SIZE], struct err *e)
{
    struct pgcopy_reader in;
    char *bytes;
    int len;

    if (sqlstate) {
        sqlstate[0] = '\0';
    }
    if (!start(c, s->sql, PGRES_COPY_OUT, sqlstate, e)) {
        return false;
    }
    pgcopy_reader_init(&in);
    while ((len = pg_next_copied(c, &bytes)) > 0) {
        bool ok = copy_take_message(s, &in, bytes, (size_t)len, e);

        PQfreemem(bytes);
        if (!ok) {
            return false;
        }
    }
    if (len == -2) {
        pg_error(c, NULL, e);
        return false;
    }
    return finish_results(c, sqlstate, e);
}

bool copy_write_begin(struct copy_writer *w, PGconn *c, const char *sql, struct err *e)
{
    w->c = c;
    buf_init(&w->out, SEND_BYTES + ROW_MAX);
    if (!start(c, sql, PGRES_COPY_IN, NULL, e)) {
        return false;
    }
    if (buf_reserve(&w->out, SEND_BYTES)) {
        copy_write_row(w, pgcopy_put_header(w->out.data));
    }
    return true;
}

static bool send_out(struct copy_writer *w, struct err *e)
{
    if (pg_watch_says_stop()) {
        return err_set(e, ERR_CANCELLED, "CancelledError", "asked to stop");
    }
    if (PQputCopyData(w->c, w->out.data, (int)w->out.len) != 1) {
        pg_error(w->c, NULL, e);
        return false;
    }
    buf_reset(&w->out);
    return true;
}

char *copy_write_room(struct copy_writer *w, size_t row_bytes, struct err *e)
{
    if (!w->out.failed && w->out.len > 0 && w->out.len + row_bytes > SEND_BYTES &&
        !send_out(w, e)) {
        return NULL;
    }
    if (!buf_reserve(&w->out, row_bytes)) {
        err_set(e, ERR_RETRYABLE, "MemoryError", "out of memory for a row of %zu bytes", row_bytes);
        return NULL;
    }
    return w->out.data + w->out.len;
}

void copy_write_row(struct copy_writer *w, const char *end)
{
    w->out.len = (size_t)(end - w->out.data);
}

bool copy_write_end(struct copy_writer *w, bool ok, struct err *e)
{
    struct err ignored;
    char *p = ok ? copy_write_room(w, PGCOPY_TRAILER_SIZE, e) : NULL;

    if (p) {
        copy_write_row(w, pgcopy_put_trailer(p));
    }
    ok = p && send_out(w, e);
    buf_fini(&w->out);
    if (PQputCopyEnd(w->c, ok ? NULL : "the batch gives up") != 1 && ok) {
        pg_error(w->c, NULL, e);
        ok = false;
    }
    return finish_results(w->c, NULL, ok ? e : &ignored) && ok;
}
