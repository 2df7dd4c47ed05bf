#ifndef API_IMAGE_BUILD_H
#define API_IMAGE_BUILD_H

#include "api/image.h"

/*
 * Builds an image from the rows of a generation, which may come in any order. The block is mapped
 * once for the number of rows that was announced; only its last part, the text, grows.
 */
struct image_builder;

struct image_source {
    int64_t id, power, power_score, scored_us;
    int64_t rank, server_rank, level;
    double percentile;
    const char *server, *name, *cls, *tier; /* raw UTF-8, borrowed, not terminated */
    size_t server_len, name_len, cls_len, tier_len;
    bool stale;
};

/* NULL and *e when the numbers are out of range or memory is out. */
struct image_builder *image_builder_new(int64_t run_id, int64_t generated_us, int64_t entries,
                                        struct err *e) MUST_CHECK;
/* False and *e when the row cannot be part of this generation (rank taken, bad text, ...). */
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
void image_builder_take_before(struct image_builder *b, const struct image *before);
bool image_builder_expect_before(struct image_builder *b, struct err *e) MUST_CHECK;
void image_builder_add_before(struct image_builder *b, int64_t id, int64_t rank,
                              int64_t server_rank);

/* Checks that every rank came, fills in the indexes. The image has one reference. Frees b always.
 */
struct image *image_builder_finish(struct image_builder *b, struct err *e) MUST_CHECK;
void image_builder_free(struct image_builder *b); /* NULL is fine */

#endif
