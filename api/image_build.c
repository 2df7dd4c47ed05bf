#include "api/image_build.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "common/buf.h"
#include "common/mem.h"
#include "common/text.h"

/* Servers or classes while building; few, so a search from the last hit on is quick. */
struct names {
    struct image_name items[IMAGE_NAMES_MAX];
    uint32_t count;
    uint32_t last;
};

struct image_builder {
    char *block; /* owned mapping */
    size_t cap;
    struct image_header head; /* copied to the block at the end */
    uint64_t text_len;
    uint32_t added;
    struct buf scratch; /* one escaped text */
    struct names servers;
    struct names classes;
};

static bool bad(struct err *e, const char *why)
{
    return err_set(e, ERR_PERMANENT, "ImageError", "the ranking in PostgreSQL is broken: %s", why);
}

static uint64_t align8(uint64_t n)
{
    return (n + 7) & ~UINT64_C(7);
}

static struct image_row *row_at(struct image_builder *b, uint32_t i)
{
    return (struct image_row *)(void *)(b->block + b->head.rows_off) + i;
}

static uint32_t *order_of(struct image_builder *b)
{
    return (uint32_t *)(void *)(b->block + b->head.order_off);
}

static void lay_out(struct image_header *h, uint32_t entries)
{
    h->entries = entries;
    for (h->slots = 8; h->slots <= entries + entries / 4; h->slots *= 2) {
    }
    h->rows_off = align8(sizeof *h);
    h->order_off = align8(h->rows_off + (uint64_t)entries * sizeof(struct image_row));
    h->slots_off = align8(h->order_off + (uint64_t)entries * sizeof(uint32_t));
    h->text_off = align8(h->slots_off + (uint64_t)h->slots * sizeof(uint32_t));
}

struct image_builder *image_builder_new(int64_t run_id, int64_t generated_us, int64_t entries,
                                        struct err *e)
{
    struct image_builder *b;

    if (entries < 0 || entries > IMAGE_ENTRIES_MAX) {
        err_set(e, ERR_PERMANENT, "ImageError",
                "a generation of %" PRId64 " entries, more than %u are not served", entries,
                IMAGE_ENTRIES_MAX);
        return NULL;
    }
    b = mem_alloc(sizeof *b);
    buf_init(&b->scratch, IMAGE_TEXT_MAX + 2);
    memcpy(b->head.magic, IMAGE_MAGIC, sizeof b->head.magic);
    b->head.version = IMAGE_VERSION;
    b->head.run_id = run_id;
    b->head.generated_us = generated_us;
    if (getrandom(&b->head.hash_seed, sizeof b->head.hash_seed, 0) < 0) {
        b->head.hash_seed = (uint64_t)generated_us;
    }
    lay_out(&b->head, (uint32_t)entries);
    b->cap = b->head.text_off + (uint64_t)entries * 12 + 64 * KIB;
    b->block = mmap(NULL, b->cap, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (b->block == MAP_FAILED) {
        b->block = NULL;
        image_builder_free(b);
        err_set(e, ERR_RETRYABLE, "MemoryError", "no memory for a ranking of %" PRId64 " entries",
                entries);
        return NULL;
    }
    return b;
}

void image_builder_free(struct image_builder *b)
{
    if (!b) {
        return;
    }
    if (b->block) {
        munmap(b->block, b->cap);
    }
    buf_fini(&b->scratch);
    free(b);
}

/* Room for `more` bytes after what is used. */
static bool grow(struct image_builder *b, uint64_t more, struct err *e)
{
    uint64_t want = b->head.text_off + b->text_len + more;
    void *moved;

    if (want <= b->cap) {
        return true;
    }
    want += want / 16 + 64 * KIB;
    moved = mremap(b->block, b->cap, want, MREMAP_MAYMOVE);
    if (moved == MAP_FAILED) {
        return err_set(e, ERR_RETRYABLE, "MemoryError", "no memory for the ranking's names");
    }
    b->block = moved;
    b->cap = want;
    return true;
}

/* Escapes into b->scratch: *text is borrowed from there. */
static bool escape(struct image_builder *b, const char *s, size_t len, const char **text,
                   size_t *text_len, struct err *e)
{
    if (!text_is_utf8(s, len)) {
        return bad(e, "a name is not UTF-8");
    }
    buf_reset(&b->scratch);
    if (!buf_add_json(&b->scratch, s, len)) {
        return bad(e, "a name is too long");
    }
    *text = b->scratch.data + 1;
    *text_len = b->scratch.len - 2;
    return true;
}

static bool append_text(struct image_builder *b, const char *s, size_t len, uint32_t *off,
                        struct err *e)
{
    if (b->text_len + len > UINT32_MAX) {
        return bad(e, "its names are too long");
    }
    if (!grow(b, len, e)) {
        return false;
    }
    memcpy(b->block + b->head.text_off + b->text_len, s, len);
    *off = (uint32_t)b->text_len;
    b->text_len += len;
    return true;
}

static bool names_find(const struct image_builder *b, struct names *n, const char *s, size_t len)
{
    for (uint32_t k = 0; k < n->count; k++) {
        uint32_t i = (n->last + k) % n->count;

        if (n->items[i].text_len == len &&
            memcmp(b->block + b->head.text_off + n->items[i].text_off, s, len) == 0) {
            n->last = i;
            return true;
        }
    }
    return false;
}

/* Index of the server or class, which is added when it is new. */
static bool names_index(struct image_builder *b, struct names *n, const char *s, size_t len,
                        struct err *e)
{
    const char *text;
    size_t text_len;

    if (!escape(b, s, len, &text, &text_len, e)) {
        return false;
    }
    if (!names_find(b, n, text, text_len)) {
        if (n->count == IMAGE_NAMES_MAX) {
            return bad(e, "too many servers or classes");
        }
        if (!append_text(b, text, text_len, &n->items[n->count].text_off, e)) {
            return false;
        }
        n->items[n->count].text_len = (uint32_t)text_len;
        n->last = n->count++;
    }
    n->items[n->last].count++;
    return true;
}

static bool numbers_ok(const struct image_builder *b, const struct image_source *s)
{
    return s->rank >= 1 && s->rank <= b->head.entries && s->server_rank >= 1 &&
           s->server_rank <= b->head.entries && s->level >= 0 && s->level <= INT32_MAX &&
           s->power >= IMAGE_POWER_NONE && s->percentile >= 0 && s->percentile <= 100 &&
           s->tier_len == 2 && s->name_len > 0 && s->server_len > 0;
}

bool image_builder_add(struct image_builder *b, const struct image_source *s, struct err *e)
{
    const char *text;
    size_t text_len;
    struct image_row *r, row = {.id = s->id,
                                .power = s->power,
                                .power_score = s->power_score,
                                .scored_us = s->scored_us,
                                .server_rank = (uint32_t)s->server_rank,
                                .level = (int32_t)s->level,
                                .flags = s->stale ? IMAGE_STALE : 0};

    if (!numbers_ok(b, s)) {
        return bad(e, "a value is out of range");
    }
    /* tier[0] marks a row that is there; rows start as zeros. */
    if (row_at(b, (uint32_t)s->rank - 1)->tier[0] != '\0') {
        return bad(e, "a rank comes twice");
    }
    if (!names_index(b, &b->servers, s->server, s->server_len, e) ||
        !names_index(b, &b->classes, s->cls, s->cls_len, e) ||
        !escape(b, s->name, s->name_len, &text, &text_len, e) ||
        !append_text(b, text, text_len, &row.name_off, e)) {
        return false;
    }
    memcpy(row.tier, s->tier, sizeof row.tier);
    row.percentile_c = (uint16_t)lround(s->percentile * 100);
    row.name_len = (uint16_t)text_len;
    row.server = (uint16_t)b->servers.last;
    row.cls = (uint16_t)b->classes.last;
    r = row_at(b, (uint32_t)s->rank - 1); /* after append_text, which may move the block */
    *r = row;
    b->added++;
    return true;
}

/* Places of the rows in the order of their server. */
static bool fill_order(struct image_builder *b, struct err *e)
{
    uint32_t *order = order_of(b);
    uint32_t start = 0;

    for (uint32_t i = 0; i < b->servers.count; i++) {
        b->servers.items[i].order_start = start;
        start += b->servers.items[i].count;
    }
    memset(order, 0xff, (size_t)b->head.entries * sizeof *order);
    for (uint32_t i = 0; i < b->head.entries; i++) {
        const struct image_row *r = row_at(b, i);
        const struct image_name *s = &b->servers.items[r->server];

        if (r->server_rank > s->count ||
            order[s->order_start + r->server_rank - 1] != IMAGE_NO_ROW) {
            return bad(e, "ranks of a server are not 1, 2, 3, ...");
        }
        order[s->order_start + r->server_rank - 1] = i;
    }
    return true;
}

static void fill_slots(struct image_builder *b)
{
    uint32_t *slots = (uint32_t *)(void *)(b->block + b->head.slots_off);
    const char *text = b->block + b->head.text_off;
    uint32_t mask = b->head.slots - 1;

    memset(slots, 0xff, (size_t)b->head.slots * sizeof *slots);
    for (uint32_t i = 0; i < b->head.entries; i++) {
        const struct image_row *r = row_at(b, i);
        uint64_t at = image_hash(b->head.hash_seed, r->server, text + r->name_off, r->name_len);

        while (slots[at & mask] != IMAGE_NO_ROW) {
            at++;
        }
        slots[at & mask] = i;
    }
}

/* Puts the servers and classes behind the text and cuts the block to its size. */
static bool close_block(struct image_builder *b, struct err *e)
{
    size_t servers_bytes = b->servers.count * sizeof(struct image_name);
    size_t classes_bytes = b->classes.count * sizeof(struct image_name);
    void *moved;

    if (!grow(b, servers_bytes + classes_bytes + 16, e)) {
        return false;
    }
    b->head.text_len = b->text_len;
    b->head.servers = b->servers.count;
    b->head.classes = b->classes.count;
    b->head.servers_off = align8(b->head.text_off + b->text_len);
    b->head.classes_off = align8(b->head.servers_off + servers_bytes);
    b->head.size = b->head.classes_off + classes_bytes;
    memcpy(b->block + b->head.servers_off, b->servers.items, servers_bytes);
    memcpy(b->block + b->head.classes_off, b->classes.items, classes_bytes);
    memcpy(b->block, &b->head, sizeof b->head);
    b->head.crc = image_crc(b->block, b->head.size);
    memcpy(b->block, &b->head, sizeof b->head);
    moved = mremap(b->block, b->cap, b->head.size, MREMAP_MAYMOVE);
    if (moved != MAP_FAILED) {
        b->block = moved;
        b->cap = b->head.size;
    }
    return true;
}

struct image *image_builder_finish(struct image_builder *b, struct err *e)
{
    struct image *img = NULL;

    if (b->added != b->head.entries) {
        err_set(e, ERR_RETRYABLE, "ImageError", "%u of %u entries of the ranking came", b->added,
                b->head.entries);
    } else if (fill_order(b, e)) {
        fill_slots(b);
        if (close_block(b, e)) {
            img = image_open(b->block, b->head.size, IMAGE_CHECK_NO_CRC, e);
        }
    }
    if (img) {
        img->block_bytes = b->cap;
        b->block = NULL; /* the image's now */
    }
    image_builder_free(b);
    return img;
}
