#ifndef API_IMAGE_LOAD_H
#define API_IMAGE_LOAD_H

#include <libpq-fe.h>

#include "api/image_build.h"

/* What a look at ranking_state found. */
enum image_load {
    IMAGE_LOAD_FAILED, /* *e says why */
    IMAGE_LOAD_EMPTY,  /* nothing was ever published */
    IMAGE_LOAD_SAME,   /* the generation of `have` is still the live one */
    IMAGE_LOAD_NEW,    /* *out is the live generation, with one reference */
};

struct image_want {
    const struct image *have;     /* may be NULL */
    void (*make_room)(void *ctx); /* called before a generation is read */
    void *ctx;
};

/*
 * Reads the live generation unless `have` already is it. Blocks. The whole read is one REPEATABLE
 * READ transaction, so it is one generation even while the next one is published.
 */
enum image_load image_load(PGconn *c, const struct image_want *want, struct image **out,
                           struct err *e) MUST_CHECK;

/* Rows as COPY ... (FORMAT binary) sends them; outside the loader only tests call these. */
struct image_copy {
    struct image_builder *builder; /* borrowed */
    bool past_header;
    bool ended;
};
/* One message of the COPY. False and *e when it is malformed. */
bool image_copy_feed(struct image_copy *c, const char *bytes, size_t len, struct err *e) MUST_CHECK;

#endif
