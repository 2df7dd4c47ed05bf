#include <stdlib.h>

#include "common/mem.h"
#include "worker/score.h"

#define SIGN_BIT   ((uint64_t)1 << 63)
#define DENSE      4  /* ids per entry: an array over them takes what a sort takes */
#define DIGIT_BITS 11 /* of a pass: its counters stay in the first cache */

/* A field to order by, as an unsigned number that sorts as wanted. */
struct column {
    uint64_t (*value)(const struct entry *e);
    uint64_t least; /* of all entries */
    uint64_t end;   /* after the greatest; UINT64_MAX itself counts as this */
};

/*
 * Each item is the number of an entry with some bits of its key above: a pass then reads and moves
 * both in one stream, and looks for nothing elsewhere.
 */
struct sort {
    const struct entry *entries;
    uint64_t *items;
    uint64_t *spare; /* as many */
    uint32_t count;
    int number_bits;
    uint64_t number_mask;
};

static int bits_of(uint64_t v)
{
    return v ? 64 - __builtin_clzll(v) : 0;
}

static int width_of(const struct column *column)
{
    return bits_of(column->end - column->least);
}

static int bits_of_all(const struct column *columns, int n)
{
    int bits = 0;

    for (int c = 0; c < n; c++) {
        bits += width_of(&columns[c]);
    }
    return bits;
}

/* Starts from the order so far, or from that in memory. */
static bool sort_init(struct sort *s, const struct order *o, const struct entry_list *list)
{
    uint32_t count = o->at ? o->count : list->count;

    *s = (struct sort){.entries = list->at,
                       .items = mem_try_resize(NULL, count, sizeof *s->items),
                       .spare = mem_try_resize(NULL, count, sizeof *s->spare),
                       .count = count,
                       .number_bits = bits_of(list->count)};
    s->number_mask = ((uint64_t)1 << s->number_bits) - 1;
    if (!s->items || !s->spare) {
        free(s->items);
        free(s->spare);
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        s->items[i] = o->at ? o->at[i] : i;
    }
    return true;
}

/* Hands the numbers over. Half of the memory goes before the order may need some. */
static bool sort_fini(struct sort *s, struct order *o)
{
    free(s->spare);
    if (!o->at) {
        o->at = mem_try_array(s->count, sizeof *o->at);
        o->count = s->count;
    }
    for (uint32_t i = 0; o->at && i < s->count; i++) {
        o->at[i] = (uint32_t)(s->items[i] & s->number_mask);
    }
    free(s->items);
    return o->at != NULL;
}

/* One stable counting pass over a digit of the items. */
static void pass(struct sort *s, int shift, int width)
{
    uint32_t start[1 << DIGIT_BITS] = {0};
    uint32_t mask = ((uint32_t)1 << width) - 1;
    uint64_t *swap = s->items;
    uint32_t sum = 0;

    for (uint32_t i = 0; i < s->count; i++) {
        start[s->items[i] >> shift & mask]++;
    }
    for (uint32_t digit = 0; digit <= mask; digit++) {
        uint32_t count = start[digit];

        start[digit] = sum;
        sum += count;
    }
    for (uint32_t i = 0; i < s->count; i++) {
        s->spare[start[s->items[i] >> shift & mask]++] = s->items[i];
    }
    s->items = s->spare;
    s->spare = swap;
}

/* By the lowest bits of the keys in the items, in as few passes as can be, of one width. */
static void sort_items(struct sort *s, int bits)
{
    int passes = (bits + DIGIT_BITS - 1) / DIGIT_BITS;
    int width = passes ? (bits + passes - 1) / passes : 0;

    for (int i = 0; i < passes; i++) {
        pass(s, s->number_bits + i * width, width);
    }
}

static uint64_t value_of(const struct entry *e, const struct column *column)
{
    uint64_t value = column->value(e);

    return (value < column->end ? value : column->end) - column->least;
}

/* The columns in one number, the first on top; together they have fewer than 64 bits, or n is 1. */
static uint64_t key_of(const struct entry *e, const struct column *columns, int n)
{
    uint64_t key = value_of(e, &columns[0]);

    for (int c = 1; c < n; c++) {
        key = key << width_of(&columns[c]) | value_of(e, &columns[c]);
    }
    return key;
}

/* By columns that make one number: as much of it at a time as fits into an item. */
static void sort_by_key(struct sort *s, const struct column *columns, int n)
{
    int bits = bits_of_all(columns, n);
    int room = 64 - s->number_bits;

    for (int done = 0; done < bits; done += room) {
        for (uint32_t i = 0; i < s->count; i++) {
            uint64_t number = s->items[i] & s->number_mask;
            uint64_t ahead = s->items[score_ahead(i, s->count)] & s->number_mask;

            __builtin_prefetch(&s->entries[ahead]);
            s->items[i] =
                key_of(&s->entries[number], columns, n) >> done << s->number_bits | number;
        }
        sort_items(s, bits - done < room ? bits - done : room);
    }
}

/* An unknown power is UINT64_MAX, far behind all others: taken as it is, it would widen any key. */
static void widen(struct column *column, uint64_t value)
{
    if (value < column->least) {
        column->least = value;
    }
    if (value >= column->end && value < UINT64_MAX) {
        column->end = value + 1;
    }
}

static void measure(struct column *columns, int n, const struct entry_list *list)
{
    for (int c = 0; c < n; c++) {
        columns[c].least = UINT64_MAX;
        columns[c].end = 0;
    }
    for (uint32_t i = 0; i < list->count; i++) {
        __builtin_prefetch(&list->at[score_ahead(i, list->count)]);
        for (int c = 0; c < n; c++) {
            widen(&columns[c], columns[c].value(&list->at[i]));
        }
    }
    for (int c = 0; c < n; c++) {
        columns[c].end = columns[c].end < columns[c].least ? columns[c].least : columns[c].end;
    }
}

/* Stable, ascending by the columns, of which the first counts most. False when memory is out. */
static bool order_by(struct order *o, const struct entry_list *list, struct column *columns, int n)
{
    struct sort s;

    if (!sort_init(&s, o, list)) {
        return false;
    }
    measure(columns, n, list);
    if (bits_of_all(columns, n) < 64) {
        sort_by_key(&s, columns, n);
    } else {
        for (int c = n - 1; c >= 0; c--) {
            sort_by_key(&s, &columns[c], 1);
        }
    }
    return sort_fini(&s, o);
}

void order_fini(struct order *o)
{
    free(o->at);
    *o = (struct order){0};
}

static uint64_t ascending(int64_t v)
{
    return (uint64_t)v ^ SIGN_BIT;
}

static uint64_t id_up(const struct entry *e)
{
    return ascending(e->id);
}

static uint64_t score_down(const struct entry *e)
{
    return ~ascending(e->score);
}

static uint64_t power_down(const struct entry *e)
{
    return ~ascending(e->power);
}

static uint64_t level_down(const struct entry *e)
{
    return ~ascending(e->level);
}

/* The first entry in the population wins: scored ones stand before kept ones. */
static void drop_repeated_ids(struct order *o, const struct population *p)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < o->count; i++) {
        if (kept == 0 || p->ranked.at[o->at[i]].id != p->ranked.at[o->at[kept - 1]].id) {
            o->at[kept++] = o->at[i];
        }
    }
    o->count = kept;
}

/*
 * Ids as a sequence gives them: each has a place of its own, and the places make the order. A sort
 * would be slow here, for the ends of equally large buckets share few lines of a cache.
 */
static bool order_dense_ids(struct order *o, const struct entry_list *list, const struct column *id)
{
    uint32_t *at = mem_try_array(id->end - id->least + 1, sizeof *at);
    uint32_t kept = 0;

    for (uint32_t i = 0; at && i < list->count; i++) {
        uint32_t *place = &at[value_of(&list->at[i], id)];

        __builtin_prefetch(&list->at[score_ahead(i, list->count)]);
        *place = *place ? *place : i + 1; /* the first one wins here too */
    }
    for (uint64_t v = 0; at && v <= id->end - id->least; v++) {
        if (at[v]) {
            at[kept++] = at[v] - 1;
        }
    }
    *o = (struct order){.at = at, .count = kept};
    return at != NULL;
}

bool score_order_by_id(struct order *o, const struct population *p)
{
    struct column id = {.value = id_up};

    *o = (struct order){0};
    measure(&id, 1, &p->ranked);
    if ((id.end - id.least) / DENSE < p->ranked.count) {
        return order_dense_ids(o, &p->ranked, &id);
    }
    if (!order_by(o, &p->ranked, &id, 1)) {
        return false;
    }
    drop_repeated_ids(o, p);
    return true;
}

bool score_order_by_rank(struct order *o, const struct population *p)
{
    struct column by_rank[] = {{.value = score_down}, {.value = power_down}, {.value = level_down}};

    return order_by(o, &p->ranked, by_rank, ARRAY_LEN(by_rank));
}
