#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "worker/score.h"

#define SIGN_BIT ((uint64_t)1 << 63)

bool order_init(struct order *o, uint32_t count)
{
    *o = (struct order){.at = mem_try_array(count, sizeof *o->at),
                        .count = count,
                        .spare = mem_try_array(count, sizeof *o->spare),
                        .keys = mem_try_array(count, sizeof *o->keys)};
    for (uint32_t i = 0; o->at && i < count; i++) {
        o->at[i] = i;
    }
    if (o->at && o->spare && o->keys) {
        return true;
    }
    order_fini(o);
    return false;
}

void order_fini(struct order *o)
{
    free(o->at);
    free(o->spare);
    free(o->keys);
    memset(o, 0, sizeof *o);
}

/* Bits in which the keys are not all the same. */
static uint64_t differing_bits(const struct order *o)
{
    uint64_t bits = 0;

    for (uint32_t i = 0; i < o->count; i++) {
        bits |= o->keys[o->at[i]] ^ o->keys[o->at[0]];
    }
    return bits;
}

/* One stable counting pass over the byte at this shift. */
static void pass(struct order *o, int shift)
{
    uint32_t start[256] = {0};
    uint32_t *swap = o->at;
    uint32_t sum = 0;

    for (uint32_t i = 0; i < o->count; i++) {
        start[o->keys[o->at[i]] >> shift & 0xff]++;
    }
    for (int b = 0; b < 256; b++) {
        uint32_t count = start[b];

        start[b] = sum;
        sum += count;
    }
    for (uint32_t i = 0; i < o->count; i++) {
        o->spare[start[o->keys[o->at[i]] >> shift & 0xff]++] = o->at[i];
    }
    o->at = o->spare;
    o->spare = swap;
}

static bool is_sorted(const struct order *o)
{
    for (uint32_t i = 1; i < o->count; i++) {
        if (o->keys[o->at[i - 1]] > o->keys[o->at[i]]) {
            return false;
        }
    }
    return true;
}

void order_by_keys(struct order *o)
{
    uint64_t bits;

    if (o->count < 2 || is_sorted(o)) {
        return;
    }
    bits = differing_bits(o);
    for (int shift = 0; shift < 64; shift += 8) {
        if (bits >> shift & 0xff) {
            pass(o, shift);
        }
    }
}

/* Unsigned keys that sort as the signed values do. */
static uint64_t ascending(int64_t v)
{
    return (uint64_t)v ^ SIGN_BIT;
}

static uint64_t descending(int64_t v)
{
    return ~ascending(v);
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

void score_order_by_id(struct order *o, const struct population *p)
{
    for (uint32_t i = 0; i < o->count; i++) {
        o->keys[i] = ascending(p->ranked.at[i].id);
    }
    order_by_keys(o);
    drop_repeated_ids(o, p);
}

void score_order_by_rank(struct order *o, const struct population *p)
{
    const struct entry *at = p->ranked.at;

    for (uint32_t i = 0; i < p->ranked.count; i++) {
        o->keys[i] = descending(at[i].level);
    }
    order_by_keys(o);
    for (uint32_t i = 0; i < p->ranked.count; i++) {
        o->keys[i] = descending(at[i].power);
    }
    order_by_keys(o);
    for (uint32_t i = 0; i < p->ranked.count; i++) {
        o->keys[i] = descending(at[i].score);
    }
    order_by_keys(o);
}
