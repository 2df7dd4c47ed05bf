#include "api/image_build_parts.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "common/entry.h"
#include "common/mem.h"
#include "common/text.h"

#define MEMBER_TEXT_MAX (64 * MIB)

bool image_bad(struct err *e, const char *why)
{
    return err_set(e, ERR_PERMANENT, "ImageError", "the ranking in PostgreSQL is broken: %s", why);
}

static void lay_out(struct image_header *h, uint32_t entries)
{
    uint64_t at;

    h->entries = entries;
    h->slots = entries + entries / 3 + 8;
    h->rows_off = image_align8(sizeof *h);
    at = h->rows_off + (uint64_t)entries * sizeof(struct image_row);
    for (int o = 0; o < IMAGE_ORDERS; o++) {
        h->orders_off[o] = image_align8(at);
        at = h->orders_off[o] + (uint64_t)entries * sizeof(uint32_t);
    }
    h->slots_off = image_align8(at);
    h->text_off = image_align8(h->slots_off + (uint64_t)h->slots * sizeof(uint32_t));
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
    b->stats = mem_alloc((IMAGE_NAMES_MAX + 1) * sizeof *b->stats);
    buf_init(&b->scratch, IMAGE_TEXT_MAX + 2);
    buf_init(&b->times, IMAGE_TIMES_MAX * sizeof(int64_t));
    buf_init(&b->texts, MEMBER_TEXT_MAX);
    memcpy(b->head.magic, IMAGE_MAGIC, sizeof b->head.magic);
    b->head.version = IMAGE_VERSION;
    b->head.run_id = run_id;
    b->head.generated_us = generated_us;
    b->head.before_run = -1;
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
    buf_fini(&b->times);
    buf_fini(&b->texts);
    free(b->members);
    free(b->groups);
    free(b->stats);
    free(b->by_id);
    free(b);
}

bool image_grow(struct image_builder *b, uint64_t more, struct err *e)
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
        return image_bad(e, "a name is not UTF-8");
    }
    buf_reset(&b->scratch);
    if (!buf_add_json(&b->scratch, s, len)) {
        return image_bad(e, "a name is too long");
    }
    *text = b->scratch.data + 1;
    *text_len = b->scratch.len - 2;
    return true;
}

static bool append_text(struct image_builder *b, const char *s, size_t len, uint32_t *off,
                        struct err *e)
{
    if (b->text_len + len > UINT32_MAX) {
        return image_bad(e, "its names are too long");
    }
    if (!image_grow(b, len, e)) {
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
            return image_bad(e, "too many servers or classes");
        }
        if (!append_text(b, text, text_len, &n->items[n->count].text_off, e)) {
            return false;
        }
        n->items[n->count].text_len = (uint32_t)text_len;
        n->last = n->count++;
    }
    return true;
}

static struct member_of *new_member(struct image_builder *b)
{
    if (b->member_count == b->member_cap) {
        uint32_t cap = b->member_cap ? 2 * b->member_cap : 256;
        struct member_of *more = b->member_count <= ENTRY_GROUP_MAX
                                     ? mem_try_resize(b->members, cap, sizeof *more)
                                     : NULL;

        if (!more) {
            return NULL;
        }
        b->members = more;
        b->member_cap = cap;
    }
    return &b->members[b->member_count];
}

bool image_builder_add_group(struct image_builder *b, const struct image_member_of *g,
                             struct err *e)
{
    struct member_of *m = new_member(b);

    if (g->server_len == 0) {
        return image_bad(e, "a server without a name");
    }
    if (!m) {
        return err_set(e, ERR_RETRYABLE, "MemoryError", "no memory for the groups");
    }
    *m = (struct member_of){.text_off = (uint32_t)b->texts.len,
                            .server_len = (uint32_t)g->server_len,
                            .cls_len = (uint32_t)g->cls_len,
                            .server = IMAGE_NONE};
    buf_add(&b->texts, g->server, g->server_len);
    if (!buf_add(&b->texts, g->cls, g->cls_len)) {
        return image_bad(e, "the names of its servers and classes are too long");
    }
    b->member_count++;
    return true;
}

/* Whom a row belongs to; counts it there. NULL: it has no such group, or its names are bad. */
static const struct member_of *join_group(struct image_builder *b, int32_t number, struct err *e)
{
    struct member_of *m;
    const char *text;

    if (number < 0 || (uint32_t)number >= b->member_count) {
        image_bad(e, "a row of a group that there is not");
        return NULL;
    }
    m = &b->members[number];
    if (m->server == IMAGE_NONE) {
        text = b->texts.data + m->text_off;
        if (!names_index(b, &b->servers, text, m->server_len, e) ||
            !names_index(b, &b->classes, text + m->server_len, m->cls_len, e)) {
            return NULL;
        }
        m->server = (int32_t)b->servers.last;
        m->cls = (int32_t)b->classes.last;
    }
    b->servers.items[m->server].part.count++;
    b->classes.items[m->cls].part.count++;
    return m;
}

static int64_t time_at(const struct image_builder *b, uint32_t i)
{
    int64_t us;

    memcpy(&us, b->times.data + i * sizeof us, sizeof us);
    return us;
}

/* Index of the time, which is added when it is new; nearly always that of the row before. */
static bool time_index(struct image_builder *b, int64_t us, struct err *e)
{
    uint32_t count = (uint32_t)(b->times.len / sizeof us);

    for (uint32_t k = 0; k < count; k++) {
        uint32_t i = (b->last_time + k) % count;

        if (time_at(b, i) == us) {
            b->last_time = i;
            return true;
        }
    }
    b->last_time = count;
    return buf_add(&b->times, (const char *)&us, sizeof us) ||
           image_bad(e, "scores of too many runs");
}

static bool numbers_ok(const struct image_builder *b, const struct image_source *s)
{
    return s->rank >= 1 && s->rank <= b->head.entries && s->server_rank >= 1 &&
           s->server_rank <= b->head.entries && s->level >= 0 && s->power >= IMAGE_POWER_NONE &&
           s->percentile_c >= 0 && s->percentile_c <= 10000 && s->tier >= 0 &&
           s->tier < IMAGE_TIERS && s->name_len > 0;
}

static bool put_pending(struct image_builder *b, struct err *e)
{
    for (uint32_t i = 0; i < b->pending_count; i++) {
        struct image_row *r = image_row_at(b, b->pending[i].place);

        /* tier[0] marks a row that is there; rows start as zeros. */
        if (r->tier[0] != '\0') {
            return image_bad(e, "a rank comes twice");
        }
        *r = b->pending[i].row;
    }
    b->added += b->pending_count;
    b->pending_count = 0;
    return true;
}

/* Places that stayed empty would all look like one and the same character. */
bool image_close_rows(struct image_builder *b, struct err *e)
{
    return put_pending(b, e) &&
           (b->added == b->head.entries ||
            err_set(e, ERR_RETRYABLE, "ImageError", "%u of %u entries of the ranking came",
                    b->added, b->head.entries));
}

bool image_builder_add(struct image_builder *b, const struct image_source *s, struct err *e)
{
    const struct member_of *m;
    const char *text;
    size_t text_len;
    struct image_row row = {.id = s->id,
                            .power = s->power,
                            .power_score = s->power_score,
                            .server_rank = (uint32_t)s->server_rank,
                            .level = s->level,
                            .percentile_c = (uint16_t)s->percentile_c,
                            .stale = s->stale};

    if (!numbers_ok(b, s)) {
        return image_bad(e, "a value is out of range");
    }
    m = join_group(b, s->group, e);
    if (!m || !time_index(b, s->scored_us, e) ||
        !escape(b, s->name, s->name_len, &text, &text_len, e) ||
        !append_text(b, text, text_len, &row.name_off, e)) {
        return false;
    }
    memcpy(row.tier, image_tier_name(s->tier), sizeof row.tier);
    row.name_len = text_len & 0xfff;
    row.scored = b->last_time & (IMAGE_TIMES_MAX - 1);
    row.server = (uint16_t)m->server;
    row.cls = (uint16_t)m->cls;
    __builtin_prefetch(image_row_at(b, (uint32_t)s->rank - 1), 1);
    b->pending[b->pending_count++] = (struct pending){(uint32_t)s->rank - 1, row};
    return b->pending_count < AT_ONCE || put_pending(b, e);
}

/* ---- averages ---- */

bool image_builder_add_averages(struct image_builder *b, const struct image_averages *a,
                                struct err *e)
{
    const char *text;
    size_t text_len;

    if (!escape(b, a->server, a->server_len, &text, &text_len, e)) {
        return false;
    }
    if (names_find(b, &b->servers, text, text_len)) {
        struct image_stats *s = &b->stats[b->servers.last];

        s->sample_size = a->sample_size;
        memcpy(s->average, a->average, sizeof s->average);
    }
    return true;
}
