#include "worker/revoked.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

/*
 * A balanced tree for looking up (the ids are others' choice, so no hash that they could make
 * collide) and a list by age for forgetting.
 */
struct node {
    struct revoked_entry e; /* first: the tree compares by it */
    struct node *older, *newer;
    char id[];
};

struct revoked {
    void *tree;
    struct node *newest, *oldest;
    int count;
};

static int compare(const void *a, const void *b)
{
    const struct revoked_entry *x = a, *y = b;

    return strcmp(x->id, y->id);
}

static struct node *find(const struct revoked *r, const char *id)
{
    struct revoked_entry key = {.id = id};
    struct node *const *at = tfind(&key, &r->tree, compare);

    return at ? *at : NULL;
}

static void drop(struct revoked *r, struct node *n)
{
    tdelete(n, &r->tree, compare);
    *(n->older ? &n->older->newer : &r->oldest) = n->newer;
    *(n->newer ? &n->newer->older : &r->newest) = n->older;
    r->count--;
    free(n);
}

struct revoked *revoked_new(void)
{
    return mem_alloc(sizeof(struct revoked));
}

void revoked_free(struct revoked *r)
{
    while (r->oldest) {
        drop(r, r->oldest);
    }
    free(r);
}

int revoked_count(const struct revoked *r)
{
    return r->count;
}

bool revoked_has(const struct revoked *r, const char *id)
{
    return r->count > 0 && find(r, id);
}

/* At the place of its age: what is added is nearly always the newest. */
static void link_by_age(struct revoked *r, struct node *n)
{
    struct node *after = r->newest; /* the first that is not newer */

    while (after && after->e.at_ms > n->e.at_ms) {
        after = after->older;
    }
    n->older = after;
    n->newer = after ? after->newer : r->oldest;
    *(n->older ? &n->older->newer : &r->oldest) = n;
    *(n->newer ? &n->newer->older : &r->newest) = n;
}

bool revoked_add(struct revoked *r, const char *id, int64_t at_ms)
{
    size_t len = strlen(id);
    struct node *n;

    if (len == 0 || len > REVOKED_ID_MAX || find(r, id)) {
        return false;
    }
    n = mem_try_array(1, sizeof *n + len + 1);
    if (!n) {
        return false;
    }
    memcpy(n->id, id, len + 1);
    n->e.id = n->id;
    n->e.at_ms = at_ms;
    if (!tsearch(n, &r->tree, compare)) {
        free(n);
        return false;
    }
    link_by_age(r, n);
    if (++r->count > REVOKED_MAX) {
        drop(r, r->oldest);
    }
    return true;
}

void revoked_mark(struct revoked *r, const char *id, unsigned done)
{
    struct node *n = find(r, id);

    if (n) {
        n->e.done |= done;
    }
}

void revoked_unmark_since(struct revoked *r, int64_t at_ms, unsigned done)
{
    for (struct node *n = r->newest; n && n->e.at_ms >= at_ms; n = n->older) {
        n->e.done &= ~done;
    }
}

void revoked_forget_before(struct revoked *r, int64_t at_ms)
{
    while (r->oldest && r->oldest->e.at_ms < at_ms) {
        drop(r, r->oldest);
    }
}

void revoked_each(const struct revoked *r, bool (*fn)(void *ctx, const struct revoked_entry *e),
                  void *ctx)
{
    for (const struct node *n = r->newest; n && fn(ctx, &n->e); n = n->older) {
    }
}
