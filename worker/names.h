#ifndef WORKER_NAMES_H
#define WORKER_NAMES_H

#include "common/base.h"

/*
 * A set of byte strings, numbered from 0 in order of arrival. Open addressing with a hash seeded
 * per process, so that nobody can choose names that collide.
 */
struct names {
    struct name_ref *refs; /* by number */
    uint32_t count;
    uint32_t refs_cap;
    uint32_t max;
    uint32_t *slots; /* number + 1, 0: free */
    uint32_t slots_cap;
    char *text;
    size_t text_len;
    size_t text_cap;
};

struct name_ref {
    uint64_t hash;
    size_t start; /* in text */
    uint32_t len;
};

#define NAMES_NONE UINT32_MAX

void names_init(struct names *n, uint32_t max_names);
void names_fini(struct names *n);
/* The number of these bytes, new or known; NAMES_NONE when memory is out or max is reached. */
uint32_t names_add(struct names *n, const void *bytes, size_t len) MUST_CHECK;
/* The same without adding: NAMES_NONE when unknown. */
uint32_t names_find(const struct names *n, const void *bytes, size_t len);
/* Borrowed until the next names_add. */
const char *names_get(const struct names *n, uint32_t number, size_t *len);

#endif
