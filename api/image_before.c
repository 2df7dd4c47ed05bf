/* Where everybody stood in the generation before. */
#include <stdlib.h>
#include <string.h>

#include "api/image_build_parts.h"
#include "common/mem.h"

/* Its number of each of our servers, IMAGE_NONE where it has none of that name. */
static void match_servers(const struct image_builder *b, const struct image *before, int *out)
{
    const char *text = b->block + b->head.text_off;

    for (uint32_t i = 0; i < b->servers.count; i++) {
        const struct image_name *ours = &b->servers.items[i];

        out[i] = IMAGE_NONE;
        for (uint32_t k = 0; k < before->head->servers && out[i] < 0; k++) {
            const struct image_name *its = &before->servers[k];

            if (its->text_len == ours->text_len &&
                memcmp(before->text + its->text_off, text + ours->text_off, its->text_len) == 0) {
                out[i] = (int)k;
            }
        }
    }
}

/* Has the memory fetched that looking for rows from `from` on in `before` will need. */
static void fetch_before(struct image_builder *b, const struct image *before, const int *servers,
                         uint32_t from)
{
    uint32_t slots[AT_ONCE], rows[AT_ONCE], n = b->head.entries - from;
    const char *text = b->block + b->head.text_off;

    n = n < AT_ONCE ? n : AT_ONCE;
    for (uint32_t i = 0; i < n; i++) {
        __builtin_prefetch(text + image_row_at(b, from + i)->name_off);
    }
    for (uint32_t i = 0; i < n; i++) {
        const struct image_row *r = image_row_at(b, from + i);
        int server = servers[r->server] < 0 ? 0 : servers[r->server];

        slots[i] = image_slot(before->head, (uint16_t)server, text + r->name_off, r->name_len);
        __builtin_prefetch(&before->slots[slots[i]]);
    }
    for (uint32_t i = 0; i < n; i++) {
        rows[i] = before->slots[slots[i]];
        rows[i] = rows[i] == IMAGE_NO_ROW ? 0 : rows[i];
        __builtin_prefetch(&before->rows[rows[i]]);
    }
    for (uint32_t i = 0; i < n && before->head->entries > 0; i++) {
        __builtin_prefetch(before->text + before->rows[rows[i]].name_off);
    }
}

static void take_before(struct image_builder *b, const struct image *before)
{
    int *servers = mem_alloc((b->servers.count + 1) * sizeof *servers);
    const char *text = b->block + b->head.text_off;

    b->head.before_run = before->head->run_id;
    match_servers(b, before, servers);
    for (uint32_t i = 0; i < b->head.entries; i++) {
        struct image_row *r = image_row_at(b, i);

        if (i % AT_ONCE == 0) {
            fetch_before(b, before, servers, i);
        }
        int server = servers[r->server];
        const struct image_row *old = NULL;

        if (server >= 0) {
            old = image_find_escaped(before, server, text + r->name_off, r->name_len);
        }
        if (old && old->id == r->id) {
            r->before = (uint32_t)(old - before->rows) + 1;
            r->server_before = old->server_rank;
        }
    }
    free(servers);
}

bool image_builder_take_before(struct image_builder *b, const struct image *before, struct err *e)
{
    if (!image_close_rows(b, e)) {
        return false;
    }
    take_before(b, before);
    return true;
}

static uint32_t id_slot(const struct image_builder *b, int64_t id)
{
    uint64_t h = (uint64_t)id * UINT64_C(0x9e3779b97f4a7c15);

    return (uint32_t)(((h >> 32) * b->head.slots) >> 32);
}

bool image_builder_expect_before(struct image_builder *b, struct err *e)
{
    if (!image_close_rows(b, e)) {
        return false;
    }
    b->by_id = mem_try_array(b->head.slots, sizeof *b->by_id);
    if (!b->by_id) {
        return err_set(e, ERR_RETRYABLE, "MemoryError", "no memory for the earlier ranks");
    }
    memset(b->by_id, 0xff, (size_t)b->head.slots * sizeof *b->by_id);
    for (uint32_t i = 0; i < b->head.entries; i++) {
        uint32_t at = id_slot(b, image_row_at(b, i)->id);

        while (b->by_id[at] != IMAGE_NO_ROW) {
            at = image_next_slot(b, at);
        }
        b->by_id[at] = i;
    }
    return true;
}

void image_builder_add_before(struct image_builder *b, int64_t id, int64_t rank,
                              int64_t server_rank)
{
    uint32_t at = id_slot(b, id);

    while (b->by_id[at] != IMAGE_NO_ROW) {
        struct image_row *r = image_row_at(b, b->by_id[at]);

        if (r->id == id && rank > 0 && rank <= UINT32_MAX && server_rank > 0 &&
            server_rank <= UINT32_MAX) {
            r->before = (uint32_t)rank;
            r->server_before = (uint32_t)server_rank;
            return;
        }
        at = image_next_slot(b, at);
    }
}
