#include "api/cache.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/text.h"

struct place {
    struct body *body; /* one reference, or NULL */
    unsigned form;
    size_t key_len;
    char key[CACHE_KEY_MAX];
};

struct cache {
    size_t bytes;
    struct place places[CACHE_PLACES];
};

struct cache *cache_new(void)
{
    return mem_alloc(sizeof(struct cache));
}

static void drop(struct cache *c, struct place *p)
{
    if (p->body) {
        c->bytes -= p->body->len;
        body_unref(p->body);
        p->body = NULL;
    }
}

void cache_clear(struct cache *c)
{
    for (size_t i = 0; i < CACHE_PLACES; i++) {
        drop(c, &c->places[i]);
    }
}

void cache_free(struct cache *c)
{
    if (c) {
        cache_clear(c);
        free(c);
    }
}

static size_t place_of(const char *key, size_t len, unsigned form)
{
    uint64_t h = text_hash(key, len) ^ form;

    return (size_t)(h ^ h >> 32) % CACHE_PLACES;
}

struct body *cache_get(const struct cache *c, const char *target, unsigned form)
{
    size_t len = strlen(target);
    const struct place *p = &c->places[place_of(target, len, form)];

    return p->body && p->form == form && p->key_len == len && memcmp(p->key, target, len) == 0
               ? p->body
               : NULL;
}

void cache_put(struct cache *c, const char *target, unsigned form, struct body *b)
{
    size_t len = strlen(target);
    struct place *p = &c->places[place_of(target, len, form)];

    if (len > CACHE_KEY_MAX || b->len > CACHE_BYTES_MAX / 4) {
        return;
    }
    drop(c, p);
    if (c->bytes + b->len > CACHE_BYTES_MAX) {
        cache_clear(c);
    }
    p->body = body_ref(b);
    p->form = form;
    p->key_len = len;
    memcpy(p->key, target, len);
    c->bytes += b->len;
}
