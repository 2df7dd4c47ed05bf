#ifndef API_IMAGE_H
#define API_IMAGE_H

#include <stdatomic.h>

#include "common/err.h"
#include "common/stats.h"

/*
 * The image: one generation of the ranking as one block of bytes without pointers.
 *
 *   header | rows in rank order | orders per server, class, and both | hash slots | text |
 *   servers | classes | groups | statistics | times
 *
 * Row i holds rank i + 1. An order lists row numbers, part by part: a part belongs to a server, a
 * class, or a group (a class on a server), and its entries ascend, so the r-th of them is the row
 * of rank r there. A slot holds a row number or IMAGE_NO_ROW; the place is image_slot() of server
 * and name, then the next slots, the first after the last. Text offsets count from text_off. Every
 * text is kept as it stands inside a JSON string (escaped, without the quotes), so answers copy it
 * and lookups escape what they look for.
 *
 * The same bytes are the file in STATE_DIR. Whoever changes a struct below raises IMAGE_VERSION: a
 * file of another version is refused and built again from PostgreSQL.
 */
#define IMAGE_MAGIC       "AION2IMG"
#define IMAGE_VERSION     4u
#define IMAGE_NO_ROW      UINT32_MAX
#define IMAGE_ENTRIES_MAX (32u * 1024 * 1024)
#define IMAGE_NAMES_MAX   4096u      /* servers, and classes */
#define IMAGE_TEXT_MAX    2048u      /* bytes of one escaped text */
#define IMAGE_TIMES_MAX   (1u << 18) /* runs whose scores a generation still has */
#define IMAGE_POWER_NONE  INT64_C(-1)
#define IMAGE_TIERS       25 /* S5 is 0, D1 is 24 */

enum image_order { IMAGE_BY_SERVER, IMAGE_BY_CLASS, IMAGE_BY_GROUP, IMAGE_ORDERS };

struct image_header {
    char magic[8];
    uint32_t version;
    uint32_t crc; /* CRC-32 of the whole block with this field 0 */
    uint64_t size;
    int64_t run_id;
    int64_t generated_us; /* since the epoch, as every time here */
    uint64_t hash_seed;
    uint32_t entries;
    uint32_t servers;
    uint32_t classes;
    uint32_t groups;
    uint32_t slots; /* more than entries */
    uint32_t times;
    uint64_t rows_off;
    uint64_t orders_off[IMAGE_ORDERS];
    uint64_t slots_off;
    uint64_t text_off;
    uint64_t text_len;
    uint64_t servers_off;
    uint64_t classes_off;
    uint64_t groups_off;
    uint64_t stats_off; /* one per server, and one over everybody */
    uint64_t times_off; /* when rows were scored; hardly ever more than one */
    int64_t before_run; /* run id of the generation that `before` in rows is of, -1: none */
};

struct image_row {
    int64_t id;
    int64_t power; /* IMAGE_POWER_NONE: not known */
    int64_t power_score;
    uint32_t name_off;
    uint32_t server_rank;
    uint32_t before; /* rank in the generation before this one, 0: was not there */
    uint32_t server_before;
    int32_t level;
    uint32_t name_len : 12; /* at most IMAGE_TEXT_MAX */
    uint32_t scored : 18;   /* index of its time */
    uint32_t stale : 1;
    uint32_t unused : 1;
    uint16_t server; /* index of an image_name */
    uint16_t cls;
    uint16_t percentile_c; /* hundredths */
    char tier[2];
};

/* A part of an order. */
struct image_part {
    uint32_t start;
    uint32_t count;
};

/* A server or a class. */
struct image_name {
    uint32_t text_off;
    uint32_t text_len;
    struct image_part part;
};

/* A class on a server; sorted by both. */
struct image_group {
    uint16_t server;
    uint16_t cls;
    struct image_part part;
};

/* Of a server, or over everybody (the last one; averages are of servers only). */
struct image_stats {
    int64_t sample_size; /* of the averages; 0: none */
    int64_t average[STAT_COUNT];
    int64_t tier_min[IMAGE_TIERS]; /* lowest score; of tiers that somebody has */
    uint32_t tier_count[IMAGE_TIERS];
    uint32_t unused;
};

/* A view of the block. Counted: whoever holds a reference may read, the last one unmaps. */
struct image {
    atomic_uint refs;
    atomic_bool walked; /* somebody walks over it with a cursor: worth keeping for a while */
    void *block;        /* owned mapping */
    size_t block_bytes;
    const struct image_header *head;
    const struct image_row *rows;
    const uint32_t *orders[IMAGE_ORDERS];
    const uint32_t *slots;
    const char *text;
    const struct image_name *servers;
    const struct image_name *classes;
    const struct image_group *groups;
    const struct image_stats *stats;
    const int64_t *times;
};

/* A view of a block that the builder has just made, which needs no check; otherwise as image_open.
 */
struct image *image_adopt(void *block, size_t bytes) MUST_CHECK;

/*
 * Checks every offset, index and text of the block and makes a view with one reference. block is a
 * mapping of `bytes` bytes; the view owns it on success, the caller still does on failure.
 */
struct image *image_open(void *block, size_t bytes, struct err *e) MUST_CHECK;
struct image *image_ref(struct image *img);
void image_unref(struct image *img); /* NULL is fine */

/* The checksum that belongs into the header. */
uint32_t image_crc(const void *block, size_t bytes);
/* The slot in which the search for (server, escaped name) starts. */
uint32_t image_slot(const struct image_header *h, uint16_t server, const char *name, size_t len);
/* When the row was scored. */
int64_t image_scored_us(const struct image *img, const struct image_row *row);

/* Index of the server, or class, with this (raw) name, -1 when it has no entries. */
int image_find_server(const struct image *img, const char *name, size_t len);
int image_find_class(const struct image *img, const char *name, size_t len);
/* Row of the character (raw name) on that server, or NULL. */
const struct image_row *image_find(const struct image *img, int server, const char *name,
                                   size_t len);
/* The same with the name as the image keeps it. */
const struct image_row *image_find_escaped(const struct image *img, int server, const char *name,
                                           size_t len);

/* Over which characters a board is: indexes, IMAGE_ANY, or IMAGE_NONE (a board without entries). */
#define IMAGE_ANY  (-1)
#define IMAGE_NONE (-2)
struct image_board {
    int server;
    int cls;
};

/* A board as a list: its i-th entry (from 0) is rows[order ? order[i] : i]. */
struct image_list {
    const struct image_row *rows;
    const uint32_t *order;
    uint32_t count;
};
struct image_list image_list_of(const struct image *img, struct image_board board);
/* i is below the count. */
const struct image_row *image_list_row(const struct image_list *l, uint32_t i);
/* Place of the row on the list, from 1; 0 when it is not on it. */
uint32_t image_list_rank(const struct image_list *l, const struct image_row *row);
/* 1 + how many have a higher score: the place that rows of one score share. */
uint32_t image_list_tied_rank(const struct image_list *l, int64_t score);
/* The same of the score at that rank (from 1, on the list); few share it, so it is near. */
uint32_t image_list_tied_at(const struct image_list *l, uint32_t rank);

/* 0 for S5 ... IMAGE_TIERS - 1 for D1; -1: no tier. */
int image_tier_number(const char tier[2]);
const char *image_tier_name(int number);

#endif
