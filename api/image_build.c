#include "api/image_build.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "common/buf.h"
#include "common/entry.h"
#include "common/mem.h"
#include "common/text.h"

#define MEMBER_TEXT_MAX (64 * MIB)

/* Servers or classes while building; few, so a search from the last hit on is quick. */
struct names {
    struct image_name items[IMAGE_NAMES_MAX];
    uint32_t count;
    uint32_t last;
};

/* A group of rows as it was added. Its names are the image's once a row comes that has them. */
struct member_of {
    uint32_t text_off; /* in texts: the server, then the class */
    uint32_t server_len, cls_len;
    int32_t server, cls; /* of names, IMAGE_NONE before */
};

/*
 * Rows come in the order of their ids, text lies in that order, and places are by rank: nearly
 * every step is a wait for memory, unless so many are asked for before the first is needed.
 */
#define AT_ONCE 16

struct image_builder {
    char *block; /* owned mapping */
    size_t cap;
    struct image_header head; /* copied to the block at the end */
    uint64_t text_len;
    uint32_t added;
    struct pending {
        uint32_t place;
        struct image_row row;
    } pending[AT_ONCE]; /* not in the block yet */
    uint32_t pending_count;
    struct buf scratch; /* one escaped text */
    struct names servers;
    struct names classes;
    struct member_of *members; /* owned */
    uint32_t member_count, member_cap;
    struct buf texts; /* of members */
    struct image_group *groups;
    uint32_t group_count;
    struct image_stats *stats; /* one per server that may come, then over everybody */
    struct buf times;          /* of int64_t: when rows were scored, each time once */
    uint32_t last_time;
    uint32_t *by_id; /* rows by the hash of their id, head.slots of them, or NULL */
};

static bool bad(struct err *e, const char *why)
{
    return err_set(e, ERR_PERMANENT, "ImageError", "the ranking in PostgreSQL is broken: %s", why);
}

static uint64_t align8(uint64_t n)
{
    return (n + 7) & ~UINT64_C(7);
}

static struct image_row *row_at(struct image_builder *b, uint32_t i)
{
    return (struct image_row *)(void *)(b->block + b->head.rows_off) + i;
}

static uint32_t *order_of(struct image_builder *b, enum image_order order)
{
    return (uint32_t *)(void *)(b->block + b->head.orders_off[order]);
}

static void lay_out(struct image_header *h, uint32_t entries)
{
    uint64_t at;

    h->entries = entries;
    h->slots = entries + entries / 3 + 8;
    h->rows_off = align8(sizeof *h);
    at = h->rows_off + (uint64_t)entries * sizeof(struct image_row);
    for (int o = 0; o < IMAGE_ORDERS; o++) {
        h->orders_off[o] = align8(at);
        at = h->orders_off[o] + (uint64_t)entries * sizeof(uint32_t);
    }
    h->slots_off = align8(at);
    h->text_off = align8(h->slots_off + (uint64_t)h->slots * sizeof(uint32_t));
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

/* Room for `more` bytes after what is used. */
static bool grow(struct image_builder *b, uint64_t more, struct err *e)
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
        return bad(e, "a name is not UTF-8");
    }
    buf_reset(&b->scratch);
    if (!buf_add_json(&b->scratch, s, len)) {
        return bad(e, "a name is too long");
    }
    *text = b->scratch.data + 1;
    *text_len = b->scratch.len - 2;
    return true;
}

static bool append_text(struct image_builder *b, const char *s, size_t len, uint32_t *off,
                        struct err *e)
{
    if (b->text_len + len > UINT32_MAX) {
        return bad(e, "its names are too long");
    }
    if (!grow(b, len, e)) {
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
            return bad(e, "too many servers or classes");
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
        return bad(e, "a server without a name");
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
        return bad(e, "the names of its servers and classes are too long");
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
        bad(e, "a row of a group that there is not");
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
    return buf_add(&b->times, (const char *)&us, sizeof us) || bad(e, "scores of too many runs");
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
        struct image_row *r = row_at(b, b->pending[i].place);

        /* tier[0] marks a row that is there; rows start as zeros. */
        if (r->tier[0] != '\0') {
            return bad(e, "a rank comes twice");
        }
        *r = b->pending[i].row;
    }
    b->added += b->pending_count;
    b->pending_count = 0;
    return true;
}

/* After the last row. Places that stayed empty would all look like one and the same character. */
static bool close_rows(struct image_builder *b, struct err *e)
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
        return bad(e, "a value is out of range");
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
    __builtin_prefetch(row_at(b, (uint32_t)s->rank - 1), 1);
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

/* ---- the generation before ---- */

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
        __builtin_prefetch(text + row_at(b, from + i)->name_off);
    }
    for (uint32_t i = 0; i < n; i++) {
        const struct image_row *r = row_at(b, from + i);
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
        struct image_row *r = row_at(b, i);

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
    if (!close_rows(b, e)) {
        return false;
    }
    take_before(b, before);
    return true;
}

static uint32_t next_slot(const struct image_builder *b, uint32_t at)
{
    return at + 1 < b->head.slots ? at + 1 : 0;
}

static uint32_t id_slot(const struct image_builder *b, int64_t id)
{
    uint64_t h = (uint64_t)id * UINT64_C(0x9e3779b97f4a7c15);

    return (uint32_t)(((h >> 32) * b->head.slots) >> 32);
}

bool image_builder_expect_before(struct image_builder *b, struct err *e)
{
    if (!close_rows(b, e)) {
        return false;
    }
    b->by_id = mem_try_array(b->head.slots, sizeof *b->by_id);
    if (!b->by_id) {
        return err_set(e, ERR_RETRYABLE, "MemoryError", "no memory for the earlier ranks");
    }
    memset(b->by_id, 0xff, (size_t)b->head.slots * sizeof *b->by_id);
    for (uint32_t i = 0; i < b->head.entries; i++) {
        uint32_t at = id_slot(b, row_at(b, i)->id);

        while (b->by_id[at] != IMAGE_NO_ROW) {
            at = next_slot(b, at);
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
        struct image_row *r = row_at(b, b->by_id[at]);

        if (r->id == id && rank > 0 && rank <= UINT32_MAX && server_rank > 0 &&
            server_rank <= UINT32_MAX) {
            r->before = (uint32_t)rank;
            r->server_before = (uint32_t)server_rank;
            return;
        }
        at = next_slot(b, at);
    }
}

/* ---- indexes ---- */

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
    uint32_t *by_server = order_of(b, IMAGE_BY_SERVER), *by_class = order_of(b, IMAGE_BY_CLASS);

    start_parts(&b->servers);
    start_parts(&b->classes);
    for (uint32_t i = 0; i < b->head.entries; i++) {
        const struct image_row *r = row_at(b, i);
        struct image_part *server = &b->servers.items[r->server].part;

        if (r->server_rank != server->count + 1) {
            return bad(e, "ranks of a server are not 1, 2, 3, ...");
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
        const struct image_row *r = row_at(b, i);

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
    uint32_t *order = order_of(b, IMAGE_BY_GROUP);
    bool ok = group_of || err_set(e, ERR_RETRYABLE, "MemoryError", "no memory for the groups");

    ok = ok && make_groups(b, group_of, e);
    for (uint32_t i = 0; ok && i < b->head.entries; i++) {
        const struct image_row *r = row_at(b, i);
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
        const struct image_row *r = row_at(b, i);
        int tier = image_tier_number(r->tier);

        if (tier < 0) {
            return bad(e, "a tier is unknown");
        }
        if (i > 0 && r->power_score > r[-1].power_score) {
            return bad(e, "its ranks are not in the order of the scores");
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
            __builtin_prefetch(text + row_at(b, from + i)->name_off);
        }
        for (uint32_t i = 0; i < n; i++) {
            const struct image_row *r = row_at(b, from + i);

            at[i] = image_slot(&b->head, r->server, text + r->name_off, r->name_len);
            __builtin_prefetch(&slots[at[i]], 1);
        }
        for (uint32_t i = 0; i < n; i++) {
            while (slots[at[i]] != IMAGE_NO_ROW) {
                at[i] = next_slot(b, at[i]);
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
        *TABLES[i].off = align8(at);
        at = *TABLES[i].off + TABLES[i].bytes;
    }
    if (!grow(b, at - b->head.text_off - b->text_len, e)) {
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

    if (close_rows(b, e) && fill_orders(b, e) && fill_groups(b, e) && fill_stats(b, e)) {
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
