#ifndef API_CACHE_H
#define API_CACHE_H

#include "api/body.h"

/*
 * Answers made lately, by request target and form; one cache per loop, for one image (it is
 * emptied when the image changes). A place per hash: what comes later replaces what was there.
 */
#define CACHE_PLACES    2048
#define CACHE_BYTES_MAX (4 * MIB)
#define CACHE_KEY_MAX   200 /* longer targets are not kept */

struct cache;

struct cache *cache_new(void);
void cache_free(struct cache *c); /* NULL is fine */
void cache_clear(struct cache *c);

/* form tells answers to the same target apart (compressed, stale). Borrowed; NULL: not there. */
struct body *cache_get(const struct cache *c, const char *target, unsigned form);
/* Takes a reference of its own. */
void cache_put(struct cache *c, const char *target, unsigned form, struct body *b);

#endif
