/* Boards from the live rows, while the batch has not published anything yet. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/board.h"
#include "api/spelling.h"
#include "common/mem.h"
#include "common/text.h"

/*
 * $1 server ("": all), $2 rows, $3 first row, $4 class ("": all), $5 to $7 other names of the
 * server or NULL. The first column is the size of
 * the board, so that it comes even where the page is empty.
 */
#define LIVE_WHERE "($1 = '' OR server = ANY (ARRAY[$1, $5, $6, $7])) AND ($4 = '' OR class = $4)"
static const char LIVE_SQL[] =
    "SELECT t.total, p.name, p.server, p.class, p.level, p.power "
    "FROM (SELECT count(*) AS total FROM characters WHERE " LIVE_WHERE ") AS t "
    "LEFT JOIN (SELECT id, name, server, class, level, power FROM characters WHERE " LIVE_WHERE
    " ORDER BY power DESC NULLS LAST, level DESC, id LIMIT $2::bigint OFFSET $3::bigint) AS p "
    "ON true ORDER BY p.power DESC NULLS LAST, p.level DESC, p.id";

enum { COL_TOTAL, COL_NAME, COL_SERVER, COL_CLASS, COL_LEVEL, COL_POWER };

struct live {
    struct request *rq; /* owned */
    struct board_query q;
};

static void add_text(struct buf *b, const char *key, const PGresult *r, int row, int col)
{
    buf_addf(b, ",\"%s\":", key);
    buf_add_json(b, PQgetvalue(r, row, col), (size_t)PQgetlength(r, row, col));
}

static void add_item(struct buf *b, const PGresult *r, int row, int64_t rank)
{
    buf_addf(b, "%s{\"rank\":%" PRId64, row ? "," : "", rank);
    add_text(b, "name", r, row, COL_NAME);
    add_text(b, "server", r, row, COL_SERVER);
    add_text(b, "class", r, row, COL_CLASS);
    buf_addf(b,
             ",\"level\":%s,\"power\":%s,\"power_score\":null,\"power_rank\":null,"
             "\"rank_change\":null}",
             PQgetvalue(r, row, COL_LEVEL),
             PQgetisnull(r, row, COL_POWER) ? "null" : PQgetvalue(r, row, COL_POWER));
}

static void send_rows(const struct live *v, const PGresult *r, int64_t total)
{
    /* An empty page is one row without a name. */
    int rows = PQgetisnull(r, 0, COL_NAME) ? 0 : PQntuples(r);
    struct reply reply = {.status = 200, .max_age_s = 1, .age_s = -1};
    char etag[48];
    struct buf b;

    buf_init(&b, BODY_MAX);
    buf_addstr(&b, "{\"items\":[");
    for (int i = 0; i < rows; i++) {
        add_item(&b, r, i, v->q.first + i + 1);
    }
    if (!b.failed) {
        /* Of the items and the size, not of the time in the tail. */
        snprintf(etag, sizeof etag, "\"live-%" PRIx64 "-%" PRIx64 "%s\"", text_hash(b.data, b.len),
                 (uint64_t)total, v->rq->gzip ? "-gz" : "");
        reply.etag = etag;
    }
    board_add_tail(&b, v->rq, &v->q, rows, total, NULL);
    reply_buf(v->rq, &reply, &b);
}

static void on_rows(void *arg, const PGresult *r, const struct err *e)
{
    struct live *v = arg;
    int64_t total = 0;

    (void)e;
    if (!r || PQntuples(r) < 1 || !text_to_i64(PQgetvalue(r, 0, COL_TOTAL), 0, INT64_MAX, &total)) {
        reply_unavailable(v->rq, "There is no stored ranking and the database does not answer.");
    } else if (total == 0 && *v->q.cls) {
        reply_problem(v->rq, 404, "class", "There is no such class on this board.");
    } else if (total == 0 && *v->q.server && !board_always_knows(v->rq, v->q.server)) {
        reply_problem(v->rq, 404, "server", "There is no such server.");
    } else {
        send_rows(v, r, total);
    }
    free(v->rq);
    free(v);
}

void live_answer(const struct request *rq, const struct board_query *q)
{
    char count[24], first[24];
    const char *names[SPELLINGS_MAX];
    const char *values[3 + SPELLINGS_MAX] = {q->server, count, first, q->cls};
    struct live *v;
    struct err e;

    /* A ranking was published but is not here yet: the live rows would be another board. */
    if (loader_state(rq->loop->loader) != LOADER_EMPTY) {
        reply_unavailable(rq, "The ranking is not loaded yet.");
        return;
    }
    v = mem_alloc(sizeof *v);
    *v = (struct live){request_keep(rq), *q};
    spelling_list(rq, q->server, names);
    memcpy(values + 4, names + 1, sizeof names - sizeof names[0]);
    snprintf(count, sizeof count, "%" PRId64, q->count);
    snprintf(first, sizeof first, "%" PRId64, q->first);
    if (!pgpool_query(rq->loop->pg, LIVE_SQL, ARRAY_LEN(values), values, on_rows, v, &e)) {
        on_rows(v, NULL, &e);
    }
}
