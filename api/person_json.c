/* A character as answers show it: what is stored, its place, and what it would take to rise. */
#include <string.h>

#include "api/item.h"
#include "api/person.h"
#include "common/clock.h"

/* ,"key": */
static void add_key(struct buf *b, const char *key)
{
    buf_addstr(b, ",\"");
    buf_addstr(b, key);
    buf_addstr(b, "\":");
}

static void add_number(struct buf *b, const char *key, int64_t v)
{
    add_key(b, key);
    buf_addi64(b, v);
}

static void add_text(struct buf *b, const char *key, const char *s, size_t len)
{
    add_key(b, key);
    buf_add_json(b, s, len);
}

static void add_number_or_null(struct buf *b, const char *key, bool known, int64_t v)
{
    add_key(b, key);
    if (known) {
        buf_addi64(b, v);
    } else {
        buf_addstr(b, "null");
    }
}

static void add_time_or_null(struct buf *b, const char *key, bool known, int64_t us)
{
    char iso[CLOCK_ISO_SIZE];

    add_key(b, key);
    if (known) {
        buf_addch(b, '"');
        buf_addstr(b, clock_iso(us, "Z", iso));
        buf_addch(b, '"');
    } else {
        buf_addstr(b, "null");
    }
}

/* ---- the fixed fields ---- */

/* 50.0, 33.33, 12.5: at least so many decimals, one or two. */
static void add_hundredths(struct buf *b, unsigned hundredths, int decimals)
{
    buf_addi64(b, hundredths / 100);
    buf_addch(b, '.');
    buf_addch(b, (char)('0' + hundredths / 10 % 10));
    if (hundredths % 10 || decimals > 1) {
        buf_addch(b, (char)('0' + hundredths % 10));
    }
}

static void add_scores(struct buf *b, const struct image_row *row)
{
    if (!row) {
        buf_addstr(b, ",\"power_score\":null,\"power_rank\":null,\"percentile\":null");
        return;
    }
    add_number(b, "power_score", row->power_score);
    buf_addstr(b, ",\"power_rank\":\"");
    buf_add(b, row->tier, sizeof row->tier);
    buf_addstr(b, "\",\"percentile\":");
    add_hundredths(b, row->percentile_c, 1);
}

/* Class, level and power: as stored, or as the ranking has them. */
static void add_data(struct buf *b, const struct image *img, const struct person *p)
{
    const struct detail *d = &p->detail;

    if (p->has_detail) {
        add_text(b, "class", d->cls, strlen(d->cls));
        add_number(b, "level", d->level);
        add_number_or_null(b, "power", d->power != DETAIL_UNKNOWN, d->power);
        return;
    }
    buf_addstr(b, ",\"class\":");
    item_add_text(b, img, &img->classes[p->row->cls]);
    add_number(b, "level", p->row->level);
    add_number_or_null(b, "power", p->row->power != IMAGE_POWER_NONE, p->row->power);
}

static void add_fixed(struct buf *b, const struct image *img, const struct person *p)
{
    const struct detail *d = &p->detail;

    buf_addstr(b, "{\"id\":");
    buf_addi64(b, p->has_detail ? d->id : p->row->id);
    add_text(b, "name", p->name, p->name_len);
    add_text(b, "server", p->server, p->server_len);
    add_data(b, img, p);
    add_scores(b, p->row);
    add_time_or_null(b, "last_fetched_at", p->has_detail && d->fetched_us != DETAIL_NO_TIME,
                     d->fetched_us);
    add_time_or_null(b, "last_scored_at", p->row != NULL,
                     p->row ? image_scored_us(img, p->row) : 0);
    buf_addstr(b, ",\"stats_payload\":");
    if (p->has_detail) {
        detail_add_stats(b, d);
    } else {
        buf_addstr(b, "null");
    }
    buf_addf(b, ",\"fetch_status\":\"%s\"", p->fetch_status ? p->fetch_status : "cached");
}

/* ---- what is known beside them ---- */

static void add_known(struct buf *b, const struct request *rq, const struct person *p)
{
    static const char *const STATES[] = {"live", "stale", "unavailable"};
    static const char *const MODES[] = {"null", "\"sheet\"", "\"profile\""};
    const struct detail *d = &p->detail;
    enum detail_state state = detail_state_of(p->has_detail ? d->fetched_us : DETAIL_NO_TIME,
                                              p->has_detail && d->failed_last, clock_wall_us(),
                                              rq->loop->settings->source_stale_after_s);

    buf_addf(b, ",\"state\":\"%s\",\"mode\":%s", STATES[state],
             MODES[p->has_detail ? d->mode : DETAIL_NO_MODE]);
    add_number_or_null(b, "item_level", p->has_detail && d->item_level != DETAIL_UNKNOWN,
                       d->item_level);
    if (p->has_detail && *d->legion) {
        add_text(b, "legion", d->legion, strlen(d->legion));
    } else {
        buf_addstr(b, ",\"legion\":null");
    }
}

/* ---- its place ---- */

/* Up to the hundredth above: the first of many is not in the top 0 percent. */
static unsigned top_hundredths(uint32_t rank, uint32_t of)
{
    return (unsigned)(((uint64_t)rank * 10000 + of - 1) / of);
}

/* key: with all that stands before the rank. */
static void add_rank(struct buf *b, const char *key, const struct image_list *list, uint32_t rank)
{
    buf_addstr(b, key);
    buf_addi64(b, rank);
    add_number(b, "tied_rank", image_list_tied_at(list, rank));
    add_number(b, "of", list->count);
    add_key(b, "top_percent");
    add_hundredths(b, top_hundredths(rank, list->count), 2);
    buf_addch(b, '}');
}

/* key: with all that stands before the number. */
static void add_change(struct buf *b, const char *key, uint32_t before, int64_t rank)
{
    buf_addstr(b, key);
    if (before) {
        buf_addi64(b, (int64_t)before - rank);
    } else {
        buf_addstr(b, "null");
    }
}

/* The next better tier that somebody on the server has, and its lowest score. */
static void add_next_tier(struct buf *b, const struct image_stats *s, const struct image_row *row)
{
    int tier = image_tier_number(row->tier) - 1;

    while (tier >= 0 && s->tier_count[tier] == 0) {
        tier--;
    }
    if (tier < 0) {
        buf_addstr(b, ",\"next\":{\"tier\":null,\"score_needed\":null");
        return;
    }
    buf_addf(b, ",\"next\":{\"tier\":\"%s\",\"score_needed\":%" PRId64, image_tier_name(tier),
             s->tier_min[tier]);
}

/* The next place on the server with a higher score. */
static void add_next_rank(struct buf *b, const struct image_list *server,
                          const struct image_row *row)
{
    uint32_t tied = image_list_tied_at(server, row->server_rank);

    if (tied <= 1) {
        buf_addstr(b, ",\"rank\":null,\"rank_score\":null}");
        return;
    }
    add_number(b, "rank", tied - 1);
    add_number(b, "rank_score", image_list_row(server, tied - 2)->power_score);
    buf_addch(b, '}');
}

/* Since the ranking before, and since the last day of the history began. */
static void add_changes(struct buf *b, const struct request *rq, const struct image_row *row)
{
    int64_t rank = row - rq->loop->image->rows + 1;
    struct details_place then;

    buf_addstr(b, ",\"rank_change\":{\"run\":{");
    add_change(b, "\"all\":", row->before, rank);
    add_change(b, ",\"server\":", row->server_before, row->server_rank);
    if (!details_get_place(loader_details(rq->loop->loader), row->id, &then)) {
        buf_addstr(b, "},\"day\":null}");
        return;
    }
    buf_addstr(b, "},\"day\":{\"day\":\"");
    buf_addstr(b, then.day);
    add_change(b, "\",\"all\":", then.rank, rank);
    add_change(b, ",\"server\":", then.server_rank, row->server_rank);
    buf_addstr(b, "}}");
}

static void add_place(struct buf *b, const struct request *rq, const struct image_row *row)
{
    const struct image *img = rq->loop->image;
    struct image_list all = image_list_of(img, (struct image_board){IMAGE_ANY, IMAGE_ANY});
    struct image_list server = image_list_of(img, (struct image_board){row->server, IMAGE_ANY});
    struct image_list cls = image_list_of(img, (struct image_board){IMAGE_ANY, row->cls});

    add_rank(b, ",\"ranks\":{\"all\":{\"rank\":", &all, (uint32_t)(row - img->rows) + 1);
    add_rank(b, ",\"server\":{\"rank\":", &server, row->server_rank);
    add_rank(b, ",\"class\":{\"rank\":", &cls, image_list_rank(&cls, row));
    buf_addch(b, '}');
    add_changes(b, rq, row);
    add_next_tier(b, &img->stats[row->server], row);
    add_next_rank(b, &server, row);
}

void person_add_json(struct buf *b, const struct request *rq, const struct person *p)
{
    const struct image *img = rq->loop->image;

    add_fixed(b, img, p);
    add_known(b, rq, p);
    if (p->row) {
        add_place(b, rq, p->row);
    } else {
        buf_addstr(b, ",\"ranks\":null,\"rank_change\":null,\"next\":null");
    }
}
