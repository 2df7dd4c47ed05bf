#ifndef API_LEGION_TABLE_H
#define API_LEGION_TABLE_H

#include <stdatomic.h>

#include "api/details.h"
#include "api/image.h"

/* Legions of every server, summed up from the characters on its board whose legion is known. */
struct legion {
    uint32_t number; /* in the details store */
    uint32_t members;
    uint32_t with_power; /* members whose power is known */
    int64_t total_power;
    int64_t top_score;
};

/* Of one generation; counted. */
struct legion_table {
    atomic_uint refs;
    struct image *img; /* one reference */
    uint32_t *start;   /* per server, and where the last one ends */
    struct legion *at; /* those of a server with the highest total power first */
};

/* Takes a while: for a thread that may. With one reference; NULL when memory is out. */
struct legion_table *legion_table_build(struct image *img, struct details *details) MUST_CHECK;
struct legion_table *legion_table_ref(struct legion_table *t);
void legion_table_unref(struct legion_table *t); /* NULL is fine */

#endif
