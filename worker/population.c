#include "worker/population.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define FIRST_CAP      1024
#define NAME_TEXT_MAX  UINT32_MAX /* offsets have 32 bits */
#define NAME_LEN_MAX   UINT16_MAX
#define NAME_TEXT_STEP (64 * KIB)

void population_init(struct population *p)
{
    memset(p, 0, sizeof *p);
    names_init(&p->servers, POPULATION_SERVERS);
    names_init(&p->classes, POPULATION_CLASSES);
    names_init(&p->groups, POPULATION_GROUPS);
}

void population_fini(struct population *p)
{
    names_fini(&p->servers);
    names_fini(&p->classes);
    names_fini(&p->groups);
    free(p->name_text);
    free(p->ranked.at);
    free(p->failed.at);
    free(p->kept);
    free(p->fractional);
    population_drop_stats(p);
    population_init(p);
}

void population_drop_stats(struct population *p)
{
    free(p->stats);
    p->stats = NULL;
    p->stats_cap = 0;
}

static bool out_of_memory(struct err *e)
{
    return err_set(e, ERR_RETRYABLE, "MemoryError", "out of memory while reading characters");
}

/*
 * The array with room for one more than count; NULL when that is too much, and old stays valid.
 * Doubling: pages of the new half are not touched, so they cost no memory until they are used.
 */
static void *grown(void *old, uint32_t *cap, uint32_t count, size_t size)
{
    uint32_t new_cap = *cap ? *cap * 2 : FIRST_CAP;
    void *bigger;

    if (count < *cap) {
        return old;
    }
    if (count >= POPULATION_MAX) {
        return NULL;
    }
    bigger = mem_try_resize(old, new_cap, size);
    if (bigger) {
        *cap = new_cap;
    }
    return bigger;
}

static bool intern(struct names *names, const char *text, size_t len, uint32_t *number,
                   struct err *e)
{
    *number = names_add(names, text, len);
    if (*number != NAMES_NONE) {
        return true;
    }
    if (names->count < names->max) {
        return out_of_memory(e);
    }
    return err_set(e, ERR_PERMANENT, "DataError", "more than %u different servers or classes",
                   names->max);
}

static bool add_name(struct population *p, const char *name, size_t len, uint32_t *offset)
{
    uint16_t prefix = (uint16_t)len;

    if (len > NAME_LEN_MAX || p->name_len + sizeof prefix + len > NAME_TEXT_MAX) {
        return false;
    }
    if (p->name_cap - p->name_len < sizeof prefix + len) {
        size_t cap = p->name_cap * 2 + sizeof prefix + len + NAME_TEXT_STEP;
        char *text = mem_try_resize(p->name_text, cap, 1);

        if (!text) {
            return false;
        }
        p->name_text = text;
        p->name_cap = cap;
    }
    *offset = (uint32_t)p->name_len;
    memcpy(p->name_text + p->name_len, &prefix, sizeof prefix);
    memcpy(p->name_text + p->name_len + sizeof prefix, name, len);
    p->name_len += sizeof prefix + len;
    return true;
}

const char *population_name(const struct population *p, const struct entry *e, size_t *len)
{
    uint16_t prefix;

    memcpy(&prefix, p->name_text + e->name, sizeof prefix);
    *len = prefix;
    return p->name_text + e->name + sizeof prefix;
}

/* The fractional flags of a server that is new. */
static bool cover_server(struct population *p, uint32_t server)
{
    uint32_t old_cap = p->fractional_cap;
    uint8_t *flags = grown(p->fractional, &p->fractional_cap, server, sizeof *flags);

    if (!flags) {
        return false;
    }
    p->fractional = flags;
    memset(p->fractional + old_cap, 0, p->fractional_cap - old_cap);
    return true;
}

bool population_make_entry(struct population *p, const struct population_row *row,
                           struct entry *entry, struct err *e)
{
    struct group group;

    memset(entry, 0, sizeof *entry);
    if (row->level < 0 || row->level > ENTRY_LEVEL_MAX) {
        return err_set(e, ERR_PERMANENT, "ValueError",
                       "character %" PRId64 " has level %" PRId32 ", which the database should not"
                       " have taken",
                       row->id, row->level);
    }
    entry->id = row->id;
    entry->power = row->power;
    entry->level = row->level;
    if (!intern(&p->servers, row->server, row->server_len, &group.server, e) ||
        !intern(&p->classes, row->class, row->class_len, &group.class, e) ||
        !intern(&p->groups, (const char *)&group, sizeof group, &entry->group, e)) {
        return false;
    }
    if (!cover_server(p, group.server) || !add_name(p, row->name, row->name_len, &entry->name)) {
        return out_of_memory(e);
    }
    return true;
}

static bool list_add(struct entry_list *list, const struct entry *entry)
{
    struct entry *at = grown(list->at, &list->cap, list->count, sizeof *at);

    if (!at) {
        return false;
    }
    list->at = at;
    list->at[list->count++] = *entry;
    return true;
}

bool population_add_scored(struct population *p, const struct population_row *row,
                           const struct payload_stats *stats, struct err *e)
{
    struct entry entry;
    double(*all)[STAT_COUNT];

    MUST(p->ranked.count == p->scored); /* none kept yet */
    if (!population_make_entry(p, row, &entry, e)) {
        return false;
    }
    all = grown(p->stats, &p->stats_cap, p->scored, sizeof *all);
    if (!all) {
        return out_of_memory(e);
    }
    p->stats = all;
    if (!list_add(&p->ranked, &entry)) {
        return out_of_memory(e);
    }
    memcpy(p->stats[p->scored], stats->value, sizeof *p->stats);
    p->fractional[population_server_of(p, &entry)] |= (uint8_t)stats->fractional;
    p->scored++;
    return true;
}

bool population_add_failed(struct population *p, const struct population_row *row, struct err *e)
{
    struct entry entry;

    if (!population_make_entry(p, row, &entry, e)) {
        return false;
    }
    return list_add(&p->failed, &entry) || out_of_memory(e);
}

bool population_add_kept(struct population *p, const struct entry *entry, const struct kept *kept,
                         struct err *e)
{
    uint32_t i = p->ranked.count - p->scored;
    struct kept *all = grown(p->kept, &p->kept_cap, i, sizeof *all);

    if (!all) {
        return out_of_memory(e);
    }
    p->kept = all;
    if (!list_add(&p->ranked, entry)) {
        return out_of_memory(e);
    }
    p->kept[i] = *kept;
    return true;
}

struct population_mark population_mark(const struct population *p)
{
    return (struct population_mark){p->scored, p->failed.count, p->name_len, p->rows};
}

void population_rollback(struct population *p, const struct population_mark *mark)
{
    MUST(p->ranked.count == p->scored);
    p->ranked.count = p->scored = mark->scored;
    p->failed.count = mark->failed;
    p->name_len = mark->name_len;
    p->rows = mark->rows;
}
