/*
 * Boards from the image. A request for a server that the image does not know is the only one that
 * asks PostgreSQL: a server may have characters and no entries yet.
 */
#include "api/board.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/item.h"
#include "api/negotiate.h"
#include "api/route.h"
#include "api/spelling.h"
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

bool board_always_knows(const struct request *rq, const char *server)
{
    const char *names[SPELLINGS_MAX];
    int n = spelling_list(rq, server, names);

    for (int i = 0; i < n; i++) {
        if (board_is_default_server(names[i])) {
            return true;
        }
    }
    return false;
}

/* ---- rendering ---- */

void board_add_snapshot(struct buf *b, const struct request *rq, const struct image *img)
{
    char text[LOOP_SNAPSHOT_SIZE];
    bool stale = loop_is_stale(rq->loop);

    if (!img) {
        buf_addstr(b, ",\"snapshot\":null");
    } else if (img == rq->loop->image) {
        buf_addstr(b, rq->loop->snapshot[stale]);
    } else {
        buf_addstr(b, loop_describe_image(rq->loop, img, stale, text));
    }
}

/* The next page of a walk; null at its end. */
static void add_next_cursor(struct buf *b, const struct board_query *q, int64_t total,
                            const struct image *img)
{
    struct cursor c = {.board = cursor_board(q->server, q->cls)};
    char text[CURSOR_SIZE];

    if (!img || q->first + q->count >= total) {
        buf_addstr(b, ",\"next_cursor\":null");
        return;
    }
    c.run_id = img->head->run_id;
    c.next = (uint32_t)(q->first + q->count);
    buf_addf(b, ",\"next_cursor\":\"%s\"", cursor_print(&c, text));
}

void board_add_tail(struct buf *b, const struct request *rq, const struct board_query *q,
                    int64_t returned, int64_t total, const struct image *img)
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
    board_add_snapshot(b, rq, img);
    if (!q->top) {
        add_next_cursor(b, q, total, img);
    }
    buf_addch(b, '}');
}

static struct body *render(const struct request *rq, const struct board_query *q,
                           const struct image *img, struct image_board board)
{
    struct image_list list = image_list_of(img, board);
    int64_t end = q->first + q->count < list.count ? q->first + q->count : list.count;
    struct buf *b = &rq->loop->scratch;
    struct body *body = NULL;

    buf_reset(b);
    buf_addstr(b, "{\"items\":[");
    for (int64_t i = q->first; i < end; i++) {
        struct item it = item_at(img, board, &list, (uint32_t)i);

        if (i > q->first) {
            buf_addch(b, ',');
        }
        item_add_json(b, &it);
    }
    board_add_tail(b, rq, q, end > q->first ? end - q->first : 0, list.count, img);
    if (!b->failed) {
        body = body_new(b->data, b->len, rq->gzip);
    }
    if (b->cap > SCRATCH_KEEP) {
        buf_fini(b);
    }
    return body;
}

/* ---- answering ---- */

static unsigned form_of(const struct request *rq)
{
    return (rq->gzip ? FORM_GZIP : 0) | (loop_is_stale(rq->loop) ? FORM_STALE : 0);
}

static void send_from(const struct request *rq, const struct image *img, struct body *body,
                      bool at_once)
{
    const struct image_header *head = img->head;
    bool stale = loop_is_stale(rq->loop);
    int64_t now_us = clock_wall_us();
    char etag[LOOP_ETAG_SIZE];
    struct reply r = {.status = 200, .age_s = -1, .at_once = at_once};

    r.etag = img == rq->loop->image ? rq->loop->etag[stale][body->gzip]
                                    : loop_etag(img, stale, body->gzip, etag);
    r.max_age_s =
        negotiate_max_age_s(head->generated_us, now_us, rq->loop->settings->batch_interval_s);
    if (stale) {
        r.max_age_s = 1;
        r.age_s = now_us > head->generated_us ? (now_us - head->generated_us) / 1000000 : 0;
    }
    reply_body(rq, &r, body);
}

static void send_and_cache(const struct request *rq, const struct image *img, struct body *body,
                           bool cache)
{
    if (cache && img == rq->loop->image) {
        cache_put(rq->loop->cache, evhttp_request_get_uri(rq->http), form_of(rq), body);
    }
    send_from(rq, img, body, false);
}

void board_send(const struct request *rq, struct body *body, bool cache)
{
    send_and_cache(rq, rq->loop->image, body, cache);
}

void board_send_buf(const struct request *rq, struct buf *b, bool cache)
{
    board_send_buf_of(rq, rq->loop->image, b, cache);
}

void board_send_buf_of(const struct request *rq, const struct image *img, struct buf *b, bool cache)
{
    struct body *body = b->failed ? NULL : body_new(b->data, b->len, rq->gzip);

    buf_fini(b);
    if (!body) {
        reply_unavailable(rq, "The service is out of memory.");
        return;
    }
    send_and_cache(rq, img, body, cache);
    body_unref(body);
}

bool board_answer_cached(const struct request *rq)
{
    const char *target = evhttp_request_get_uri(rq->http);
    enum evhttp_cmd_type method = evhttp_request_get_command(rq->http);
    struct body *body = NULL;

    if (rq->loop->image && (method == EVHTTP_REQ_GET || method == EVHTTP_REQ_HEAD)) {
        body = cache_get(rq->loop->cache, target, form_of(rq));
    }
    if (body) {
        send_from(rq, rq->loop->image, body, true);
    }
    return body != NULL;
}

static void answer_board(const struct request *rq, const struct board_query *q,
                         struct image_board board)
{
    struct body *body = render(rq, q, rq->loop->image, board);

    if (!body) {
        reply_unavailable(rq, "The service is out of memory.");
        return;
    }
    board_send(rq, body, board.server != IMAGE_NONE);
    body_unref(body);
}

/* ---- which board ---- */

struct unknown_server {
    struct request *rq; /* owned */
    struct board_query q;
    board_fn fn;
};

/* The class of q; false: answered, there is none of that name. */
static bool find_class(const struct request *rq, const struct board_query *q,
                       struct image_board *board)
{
    board->cls = IMAGE_ANY;
    if (*q->cls) {
        board->cls = image_find_class(rq->loop->image, q->cls, strlen(q->cls));
    }
    if (*q->cls && board->cls < 0) {
        reply_problem(rq, 404, "class", "There is no such class on the board.");
        return false;
    }
    return true;
}

static void go_on(const struct request *rq, const struct board_query *q, int server, board_fn fn)
{
    struct image_board board = {.server = server};

    if (find_class(rq, q, &board)) {
        fn(rq, q, board);
    }
}

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
        int server = spelling_find_server(u->rq, u->rq->loop->image, u->q.server);

        go_on(u->rq, &u->q, server < 0 ? IMAGE_NONE : server, u->fn);
    }
    free(u->rq);
    free(u);
}

static const char SERVER_SQL[] =
    "SELECT EXISTS (SELECT FROM characters WHERE server = ANY (ARRAY[$1, $2, $3, $4]))";

static void check_server(const struct request *rq, const struct board_query *q, board_fn fn)
{
    struct unknown_server *u = mem_alloc(sizeof *u);
    const char *names[SPELLINGS_MAX];
    struct err e;

    *u = (struct unknown_server){request_keep(rq), *q, fn};
    spelling_list(rq, q->server, names);
    if (!pgpool_query(rq->loop->pg, SERVER_SQL, SPELLINGS_MAX, names, on_server_checked, u, &e)) {
        on_server_checked(u, NULL, &e);
    }
}

void board_resolve(const struct request *rq, const struct board_query *q, board_fn fn)
{
    const struct image *img = rq->loop->image;
    int server = IMAGE_ANY;

    if (*q->server) {
        server = spelling_find_server(rq, img, q->server);
        if (server < 0 && !board_always_knows(rq, q->server)) {
            check_server(rq, q, fn);
            return;
        }
        server = server < 0 ? IMAGE_NONE : server;
    }
    go_on(rq, q, server, fn);
}

void board_set_server(struct board_query *q, const struct query_value *v)
{
    if (v->given && strcmp(v->text, "all") != 0) {
        memcpy(q->server, v->text, v->len + 1);
    }
}

void board_set_class(struct board_query *q, const struct query_value *v)
{
    if (v->given) {
        memcpy(q->cls, v->text, v->len + 1);
    }
}

/* ---- a walk over one generation ---- */

static void refuse_cursor(const struct request *rq, const char *why)
{
    reply_problem(rq, 400, "cursor", why);
}

/* The generation of the cursor is not there any more. */
static void answer_gone(const struct request *rq, const struct board_query *q)
{
    struct buf latest;

    buf_init(&latest, 4 * KIB);
    buf_addstr(&latest, "/api/ranking?cursor=" CURSOR_START);
    buf_addf(&latest, "&page_size=%" PRId64, q->page_size);
    if (*q->server) {
        buf_addstr(&latest, "&server=");
        query_encode(&latest, q->server);
    }
    if (*q->cls) {
        buf_addstr(&latest, "&class=");
        query_encode(&latest, q->cls);
    }
    reply_gone(rq, latest.failed ? "/api/ranking" : latest.data,
               "The ranking that this cursor walks over is gone; start again at the latest one.");
    buf_fini(&latest);
}

/* A page of an older generation; servers and classes are looked up in that one. */
static void answer_older(const struct request *rq, const struct board_query *q, struct image *older)
{
    struct image_board board = {IMAGE_ANY, IMAGE_ANY};
    struct body *body;

    if (*q->server) {
        board.server = spelling_find_server(rq, older, q->server);
        board.server = board.server < 0 ? IMAGE_NONE : board.server;
    }
    if (*q->cls) {
        board.cls = image_find_class(older, q->cls, strlen(q->cls));
        board.cls = board.cls < 0 ? IMAGE_NONE : board.cls;
    }
    body = render(rq, q, older, board);
    if (body) {
        send_from(rq, older, body, false);
        body_unref(body);
    } else {
        reply_unavailable(rq, "The service is out of memory.");
    }
    image_unref(older);
}

static void set_place(struct board_query *q, const struct cursor *c)
{
    q->first = c->next;
    q->page = q->first / q->page_size + 1;
}

/* True: the walk goes on over the loop's image, at q->first. */
static bool begin_walk(const struct request *rq, struct board_query *q, const char *text)
{
    struct image *img = rq->loop->image, *older;
    struct cursor c;

    if (strcmp(text, CURSOR_START) == 0) {
        q->page = 1;
        atomic_store_explicit(&img->walked, true, memory_order_relaxed);
        return true;
    }
    if (!cursor_parse(text, &c)) {
        refuse_cursor(rq, "A cursor is \"start\" or next_cursor of an earlier answer, unchanged.");
        return false;
    }
    if (c.board != cursor_board(q->server, q->cls)) {
        refuse_cursor(rq, "This cursor walks over another board; keep server and class the same.");
        return false;
    }
    set_place(q, &c);
    if (c.run_id == img->head->run_id) {
        atomic_store_explicit(&img->walked, true, memory_order_relaxed);
        return true;
    }
    older = loader_older(rq->loop->loader, c.run_id);
    if (older) {
        answer_older(rq, q, older);
    } else {
        answer_gone(rq, q);
    }
    return false;
}

/* ---- the two addresses ---- */

static void answer(const struct request *rq, const struct board_query *q)
{
    if (rq->loop->image) {
        board_resolve(rq, q, answer_board);
    } else {
        live_answer(rq, q);
    }
}

void handle_top(const struct request *rq, const struct query_value *values)
{
    struct board_query q = {.top = true, .count = values[2].number};

    board_set_server(&q, &values[0]);
    board_set_class(&q, &values[1]);
    answer(rq, &q);
}

void handle_page(const struct request *rq, const struct query_value *values)
{
    struct board_query q = {.top = false, .page = values[2].number};

    board_set_server(&q, &values[0]);
    board_set_class(&q, &values[1]);
    q.page_size = q.count = values[3].number;
    q.first = (q.page - 1) * q.page_size;
    if (values[4].given) {
        if (values[2].given) {
            refuse_cursor(rq, "Either page or cursor, not both.");
            return;
        }
        q.walk = true;
        q.first = 0;
        if (!rq->loop->image) {
            reply_unavailable(rq, "There is no ranking to walk over yet.");
            return;
        }
        if (!begin_walk(rq, &q, values[4].text)) {
            return;
        }
    }
    answer(rq, &q);
}
