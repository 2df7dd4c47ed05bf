#include "api/legion_table.h"

#include <stdlib.h>

#include "common/mem.h"

#define LOOKUPS_AT_ONCE 512 /* between which the writer of the details gets its turn */

/* A member while they are sorted by legion. */
struct member {
    uint32_t legion;
    const struct image_row *row;
};

static uint32_t collect_members(struct details *details, const struct image_list *list,
                                struct member *out)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < list->count;) {
        uint32_t end = list->count - i < LOOKUPS_AT_ONCE ? list->count : i + LOOKUPS_AT_ONCE;

        details_lock(details);
        for (; i < end; i++) {
            const struct image_row *row = image_list_row(list, i);
            uint32_t legion = details_legion(details, row->id);

            if (legion) {
                out[n++] = (struct member){legion, row};
            }
        }
        details_unlock(details);
    }
    return n;
}

static int by_legion(const void *a, const void *b)
{
    const struct member *x = a, *y = b;

    return (x->legion > y->legion) - (x->legion < y->legion);
}

static void count_member(struct legion *l, const struct image_row *row)
{
    l->members++;
    if (row->power != IMAGE_POWER_NONE &&
        !__builtin_add_overflow(l->total_power, row->power, &l->total_power)) {
        l->with_power++;
    }
    if (l->members == 1 || row->power_score > l->top_score) {
        l->top_score = row->power_score;
    }
}

/* The legions of n members at the end of those that are there. */
static uint32_t sum_up(struct member *members, uint32_t n, struct legion *out)
{
    uint32_t count = 0;

    qsort(members, n, sizeof *members, by_legion);
    for (uint32_t i = 0; i < n; i++) {
        if (i == 0 || members[i].legion != members[i - 1].legion) {
            out[count++] = (struct legion){.number = members[i].legion};
        }
        count_member(&out[count - 1], members[i].row);
    }
    return count;
}

/* The strongest first. */
static int by_power(const void *a, const void *b)
{
    const struct legion *x = a, *y = b;

    if (x->total_power != y->total_power) {
        return x->total_power < y->total_power ? 1 : -1;
    }
    if (x->members != y->members) {
        return x->members < y->members ? 1 : -1;
    }
    return (x->number > y->number) - (x->number < y->number);
}

/* members has room for everybody. False: memory is out. */
static bool add_server(struct legion_table *t, struct details *details, uint32_t server,
                       struct member *members)
{
    struct image_list list = image_list_of(t->img, (struct image_board){(int)server, IMAGE_ANY});
    uint32_t n = collect_members(details, &list, members);
    uint32_t count = t->start[server];
    struct legion *at = mem_try_resize(t->at, (size_t)count + n + 1, sizeof *at);

    if (!at) {
        return false;
    }
    t->at = at;
    n = sum_up(members, n, at + count);
    qsort(at + count, n, sizeof *at, by_power);
    t->start[server + 1] = count + n;
    return true;
}

struct legion_table *legion_table_build(struct image *img, struct details *details)
{
    struct legion_table *t = mem_alloc(sizeof *t);
    struct member *members = mem_try_array((size_t)img->head->entries + 1, sizeof *members);
    bool ok;

    atomic_init(&t->refs, 1);
    t->img = image_ref(img);
    t->start = mem_try_array((size_t)img->head->servers + 1, sizeof *t->start);
    ok = members && t->start;
    for (uint32_t server = 0; ok && server < img->head->servers; server++) {
        ok = add_server(t, details, server, members);
    }
    free(members);
    if (!ok) {
        legion_table_unref(t);
        return NULL;
    }
    return t;
}

struct legion_table *legion_table_ref(struct legion_table *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void legion_table_unref(struct legion_table *t)
{
    if (t && atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) == 1) {
        image_unref(t->img);
        free(t->start);
        free(t->at);
        free(t);
    }
}
