/* The legions of a server, as the loader has summed them up. */
#include <string.h>

#include "api/board.h"
#include "api/item.h"
#include "api/legion_table.h"
#include "api/route.h"
#include "api/spelling.h"

static const struct reply NOT_KEPT = {.status = 200, .max_age_s = -1, .age_s = -1};

static void add_legion(struct buf *b, const struct details *details, const struct legion *l)
{
    const char *name = details_legion_name(details, l->number);

    buf_addstr(b, "{\"legion\":");
    buf_add_json(b, name, strlen(name));
    buf_addf(b,
             ",\"members\":%" PRIu32 ",\"total_power\":%" PRId64 ",\"average_power\":", l->members,
             l->total_power);
    if (l->with_power) {
        buf_addi64(b, l->total_power / l->with_power);
    } else {
        buf_addstr(b, "null");
    }
    buf_addf(b, ",\"top_score\":%" PRId64 "}", l->top_score);
}

static void render(struct buf *b, const struct request *rq, const struct board_query *q,
                   const struct legion_table *t)
{
    struct details *details = loader_details(rq->loop->loader);
    int server = spelling_find_server(rq, t->img, q->server);
    uint32_t first = server < 0 ? 0 : t->start[server];
    uint32_t count = server < 0 ? 0 : t->start[server + 1] - first;

    buf_addstr(b, "{\"server\":");
    if (server >= 0) {
        item_add_text(b, t->img, &t->img->servers[server]);
    } else {
        buf_add_json(b, q->server, strlen(q->server));
    }
    buf_addf(b, ",\"total\":%" PRIu32 ",\"legions\":[", count);
    details_lock(details); /* for the names */
    for (uint32_t i = 0; i < count && i < q->count; i++) {
        buf_addstr(b, i ? "," : "");
        add_legion(b, details, &t->at[first + i]);
    }
    details_unlock(details);
    buf_addch(b, ']');
    board_add_snapshot(b, rq, t->img);
    buf_addch(b, '}');
}

static void answer(const struct request *rq, const struct board_query *q, struct image_board board)
{
    struct legion_table *t = loader_legions(rq->loop->loader);
    struct buf b;

    (void)board; /* only that the server exists */
    if (!t) {
        reply_unavailable(rq, "The legions are not summed up yet.");
        return;
    }
    buf_init(&b, BODY_MAX);
    render(&b, rq, q, t);
    legion_table_unref(t);
    reply_buf(rq, &NOT_KEPT, &b);
}

void handle_legions(const struct request *rq, const struct query_value *values)
{
    struct board_query q = {.count = values[1].number};

    if (!rq->loop->image) {
        reply_unavailable(rq, "There is no ranking yet.");
        return;
    }
    memcpy(q.server, values[0].text, values[0].len + 1);
    board_resolve(rq, &q, answer);
}
