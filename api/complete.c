#include "api/complete.h"

#include <stdlib.h>
#include <string.h>

#include "api/fold.h"
#include "common/mem.h"

/* Of a list, the best row in each block of places: what is asked for are the best of a range. */
#define BLOCK 64

/* Candidates that are looked at when initials are mixed with syllables. */
#define TRIES_MAX 2000

typedef size_t (*fold_fn)(const char *s, size_t len, char *out, size_t cap);

/* Rows sorted by folded name. */
struct list {
    uint32_t *rows;
    uint32_t *best; /* smallest row number of each block */
    uint32_t count;
};

struct complete {
    atomic_uint refs;
    struct image *img;         /* one reference */
    struct list all[2];        /* by name, by initials; over every server */
    struct list per_server[2]; /* the same, one server behind the other as in image_name.part */
};

static const fold_fn FOLDS[2] = {fold_name, fold_initials};

/* ---- sorting ---- */

/* The first bytes decide nearly always, and then no name is looked up. */
struct key {
    uint64_t first;
    uint32_t row;
};

struct sorter {
    const struct image *img;
    fold_fn fold;
};

static size_t fold_row(const struct sorter *s, uint32_t row, char *out, size_t cap)
{
    const struct image_row *r = &s->img->rows[row];

    return s->fold(s->img->text + r->name_off, r->name_len, out, cap);
}

static int compare_bytes(const char *a, size_t a_len, const char *b, size_t b_len)
{
    int order = memcmp(a, b, a_len < b_len ? a_len : b_len);

    return order ? order : (a_len > b_len) - (a_len < b_len);
}

static int compare_keys(const void *left, const void *right, void *sorter)
{
    const struct key *a = left, *b = right;
    char a_name[FOLD_MAX], b_name[FOLD_MAX];
    int order;

    if (a->first != b->first) {
        return a->first < b->first ? -1 : 1;
    }
    order = compare_bytes(a_name, fold_row(sorter, a->row, a_name, sizeof a_name), b_name,
                          fold_row(sorter, b->row, b_name, sizeof b_name));
    return order ? order : (a->row > b->row) - (a->row < b->row);
}

static struct key key_of(const struct sorter *s, uint32_t row)
{
    char name[sizeof(uint64_t)];
    size_t len = fold_row(s, row, name, sizeof name);
    struct key k = {.row = row};

    for (size_t i = 0; i < sizeof name; i++) {
        k.first = k.first << 8 | (i < len ? (unsigned char)name[i] : 0);
    }
    return k;
}

/* ---- lists ---- */

static bool list_init(struct list *l, uint32_t count)
{
    l->count = count;
    l->rows = mem_try_array(count, sizeof *l->rows);
    l->best = mem_try_array(count / BLOCK + 1, sizeof *l->best);
    return l->rows && l->best;
}

static void list_fini(struct list *l)
{
    free(l->rows);
    free(l->best);
}

static void list_find_best(struct list *l)
{
    memset(l->best, 0xff, (l->count / BLOCK + 1) * sizeof *l->best);
    for (uint32_t i = 0; i < l->count; i++) {
        if (l->rows[i] < l->best[i / BLOCK]) {
            l->best[i / BLOCK] = l->rows[i];
        }
    }
}

/* Rows of the image, sorted; keys is freed by the caller. */
static struct key *sort_rows(const struct sorter *s, const uint32_t *rows, uint32_t count)
{
    struct key *keys = mem_try_array(count, sizeof *keys);

    for (uint32_t i = 0; keys && i < count; i++) {
        keys[i] = key_of(s, rows ? rows[i] : i);
    }
    if (keys) {
        qsort_r(keys, count, sizeof *keys, compare_keys, (void *)(uintptr_t)s);
    }
    return keys;
}

static bool sort_all(struct complete *c, int by)
{
    struct sorter s = {c->img, FOLDS[by]};
    uint32_t count = c->img->head->entries;
    struct key *keys = sort_rows(&s, NULL, count);

    if (!keys) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        c->all[by].rows[i] = keys[i].row;
    }
    free(keys);
    return true;
}

/* ---- from the index before ---- */

/* What has become of each row of the image before: its row now, or IMAGE_NO_ROW. */
struct moves {
    uint32_t *now;
    uint32_t before_count;
    uint32_t *fresh; /* rows that were not there */
    uint32_t fresh_count;
};

static void moves_fini(struct moves *m)
{
    free(m->now);
    free(m->fresh);
}

/* Of each server of the image its number in the other one, or IMAGE_NONE. */
static int *match_servers(const struct image *img, const struct image *other)
{
    int *out = mem_try_array(img->head->servers, sizeof *out);

    for (uint32_t i = 0; out && i < img->head->servers; i++) {
        const struct image_name *name = &img->servers[i];

        out[i] = IMAGE_NONE;
        for (uint32_t k = 0; k < other->head->servers && out[i] < 0; k++) {
            const struct image_name *its = &other->servers[k];

            if (compare_bytes(img->text + name->text_off, name->text_len,
                              other->text + its->text_off, its->text_len) == 0) {
                out[i] = (int)k;
            }
        }
    }
    return out;
}

/* Of whom a row is in the other image: rank there, 0: nobody of that name. */
static uint32_t rank_in(const struct image *other, const int *servers, const struct image *img,
                        const struct image_row *r)
{
    int server = servers[r->server];
    const struct image_row *its =
        server >= 0 ? image_find_escaped(other, server, img->text + r->name_off, r->name_len)
                    : NULL;

    return its ? (uint32_t)(its - other->rows) + 1 : 0;
}

/* The image knows the ranks of the generation right before it; of another one they are looked up.
 */
static void find_moves(struct moves *m, const struct image *img, const struct image *before,
                       const int *servers)
{
    bool known = img->head->before_run == before->head->run_id;

    for (uint32_t i = 0; i < img->head->entries; i++) {
        const struct image_row *r = &img->rows[i];
        uint32_t was = known ? r->before : rank_in(before, servers, img, r);

        if (was > 0 && was <= m->before_count) {
            m->now[was - 1] = i;
        } else {
            m->fresh[m->fresh_count++] = i;
        }
    }
}

static bool moves_init(struct moves *m, const struct image *img, const struct image *before)
{
    int *servers = match_servers(img, before);

    m->before_count = before->head->entries;
    m->fresh_count = 0;
    m->now = mem_try_array(m->before_count, sizeof *m->now);
    m->fresh = mem_try_array(img->head->entries, sizeof *m->fresh);
    if (servers && m->now && m->fresh) {
        memset(m->now, 0xff, m->before_count * sizeof *m->now);
        find_moves(m, img, before, servers);
    }
    free(servers);
    return servers && m->now && m->fresh;
}

/* The old order of those who stayed, with the new names between them. */
static bool merge(struct complete *c, int by, const struct moves *m, const struct list *old)
{
    struct sorter s = {c->img, FOLDS[by]};
    struct key *fresh = sort_rows(&s, m->fresh, m->fresh_count);
    bool sorted = fresh != NULL;
    uint32_t n = 0, f = 0;

    for (uint32_t i = 0; sorted && i < old->count; i++) {
        uint32_t row = m->now[old->rows[i]];
        struct key k;

        if (row == IMAGE_NO_ROW) {
            continue;
        }
        if (f < m->fresh_count) {
            k = key_of(&s, row);
            while (f < m->fresh_count && compare_keys(&fresh[f], &k, &s) < 0) {
                c->all[by].rows[n++] = fresh[f++].row;
            }
        }
        c->all[by].rows[n++] = row;
    }
    while (sorted && f < m->fresh_count) {
        c->all[by].rows[n++] = fresh[f++].row;
    }
    free(fresh);
    return sorted && n == c->all[by].count;
}

static bool merge_all(struct complete *c, const struct complete *from)
{
    struct moves m;
    bool ok = moves_init(&m, c->img, from->img);

    for (int by = 0; ok && by < 2; by++) {
        ok = merge(c, by, &m, &from->all[by]);
    }
    moves_fini(&m);
    return ok;
}

/* Stable, so each server's part is sorted as the whole is. */
static bool split_by_server(struct complete *c, int by)
{
    const struct image *img = c->img;
    uint32_t *next = mem_try_array(img->head->servers, sizeof *next);

    if (!next) {
        return false;
    }
    for (uint32_t i = 0; i < img->head->servers; i++) {
        next[i] = img->servers[i].part.start;
    }
    for (uint32_t i = 0; i < img->head->entries; i++) {
        uint32_t row = c->all[by].rows[i];

        c->per_server[by].rows[next[img->rows[row].server]++] = row;
    }
    free(next);
    return true;
}

static void destroy(struct complete *c)
{
    for (int by = 0; by < 2; by++) {
        list_fini(&c->all[by]);
        list_fini(&c->per_server[by]);
    }
    image_unref(c->img);
    free(c);
}

static bool make_lists(struct complete *c)
{
    uint32_t count = c->img->head->entries;

    for (int by = 0; by < 2; by++) {
        if (!list_init(&c->all[by], count) || !list_init(&c->per_server[by], count)) {
            return false;
        }
    }
    return true;
}

struct complete *complete_build(struct image *img, const struct complete *from)
{
    struct complete *c = mem_alloc(sizeof *c);
    bool ok;

    atomic_init(&c->refs, 1);
    c->img = image_ref(img);
    ok = make_lists(c) && (from ? merge_all(c, from) : sort_all(c, 0) && sort_all(c, 1));
    for (int by = 0; ok && by < 2; by++) {
        ok = split_by_server(c, by);
        list_find_best(&c->all[by]);
        list_find_best(&c->per_server[by]);
    }
    if (!ok) {
        destroy(c);
        return NULL;
    }
    return c;
}

struct complete *complete_ref(struct complete *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void complete_unref(struct complete *c)
{
    if (c && atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) == 1) {
        destroy(c);
    }
}

const struct image *complete_image(const struct complete *c)
{
    return c->img;
}

/* ---- looking ---- */

/* A range of a list, in which rows from `from` on have been asked for. */
struct range {
    const struct list *list;
    uint32_t begin, end;
};

/* The first place whose name is not before the prefix (or, after, is behind all that begin so). */
static uint32_t bound(const struct sorter *s, const struct range *r, const char *prefix, size_t len,
                      bool after)
{
    uint32_t low = r->begin, high = r->end;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        char name[FOLD_MAX];
        size_t name_len = fold_row(s, r->list->rows[mid], name, sizeof name);
        int order = memcmp(name, prefix, name_len < len ? name_len : len);

        if (order == 0) {
            order = name_len < len ? -1 : after ? -1 : 1;
        }
        if (order < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

static void narrow(const struct sorter *s, struct range *r, const char *prefix, size_t len)
{
    uint32_t begin = bound(s, r, prefix, len, false);

    r->end = bound(s, r, prefix, len, true);
    r->begin = begin;
}

/* The smallest row number of the range that is at least `from`; IMAGE_NO_ROW: none. */
static uint32_t best_from(const struct range *r, uint32_t from)
{
    uint32_t best = IMAGE_NO_ROW;

    for (uint32_t i = r->begin; i < r->end;) {
        uint32_t of_block = r->list->best[i / BLOCK];

        if (i % BLOCK == 0 && r->end - i >= BLOCK && (of_block >= best || of_block >= from)) {
            best = of_block < best ? of_block : best;
            i += BLOCK;
            continue;
        }
        if (r->list->rows[i] >= from && r->list->rows[i] < best) {
            best = r->list->rows[i];
        }
        i++;
    }
    return best;
}

/* Few are asked for, so the range is walked once for each; whole blocks cost one look. */
uint32_t complete_find(const struct complete *c, int server, const char *typed, size_t len,
                       const struct image_row **rows, uint32_t max)
{
    int by = fold_has_initial(typed, len);
    struct sorter s = {c->img, FOLDS[by]};
    char prefix[FOLD_MAX];
    size_t prefix_len = s.fold(typed, len, prefix, sizeof prefix);
    struct range r = {&c->all[by], 0, c->img->head->entries};
    uint32_t found = 0, row = 0;

    if (server != IMAGE_ANY) {
        const struct image_part *part = &c->img->servers[server].part;

        r = (struct range){&c->per_server[by], part->start, part->start + part->count};
    }
    narrow(&s, &r, prefix, prefix_len);
    for (int tries = 0; found < max && tries < TRIES_MAX; tries++) {
        const struct image_row *candidate;

        row = best_from(&r, row);
        if (row == IMAGE_NO_ROW) {
            break;
        }
        candidate = &c->img->rows[row++];
        if (fold_matches(typed, len, c->img->text + candidate->name_off, candidate->name_len)) {
            rows[found++] = candidate;
        }
    }
    return found;
}
