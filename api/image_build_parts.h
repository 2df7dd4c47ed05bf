#ifndef API_IMAGE_BUILD_PARTS_H
#define API_IMAGE_BUILD_PARTS_H

#include "api/image_build.h"
#include "common/buf.h"

/* What image_build.c, image_before.c and image_finish.c share; only for them. */

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

static inline uint64_t image_align8(uint64_t n)
{
    return (n + 7) & ~UINT64_C(7);
}

static inline struct image_row *image_row_at(struct image_builder *b, uint32_t i)
{
    return (struct image_row *)(void *)(b->block + b->head.rows_off) + i;
}

static inline uint32_t *image_order_of(struct image_builder *b, enum image_order order)
{
    return (uint32_t *)(void *)(b->block + b->head.orders_off[order]);
}

static inline uint32_t image_next_slot(const struct image_builder *b, uint32_t at)
{
    return at + 1 < b->head.slots ? at + 1 : 0;
}

/* Fills in *e and returns false. */
bool image_bad(struct err *e, const char *why);
/* Room for `more` bytes after what is used; the block may move. */
bool image_grow(struct image_builder *b, uint64_t more, struct err *e) MUST_CHECK;
/* After the last row. False and *e: one is missing, or a rank came twice. */
bool image_close_rows(struct image_builder *b, struct err *e) MUST_CHECK;

#endif
