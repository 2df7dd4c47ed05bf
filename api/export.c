/*
 * A whole board as CSV or NDJSON, chunk by chunk: the next one is made when the last is written, so
 * a slow reader costs one chunk and a reference to the image. Everything is of one ranking.
 */
#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/board.h"
#include "api/item.h"
#include "api/negotiate.h"
#include "api/route.h"
#include "common/mem.h"

#define CHUNK_BYTES (64 * KIB)
#define CHUNK_MAX   (CHUNK_BYTES + 16 * KIB)
#define EXPORTS_MAX 8 /* of a loop at a time */

struct form {
    const char *type;
    const char *extension;
    const char *head; /* before the first item */
    void (*add)(struct buf *b, const struct item *it);
};

static void add_line(struct buf *b, const struct item *it)
{
    item_add_json(b, it);
    buf_addch(b, '\n');
}

static const struct form CSV = {"text/csv; charset=utf-8", "csv", ITEM_CSV_HEAD, item_add_csv};
static const struct form NDJSON = {"application/x-ndjson", "ndjson", "", add_line};

struct export
{
    struct loop *loop;
    struct evhttp_request *http;
    struct image *img; /* one reference */
    const struct form *form;
    struct image_board board;
    struct image_list list;
    uint32_t next;
    bool begun;
};

static void end(struct export *x)
{
    x->loop->exports--;
    image_unref(x->img);
    free(x);
}

/* evhttp lets go of a request whose answer has begun, unless it is being taken down itself. */
static void on_closed(UNUSED struct evhttp_connection *conn, void *arg)
{
    struct export *x = arg;

    if (!x->http->evcon) {
        evhttp_request_free(x->http);
    }
    end(x);
}

static void fill(struct export *x, struct buf *b)
{
    while (x->next < x->list.count && b->len < CHUNK_BYTES && !b->failed) {
        struct item it = item_at(x->img, x->board, &x->list, x->next++);

        x->form->add(b, &it);
    }
}

static void finish(struct export *x)
{
    struct evhttp_request *http = x->http;

    evhttp_connection_set_closecb(http->evcon, NULL, NULL);
    end(x);
    evhttp_send_reply_end(http);
}

/* The last chunk is written (or this is the first): the next one. */
static void send_next(UNUSED struct evhttp_connection *conn, void *arg)
{
    struct export *x = arg;
    struct evbuffer *out = evbuffer_new();
    struct buf b;

    buf_init(&b, CHUNK_MAX);
    buf_reserve(&b, CHUNK_MAX - 1);
    if (!x->begun) {
        buf_addstr(&b, x->form->head);
        x->begun = true;
    }
    fill(x, &b);
    if (out && !b.failed && b.len > 0 && evbuffer_add(out, b.data, b.len) == 0) {
        evhttp_send_reply_chunk_with_cb(x->http, out, send_next, x);
    } else {
        finish(x); /* all is sent; without memory the last chunk is missing, and so is its end */
    }
    buf_fini(&b);
    if (out) {
        evbuffer_free(out);
    }
}

/* False: the client has it already, and has been told so. */
static bool add_headers(const struct request *rq, const struct form *form)
{
    const struct image_header *head = rq->loop->image->head;
    const char *if_none_match = evhttp_find_header(rq->http->input_headers, "If-None-Match");
    char text[96];

    snprintf(text, sizeof text, "attachment; filename=\"ranking-%" PRId64 ".%s\"", head->run_id,
             form->extension);
    evhttp_add_header(rq->http->output_headers, "Content-Disposition", text);
    snprintf(text, sizeof text, "\"%" PRId64 "-%" PRIx64 "-%s\"", head->run_id,
             (uint64_t)head->generated_us, form->extension);
    evhttp_add_header(rq->http->output_headers, "ETag", text);
    evhttp_add_header(rq->http->output_headers, "Content-Type", form->type);
    evhttp_add_header(rq->http->output_headers, "Cache-Control", "no-cache");
    evhttp_add_header(rq->http->output_headers, "Date", rq->loop->date);
    if (if_none_match && negotiate_not_modified(
                             if_none_match, evhttp_find_header(rq->http->output_headers, "ETag"))) {
        reply_note(rq, 304);
        evhttp_send_reply(rq->http, 304, "Not Modified", NULL);
        return false;
    }
    return true;
}

static void start(const struct request *rq, struct image_board board, const struct form *form)
{
    struct export *x;

    if (rq->loop->exports >= EXPORTS_MAX) {
        reply_unavailable(rq, "Too many whole boards are being sent.");
        return;
    }
    if (!add_headers(rq, form)) {
        return;
    }
    reply_note(rq, 200); /* when it begins */
    if (rq->head) {
        evhttp_send_reply(rq->http, 200, "OK", NULL);
        return;
    }
    x = mem_alloc(sizeof *x);
    *x = (struct export){.loop = rq->loop,
                         .http = rq->http,
                         .img = image_ref(rq->loop->image),
                         .form = form,
                         .board = board};
    x->list = image_list_of(x->img, board);
    rq->loop->exports++;
    evhttp_connection_set_closecb(rq->http->evcon, on_closed, x);
    evhttp_send_reply_start(rq->http, 200, "OK");
    send_next(rq->http->evcon, x);
}

static void start_csv(const struct request *rq, UNUSED const struct board_query *q,
                      struct image_board board)
{
    start(rq, board, &CSV);
}

static void start_ndjson(const struct request *rq, UNUSED const struct board_query *q,
                         struct image_board board)
{
    start(rq, board, &NDJSON);
}

static void resolve(const struct request *rq, const struct query_value *values, board_fn fn)
{
    struct board_query q = {.top = false};

    if (!rq->loop->image) {
        reply_unavailable(rq, "There is no ranking yet.");
        return;
    }
    board_set_server(&q, &values[0]);
    board_set_class(&q, &values[1]);
    board_resolve(rq, &q, fn);
}

void handle_csv(const struct request *rq, const struct query_value *values)
{
    resolve(rq, values, start_csv);
}

void handle_ndjson(const struct request *rq, const struct query_value *values)
{
    resolve(rq, values, start_ndjson);
}
