/* The end of building: orders, groups, figures of tiers and the index of names. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "api/image_build_parts.h"
#include "common/mem.h"

static void start_parts(struct names *n)
{
    uint32_t start = 0;

    for (uint32_t i = 0; i < n->count; i++) {
        n->items[i].part.start = start;
        start += n->items[i].part.count;
        n->items[i].part.count = 0; /* filled in again, row by row */
    }
}

static uint32_t next_place(struct image_part *part)
{
    return part->start + part->count++;
}

/* Rows come in rank order, so every part of an order is in rank order as well. */
static bool fill_orders(struct image_builder *b, struct err *e)
{
    uint32_t *by_server = image_order_of(b, IMAGE_BY_SERVER),
             *by_class = image_order_of(b, IMAGE_BY_CLASS);

    start_parts(&b->servers);
    start_parts(&b->classes);
    for (uint32_t i = 0; i < b->head.entries; i++) {
        const struct image_row *r = image_row_at(b, i);
        struct image_part *server = &b->servers.items[r->server].part;

        if (r->server_rank != server->count + 1) {
            return image_bad(e, "ranks of a server are not 1, 2, 3, ...");
        }
        by_server[next_place(server)] = i;
        by_class[next_place(&b->classes.items[r->cls].part)] = i;
    }
    return true;
}

/* Which classes each server has, as groups sorted by both; group_of: server * classes + class. */
static bool make_groups(struct image_builder *b, uint32_t *group_of, struct err *e)
{
    size_t cells = (size_t)b->servers.count * b->classes.count;
    uint32_t start = 0;

    for (uint32_t i = 0; i < b->head.entries; i++) {
        const struct image_row *r = image_row_at(b, i);

        b->group_count += group_of[(size_t)r->server * b->classes.count + r->cls]++ == 0;
    }
    b->groups = mem_try_array(b->group_count, sizeof *b->groups);
    if (!b->groups) {
        return err_set(e, ERR_RETRYABLE, "MemoryError", "no memory for the groups");
    }
    b->group_count = 0;
    for (size_t cell = 0; cell < cells; cell++) {
        uint32_t count = group_of[cell];

        if (count > 0) {
            group_of[cell] = b->group_count;
            b->groups[b->group_count++] =
                (struct image_group){.server = (uint16_t)(cell / b->classes.count),
                                     .cls = (uint16_t)(cell % b->classes.count),
                                     .part = {.start = start}};
            start += count;
        }
    }
    return true;
}

static bool fill_groups(struct image_builder *b, struct err *e)
{
    size_t cells = (size_t)b->servers.count * b->classes.count;
    uint32_t *group_of = mem_try_array(cells, sizeof *group_of);
    uint32_t *order = image_order_of(b, IMAGE_BY_GROUP);
    bool ok = group_of || err_set(e, ERR_RETRYABLE, "MemoryError", "no memory for the groups");

    ok = ok && make_groups(b, group_of, e);
    for (uint32_t i = 0; ok && i < b->head.entries; i++) {
        const struct image_row *r = image_row_at(b, i);
        uint32_t group = group_of[(size_t)r->server * b->classes.count + r->cls];

        order[next_place(&b->groups[group].part)] = i;
    }
    free(group_of);
    return ok;
}

static void count_tier(struct image_stats *s, int tier, int64_t score)
{
    s->tier_count[tier]++;
    s->tier_min[tier] = score; /* rows come by falling score: the last one is the lowest */
}

static bool fill_stats(struct image_builder *b, struct err *e)
{
    for (uint32_t i = 0; i < b->head.entries; i++) {
        const struct image_row *r = image_row_at(b, i);
        int tier = image_tier_number(r->tier);

        if (tier < 0) {
            return image_bad(e, "a tier is unknown");
        }
        if (i > 0 && r->power_score > r[-1].power_score) {
            return image_bad(e, "its ranks are not in the order of the scores");
        }
        count_tier(&b->stats[r->server], tier, r->power_score);
        count_tier(&b->stats[b->servers.count], tier, r->power_score);
    }
    return true;
}

static void fill_slots(struct image_builder *b)
{
    uint32_t *slots = (uint32_t *)(void *)(b->block + b->head.slots_off);
    const char *text = b->block + b->head.text_off;

    memset(slots, 0xff, (size_t)b->head.slots * sizeof *slots);
    for (uint32_t from = 0; from < b->head.entries; from += AT_ONCE) {
        uint32_t n = b->head.entries - from, at[AT_ONCE];

        n = n < AT_ONCE ? n : AT_ONCE;
        for (uint32_t i = 0; i < n; i++) {
            __builtin_prefetch(text + image_row_at(b, from + i)->name_off);
        }
        for (uint32_t i = 0; i < n; i++) {
            const struct image_row *r = image_row_at(b, from + i);

            at[i] = image_slot(&b->head, r->server, text + r->name_off, r->name_len);
            __builtin_prefetch(&slots[at[i]], 1);
        }
        for (uint32_t i = 0; i < n; i++) {
            while (slots[at[i]] != IMAGE_NO_ROW) {
                at[i] = image_next_slot(b, at[i]);
            }
            slots[at[i]] = from + i;
        }
    }
}

/* Puts the small tables behind the text and cuts the block to its size. */
static bool close_block(struct image_builder *b, struct err *e)
{
    const struct {
        uint64_t *off;
        const void *items;
        size_t bytes;
    } TABLES[] = {
        {&b->head.servers_off, b->servers.items, b->servers.count * sizeof *b->servers.items},
        {&b->head.classes_off, b->classes.items, b->classes.count * sizeof *b->classes.items},
        {&b->head.groups_off, b->groups, b->group_count * sizeof *b->groups},
        {&b->head.stats_off, b->stats, (b->servers.count + 1) * sizeof *b->stats},
        {&b->head.times_off, b->times.data, b->times.len},
    };
    uint64_t at = b->head.text_off + b->text_len;
    void *moved;

    for (size_t i = 0; i < ARRAY_LEN(TABLES); i++) {
        *TABLES[i].off = image_align8(at);
        at = *TABLES[i].off + TABLES[i].bytes;
    }
    if (!image_grow(b, at - b->head.text_off - b->text_len, e)) {
        return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(TABLES); i++) {
        if (TABLES[i].bytes > 0) {
            memcpy(b->block + *TABLES[i].off, TABLES[i].items, TABLES[i].bytes);
        }
    }
    b->head.text_len = b->text_len;
    b->head.servers = b->servers.count;
    b->head.classes = b->classes.count;
    b->head.groups = b->group_count;
    b->head.times = (uint32_t)(b->times.len / sizeof(int64_t));
    b->head.size = at;
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

    if (image_close_rows(b, e) && fill_orders(b, e) && fill_groups(b, e) && fill_stats(b, e)) {
        fill_slots(b);
        if (close_block(b, e)) {
            img = image_adopt(b->block, b->head.size);
        }
    }
    if (img) {
        img->block_bytes = b->cap;
        b->block = NULL; /* the image's now */
    }
    image_builder_free(b);
    return img;
}
