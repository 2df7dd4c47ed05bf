#include "worker/names.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/mem.h"

#define SLOTS_FIRST 64
#define TEXT_FIRST  4096

void names_init(struct names *n, uint32_t max_names)
{
    memset(n, 0, sizeof *n);
    n->max = max_names;
}

void names_fini(struct names *n)
{
    free(n->refs);
    free(n->slots);
    free(n->text);
    names_init(n, n->max);
}

static uint64_t seed(void)
{
    static uint64_t value;

    if (value == 0) {
        if (getrandom(&value, sizeof value, GRND_NONBLOCK) != sizeof value) {
            value = (uint64_t)(uintptr_t)&value; /* too early in the life of the machine */
        }
        value |= 1;
    }
    return value;
}

/* Eight bytes at a time: multiply, fold the high half back. */
static uint64_t hash_bytes(const char *p, size_t len)
{
    uint64_t h = seed() ^ len;

    while (len > 0) {
        uint64_t word = 0;
        size_t n = len < sizeof word ? len : sizeof word;
        unsigned __int128 product;

        memcpy(&word, p, n);
        product = (unsigned __int128)(h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        h = (uint64_t)product ^ (uint64_t)(product >> 64) ^ seed();
        p += n;
        len -= n;
    }
    return h;
}

static bool is_name(const struct names *n, uint32_t number, uint64_t hash, const void *bytes,
                    size_t len)
{
    const struct name_ref *ref = &n->refs[number];

    return ref->hash == hash && ref->len == len && memcmp(n->text + ref->start, bytes, len) == 0;
}

/* The slot where these bytes are, or the free one where they belong. */
static uint32_t find_slot(const struct names *n, uint64_t hash, const void *bytes, size_t len)
{
    uint32_t mask = n->slots_cap - 1;
    uint32_t slot = (uint32_t)(hash >> 7) & mask;

    for (;; slot = (slot + 1) & mask) {
        if (n->slots[slot] == 0 || is_name(n, n->slots[slot] - 1, hash, bytes, len)) {
            return slot;
        }
    }
}

static bool grow_slots(struct names *n)
{
    uint32_t cap = n->slots_cap ? n->slots_cap * 2 : SLOTS_FIRST;
    uint32_t *slots = mem_try_array(cap, sizeof *slots);

    if (!slots) {
        return false;
    }
    for (uint32_t i = 0; i < n->count; i++) {
        uint32_t slot = (uint32_t)(n->refs[i].hash >> 7) & (cap - 1);

        while (slots[slot]) {
            slot = (slot + 1) & (cap - 1);
        }
        slots[slot] = i + 1;
    }
    free(n->slots);
    n->slots = slots;
    n->slots_cap = cap;
    return true;
}

static bool reserve(struct names *n, size_t len)
{
    if (n->count == n->refs_cap) {
        uint32_t cap = n->refs_cap ? n->refs_cap * 2 : SLOTS_FIRST;
        struct name_ref *refs = mem_try_resize(n->refs, cap, sizeof *refs);

        if (!refs) {
            return false;
        }
        n->refs = refs;
        n->refs_cap = cap;
    }
    if (!n->text || n->text_cap - n->text_len < len) { /* also for a first name of no bytes */
        size_t cap = (n->text_cap ? n->text_cap * 2 : TEXT_FIRST) + len;
        char *text = mem_try_resize(n->text, cap, 1);

        if (!text) {
            return false;
        }
        n->text = text;
        n->text_cap = cap;
    }
    return true;
}

uint32_t names_add(struct names *n, const void *bytes, size_t len)
{
    uint64_t hash = hash_bytes(bytes, len);
    uint32_t slot;

    if (n->count >= n->slots_cap / 2 && !grow_slots(n)) {
        return NAMES_NONE;
    }
    slot = find_slot(n, hash, bytes, len);
    if (n->slots[slot]) {
        return n->slots[slot] - 1;
    }
    if (n->count >= n->max || len > UINT32_MAX || !reserve(n, len)) {
        return NAMES_NONE;
    }
    if (len > 0) {
        memcpy(n->text + n->text_len, bytes, len);
    }
    n->refs[n->count] = (struct name_ref){hash, n->text_len, (uint32_t)len};
    n->text_len += len;
    n->slots[slot] = ++n->count;
    return n->count - 1;
}

uint32_t names_find(const struct names *n, const void *bytes, size_t len)
{
    uint32_t slot;

    if (n->slots_cap == 0) {
        return NAMES_NONE;
    }
    slot = find_slot(n, hash_bytes(bytes, len), bytes, len);
    return n->slots[slot] ? n->slots[slot] - 1 : NAMES_NONE;
}

const char *names_get(const struct names *n, uint32_t number, size_t *len)
{
    MUST(number < n->count);
    *len = n->refs[number].len;
    return n->text + n->refs[number].start;
}
