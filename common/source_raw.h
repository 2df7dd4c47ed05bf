#ifndef COMMON_SOURCE_RAW_H
#define COMMON_SOURCE_RAW_H

#include "common/plaync.h"

/*
 * What the site answered about one person, as far as the stats come from it: compact JSON that is
 * stored beside the stats, so that they can be computed again, and what has not changed need not be
 * asked for again.
 */
struct raw_item {
    struct plaync_slot slot;
    int64_t at_s; /* unix seconds of the answer; 0: none yet */
    struct plaync_sums sums;
};
struct raw_board {
    int id;
    int64_t at_s;
    struct plaync_sums sums;
};
struct raw {
    const char *region;
    int64_t at_s;
    struct plaync_info info;
    struct raw_item items[PLAYNC_SLOTS_MAX];
    int item_count;
    struct raw_board boards[PLAYNC_BOARDS_MAX];
    int board_count;
};

/* Only what there is an answer for. Owned by the caller (free()). */
char *raw_print(const struct raw *r);
/*
 * The items and boards of an earlier raw_print about the same character. False: it is none, or of
 * somebody else; *r then has neither.
 */
bool raw_read_parts(const char *text, const char *region, const struct plaync_key *who,
                    struct raw *r);

/* The earlier answer that does for this slot, not older than since_s; NULL: ask. */
const struct raw_item *raw_find_item(const struct raw *before, const struct plaync_slot *slot,
                                     int64_t since_s);
const struct raw_board *raw_find_board(const struct raw *before, int id, int64_t since_s);

/* All of it added up, without the titles. */
void raw_add_up(const struct raw *r, struct plaync_sums *sums);

#endif
