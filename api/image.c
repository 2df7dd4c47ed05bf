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

uint64_t image_hash(uint64_t seed, uint16_t server, const char *name, size_t len)
{
    /* FNV-1a from a random start: names come from players. */
    uint64_t h = (seed ^ server) * UINT64_C(0x100000001b3);

    for (size_t i = 0; i < len; i++) {
        h = (h ^ (unsigned char)name[i]) * UINT64_C(0x100000001b3);
    }
    return h ^ (h >> 29);
}

/* count items of item_bytes at off lie within the block, aligned for their type. */
static bool section_fits(uint64_t size, uint64_t off, uint64_t count, uint64_t item_bytes)
{
    return off % 8 == 0 && off >= sizeof(struct image_header) && off <= size &&
           count <= (size - off) / item_bytes;
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
        h->classes > IMAGE_NAMES_MAX || h->slots <= h->entries ||
        (h->slots & (h->slots - 1)) != 0) {
        return refuse(e, "counts out of range");
    }
    if (!section_fits(bytes, h->rows_off, h->entries, sizeof(struct image_row)) ||
        !section_fits(bytes, h->order_off, h->entries, sizeof(uint32_t)) ||
        !section_fits(bytes, h->slots_off, h->slots, sizeof(uint32_t)) ||
        !section_fits(bytes, h->text_off, h->text_len, 1) ||
        !section_fits(bytes, h->servers_off, h->servers, sizeof(struct image_name)) ||
        !section_fits(bytes, h->classes_off, h->classes, sizeof(struct image_name))) {
        return refuse(e, "a section lies outside");
    }
    return true;
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

/* Servers and classes, and that the parts of `order` lie one behind the other. */
static bool check_names(const struct image *img, struct err *e)
{
    uint64_t start = 0;

    for (uint32_t i = 0; i < img->head->servers; i++) {
        const struct image_name *s = &img->servers[i];

        if (s->order_start != start || !text_ok(img, s->text_off, s->text_len)) {
            return refuse(e, "a server is broken");
        }
        start += s->count;
    }
    for (uint32_t i = 0; i < img->head->classes; i++) {
        if (!text_ok(img, img->classes[i].text_off, img->classes[i].text_len)) {
            return refuse(e, "a class is broken");
        }
    }
    return start == img->head->entries || refuse(e, "its servers do not hold every row");
}

static bool row_ok(const struct image *img, uint32_t i)
{
    const struct image_row *r = &img->rows[i];
    const struct image_name *s;

    if (r->server >= img->head->servers || r->cls >= img->head->classes ||
        !text_ok(img, r->name_off, r->name_len) || r->percentile_c > 10000 || r->level < 0 ||
        r->power < IMAGE_POWER_NONE || r->tier[0] < 'A' || r->tier[0] > 'Z' || r->tier[1] < '0' ||
        r->tier[1] > '9') {
        return false;
    }
    /* With as many rows as places, this makes the ranks of each server a permutation. */
    s = &img->servers[r->server];
    return r->server_rank >= 1 && r->server_rank <= s->count &&
           img->order[s->order_start + r->server_rank - 1] == i;
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
    if (!check_names(img, e)) {
        return false;
    }
    for (uint32_t i = 0; i < img->head->entries; i++) {
        if (!row_ok(img, i)) {
            return refuse(e, "a row is broken");
        }
    }
    return check_slots(img, e);
}

static void set_view(struct image *img, void *block, size_t bytes)
{
    char *base = block;

    img->block = block;
    img->block_bytes = bytes;
    img->head = block;
    img->rows = (const void *)(base + img->head->rows_off);
    img->order = (const void *)(base + img->head->order_off);
    img->slots = (const void *)(base + img->head->slots_off);
    img->text = base + img->head->text_off;
    img->servers = (const void *)(base + img->head->servers_off);
    img->classes = (const void *)(base + img->head->classes_off);
}

struct image *image_open(void *block, size_t bytes, enum image_check check, struct err *e)
{
    struct image *img;

    if (bytes < sizeof(struct image_header)) {
        refuse(e, "too short");
        return NULL;
    }
    if (!check_header(block, bytes, e)) {
        return NULL;
    }
    if (check == IMAGE_CHECK_ALL &&
        image_crc(block, bytes) != ((const struct image_header *)block)->crc) {
        refuse(e, "its checksum is wrong");
        return NULL;
    }
    img = mem_alloc(sizeof *img);
    atomic_init(&img->refs, 1);
    set_view(img, block, bytes);
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

int image_find_server(const struct image *img, const char *name, size_t len)
{
    struct buf b;
    const char *key;
    int found = -1;

    buf_init(&b, IMAGE_TEXT_MAX + 2);
    key = escaped(&b, name, &len);
    for (uint32_t i = 0; key && found < 0 && i < img->head->servers; i++) {
        if (text_equals(img, img->servers[i].text_off, img->servers[i].text_len, key, len)) {
            found = (int)i;
        }
    }
    buf_fini(&b);
    return found;
}

const struct image_row *image_find(const struct image *img, int server, const char *name,
                                   size_t len)
{
    const struct image_row *found = NULL;
    uint32_t mask = img->head->slots - 1, row;
    struct buf b;
    const char *key;
    uint64_t at;

    MUST(server >= 0 && (uint32_t)server < img->head->servers);
    buf_init(&b, IMAGE_TEXT_MAX + 2);
    key = escaped(&b, name, &len);
    at = key ? image_hash(img->head->hash_seed, (uint16_t)server, key, len) : 0;
    /* Ends: there are more slots than rows, so one is free. */
    for (; key && !found && (row = img->slots[at & mask]) != IMAGE_NO_ROW; at++) {
        const struct image_row *r = &img->rows[row];

        if (r->server == server && text_equals(img, r->name_off, r->name_len, key, len)) {
            found = r;
        }
    }
    buf_fini(&b);
    return found;
}

uint32_t image_board_total(const struct image *img, int board)
{
    return board == IMAGE_BOARD_ALL ? img->head->entries : img->servers[board].count;
}

const struct image_row *image_board_row(const struct image *img, int board, uint32_t i)
{
    MUST(i < image_board_total(img, board));
    return board == IMAGE_BOARD_ALL ? &img->rows[i]
                                    : &img->rows[img->order[img->servers[board].order_start + i]];
}
