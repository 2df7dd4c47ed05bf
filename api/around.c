/* The places around a character on one of its boards. */
#include <stdlib.h>
#include <string.h>

#include "api/board.h"
#include "api/item.h"
#include "api/route.h"
#include "api/spelling.h"

/* Which of its boards: board= of the request. */
static const struct {
    const char *name;
    bool server, cls; /* of the character */
} BOARDS[] = {
    {"server", true, false},
    {"all", false, false},
    {"class", false, true},
    {"server_class", true, true},
};

static int find_board(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(BOARDS); i++) {
        if (strcmp(BOARDS[i].name, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

struct around {
    struct image_board board;
    struct image_list list;
    uint32_t rank; /* of the character */
    int64_t above, below;
};

static void add_items(struct buf *b, const struct image *img, const struct around *a)
{
    int64_t first = (int64_t)a->rank - 1 - a->above;
    int64_t last = (int64_t)a->rank - 1 + a->below;

    first = first > 0 ? first : 0;
    last = last < a->list.count ? last : (int64_t)a->list.count - 1;
    for (int64_t i = first; i <= last; i++) {
        struct item it = item_at(img, a->board, &a->list, (uint32_t)i);

        if (i > first) {
            buf_addch(b, ',');
        }
        item_add_json(b, &it);
    }
}

static void add_name_or_null(struct buf *b, const char *key, const struct image *img,
                             const struct image_name *name)
{
    buf_addf(b, ",\"%s\":", key);
    if (name) {
        item_add_text(b, img, name);
    } else {
        buf_addstr(b, "null");
    }
}

static void answer(const struct request *rq, const struct around *a)
{
    const struct image *img = rq->loop->image;
    struct buf b;

    buf_init(&b, BODY_MAX);
    buf_addf(&b, "{\"rank\":%" PRIu32 ",\"total\":%" PRIu32, a->rank, a->list.count);
    add_name_or_null(&b, "server", img,
                     a->board.server >= 0 ? &img->servers[a->board.server] : NULL);
    add_name_or_null(&b, "class", img, a->board.cls >= 0 ? &img->classes[a->board.cls] : NULL);
    buf_addstr(&b, ",\"items\":[");
    add_items(&b, img, a);
    buf_addch(&b, ']');
    board_add_snapshot(&b, rq, img);
    buf_addch(&b, '}');
    board_send_buf(rq, &b, false);
}

void handle_around(const struct request *rq, const struct query_value *values)
{
    const struct image *img = rq->loop->image;
    int which = values[2].given ? find_board(values[2].text) : 0;
    struct around a = {.above = values[3].number, .below = values[4].number};
    const struct image_row *row;

    if (which < 0) {
        reply_problem(rq, 400, "board", "board must be server, all, class or server_class.");
        return;
    }
    if (!img) {
        reply_unavailable(rq, "There is no ranking yet.");
        return;
    }
    row = spelling_find_person(rq, values[0].text, values[1].text, NULL);
    if (!row) {
        reply_problem(rq, 404, NULL, "This character is not on the board.");
        return;
    }
    a.board.server = BOARDS[which].server ? row->server : IMAGE_ANY;
    a.board.cls = BOARDS[which].cls ? row->cls : IMAGE_ANY;
    a.list = image_list_of(img, a.board);
    a.rank = image_list_rank(&a.list, row);
    answer(rq, &a);
}
