/* Legions of a server, from the characters on its board whose legion is known. */
#include <stdlib.h>
#include <string.h>

#include "api/board.h"
#include "api/details.h"
#include "api/item.h"
#include "api/route.h"
#include "common/mem.h"

#define LOOKUPS_AT_ONCE 512 /* between which the writer of the details gets its turn */

static const struct reply NOT_KEPT = {.status = 200, .max_age_s = -1, .age_s = -1};

struct legion {
    uint32_t number;
    uint32_t members;
    uint32_t with_power; /* members whose power is known */
    int64_t total_power;
    int64_t top_score;
};

/* A member while they are sorted by legion. */
struct member {
    uint32_t legion;
    const struct image_row *row;
};

struct legions {
    struct legion *at;
    uint32_t count;
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

/* out has room for a legion per member. */
static void sum_up(struct member *members, uint32_t n, struct legions *out)
{
    qsort(members, n, sizeof *members, by_legion);
    for (uint32_t i = 0; i < n; i++) {
        if (i == 0 || members[i].legion != members[i - 1].legion) {
            out->at[out->count++] = (struct legion){.number = members[i].legion};
        }
        count_member(&out->at[out->count - 1], members[i].row);
    }
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

/* False: memory is out. */
static bool find_legions(struct details *details, const struct image_list *list,
                         struct legions *out)
{
    struct member *members = mem_try_array((size_t)list->count + 1, sizeof *members);
    uint32_t n = members ? collect_members(details, list, members) : 0;

    out->count = 0;
    out->at = members ? mem_try_array((size_t)n + 1, sizeof *out->at) : NULL;
    if (out->at) {
        sum_up(members, n, out);
        qsort(out->at, out->count, sizeof *out->at, by_power);
    }
    free(members);
    return out->at != NULL;
}

static void add_legion(struct buf *b, const struct details *details, const struct legion *l)
{
    const char *name = details_legion_name(details, l->number);

    buf_addstr(b, "{\"legion\":");
    buf_add_json(b, name, strlen(name));
    buf_addf(b,
             ",\"members\":%" PRIu32 ",\"total_power\":%" PRId64 ",\"average_power\":", l->members,
             l->total_power);
    if (l->with_power) {
        buf_addi64(b, l->total_power / l->with_power);
    } else {
        buf_addstr(b, "null");
    }
    buf_addf(b, ",\"top_score\":%" PRId64 "}", l->top_score);
}

static void answer(const struct request *rq, const struct board_query *q, struct image_board board)
{
    struct details *details = loader_details(rq->loop->loader);
    struct image_list list = image_list_of(rq->loop->image, board);
    struct legions found;
    struct buf b;

    if (!find_legions(details, &list, &found)) {
        reply_unavailable(rq, "The service is out of memory.");
        return;
    }
    buf_init(&b, BODY_MAX);
    buf_addstr(&b, "{\"server\":");
    buf_add_json(&b, q->server, strlen(q->server));
    buf_addf(&b, ",\"total\":%" PRIu32 ",\"legions\":[", found.count);
    details_lock(details); /* for the names */
    for (uint32_t i = 0; i < found.count && i < q->count; i++) {
        buf_addstr(&b, i ? "," : "");
        add_legion(&b, details, &found.at[i]);
    }
    details_unlock(details);
    free(found.at);
    buf_addch(&b, ']');
    board_add_snapshot(&b, rq, rq->loop->image);
    buf_addch(&b, '}');
    reply_buf(rq, &NOT_KEPT, &b);
}

void handle_legions(const struct request *rq, const struct query_value *values)
{
    struct board_query q = {.count = values[1].number};

    if (!rq->loop->image) {
        reply_unavailable(rq, "There is no ranking yet.");
        return;
    }
    memcpy(q.server, values[0].text, values[0].len + 1);
    board_resolve(rq, &q, answer);
}
