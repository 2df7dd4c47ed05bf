/* A point a day of a character's place, from PostgreSQL. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/query.h"
#include "api/route.h"
#include "api/spelling.h"
#include "common/mem.h"

/*
 * A day is that of the players' time zone, at most one ahead of ours: one more is looked at and the
 * newest are taken. A character without any point is a row without a day.
 */
static const char HISTORY_SQL[] =
    "SELECT h.day, h.power, h.power_score, h.rank, h.server_rank, h.class_rank, c.server "
    "FROM characters AS c LEFT JOIN character_history AS h "
    "ON h.character_id = c.id AND h.day > (now() AT TIME ZONE 'UTC')::date - $3::int "
    "WHERE c.id = (SELECT id FROM characters "
    "WHERE server = ANY (ARRAY[$1, $4, $5, $6]) AND name = $2 ORDER BY server = $1 DESC LIMIT 1) "
    "ORDER BY h.day DESC LIMIT $3::bigint";

static const char *const KEYS[] = {"day",  "power",       "power_score",
                                   "rank", "server_rank", "class_rank"};

#define COL_SERVER 6 /* as it is stored */

struct history {
    struct request *rq; /* owned */
    struct query_value name;
};

static void add_point(struct buf *b, const PGresult *r, int row)
{
    buf_addf(b, "{\"day\":\"%s\"", PQgetvalue(r, row, 0));
    for (int i = 1; i < (int)ARRAY_LEN(KEYS); i++) {
        buf_addf(b, ",\"%s\":%s", KEYS[i], PQgetisnull(r, row, i) ? "null" : PQgetvalue(r, row, i));
    }
    buf_addch(b, '}');
}

static void render(struct buf *b, const struct history *h, const PGresult *r)
{
    buf_addstr(b, "{\"server\":");
    buf_add_json(b, PQgetvalue(r, 0, COL_SERVER), (size_t)PQgetlength(r, 0, COL_SERVER));
    buf_addstr(b, ",\"name\":");
    buf_add_json(b, h->name.text, h->name.len);
    buf_addstr(b, ",\"days\":[");
    for (int i = PQntuples(r) - 1; i >= 0 && !PQgetisnull(r, i, 0); i--) {
        add_point(b, r, i);
        buf_addstr(b, i ? "," : "");
    }
    buf_addstr(b, "]}");
}

static void on_points(void *arg, const PGresult *r, const struct err *e)
{
    const struct reply reply = {.status = 200, .max_age_s = -1, .age_s = -1};
    struct history *h = arg;
    struct buf b;

    (void)e;
    if (!r) {
        reply_unavailable(h->rq, "The database does not answer, and only it has the history.");
    } else if (PQntuples(r) == 0) {
        reply_problem(h->rq, 404, NULL, "Character not found");
    } else {
        buf_init(&b, BODY_MAX);
        render(&b, h, r);
        reply_buf(h->rq, &reply, &b);
    }
    free(h->rq);
    free(h);
}

void handle_history(const struct request *rq, const struct query_value *values)
{
    struct history *h = mem_alloc(sizeof *h);
    char days[24];
    const char *names[SPELLINGS_MAX];
    const char *texts[2 + SPELLINGS_MAX] = {values[0].text, values[1].text, days};
    struct err e;

    spelling_list(rq, values[0].text, names);
    memcpy(texts + 3, names + 1, sizeof names - sizeof names[0]);
    snprintf(days, sizeof days, "%" PRId64, values[2].number);
    *h = (struct history){request_keep(rq), values[1]};
    if (!pgpool_query(rq->loop->pg, HISTORY_SQL, ARRAY_LEN(texts), texts, on_points, h, &e)) {
        on_points(h, NULL, &e);
    }
}
