/*
 * One character: its row from PostgreSQL, its scores from the image. Without PostgreSQL, what the
 * image knows.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/query.h"
#include "api/route.h"
#include "common/clock.h"
#include "common/mem.h"

/*
 * A payload whose text would be long is reduced: 4 MB of jsonb can print as gigabytes. What the
 * scoring reads of it always comes.
 */
static const char CHARACTER_SQL[] = "SELECT id, class, level, power, " PGPOOL_TIME(
    "last_fetched_at") ", "
                       "CASE WHEN pg_column_size(stats_payload) <= 4096 THEN "
                       "CASE WHEN length(stats_payload::text) <= 65536 THEN stats_payload::text "
                       "ELSE stats_for_scoring(stats_payload)::text END "
                       "ELSE stats_for_scoring(stats_payload)::text END "
                       "FROM characters WHERE server = $1 AND name = $2";

enum { COL_ID, COL_CLASS, COL_LEVEL, COL_POWER, COL_FETCHED, COL_STATS };

struct lookup {
    struct request *rq; /* owned */
    struct query_value server, name;
};

static void add_pair(struct buf *b, const char *key, const char *s, size_t len)
{
    buf_addf(b, ",\"%s\":", key);
    buf_add_json(b, s, len);
}

/* The value as it is (a number, JSON) or null. */
static void add_raw(struct buf *b, const char *key, const PGresult *r, int col)
{
    buf_addf(b, ",\"%s\":", key);
    buf_addstr(b, PQgetisnull(r, 0, col) ? "null" : PQgetvalue(r, 0, col));
}

/* 50.0, 33.33, 12.5: at least one decimal. */
static void add_percentile(struct buf *b, unsigned hundredths)
{
    buf_addf(b, hundredths % 10 ? "%u.%02u" : "%u.%01u", hundredths / 100,
             hundredths % 10 ? hundredths % 100 : hundredths % 100 / 10);
}

static void add_scores(struct buf *b, const struct image_row *row)
{
    if (!row) {
        buf_addstr(b, ",\"power_score\":null,\"power_rank\":null,\"percentile\":null");
        return;
    }
    buf_addf(b, ",\"power_score\":%" PRId64 ",\"power_rank\":\"%.2s\",\"percentile\":",
             row->power_score, row->tier);
    add_percentile(b, row->percentile_c);
}

static void add_scored_at(struct buf *b, const struct image_row *row)
{
    char iso[CLOCK_ISO_SIZE];

    if (row) {
        buf_addf(b, ",\"last_scored_at\":\"%s\"", clock_iso(row->scored_us, "Z", iso));
    } else {
        buf_addstr(b, ",\"last_scored_at\":null");
    }
}

static const struct image_row *find_row(const struct lookup *l)
{
    const struct image *img = l->rq->loop->image;
    int server = img ? image_find_server(img, l->server.text, l->server.len) : -1;

    return server < 0 ? NULL : image_find(img, server, l->name.text, l->name.len);
}

static void render_row(struct buf *b, const struct lookup *l, const PGresult *r,
                       const struct image_row *row)
{
    buf_addf(b, "{\"id\":%s", PQgetvalue(r, 0, COL_ID));
    add_pair(b, "name", l->name.text, l->name.len);
    add_pair(b, "server", l->server.text, l->server.len);
    add_pair(b, "class", PQgetvalue(r, 0, COL_CLASS), (size_t)PQgetlength(r, 0, COL_CLASS));
    add_raw(b, "level", r, COL_LEVEL);
    add_raw(b, "power", r, COL_POWER);
    add_scores(b, row);
    if (PQgetisnull(r, 0, COL_FETCHED)) {
        buf_addstr(b, ",\"last_fetched_at\":null");
    } else {
        buf_addf(b, ",\"last_fetched_at\":\"%s\"", PQgetvalue(r, 0, COL_FETCHED));
    }
    add_scored_at(b, row);
    add_raw(b, "stats_payload", r, COL_STATS);
    buf_addstr(b, ",\"fetch_status\":\"cached\"}");
}

/* Without PostgreSQL: all that the ranking holds of it. */
static void render_stale(struct buf *b, const struct lookup *l, const struct image_row *row)
{
    const struct image *img = l->rq->loop->image;
    const struct image_name *cls = &img->classes[row->cls];

    buf_addf(b, "{\"id\":%" PRId64, row->id);
    add_pair(b, "name", l->name.text, l->name.len);
    add_pair(b, "server", l->server.text, l->server.len);
    buf_addstr(b, ",\"class\":\"");
    buf_add(b, img->text + cls->text_off, cls->text_len); /* escaped already */
    buf_addf(b, "\",\"level\":%d,\"power\":", row->level);
    if (row->power == IMAGE_POWER_NONE) {
        buf_addstr(b, "null");
    } else {
        buf_addi64(b, row->power);
    }
    add_scores(b, row);
    buf_addstr(b, ",\"last_fetched_at\":null");
    add_scored_at(b, row);
    buf_addstr(b, ",\"stats_payload\":null,\"fetch_status\":\"cached\",\"state\":\"stale\"}");
}

static void on_row(void *arg, const PGresult *r, const struct err *e)
{
    struct reply reply = {.status = 200, .max_age_s = -1, .age_s = -1};
    struct lookup *l = arg;
    const struct image_row *row = find_row(l);
    struct buf b;

    (void)e;
    buf_init(&b, BODY_MAX);
    if (r && PQntuples(r) == 0) {
        reply_problem(l->rq, 404, NULL, "Character not found");
    } else if (r) {
        render_row(&b, l, r, row);
        reply_buf(l->rq, &reply, &b);
    } else if (row) {
        render_stale(&b, l, row);
        reply_buf(l->rq, &reply, &b);
    } else {
        reply_unavailable(l->rq, "The database does not answer and the stored ranking does not "
                                 "hold this character.");
    }
    buf_fini(&b);
    free(l->rq);
    free(l);
}

void handle_character(const struct request *rq, const struct query_value *values)
{
    const char *texts[] = {values[0].text, values[1].text};
    struct lookup *l = mem_alloc(sizeof *l);
    struct err e;

    *l = (struct lookup){request_keep(rq), values[0], values[1]};
    if (!pgpool_query(rq->loop->pg, CHARACTER_SQL, ARRAY_LEN(texts), texts, on_row, l, &e)) {
        on_row(l, NULL, &e);
    }
}
