/*
 * Boards from the image. A request for a server that the image does not know is the only one that
 * asks PostgreSQL: a server may have characters and no entries yet.
 */
#include "api/board.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/negotiate.h"
#include "api/route.h"
#include "common/clock.h"
#include "common/mem.h"

/* What a loop keeps of its scratch buffer; a usual page needs 5 KiB. */
#define SCRATCH_KEEP (256 * KIB)

/* Forms under which a target is cached. */
#define FORM_GZIP  1u
#define FORM_STALE 2u

const char *const BOARD_DEFAULT_SERVERS[] = {"Siel", "Israphel", "Nezakan", "Zikel", "Chantra"};
const size_t BOARD_DEFAULT_COUNT = ARRAY_LEN(BOARD_DEFAULT_SERVERS);

bool board_is_default_server(const char *name)
{
    for (size_t i = 0; i < BOARD_DEFAULT_COUNT; i++) {
        if (strcmp(BOARD_DEFAULT_SERVERS[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- rendering ---- */

/* Bytes of an item beside its texts: literals and 5 numbers of up to 20 digits. */
#define ITEM_FIXED_MAX 240

static char *put(char *p, const char *s, size_t len)
{
    memcpy(p, s, len);
    return p + len;
}
#define PUT(p, literal) put(p, "" literal, sizeof(literal) - 1)

static char *put_u64(char *p, uint64_t v)
{
    char digits[20];
    size_t n = sizeof digits;

    do {
        digits[--n] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    return put(p, digits + n, sizeof digits - n);
}

static char *put_i64(char *p, int64_t v)
{
    if (v < 0) {
        *p++ = '-';
        return put_u64(p, (uint64_t)0 - (uint64_t)v);
    }
    return put_u64(p, (uint64_t)v);
}

static void add_item(struct buf *b, const struct image *img, const struct image_row *r,
                     uint32_t rank)
{
    const struct image_name *server = &img->servers[r->server], *cls = &img->classes[r->cls];
    char *p;

    if (!buf_reserve(b, ITEM_FIXED_MAX + r->name_len + server->text_len + cls->text_len)) {
        return;
    }
    p = b->data + b->len;
    p = PUT(p, "{\"rank\":");
    p = put_u64(p, rank);
    p = PUT(p, ",\"name\":\"");
    p = put(p, img->text + r->name_off, r->name_len);
    p = PUT(p, "\",\"server\":\"");
    p = put(p, img->text + server->text_off, server->text_len);
    p = PUT(p, "\",\"class\":\"");
    p = put(p, img->text + cls->text_off, cls->text_len);
    p = PUT(p, "\",\"level\":");
    p = put_i64(p, r->level);
    p = PUT(p, ",\"power\":");
    p = r->power == IMAGE_POWER_NONE ? PUT(p, "null") : put_i64(p, r->power);
    p = PUT(p, ",\"power_score\":");
    p = put_i64(p, r->power_score);
    p = PUT(p, ",\"power_rank\":\"");
    p = put(p, r->tier, sizeof r->tier);
    p = r->flags & IMAGE_STALE ? PUT(p, "\",\"stale\":true}") : PUT(p, "\"}");
    b->len = (size_t)(p - b->data);
}

void board_add_tail(struct buf *b, const struct board_query *q, int64_t returned, int64_t total,
                    const struct image *img, bool stale)
{
    char iso[CLOCK_ISO_SIZE];

    clock_iso(img ? img->head->generated_us : clock_wall_us(), "Z", iso);
    if (q->top) {
        buf_addf(b, "],\"generated_at\":\"%s\",\"is_snapshot\":%s,\"total\":%" PRId64, iso,
                 img ? "true" : "false", returned);
    } else {
        buf_addf(b,
                 "],\"page\":%" PRId64 ",\"page_size\":%" PRId64 ",\"total\":%" PRId64
                 ",\"total_pages\":%" PRId64 ",\"generated_at\":\"%s\",\"is_snapshot\":%s",
                 q->page, q->page_size, total, (total + q->page_size - 1) / q->page_size, iso,
                 img ? "true" : "false");
    }
    if (img) {
        buf_addf(b, ",\"snapshot\":{\"id\":%" PRId64 ",\"generated_at\":\"%s\",\"stale\":%s}}",
                 img->head->run_id, iso, stale ? "true" : "false");
    } else {
        buf_addstr(b, ",\"snapshot\":null}");
    }
}

/* board -2 is a server without entries. */
#define BOARD_NONE (-2)

static struct body *render(const struct request *rq, const struct board_query *q, int board,
                           bool stale)
{
    const struct image *img = rq->loop->image;
    int64_t total = board == BOARD_NONE ? 0 : image_board_total(img, board);
    int64_t end = q->first + q->count < total ? q->first + q->count : total;
    struct buf *b = &rq->loop->scratch;
    struct body *body = NULL;

    buf_reset(b);
    buf_addstr(b, "{\"items\":[");
    for (int64_t i = q->first; i < end; i++) {
        if (i > q->first) {
            buf_addch(b, ',');
        }
        add_item(b, img, image_board_row(img, board, (uint32_t)i), (uint32_t)i + 1);
    }
    board_add_tail(b, q, end > q->first ? end - q->first : 0, total, img, stale);
    if (!b->failed) {
        body = body_new(b->data, b->len, rq->gzip);
    }
    if (b->cap > SCRATCH_KEEP) {
        buf_fini(b);
    }
    return body;
}

/* ---- answering ---- */

static void send_board(const struct request *rq, struct body *body, bool stale)
{
    const struct image_header *head = rq->loop->image->head;
    int64_t now_us = clock_wall_us();
    char etag[80];
    struct reply r = {.status = 200, .etag = etag, .age_s = -1};

    snprintf(etag, sizeof etag, "\"%" PRId64 "-%" PRIx64 "%s%s\"", head->run_id,
             (uint64_t)head->generated_us, stale ? "-stale" : "", body->gzip ? "-gz" : "");
    r.max_age_s =
        negotiate_max_age_s(head->generated_us, now_us, rq->loop->settings->batch_interval_s);
    if (stale) {
        r.max_age_s = 1;
        r.age_s = now_us > head->generated_us ? (now_us - head->generated_us) / 1000000 : 0;
    }
    reply_body(rq, &r, body);
}

static unsigned form_of(const struct request *rq, bool stale)
{
    return (rq->gzip ? FORM_GZIP : 0) | (stale ? FORM_STALE : 0);
}

bool board_answer_cached(const struct request *rq)
{
    bool stale = loop_is_stale(rq->loop);
    const char *target = evhttp_request_get_uri(rq->http);
    enum evhttp_cmd_type method = evhttp_request_get_command(rq->http);
    struct body *body = NULL;

    if (rq->loop->image && (method == EVHTTP_REQ_GET || method == EVHTTP_REQ_HEAD)) {
        body = cache_get(rq->loop->cache, target, form_of(rq, stale));
    }
    if (body) {
        send_board(rq, body, stale);
    }
    return body != NULL;
}

static void answer_from_image(const struct request *rq, const struct board_query *q, int board)
{
    bool stale = loop_is_stale(rq->loop);
    struct body *body = render(rq, q, board, stale);

    if (!body) {
        reply_unavailable(rq, "The service is out of memory.");
        return;
    }
    if (board != BOARD_NONE) {
        cache_put(rq->loop->cache, evhttp_request_get_uri(rq->http), form_of(rq, stale), body);
    }
    send_board(rq, body, stale);
    body_unref(body);
}

/* ---- a server without entries ---- */

struct unknown_server {
    struct request *rq; /* owned */
    struct board_query q;
};

static void on_server_checked(void *arg, const PGresult *r, const struct err *e)
{
    struct unknown_server *u = arg;

    (void)e;
    if (!r || PQntuples(r) != 1) {
        reply_unavailable(u->rq, "Whether this server exists cannot be found out now.");
    } else if (strcmp(PQgetvalue(r, 0, 0), "t") != 0) {
        reply_problem(u->rq, 404, "server", "There is no such server.");
    } else if (!u->rq->loop->image) {
        reply_unavailable(u->rq, "The ranking is not loaded yet.");
    } else {
        /* The image may have changed meanwhile and know the server now. */
        int board = image_find_server(u->rq->loop->image, u->q.server, strlen(u->q.server));

        answer_from_image(u->rq, &u->q, board < 0 ? BOARD_NONE : board);
    }
    free(u->rq);
    free(u);
}

static void check_server(const struct request *rq, const struct board_query *q)
{
    struct unknown_server *u = mem_alloc(sizeof *u);
    const char *value = q->server;
    struct err e;

    *u = (struct unknown_server){request_keep(rq), *q};
    if (!pgpool_query(rq->loop->pg, "SELECT EXISTS (SELECT 1 FROM characters WHERE server = $1)", 1,
                      &value, on_server_checked, u, &e)) {
        on_server_checked(u, NULL, &e);
    }
}

/* ---- the two addresses ---- */

static void answer(const struct request *rq, const struct board_query *q)
{
    const struct image *img = rq->loop->image;
    int board = IMAGE_BOARD_ALL;

    if (!img) {
        live_answer(rq, q);
        return;
    }
    if (*q->server) {
        board = image_find_server(img, q->server, strlen(q->server));
        if (board < 0 && !board_is_default_server(q->server)) {
            check_server(rq, q);
            return;
        }
        board = board < 0 ? BOARD_NONE : board;
    }
    answer_from_image(rq, q, board);
}

/* "all" is the name of the board over every server. */
static void set_server(struct board_query *q, const struct query_value *v)
{
    if (v->given && strcmp(v->text, "all") != 0) {
        memcpy(q->server, v->text, v->len + 1);
    }
}

void handle_top(const struct request *rq, const struct query_value *values)
{
    struct board_query q = {.top = true, .count = values[1].number};

    set_server(&q, &values[0]);
    answer(rq, &q);
}

void handle_page(const struct request *rq, const struct query_value *values)
{
    struct board_query q = {.top = false, .page = values[1].number};

    set_server(&q, &values[0]);
    q.page_size = q.count = values[2].number;
    q.first = (q.page - 1) * q.page_size;
    answer(rq, &q);
}
