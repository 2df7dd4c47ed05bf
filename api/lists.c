/* Short lists: latest updates, servers; the health answer and the description of the api. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/board.h"
#include "api/item.h"
#include "api/openapi.h"
#include "api/query.h"
#include "api/route.h"
#include "common/clock.h"

#define LIST_MAX (4 * MIB)

static const struct reply NOT_KEPT = {.status = 200, .max_age_s = -1, .age_s = -1};

/* ---- /api/updates ---- */

static const char UPDATES_SQL[] =
    "SELECT name, server, class, level, power, " PGPOOL_TIME("updated_at") ", " PGPOOL_TIME(
        "last_fetched_at") " FROM characters ORDER BY characters.updated_at DESC, id DESC LIMIT $1::bigint";

static void add_field(struct buf *b, const char *key, const PGresult *r, int row, int col,
                      bool quoted)
{
    buf_addf(b, "\"%s\":", key);
    if (PQgetisnull(r, row, col)) {
        buf_addstr(b, "null");
    } else if (quoted) {
        buf_add_json(b, PQgetvalue(r, row, col), (size_t)PQgetlength(r, row, col));
    } else {
        buf_addstr(b, PQgetvalue(r, row, col));
    }
}

static void add_update(struct buf *b, const PGresult *r, int row)
{
    static const struct {
        const char *key;
        bool quoted;
    } FIELDS[] = {{"character_name", true}, {"server", true}, {"class", true},
                  {"level", false},         {"power", false}, {"updated_at", true},
                  {"last_fetched_at", true}};

    for (int i = 0; i < (int)ARRAY_LEN(FIELDS); i++) {
        buf_addch(b, i ? ',' : '{');
        add_field(b, FIELDS[i].key, r, row, i, FIELDS[i].quoted);
    }
    buf_addch(b, '}');
}

static void on_updates(void *arg, const PGresult *r, const struct err *e)
{
    struct request *rq = arg;
    struct buf b;

    (void)e;
    if (!r) {
        reply_unavailable(rq, "The database does not answer.");
        free(rq);
        return;
    }
    buf_init(&b, LIST_MAX);
    buf_addstr(&b, "{\"updates\":[");
    for (int i = 0; i < PQntuples(r); i++) {
        buf_addstr(&b, i ? "," : "");
        add_update(&b, r, i);
    }
    buf_addf(&b, "],\"total\":%d}", PQntuples(r));
    reply_buf(rq, &NOT_KEPT, &b);
    free(rq);
}

void handle_updates(const struct request *rq, const struct query_value *values)
{
    char limit[24];
    const char *texts[] = {limit};
    struct request *kept;
    struct err e;

    snprintf(limit, sizeof limit, "%" PRId64, values[0].number);
    kept = request_keep(rq);
    if (!pgpool_query(rq->loop->pg, UPDATES_SQL, 1, texts, on_updates, kept, &e)) {
        on_updates(kept, NULL, &e);
    }
}

/* ---- /api/servers ---- */

/* Jumps from server to server along the unique index instead of reading every row. */
static const char SERVERS_SQL[] =
    "WITH RECURSIVE s AS ("
    "(SELECT server FROM characters ORDER BY server LIMIT 1) UNION ALL "
    "SELECT (SELECT c.server FROM characters AS c WHERE c.server > s.server "
    "ORDER BY c.server LIMIT 1) FROM s WHERE s.server IS NOT NULL) "
    "SELECT server FROM s WHERE server IS NOT NULL LIMIT 4096";

static void open_servers(struct buf *b)
{
    buf_init(b, LIST_MAX);
    buf_addstr(b, "{\"servers\":[");
    for (size_t i = 0; i < BOARD_DEFAULT_COUNT; i++) {
        buf_addf(b, "%s\"%s\"", i ? "," : "", BOARD_DEFAULT_SERVERS[i]);
    }
}

static void add_averages(struct buf *b, const struct image_stats *s)
{
    if (s->sample_size == 0) {
        buf_addstr(b, "null");
        return;
    }
    for (int i = 0; i < STAT_COUNT; i++) {
        buf_addf(b, "%s\"%s\":%" PRId64, i ? "," : "{", STAT_NAMES[i], s->average[i]);
    }
    buf_addch(b, '}');
}

static void add_detail(struct buf *b, const struct image *img, uint32_t i)
{
    const struct image_stats *s = &img->stats[i];
    struct image_list list = image_list_of(img, (struct image_board){(int)i, IMAGE_ANY});

    buf_addstr(b, i ? ",{\"server\":" : "{\"server\":");
    item_add_text(b, img, &img->servers[i]);
    buf_addf(b, ",\"population\":%" PRIu32 ",\"sample_size\":%" PRId64 ",\"top_score\":%" PRId64,
             list.count, s->sample_size, image_list_row(&list, 0)->power_score);
    buf_addstr(b, ",\"averages\":");
    add_averages(b, s);
    buf_addch(b, '}');
}

static void close_servers(struct buf *b, const struct request *rq)
{
    const struct image *img = rq->loop->image;

    buf_addf(b, "],\"default\":\"%s\",\"details\":[", BOARD_DEFAULT_SERVERS[0]);
    for (uint32_t i = 0; img && i < img->head->servers; i++) {
        add_detail(b, img, i);
    }
    buf_addch(b, ']');
    board_add_snapshot(b, rq, img);
    buf_addch(b, '}');
}

static void servers_from_image(const struct request *rq)
{
    const struct image *img = rq->loop->image;
    struct buf b;

    open_servers(&b);
    for (uint32_t i = 0; i < img->head->servers; i++) {
        const struct image_name *s = &img->servers[i];
        char plain[QUERY_TEXT_BYTES + 1];

        snprintf(plain, sizeof plain, "%.*s", (int)s->text_len, img->text + s->text_off);
        if (!board_is_default_server(plain)) {
            buf_addf(&b, ",\"%.*s\"", (int)s->text_len, img->text + s->text_off);
        }
    }
    close_servers(&b, rq);
    reply_buf(rq, &NOT_KEPT, &b);
}

static void on_servers(void *arg, const PGresult *r, const struct err *e)
{
    struct request *rq = arg;
    struct loop *loop = rq->loop;
    struct buf b;

    (void)e;
    if (!r && loop->image) {
        servers_from_image(rq);
    } else if (!r) {
        reply_unavailable(rq, "The database does not answer.");
    } else {
        open_servers(&b);
        for (int i = 0; i < PQntuples(r); i++) {
            if (!board_is_default_server(PQgetvalue(r, i, 0))) {
                buf_addch(&b, ',');
                buf_add_json(&b, PQgetvalue(r, i, 0), (size_t)PQgetlength(r, i, 0));
            }
        }
        close_servers(&b, rq);
        body_unref(loop->servers);
        loop->servers = b.failed ? NULL : body_new(b.data, b.len, false);
        loop->servers_until_ms = clock_mono_ms() + LOOP_SERVERS_MS;
        reply_buf(rq, &NOT_KEPT, &b);
    }
    free(rq);
}

void handle_servers(const struct request *rq, UNUSED const struct query_value *values)
{
    struct request *kept;
    struct err e;

    if (rq->loop->servers && clock_mono_ms() < rq->loop->servers_until_ms) {
        reply_body(rq, &NOT_KEPT, rq->loop->servers);
        return;
    }
    kept = request_keep(rq);
    if (!pgpool_query(rq->loop->pg, SERVERS_SQL, 0, NULL, on_servers, kept, &e)) {
        on_servers(kept, NULL, &e);
    }
}

/* ---- /health ---- */

void handle_health(const struct request *rq, UNUSED const struct query_value *values)
{
    static const char OK[] = "{\"status\":\"ok\"}";
    struct buf b;

    buf_init(&b, sizeof OK);
    buf_addstr(&b, OK);
    reply_buf(rq, &NOT_KEPT, &b);
}

/* ---- /openapi.json ---- */

/* Asked for seldom; made when it is. */
void handle_openapi(const struct request *rq, UNUSED const struct query_value *values)
{
    struct buf b;

    buf_init(&b, LIST_MAX);
    if (!openapi_build(&b)) {
        b.failed = true;
    }
    reply_buf(rq, &NOT_KEPT, &b);
}
