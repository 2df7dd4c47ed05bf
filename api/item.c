#include "api/item.h"

#include <string.h>

#include "common/clock.h"

/* Bytes of an item beside its texts: literals and 6 numbers of up to 20 digits. */
#define ITEM_FIXED_MAX 280

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

struct item item_at(const struct image *img, struct image_board board,
                    const struct image_list *list, uint32_t i)
{
    struct item it = {.img = img, .row = image_list_row(list, i), .rank = i + 1};

    if (board.cls == IMAGE_ANY) { /* ranks among a class are not kept from before */
        it.before = board.server == IMAGE_ANY ? it.row->before : it.row->server_before;
    }
    return it;
}

void item_add_json(struct buf *b, const struct item *it)
{
    const struct image *img = it->img;
    const struct image_row *r = it->row;
    const struct image_name *server = &img->servers[r->server], *cls = &img->classes[r->cls];
    char *p;

    if (!buf_reserve(b, ITEM_FIXED_MAX + r->name_len + server->text_len + cls->text_len)) {
        return;
    }
    p = b->data + b->len;
    p = PUT(p, "{\"rank\":");
    p = put_u64(p, it->rank);
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
    p = r->stale ? PUT(p, "\",\"stale\":true,\"rank_change\":") : PUT(p, "\",\"rank_change\":");
    p = it->before ? put_i64(p, (int64_t)it->before - it->rank) : PUT(p, "null");
    *p++ = '}';
    b->len = (size_t)(p - b->data);
}

void item_add_text(struct buf *b, const struct image *img, const struct image_name *name)
{
    buf_addch(b, '"');
    buf_add(b, img->text + name->text_off, name->text_len);
    buf_addch(b, '"');
}

/* ---- CSV ---- */

const char ITEM_CSV_HEAD[] = "rank,name,server,class,level,power,power_score,power_rank,percentile,"
                             "rank_change,stale,last_scored_at\r\n";

/*
 * A text of the image as a quoted field: the escapes of buf_add_json undone, quotes doubled. A
 * control character could break the line; it becomes U+FFFD.
 */
static void add_csv_text(struct buf *b, const char *s, size_t len)
{
    buf_addch(b, '"');
    for (size_t i = 0; i < len; i++) {
        if (s[i] == '\\' && i + 5 < len && s[i + 1] == 'u') {
            buf_addstr(b, "\xef\xbf\xbd");
            i += 5;
            continue;
        }
        if (s[i] == '\\' && i + 1 < len) {
            i++;
        }
        if (s[i] == '"') {
            buf_addch(b, '"');
        }
        buf_addch(b, s[i]);
    }
    buf_addch(b, '"');
}

static void add_csv_name(struct buf *b, const struct image *img, const struct image_name *name)
{
    add_csv_text(b, img->text + name->text_off, name->text_len);
}

void item_add_csv(struct buf *b, const struct item *it)
{
    const struct image *img = it->img;
    const struct image_row *r = it->row;
    char iso[CLOCK_ISO_SIZE];

    buf_addf(b, "%" PRIu32 ",", it->rank);
    add_csv_text(b, img->text + r->name_off, r->name_len);
    buf_addch(b, ',');
    add_csv_name(b, img, &img->servers[r->server]);
    buf_addch(b, ',');
    add_csv_name(b, img, &img->classes[r->cls]);
    buf_addf(b, ",%" PRId32 ",", r->level);
    if (r->power != IMAGE_POWER_NONE) {
        buf_addi64(b, r->power);
    }
    buf_addf(b, ",%" PRId64 ",%.2s,%u.%02u,", r->power_score, r->tier, r->percentile_c / 100u,
             r->percentile_c % 100u);
    if (it->before) {
        buf_addi64(b, (int64_t)it->before - it->rank);
    }
    buf_addf(b, ",%s,%s\r\n", r->stale ? "true" : "false",
             clock_iso(image_scored_us(img, r), "Z", iso));
}
