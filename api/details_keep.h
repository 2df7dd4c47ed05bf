#ifndef API_DETAILS_KEEP_H
#define API_DETAILS_KEEP_H

#include "api/details_feed.h"

/*
 * When the details store goes to STATE_DIR and comes from there; for the loader's thread. It is
 * stored once everybody was read and then with each new generation, if it has changed; it is read
 * once, when PostgreSQL is not there to tell.
 */
struct details_keep {
    const char *dir; /* "": nothing is kept */
    struct details *store;
    const struct details_feed *feed;
    bool is_due;
    bool was_read;
    uint64_t stored; /* details_changes() then */
};

void details_keep_init(struct details_keep *k, const char *dir, struct details *store,
                       const struct details_feed *feed);
/* A new generation is there. */
void details_keep_mark(struct details_keep *k);
/* Stores what is due. */
void details_keep_store(struct details_keep *k);
/* PostgreSQL does not answer, and it may be that nothing was read from it. */
void details_keep_load(struct details_keep *k);

#endif
