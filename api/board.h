#ifndef API_BOARD_H
#define API_BOARD_H

#include "api/query.h"
#include "api/request.h"

/* Which part of which board is asked for. */
struct board_query {
    bool top;                          /* /api/ranking/top; else a page */
    char server[QUERY_TEXT_BYTES + 1]; /* "": over every server */
    int64_t first;                     /* counts from 0 */
    int64_t count;
    int64_t page, page_size; /* pages only */
};

/* The five servers that are there from the first day. */
extern const char *const BOARD_DEFAULT_SERVERS[];
extern const size_t BOARD_DEFAULT_COUNT;
bool board_is_default_server(const char *name);

/* Answers from the cache of the loop; false when it is not there. */
bool board_answer_cached(const struct request *rq);

/* What follows the items: totals, time and snapshot (img NULL: live rows). */
void board_add_tail(struct buf *b, const struct board_query *q, int64_t returned, int64_t total,
                    const struct image *img, bool stale);

/* The board from the live rows of PostgreSQL, while nothing was ever published. */
void live_answer(const struct request *rq, const struct board_query *q);

#endif
