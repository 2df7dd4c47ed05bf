#include "api/image.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <zlib.h>

#include "common/buf.h"
#include "common/mem.h"
#include "common/text.h"

#define CRC_CHUNK (4 * MIB)

static bool refuse(struct err *e, const char *why)
{
    return err_set(e, ERR_PERMANENT, "ImageError", "not a usable ranking image: %s", why);
}

uint32_t image_crc(const void *block, size_t bytes)
{
    struct image_header head;
    const unsigned char *p = block;
    uLong crc = crc32(0, NULL, 0);

    MUST(bytes >= sizeof head);
    memcpy(&head, block, sizeof head);
    head.crc = 0;
    crc = crc32(crc, (const unsigned char *)&head, sizeof head);
    for (size_t at = sizeof head; at < bytes; at += CRC_CHUNK) {
        size_t n = bytes - at < CRC_CHUNK ? bytes - at : CRC_CHUNK;

        crc = crc32(crc, p + at, (uInt)n);
    }
    return (uint32_t)crc;
}

uint32_t image_slot(const struct image_header *head, uint16_t server, const char *name, size_t len)
{
    /* FNV-1a from a random start: names come from players. */
    uint64_t h = (head->hash_seed ^ server) * UINT64_C(0x100000001b3);

    for (size_t i = 0; i < len; i++) {
        h = (h ^ (unsigned char)name[i]) * UINT64_C(0x100000001b3);
    }
    h ^= h >> 29;
    return (uint32_t)(((h & UINT32_MAX) * head->slots) >> 32);
}

int64_t image_scored_us(const struct image *img, const struct image_row *row)
{
    return img->times[row->scored];
}

/* count items of item_bytes at off lie within the block, aligned for their type. */
static bool section_fits(uint64_t size, uint64_t off, uint64_t count, uint64_t item_bytes)
{
    return off % 8 == 0 && off >= sizeof(struct image_header) && off <= size &&
           count <= (size - off) / item_bytes;
}

static bool sections_fit(const struct image_header *h, size_t bytes)
{
    for (int o = 0; o < IMAGE_ORDERS; o++) {
        if (!section_fits(bytes, h->orders_off[o], h->entries, sizeof(uint32_t))) {
            return false;
        }
    }
    return section_fits(bytes, h->rows_off, h->entries, sizeof(struct image_row)) &&
           section_fits(bytes, h->slots_off, h->slots, sizeof(uint32_t)) &&
           section_fits(bytes, h->text_off, h->text_len, 1) &&
           section_fits(bytes, h->servers_off, h->servers, sizeof(struct image_name)) &&
           section_fits(bytes, h->classes_off, h->classes, sizeof(struct image_name)) &&
           section_fits(bytes, h->groups_off, h->groups, sizeof(struct image_group)) &&
           section_fits(bytes, h->stats_off, (uint64_t)h->servers + 1,
                        sizeof(struct image_stats)) &&
           section_fits(bytes, h->times_off, h->times, sizeof(int64_t));
}

static bool check_header(const struct image_header *h, size_t bytes, struct err *e)
{
    if (memcmp(h->magic, IMAGE_MAGIC, sizeof h->magic) != 0 || h->version != IMAGE_VERSION) {
        return refuse(e, "another format or version");
    }
    if (h->size != bytes) {
        return refuse(e, "its size is not the one it was written with");
    }
    if (h->entries > IMAGE_ENTRIES_MAX || h->servers > IMAGE_NAMES_MAX ||
        h->classes > IMAGE_NAMES_MAX || h->groups > h->entries || h->slots <= h->entries ||
        h->times > IMAGE_TIMES_MAX) {
        return refuse(e, "counts out of range");
    }
    return sections_fit(h, bytes) || refuse(e, "a section lies outside");
}

/* The text lies within its section and can be put between two quotes of a JSON document. */
static bool text_ok(const struct image *img, uint64_t off, uint64_t len)
{
    const char *s = img->text + off;

    if (len > IMAGE_TEXT_MAX || off > img->head->text_len || len > img->head->text_len - off ||
        text_has_control(s, len) || !text_is_utf8(s, len)) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (s[i] == '"' || (s[i] == '\\' && ++i == len)) {
            return false;
        }
    }
    return true;
}

/* The part begins where the last one ended. */
static bool part_follows(const struct image_part *part, uint64_t *start)
{
    bool ok = part->start == *start;

    *start += part->count;
    return ok;
}

/* Servers and classes, and that the parts of their orders lie one behind the other. */
static bool check_names(const struct image *img, const struct image_name *names, uint32_t count,
                        struct err *e)
{
    uint64_t start = 0;

    for (uint32_t i = 0; i < count; i++) {
        if (!part_follows(&names[i].part, &start) ||
            !text_ok(img, names[i].text_off, names[i].text_len)) {
            return refuse(e, "a server or class is broken");
        }
    }
    return start == img->head->entries || refuse(e, "its servers or classes do not hold every row");
}

static bool check_groups(const struct image *img, struct err *e)
{
    uint64_t start = 0;

    for (uint32_t i = 0; i < img->head->groups; i++) {
        const struct image_group *g = &img->groups[i];

        if (!part_follows(&g->part, &start) || g->server >= img->head->servers ||
            g->cls >= img->head->classes ||
            (i > 0 &&
             (g->server < g[-1].server || (g->server == g[-1].server && g->cls <= g[-1].cls)))) {
            return refuse(e, "a group is broken");
        }
    }
    return start == img->head->entries || refuse(e, "its groups do not hold every row");
}

/* Ascending row numbers of that server and class: with as many rows as places, all of them. */
static bool part_ok(const struct image *img, enum image_order order, const struct image_part *part,
                    struct image_board board)
{
    for (uint32_t i = 0; i < part->count; i++) {
        const uint32_t *at = &img->orders[order][part->start + i];
        const struct image_row *r = &img->rows[*at];

        if (*at >= img->head->entries || (i > 0 && *at <= at[-1]) ||
            (board.server >= 0 && r->server != board.server) ||
            (board.cls >= 0 && r->cls != board.cls) ||
            (order == IMAGE_BY_SERVER && r->server_rank != i + 1)) {
            return false;
        }
    }
    return true;
}

static bool check_orders(const struct image *img, struct err *e)
{
    bool ok = true;

    for (uint32_t i = 0; ok && i < img->head->servers; i++) {
        ok = part_ok(img, IMAGE_BY_SERVER, &img->servers[i].part,
                     (struct image_board){(int)i, IMAGE_ANY});
    }
    for (uint32_t i = 0; ok && i < img->head->classes; i++) {
        ok = part_ok(img, IMAGE_BY_CLASS, &img->classes[i].part,
                     (struct image_board){IMAGE_ANY, (int)i});
    }
    for (uint32_t i = 0; ok && i < img->head->groups; i++) {
        const struct image_group *g = &img->groups[i];

        ok = part_ok(img, IMAGE_BY_GROUP, &g->part, (struct image_board){g->server, g->cls});
    }
    return ok || refuse(e, "an order is broken");
}

static bool row_ok(const struct image *img, uint32_t i)
{
    const struct image_row *r = &img->rows[i];

    return r->server < img->head->servers && r->cls < img->head->classes &&
           text_ok(img, r->name_off, r->name_len) && r->scored < img->head->times &&
           r->percentile_c <= 10000 && r->level >= 0 && r->power >= IMAGE_POWER_NONE &&
           image_tier_number(r->tier) >= 0 && (i == 0 || r->power_score <= r[-1].power_score);
}

static bool check_slots(const struct image *img, struct err *e)
{
    uint32_t used = 0;

    for (uint32_t i = 0; i < img->head->slots; i++) {
        uint32_t row = img->slots[i];

        if (row != IMAGE_NO_ROW && row >= img->head->entries) {
            return refuse(e, "a slot points outside");
        }
        used += row != IMAGE_NO_ROW;
    }
    return used == img->head->entries || refuse(e, "its index does not hold every row");
}

static bool check_body(const struct image *img, struct err *e)
{
    if (!check_names(img, img->servers, img->head->servers, e) ||
        !check_names(img, img->classes, img->head->classes, e) || !check_groups(img, e)) {
        return false;
    }
    for (uint32_t i = 0; i < img->head->entries; i++) {
        if (!row_ok(img, i)) {
            return refuse(e, "a row is broken");
        }
    }
    return check_orders(img, e) && check_slots(img, e);
}

static void set_view(struct image *img, void *block, size_t bytes)
{
    char *base = block;

    img->block = block;
    img->block_bytes = bytes;
    img->head = block;
    img->rows = (const void *)(base + img->head->rows_off);
    for (int o = 0; o < IMAGE_ORDERS; o++) {
        img->orders[o] = (const void *)(base + img->head->orders_off[o]);
    }
    img->slots = (const void *)(base + img->head->slots_off);
    img->text = base + img->head->text_off;
    img->servers = (const void *)(base + img->head->servers_off);
    img->classes = (const void *)(base + img->head->classes_off);
    img->groups = (const void *)(base + img->head->groups_off);
    img->stats = (const void *)(base + img->head->stats_off);
    img->times = (const void *)(base + img->head->times_off);
}

struct image *image_adopt(void *block, size_t bytes)
{
    struct image *img = mem_alloc(sizeof *img);

    atomic_init(&img->refs, 1);
    atomic_init(&img->walked, false);
    set_view(img, block, bytes);
    return img;
}

struct image *image_open(void *block, size_t bytes, struct err *e)
{
    struct image *img;

    if (bytes < sizeof(struct image_header)) {
        refuse(e, "too short");
        return NULL;
    }
    if (!check_header(block, bytes, e)) {
        return NULL;
    }
    if (image_crc(block, bytes) != ((const struct image_header *)block)->crc) {
        refuse(e, "its checksum is wrong");
        return NULL;
    }
    img = image_adopt(block, bytes);
    if (!check_body(img, e)) {
        free(img);
        return NULL;
    }
    return img;
}

struct image *image_ref(struct image *img)
{
    atomic_fetch_add_explicit(&img->refs, 1, memory_order_relaxed);
    return img;
}

void image_unref(struct image *img)
{
    if (img && atomic_fetch_sub_explicit(&img->refs, 1, memory_order_acq_rel) == 1) {
        munmap(img->block, img->block_bytes);
        free(img);
    }
}

/* s as the image keeps it; *len is its length. Borrowed from b; NULL when it cannot be there. */
static const char *escaped(struct buf *b, const char *s, size_t *len)
{
    if (!buf_add_json(b, s, *len)) {
        return NULL;
    }
    *len = b->len - 2;
    return b->data + 1;
}

static bool text_equals(const struct image *img, uint32_t off, uint32_t have, const char *s,
                        size_t len)
{
    return have == len && memcmp(img->text + off, s, len) == 0;
}

static int find_name(const struct image *img, const struct image_name *names, uint32_t count,
                     const char *name, size_t len)
{
    struct buf b;
    const char *key;
    int found = -1;

    buf_init(&b, IMAGE_TEXT_MAX + 2);
    key = escaped(&b, name, &len);
    for (uint32_t i = 0; key && found < 0 && i < count; i++) {
        if (text_equals(img, names[i].text_off, names[i].text_len, key, len)) {
            found = (int)i;
        }
    }
    buf_fini(&b);
    return found;
}

int image_find_server(const struct image *img, const char *name, size_t len)
{
    return find_name(img, img->servers, img->head->servers, name, len);
}

int image_find_class(const struct image *img, const char *name, size_t len)
{
    return find_name(img, img->classes, img->head->classes, name, len);
}

const struct image_row *image_find_escaped(const struct image *img, int server, const char *name,
                                           size_t len)
{
    uint32_t at = image_slot(img->head, (uint16_t)server, name, len), row;

    MUST(server >= 0 && (uint32_t)server < img->head->servers);
    /* Ends: there are more slots than rows, so one is free. */
    for (; (row = img->slots[at]) != IMAGE_NO_ROW; at = at + 1 < img->head->slots ? at + 1 : 0) {
        const struct image_row *r = &img->rows[row];

        if (r->server == server && text_equals(img, r->name_off, r->name_len, name, len)) {
            return r;
        }
    }
    return NULL;
}

const struct image_row *image_find(const struct image *img, int server, const char *name,
                                   size_t len)
{
    const struct image_row *found = NULL;
    struct buf b;
    const char *key;

    buf_init(&b, IMAGE_TEXT_MAX + 2);
    key = escaped(&b, name, &len);
    if (key) {
        found = image_find_escaped(img, server, key, len);
    }
    buf_fini(&b);
    return found;
}

/* ---- boards ---- */

static const struct image_group *find_group(const struct image *img, struct image_board board)
{
    uint32_t low = 0, high = img->head->groups;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        const struct image_group *g = &img->groups[mid];

        if (g->server == board.server && g->cls == board.cls) {
            return g;
        }
        if (g->server < board.server || (g->server == board.server && g->cls < board.cls)) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return NULL;
}

static struct image_list list_of_part(const struct image *img, enum image_order order,
                                      const struct image_part *part)
{
    return (struct image_list){img->rows, img->orders[order] + part->start, part->count};
}

struct image_list image_list_of(const struct image *img, struct image_board board)
{
    const struct image_group *group;

    if (board.server == IMAGE_NONE || board.cls == IMAGE_NONE) {
        return (struct image_list){img->rows, NULL, 0};
    }
    if (board.server >= 0 && board.cls >= 0) {
        group = find_group(img, board);
        return group ? list_of_part(img, IMAGE_BY_GROUP, &group->part)
                     : (struct image_list){img->rows, NULL, 0};
    }
    if (board.server >= 0) {
        return list_of_part(img, IMAGE_BY_SERVER, &img->servers[board.server].part);
    }
    if (board.cls >= 0) {
        return list_of_part(img, IMAGE_BY_CLASS, &img->classes[board.cls].part);
    }
    return (struct image_list){img->rows, NULL, img->head->entries};
}

const struct image_row *image_list_row(const struct image_list *l, uint32_t i)
{
    MUST(i < l->count);
    return &l->rows[l->order ? l->order[i] : i];
}

uint32_t image_list_rank(const struct image_list *l, const struct image_row *row)
{
    uint32_t number = (uint32_t)(row - l->rows), low = 0, high = l->count;

    if (!l->order) {
        return number < l->count ? number + 1 : 0;
    }
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;

        if (l->order[mid] < number) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low < l->count && l->order[low] == number ? low + 1 : 0;
}

uint32_t image_list_tied_rank(const struct image_list *l, int64_t score)
{
    uint32_t low = 0, high = l->count;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;

        if (image_list_row(l, mid)->power_score > score) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low + 1;
}

uint32_t image_list_tied_at(const struct image_list *l, uint32_t rank)
{
    int64_t score = image_list_row(l, rank - 1)->power_score;
    uint32_t low = 0, high = rank - 1, step = 1;

    /* Always of that score: high. Of a higher one: all before low. */
    while (high >= step && image_list_row(l, high - step)->power_score == score) {
        high -= step;
        step *= 2;
    }
    low = high >= step ? high - step + 1 : 0;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;

        if (image_list_row(l, mid)->power_score > score) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low + 1;
}

/* ---- tiers ---- */

static const char TIER_LETTERS[] = "SABCD";

int image_tier_number(const char tier[2])
{
    const char *letter = tier[0] ? strchr(TIER_LETTERS, tier[0]) : NULL;

    if (!letter || tier[1] < '1' || tier[1] > '5') {
        return -1;
    }
    return (int)(letter - TIER_LETTERS) * 5 + ('5' - tier[1]);
}

const char *image_tier_name(int number)
{
    static const char *const NAMES[IMAGE_TIERS] = {
        "S5", "S4", "S3", "S2", "S1", "A5", "A4", "A3", "A2", "A1", "B5", "B4", "B3",
        "B2", "B1", "C5", "C4", "C3", "C2", "C1", "D5", "D4", "D3", "D2", "D1"};

    MUST(number >= 0 && number < IMAGE_TIERS);
    return NAMES[number];
}
