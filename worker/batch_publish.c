#include <string.h>

#include "worker/batch_parts.h"

#define FIXED_SIZE 256 /* more than the fields of fixed size of a row of batch_failures */

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
    if (batch_publish_groups(b, e) && batch_publish_servers(b, e) && publish_failures(b, e) &&
        batch_finish_and_switch(b, e) && pg_run(b->main, "COMMIT; " BATCH_UNLOCK_SQL, e)) {
        b->published = b->unlocked = true;
        return true;
    }
    return false;
}
