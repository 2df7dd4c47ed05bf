#ifndef API_IMAGE_BUILD_H
#define API_IMAGE_BUILD_H

#include "api/image.h"

/*
 * Builds an image from the groups of a generation and then its rows, which may come in any order.
 * The block is mapped once for the number of rows that was announced; only its last part, the text,
 * grows.
 */
struct image_builder;

/* Texts are raw UTF-8, borrowed, not terminated. */
struct image_member_of {
    const char *server, *cls;
    size_t server_len, cls_len;
};

struct image_source {
    int64_t id, power, power_score, scored_us;
    int64_t rank, server_rank;
    int32_t group; /* number of the group, in the order in which they were added */
    int32_t level, percentile_c, tier;
    bool stale;
    const char *name;
    size_t name_len;
};

/* NULL and *e when the numbers are out of range or memory is out. */
struct image_builder *image_builder_new(int64_t run_id, int64_t generated_us, int64_t entries,
                                        struct err *e) MUST_CHECK;
/* What rows of the next group have in common: 0, 1, 2, ... False and *e when it is broken. */
bool image_builder_add_group(struct image_builder *b, const struct image_member_of *g,
                             struct err *e) MUST_CHECK;
/*
 * False and *e when the row cannot be part of this generation (bad text, ...). That a rank comes
 * twice may be noticed by a later call.
 */
bool image_builder_add(struct image_builder *b, const struct image_source *s,
                       struct err *e) MUST_CHECK;
/* Averages of a server; one that is on no board is left out. */
struct image_averages {
    const char *server;
    size_t server_len;
    int64_t sample_size;
    int64_t average[STAT_COUNT];
};
bool image_builder_add_averages(struct image_builder *b, const struct image_averages *a,
                                struct err *e) MUST_CHECK;

/*
 * Where everybody stood in the generation before, after the last row: from its image, or one by one
 * (who is not in this generation is left out).
 */
bool image_builder_take_before(struct image_builder *b, const struct image *before,
                               struct err *e) MUST_CHECK;
bool image_builder_expect_before(struct image_builder *b, struct err *e) MUST_CHECK;
void image_builder_add_before(struct image_builder *b, int64_t id, int64_t rank,
                              int64_t server_rank);

/* Checks that every rank came, fills in the indexes. The image has one reference. Frees b always.
 */
struct image *image_builder_finish(struct image_builder *b, struct err *e) MUST_CHECK;
void image_builder_free(struct image_builder *b); /* NULL is fine */

#endif
