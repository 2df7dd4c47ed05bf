#ifndef API_BOARD_H
#define API_BOARD_H

#include "api/cursor.h"
#include "api/query.h"
#include "api/request.h"

/* Which part of which board is asked for. */
struct board_query {
    bool top;                          /* /api/ranking/top; else a page */
    bool walk;                         /* with a cursor; else by page number */
    char server[QUERY_TEXT_BYTES + 1]; /* "": over every server */
    char cls[QUERY_TEXT_BYTES + 1];    /* "": every class */
    int64_t first;                     /* counts from 0 */
    int64_t count;
    int64_t page, page_size; /* pages only */
};

/* The five servers that are there from the first day. */
extern const char *const BOARD_DEFAULT_SERVERS[];
extern const size_t BOARD_DEFAULT_COUNT;
bool board_is_default_server(const char *name);
/* The same by any of its names: it has a board, if an empty one. */
bool board_always_knows(const struct request *rq, const char *server);

/* Answers from the cache of the loop; false when it is not there. */
bool board_answer_cached(const struct request *rq);

/*
 * What an address asks about: the server of q (it may be unknown to the image: PostgreSQL is asked
 * whether it exists) and its class. fn gets a board of the image, with IMAGE_NONE for a server
 * without entries; rq is answered otherwise (404, 503). rq and *q are copied when it takes longer.
 */
typedef void (*board_fn)(const struct request *rq, const struct board_query *q,
                         struct image_board board);
void board_resolve(const struct request *rq, const struct board_query *q, board_fn fn);
/* "all" is the name of the board over every server. */
void board_set_server(struct board_query *q, const struct query_value *v);
void board_set_class(struct board_query *q, const struct query_value *v);

/* ,"snapshot":{...}; img NULL: null. */
void board_add_snapshot(struct buf *b, const struct request *rq, const struct image *img);
/* What follows the items: totals, time and snapshot (img NULL: live rows). */
void board_add_tail(struct buf *b, const struct request *rq, const struct board_query *q,
                    int64_t returned, int64_t total, const struct image *img);
/* Sends an answer made from the loop's image: ETag, times. cache: keep it for the same target. */
void board_send(const struct request *rq, struct body *body, bool cache);
/* The same from a buffer, which it frees. */
void board_send_buf(const struct request *rq, struct buf *b, bool cache);
/* The same of an image that need not be the loop's any more: then it is not kept. */
void board_send_buf_of(const struct request *rq, const struct image *img, struct buf *b,
                       bool cache);

/* The board from the live rows of PostgreSQL, while nothing was ever published. */
void live_answer(const struct request *rq, const struct board_query *q);

#endif
