/* Completion of names while somebody types. */
#include <string.h>

#include "api/board.h"
#include "api/complete.h"
#include "api/item.h"
#include "api/route.h"
#include "api/spelling.h"

/* typed as the image keeps names: escaped, without the quotes. Returns how many there are. */
static uint32_t add_items(struct buf *b, const struct complete *c, int server,
                          const struct query_value *typed, uint32_t max)
{
    const struct image_row *rows[COMPLETE_MAX];
    const struct image *img = complete_image(c);
    struct buf escaped;
    uint32_t count;

    buf_init(&escaped, IMAGE_TEXT_MAX);
    if (!buf_add_json(&escaped, typed->text, typed->len)) {
        return 0;
    }
    count = complete_find(c, server, escaped.data + 1, escaped.len - 2, rows, max);
    buf_fini(&escaped);
    for (uint32_t i = 0; i < count; i++) {
        struct item it = {.img = img,
                          .row = rows[i],
                          .rank = (uint32_t)(rows[i] - img->rows) + 1,
                          .before = rows[i]->before};

        buf_addstr(b, i ? "," : "");
        item_add_json(b, &it);
    }
    return count;
}

static void answer(const struct request *rq, const struct query_value *values,
                   const struct complete *c)
{
    const struct image *img = complete_image(c);
    struct board_query q = {.top = false};
    int server = IMAGE_ANY;
    uint32_t found = 0;
    struct buf b;

    board_set_server(&q, &values[1]);
    if (*q.server) {
        server = spelling_find_server(rq, img, q.server);
    }
    buf_init(&b, BODY_MAX);
    buf_addstr(&b, "{\"items\":[");
    if (!*q.server || server >= 0) {
        found = add_items(&b, c, server, &values[0], (uint32_t)values[2].number);
    }
    buf_addch(&b, ']');
    board_add_snapshot(&b, rq, img);
    buf_addch(&b, '}');
    board_send_buf_of(rq, img, &b, found > 0); /* what nobody is called may be anything */
}

void handle_complete(const struct request *rq, const struct query_value *values)
{
    struct complete *c = loader_complete(rq->loop->loader);

    if (!c) {
        reply_unavailable(rq, "The names are not loaded yet.");
        return;
    }
    answer(rq, values, c);
    complete_unref(c);
}
