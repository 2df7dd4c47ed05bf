#ifndef API_IMAGE_H
#define API_IMAGE_H

#include <stdatomic.h>

#include "common/err.h"

/*
 * The image: one generation of the ranking as one block of bytes without pointers.
 *
 *   header | rows in rank order | order per server | hash slots | text | servers | classes
 *
 * Row i holds rank i + 1. order[server.order_start + r - 1] is the row of rank r of that server. A
 * slot holds a row number or IMAGE_NO_ROW; the place is image_hash() of server and name, then the
 * next slots. Text offsets count from text_off. Every text is kept as it stands inside a JSON
 * string (escaped, without the quotes), so answers copy it and lookups escape what they look for.
 *
 * The same bytes are the file in STATE_DIR. Whoever changes a struct below raises IMAGE_VERSION: a
 * file of another version is refused and built again from PostgreSQL.
 */
#define IMAGE_MAGIC       "AION2IMG"
#define IMAGE_VERSION     1u
#define IMAGE_NO_ROW      UINT32_MAX
#define IMAGE_ENTRIES_MAX (32u * 1024 * 1024)
#define IMAGE_NAMES_MAX   4096u /* servers, and classes */
#define IMAGE_TEXT_MAX    2048u /* bytes of one escaped text */
#define IMAGE_POWER_NONE  INT64_C(-1)

enum image_flag { IMAGE_STALE = 1 };

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
    uint32_t slots; /* a power of two, more than entries */
    uint64_t rows_off;
    uint64_t order_off;
    uint64_t slots_off;
    uint64_t text_off;
    uint64_t text_len;
    uint64_t servers_off;
    uint64_t classes_off;
};

struct image_row {
    int64_t id;
    int64_t power; /* IMAGE_POWER_NONE: not known */
    int64_t power_score;
    int64_t scored_us;
    uint32_t name_off;
    uint32_t server_rank;
    int32_t level;
    uint16_t name_len;
    uint16_t server; /* index of an image_name */
    uint16_t cls;
    uint16_t percentile_c; /* hundredths */
    char tier[2];
    uint8_t flags;
    uint8_t unused;
};

/* A server or a class. */
struct image_name {
    uint32_t text_off;
    uint32_t text_len;
    uint32_t order_start; /* servers only */
    uint32_t count;
};

/* A view of the block. Counted: whoever holds a reference may read, the last one unmaps. */
struct image {
    atomic_uint refs;
    void *block; /* owned mapping */
    size_t block_bytes;
    const struct image_header *head;
    const struct image_row *rows;
    const uint32_t *order;
    const uint32_t *slots;
    const char *text;
    const struct image_name *servers;
    const struct image_name *classes;
};

enum image_check { IMAGE_CHECK_ALL, IMAGE_CHECK_NO_CRC };

/*
 * Checks every offset, index and text of the block and makes a view with one reference. block is a
 * mapping of `bytes` bytes; the view owns it on success, the caller still does on failure.
 */
struct image *image_open(void *block, size_t bytes, enum image_check check,
                         struct err *e) MUST_CHECK;
struct image *image_ref(struct image *img);
void image_unref(struct image *img); /* NULL is fine */

/* The checksum that belongs into the header. */
uint32_t image_crc(const void *block, size_t bytes);
/* Where the search for (server, escaped name) starts; mask with slots - 1. */
uint64_t image_hash(uint64_t seed, uint16_t server, const char *name, size_t len);

/* Index of the server with this (raw) name, -1 when it has no entries. */
int image_find_server(const struct image *img, const char *name, size_t len);
/* Row of the character (raw name) on that server, or NULL. */
const struct image_row *image_find(const struct image *img, int server, const char *name,
                                   size_t len);

/* A board is a server's index or IMAGE_BOARD_ALL. */
#define IMAGE_BOARD_ALL (-1)
uint32_t image_board_total(const struct image *img, int board);
/* i counts from 0 and is below the total. */
const struct image_row *image_board_row(const struct image *img, int board, uint32_t i);

#endif
