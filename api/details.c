#include "api/details.h"

#include <endian.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define NO_ENTRY    UINT32_MAX
#define FIRST_SIZE  1024u
#define LEVEL_MASK  0xfffffu
#define DAY_MAX     4095u
#define CLASS_MAX   UINT16_MAX
#define SWEEP_SLICE 65536u
#define EACH_SLICE  256u

struct entry {
    int64_t id;
    int64_t power;
    int64_t fetched_us;
    union {
        uint8_t value[STAT_COUNT][PACKED_VALUE_BYTES]; /* DETAIL_PACKED */
        struct {
            char *bytes; /* DETAIL_TEXT: owned */
            size_t len;
        } text;
        uint32_t next_free;
    } stats;
    uint32_t key;
    uint32_t epoch; /* of the store when it was read; 0: in doubt */
    uint32_t legion;
    uint32_t level : 20; /* at most 100,000 */
    uint32_t day : 12;   /* of its place: number of the store's day; 0: none */
    int32_t item_level;
    uint32_t rank, server_rank; /* at the beginning of that day */
    uint16_t cls;
    uint8_t kind;            /* enum detail_stats */
    uint8_t mode : 2;        /* enum detail_mode */
    uint8_t packed_mode : 2; /* enum packed_mode */
    uint8_t failed_last : 1;
    uint8_t used : 1;
};

/* Texts that many share, by number; 0 is "". What nobody has any more stays. */
struct pool {
    char **at; /* each owned */
    uint32_t count, cap, max;
    uint32_t *slots;
    uint32_t slot_count; /* a power of two, or 0 */
};

struct details {
    pthread_rwlock_t lock;
    struct entry *entries;
    uint32_t high; /* entries that were ever used */
    uint32_t cap;
    uint32_t free; /* list of those that are not used */
    uint32_t count;
    uint32_t *slots; /* numbers of entries */
    uint32_t slot_count;
    uint32_t epoch;
    uint32_t day; /* number of the day that places are of, 1 to DAY_MAX; 0: none yet */
    char day_text[DETAILS_DAY_SIZE];
    uint64_t changes;
    uint64_t legion_changes;
    size_t text_bytes;
    struct pool classes, legions;
};

/* ---- shared texts ---- */

static uint32_t hash_bytes(uint32_t h, const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        h = (h ^ (unsigned char)s[i]) * 16777619u;
    }
    return h;
}

static uint32_t hash_text(const char *s)
{
    return hash_bytes(2166136261u, s, strlen(s));
}

static uint32_t *pool_slot(const struct pool *p, const char *s)
{
    uint32_t i = hash_text(s) & (p->slot_count - 1);

    while (p->slots[i] != NO_ENTRY && strcmp(p->at[p->slots[i]], s) != 0) {
        i = (i + 1) & (p->slot_count - 1);
    }
    return &p->slots[i];
}

static bool pool_grow(struct pool *p)
{
    uint32_t cap = p->cap ? p->cap * 2 : 16;
    uint32_t *slots = mem_try_array((size_t)cap * 2, sizeof *slots);
    char **at = slots ? mem_try_resize(p->at, cap, sizeof *at) : NULL;

    if (!at) {
        free(slots);
        return false;
    }
    free(p->slots);
    p->at = at;
    p->slots = slots;
    p->cap = cap;
    p->slot_count = cap * 2;
    memset(slots, 0xff, (size_t)p->slot_count * sizeof *slots);
    for (uint32_t i = 0; i < p->count; i++) {
        *pool_slot(p, p->at[i]) = i;
    }
    return true;
}

/* False: memory is out, or there are too many. */
static bool pool_find(struct pool *p, const char *s, uint32_t *number)
{
    size_t size = strlen(s) + 1;
    uint32_t *slot;
    char *copy;

    if (p->count == p->cap && !pool_grow(p)) {
        return false;
    }
    slot = pool_slot(p, s);
    if (*slot == NO_ENTRY) {
        copy = p->count < p->max ? mem_try_array(size, 1) : NULL;
        if (!copy) {
            return false;
        }
        memcpy(copy, s, size);
        p->at[p->count] = copy;
        *slot = p->count++;
    }
    *number = *slot;
    return true;
}

static void pool_init(struct pool *p, uint32_t max)
{
    uint32_t empty;

    *p = (struct pool){.max = max};
    MUST(pool_find(p, "", &empty) && empty == 0);
}

static void pool_fini(struct pool *p)
{
    for (uint32_t i = 0; i < p->count; i++) {
        free(p->at[i]);
    }
    free(p->at);
    free(p->slots);
}

/* ---- the table ---- */

static uint32_t hash_id(int64_t id)
{
    return (uint32_t)(((uint64_t)id * UINT64_C(0x9e3779b97f4a7c15)) >> 32);
}

/* The slot of the id, or the free one where it belongs. */
static uint32_t *find_slot(const struct details *s, int64_t id)
{
    uint32_t i = hash_id(id) & (s->slot_count - 1);

    while (s->slots[i] != NO_ENTRY && s->entries[s->slots[i]].id != id) {
        i = (i + 1) & (s->slot_count - 1);
    }
    return &s->slots[i];
}

static struct entry *find(const struct details *s, int64_t id)
{
    uint32_t *slot = s->slot_count ? find_slot(s, id) : NULL;

    return slot && *slot != NO_ENTRY ? &s->entries[*slot] : NULL;
}

/* Large blocks grow in place or are remapped; what is not used yet takes no memory. */
static bool grow(struct details *s)
{
    uint32_t cap = s->cap ? s->cap * 2 : FIRST_SIZE;
    uint32_t *slots;
    struct entry *entries;

    if (cap > DETAILS_MAX || !(slots = mem_try_array((size_t)cap * 2, sizeof *slots))) {
        return false;
    }
    entries = mem_try_resize(s->entries, cap, sizeof *entries);
    if (!entries) {
        free(slots);
        return false;
    }
    free(s->slots);
    s->entries = entries;
    s->slots = slots;
    s->cap = cap;
    s->slot_count = cap * 2;
    memset(slots, 0xff, (size_t)s->slot_count * sizeof *slots);
    for (uint32_t i = 0; i < s->high; i++) {
        if (s->entries[i].used) {
            *find_slot(s, s->entries[i].id) = i;
        }
    }
    return true;
}

static struct entry *add(struct details *s, int64_t id)
{
    uint32_t number = s->free;

    if (number != NO_ENTRY) {
        s->free = s->entries[number].stats.next_free;
    } else if (s->high < s->cap || grow(s)) {
        number = s->high++;
    } else {
        return NULL;
    }
    *find_slot(s, id) = number;
    s->count++;
    s->entries[number] = (struct entry){.id = id, .used = 1};
    return &s->entries[number];
}

static void drop_text(struct details *s, struct entry *en)
{
    if (en->kind == DETAIL_TEXT) {
        s->text_bytes -= en->stats.text.len;
        free(en->stats.text.bytes);
    }
    en->kind = DETAIL_NO_STATS;
}

/* Closes the gap at slot i: whoever was pushed past it moves back. */
static void close_gap(struct details *s, uint32_t gap)
{
    uint32_t mask = s->slot_count - 1;

    for (uint32_t i = (gap + 1) & mask; s->slots[i] != NO_ENTRY; i = (i + 1) & mask) {
        uint32_t home = hash_id(s->entries[s->slots[i]].id) & mask;

        if (((i - home) & mask) >= ((i - gap) & mask)) {
            s->slots[gap] = s->slots[i];
            gap = i;
        }
    }
    s->slots[gap] = NO_ENTRY;
}

static void remove_entry(struct details *s, struct entry *en)
{
    uint32_t *slot = find_slot(s, en->id);
    uint32_t number = *slot;

    s->changes++;
    s->legion_changes += en->legion != 0;
    drop_text(s, en);
    close_gap(s, (uint32_t)(slot - s->slots));
    en->used = 0;
    en->stats.next_free = s->free;
    s->free = number;
    s->count--;
}

/* ---- one character ---- */

static void put_values(struct entry *en, const struct packed_stats *p)
{
    for (int i = 0; i < STAT_COUNT; i++) {
        uint32_t v = htole32(p->value[i]);

        memcpy(en->stats.value[i], &v, PACKED_VALUE_BYTES);
    }
    en->packed_mode = p->mode;
}

static void get_values(const struct entry *en, struct packed_stats *p)
{
    for (int i = 0; i < STAT_COUNT; i++) {
        uint32_t v = 0;

        memcpy(&v, en->stats.value[i], PACKED_VALUE_BYTES);
        p->value[i] = le32toh(v);
    }
    p->mode = (enum packed_mode)en->packed_mode;
}

/* False: it cannot be kept; kind says nothing then. */
static bool set_stats(struct details *s, struct entry *en, const struct detail *d)
{
    drop_text(s, en);
    if (d->kind == DETAIL_TEXT) {
        if (d->text_len > DETAIL_TEXT_MAX || s->text_bytes + d->text_len > DETAILS_TEXT_MAX) {
            return false;
        }
        en->stats.text.bytes = mem_try_array(d->text_len + 1, 1);
        if (!en->stats.text.bytes) {
            return false;
        }
        memcpy(en->stats.text.bytes, d->text, d->text_len);
        en->stats.text.len = d->text_len;
        s->text_bytes += d->text_len;
    } else if (d->kind == DETAIL_PACKED) {
        put_values(en, &d->packed);
    }
    en->kind = (uint8_t)d->kind;
    return d->kind != DETAIL_LONG;
}

static bool set(struct details *s, struct entry *en, const struct detail *d)
{
    uint32_t cls, legion;

    if (!pool_find(&s->classes, d->cls, &cls) || !pool_find(&s->legions, d->legion, &legion) ||
        !set_stats(s, en, d)) {
        return false;
    }
    en->power = d->power;
    en->fetched_us = d->fetched_us;
    s->legion_changes += en->legion != legion;
    en->legion = legion;
    en->level = (uint32_t)d->level & LEVEL_MASK;
    en->item_level = d->item_level;
    en->cls = (uint16_t)cls;
    en->mode = d->mode;
    en->failed_last = d->failed_last;
    return true;
}

void details_put(struct details *s, const struct detail *d, uint32_t key)
{
    struct entry *en;

    pthread_rwlock_wrlock(&s->lock);
    en = find(s, d->id);
    if (!en) {
        en = add(s, d->id);
    }
    if (en && set(s, en, d)) {
        en->key = key;
        en->epoch = s->epoch;
        s->changes++;
    } else if (en) {
        remove_entry(s, en);
    }
    pthread_rwlock_unlock(&s->lock);
}

static bool take_out(const struct details *s, const struct entry *en, struct detail *out)
{
    out->id = en->id;
    out->power = en->power;
    out->fetched_us = en->fetched_us;
    out->level = (int32_t)en->level;
    out->item_level = en->item_level;
    out->failed_last = en->failed_last;
    out->mode = (enum detail_mode)en->mode;
    out->kind = (enum detail_stats)en->kind;
    out->text = NULL;
    strcpy(out->cls, s->classes.at[en->cls]);
    strcpy(out->legion, s->legions.at[en->legion]);
    if (out->kind == DETAIL_TEXT) {
        out->text_len = en->stats.text.len;
        out->text = mem_try_array(out->text_len + 1, 1);
        if (!out->text) {
            return false;
        }
        memcpy(out->text, en->stats.text.bytes, out->text_len);
    } else if (out->kind == DETAIL_PACKED) {
        get_values(en, &out->packed);
    }
    return true;
}

enum details_found details_get(struct details *s, int64_t id, uint32_t key, struct detail *out)
{
    enum details_found found = DETAILS_NONE;
    const struct entry *en;

    pthread_rwlock_rdlock(&s->lock);
    en = find(s, id);
    if (en && en->key == key && take_out(s, en, out)) {
        found = en->epoch == s->epoch ? DETAILS_SURE : DETAILS_DOUBT;
    }
    pthread_rwlock_unlock(&s->lock);
    return found;
}

void details_remove(struct details *s, int64_t id)
{
    struct entry *en;

    pthread_rwlock_wrlock(&s->lock);
    en = find(s, id);
    if (en) {
        remove_entry(s, en);
    }
    pthread_rwlock_unlock(&s->lock);
}

void details_remove_doubted(struct details *s, int64_t id)
{
    struct entry *en;

    pthread_rwlock_wrlock(&s->lock);
    en = find(s, id);
    if (en && en->epoch == 0) {
        remove_entry(s, en);
    }
    pthread_rwlock_unlock(&s->lock);
}

void details_doubt(struct details *s, int64_t id)
{
    struct entry *en;

    pthread_rwlock_wrlock(&s->lock);
    en = find(s, id);
    if (en) {
        en->epoch = 0;
    }
    pthread_rwlock_unlock(&s->lock);
}

/* ---- everybody ---- */

void details_doubt_all(struct details *s)
{
    pthread_rwlock_wrlock(&s->lock);
    s->epoch++;
    pthread_rwlock_unlock(&s->lock);
}

uint32_t details_epoch(struct details *s)
{
    uint32_t epoch;

    pthread_rwlock_rdlock(&s->lock);
    epoch = s->epoch;
    pthread_rwlock_unlock(&s->lock);
    return epoch;
}

static void sweep_range(struct details *s, uint32_t from, uint32_t since)
{
    for (uint32_t i = from; i < s->high && i - from < SWEEP_SLICE; i++) {
        struct entry *en = &s->entries[i];

        if (en->used && en->epoch < since) {
            remove_entry(s, en);
        }
    }
}

void details_sweep(struct details *s, uint32_t since)
{
    uint32_t end = 1;

    /* Entries do not move; readers get in between. */
    for (uint32_t from = 0; from < end; from += SWEEP_SLICE) {
        pthread_rwlock_wrlock(&s->lock);
        sweep_range(s, from, since);
        end = s->high;
        pthread_rwlock_unlock(&s->lock);
    }
}

uint32_t details_count(struct details *s)
{
    uint32_t count;

    pthread_rwlock_rdlock(&s->lock);
    count = s->count;
    pthread_rwlock_unlock(&s->lock);
    return count;
}

uint64_t details_legion_changes(struct details *s)
{
    uint64_t changes;

    pthread_rwlock_rdlock(&s->lock);
    changes = s->legion_changes;
    pthread_rwlock_unlock(&s->lock);
    return changes;
}

void details_lock(struct details *s)
{
    pthread_rwlock_rdlock(&s->lock);
}

void details_unlock(struct details *s)
{
    pthread_rwlock_unlock(&s->lock);
}

uint32_t details_legion(const struct details *s, int64_t id)
{
    const struct entry *en = find(s, id);

    return en ? en->legion : 0;
}

const char *details_legion_name(const struct details *s, uint32_t legion)
{
    return s->legions.at[legion];
}

uint32_t details_key(const char *server, size_t server_len, const char *name, size_t name_len)
{
    uint32_t h = hash_bytes(2166136261u, server, server_len);

    return hash_bytes((h ^ 0xff) * 16777619u, name, name_len); /* no text holds the byte 0xff */
}

/* ---- the day ---- */

void details_begin_day(struct details *s, const char *day)
{
    pthread_rwlock_wrlock(&s->lock);
    s->day = s->day % DAY_MAX + 1; /* old ones are never so old that numbers meet again */
    snprintf(s->day_text, sizeof s->day_text, "%s", day);
    pthread_rwlock_unlock(&s->lock);
}

void details_put_place(struct details *s, int64_t id, uint32_t rank, uint32_t server_rank)
{
    struct entry *en;

    pthread_rwlock_wrlock(&s->lock);
    en = find(s, id);
    if (en) {
        en->rank = rank;
        en->server_rank = server_rank;
        en->day = s->day & DAY_MAX;
        s->changes++;
    }
    pthread_rwlock_unlock(&s->lock);
}

bool details_get_place(struct details *s, int64_t id, struct details_place *out)
{
    const struct entry *en;
    bool known;

    pthread_rwlock_rdlock(&s->lock);
    en = find(s, id);
    known = en && en->day != 0 && en->day == s->day;
    if (known) {
        memcpy(out->day, s->day_text, sizeof out->day);
        out->rank = en->rank;
        out->server_rank = en->server_rank;
    }
    pthread_rwlock_unlock(&s->lock);
    return known;
}

/* ---- storing ---- */

static void tell(const struct details *s, const struct entry *en, details_fn fn, void *ctx)
{
    struct details_item it = {.key = en->key,
                              .has_place = en->day != 0 && en->day == s->day,
                              .rank = en->rank,
                              .server_rank = en->server_rank};

    if (take_out(s, en, &it.d)) {
        fn(ctx, &it);
        detail_fini(&it.d);
    }
}

bool details_each(struct details *s, uint32_t *at, details_fn fn, void *ctx)
{
    uint32_t end;
    bool more;

    pthread_rwlock_rdlock(&s->lock);
    end = s->high - *at < EACH_SLICE ? s->high : *at + EACH_SLICE;
    for (; *at < end; ++*at) {
        if (s->entries[*at].used) {
            tell(s, &s->entries[*at], fn, ctx);
        }
    }
    more = end < s->high;
    pthread_rwlock_unlock(&s->lock);
    return more;
}

void details_restore(struct details *s, const struct details_item *it)
{
    struct entry *en;

    pthread_rwlock_wrlock(&s->lock);
    en = find(s, it->d.id) ? NULL : add(s, it->d.id);
    if (en && set(s, en, &it->d)) {
        en->key = it->key;
        en->rank = it->rank;
        en->server_rank = it->server_rank;
        en->day = it->has_place ? s->day & DAY_MAX : 0;
    } else if (en) {
        remove_entry(s, en);
    }
    pthread_rwlock_unlock(&s->lock);
}

void details_day(struct details *s, char out[DETAILS_DAY_SIZE])
{
    pthread_rwlock_rdlock(&s->lock);
    memcpy(out, s->day_text, DETAILS_DAY_SIZE);
    pthread_rwlock_unlock(&s->lock);
}

uint64_t details_changes(struct details *s)
{
    uint64_t changes;

    pthread_rwlock_rdlock(&s->lock);
    changes = s->changes;
    pthread_rwlock_unlock(&s->lock);
    return changes;
}

/* ---- life ---- */

struct details *details_new(void)
{
    struct details *s = mem_alloc(sizeof *s);
    pthread_rwlockattr_t attr;

    /* Readers come all the time; the writer must get its turn. */
    pthread_rwlockattr_init(&attr);
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&s->lock, &attr);
    pthread_rwlockattr_destroy(&attr);
    s->free = NO_ENTRY;
    s->epoch = 1;
    pool_init(&s->classes, CLASS_MAX);
    pool_init(&s->legions, DETAILS_NAMES_MAX);
    return s;
}

void details_free(struct details *s)
{
    if (!s) {
        return;
    }
    for (uint32_t i = 0; i < s->high; i++) {
        if (s->entries[i].used) {
            drop_text(s, &s->entries[i]);
        }
    }
    free(s->entries);
    free(s->slots);
    pool_fini(&s->classes);
    pool_fini(&s->legions);
    pthread_rwlock_destroy(&s->lock);
    free(s);
}
