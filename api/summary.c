/* What a board looks like as a whole: cut-offs of the tiers, distribution of scores and classes. */
#include <stdlib.h>
#include <string.h>

#include "api/board.h"
#include "api/item.h"
#include "api/route.h"

#define BUCKETS_MAX 40

/* In percent with two decimals; rounded down, so the shares never exceed 100. */
static void add_share(struct buf *b, uint32_t count, uint32_t total)
{
    uint64_t hundredths = total ? (uint64_t)count * 10000 / total : 0;

    buf_addf(b, ",\"share\":%u.%02u", (unsigned)(hundredths / 100), (unsigned)(hundredths % 100));
}

/* {"server":"Siel" or null,"total":n */
static void open_answer(struct buf *b, const struct image *img, struct image_board board,
                        const struct board_query *q, uint32_t total)
{
    buf_init(b, BODY_MAX);
    buf_addstr(b, "{\"server\":");
    if (board.server >= 0) {
        item_add_text(b, img, &img->servers[board.server]);
    } else if (*q->server) {
        buf_add_json(b, q->server, strlen(q->server));
    } else {
        buf_addstr(b, "null");
    }
    buf_addf(b, ",\"total\":%" PRIu32, total);
}

static void close_answer(struct buf *b, const struct request *rq, struct image_board board)
{
    board_add_snapshot(b, rq, rq->loop->image);
    buf_addch(b, '}');
    board_send_buf(rq, b, board.server != IMAGE_NONE);
}

/* Of the server, or over everybody; nobody's where the server has no entries. */
static const struct image_stats *stats_of(const struct image *img, struct image_board board)
{
    static const struct image_stats NOBODY;

    if (board.server == IMAGE_NONE) {
        return &NOBODY;
    }
    return &img->stats[board.server >= 0 ? (uint32_t)board.server : img->head->servers];
}

static void add_tiers(struct buf *b, const struct image_stats *s, uint32_t total)
{
    buf_addstr(b, ",\"tiers\":[");
    for (int i = 0; i < IMAGE_TIERS; i++) {
        buf_addf(b, "%s{\"tier\":\"%s\",\"count\":%" PRIu32, i ? "," : "", image_tier_name(i),
                 s->tier_count[i]);
        add_share(b, s->tier_count[i], total);
        if (s->tier_count[i] > 0) {
            buf_addf(b, ",\"min_score\":%" PRId64 "}", s->tier_min[i]);
        } else {
            buf_addstr(b, ",\"min_score\":null}");
        }
    }
    buf_addch(b, ']');
}

/* ---- /api/ranking/cutoffs ---- */

static void answer_cutoffs(const struct request *rq, const struct board_query *q,
                           struct image_board board)
{
    const struct image *img = rq->loop->image;
    uint32_t total = image_list_of(img, board).count;
    struct buf b;

    open_answer(&b, img, board, q, total);
    add_tiers(&b, stats_of(img, board), total);
    close_answer(&b, rq, board);
}

/* ---- /api/ranking/distribution ---- */

/* 1, 2 or 5 times a power of ten, so that the range needs at most BUCKETS_MAX buckets. */
static int64_t bucket_width(int64_t range)
{
    static const int64_t STEPS[] = {2, 5, 10};
    int64_t unit = 1, width = 1;

    for (size_t i = 0; range / width >= BUCKETS_MAX - 1; i++) {
        width = unit * STEPS[i % ARRAY_LEN(STEPS)];
        unit *= i % ARRAY_LEN(STEPS) == ARRAY_LEN(STEPS) - 1 ? 10 : 1;
    }
    return width;
}

static int64_t score_at(const struct image_list *list, uint32_t i)
{
    return image_list_row(list, i)->power_score;
}

static void add_histogram(struct buf *b, const struct image_list *list)
{
    int64_t high = list->count ? score_at(list, 0) : 0;
    int64_t low = list->count ? score_at(list, list->count - 1) : 0;
    int64_t width = bucket_width(high - low);
    int64_t from = low - ((low % width) + width) % width;

    buf_addf(b, ",\"bucket_width\":%" PRId64 ",\"histogram\":[", width);
    for (bool first = true; list->count && from <= high; from += width, first = false) {
        /* Scores fall along the list, so both ends of a bucket are found by halving. */
        uint32_t above = image_list_tied_rank(list, from + width - 1) - 1;
        uint32_t end = image_list_tied_rank(list, from - 1) - 1;

        buf_addf(b, "%s{\"from\":%" PRId64 ",\"to\":%" PRId64 ",\"count\":%" PRIu32 "}",
                 first ? "" : ",", from, from + width - 1, end - above);
    }
    buf_addch(b, ']');
}

/* Scores that so many percent of the board reach at least. */
static void add_quantiles(struct buf *b, const struct image_list *list)
{
    static const unsigned TOP_PERCENT[] = {1, 5, 10, 25, 50, 75, 90};

    buf_addstr(b, ",\"quantiles\":[");
    for (size_t i = 0; list->count && i < ARRAY_LEN(TOP_PERCENT); i++) {
        uint64_t place = ((uint64_t)list->count * TOP_PERCENT[i] + 99) / 100;

        buf_addf(b, "%s{\"top_percent\":%u,\"min_score\":%" PRId64 "}", i ? "," : "",
                 TOP_PERCENT[i], score_at(list, (uint32_t)place - 1));
    }
    buf_addch(b, ']');
}

static void add_class(struct buf *b, const struct image *img, unsigned cls, uint32_t count,
                      uint32_t total)
{
    buf_addstr(b, b->data[b->len - 1] == '[' ? "{\"class\":" : ",{\"class\":");
    item_add_text(b, img, &img->classes[cls]);
    buf_addf(b, ",\"count\":%" PRIu32, count);
    add_share(b, count, total);
    buf_addch(b, '}');
}

static void add_classes(struct buf *b, const struct image *img, struct image_board board,
                        uint32_t total)
{
    buf_addstr(b, ",\"classes\":[");
    for (uint32_t i = 0; board.server == IMAGE_ANY && i < img->head->classes; i++) {
        add_class(b, img, i, img->classes[i].part.count, total);
    }
    for (uint32_t i = 0; board.server >= 0 && i < img->head->groups; i++) {
        const struct image_group *g = &img->groups[i];

        if (g->server == board.server) {
            add_class(b, img, g->cls, g->part.count, total);
        }
    }
    buf_addch(b, ']');
}

static void answer_distribution(const struct request *rq, const struct board_query *q,
                                struct image_board board)
{
    const struct image *img = rq->loop->image;
    struct image_list list = image_list_of(img, board);
    struct buf b;

    open_answer(&b, img, board, q, list.count);
    add_quantiles(&b, &list);
    add_histogram(&b, &list);
    add_tiers(&b, stats_of(img, board), list.count);
    if (!b.failed) {
        add_classes(&b, img, board, list.count);
    }
    close_answer(&b, rq, board);
}

/* ---- the addresses ---- */

static void summarize(const struct request *rq, const struct query_value *values, board_fn fn)
{
    struct board_query q = {.top = false};

    if (!rq->loop->image) {
        reply_unavailable(rq, "There is no ranking yet.");
        return;
    }
    board_set_server(&q, &values[0]);
    board_resolve(rq, &q, fn);
}

void handle_cutoffs(const struct request *rq, const struct query_value *values)
{
    summarize(rq, values, answer_cutoffs);
}

void handle_distribution(const struct request *rq, const struct query_value *values)
{
    summarize(rq, values, answer_distribution);
}
