#ifndef API_CURSOR_H
#define API_CURSOR_H

#include "common/base.h"

/*
 * Where a walk over a board stands: which generation, which place comes next, and on which board.
 * Clients get it as an opaque text and give it back unchanged.
 */
#define CURSOR_SIZE  40 /* of the text, with the NUL */
#define CURSOR_START "start"

struct cursor {
    int64_t run_id;
    uint32_t next;  /* counts from 0 */
    uint32_t board; /* cursor_board() of what is walked over */
};

/* A number for server and class ("": any); another board has another one. */
uint32_t cursor_board(const char *server, const char *cls);

const char *cursor_print(const struct cursor *c, char out[CURSOR_SIZE]);
/* False: not a text of cursor_print. */
bool cursor_parse(const char *text, struct cursor *c) MUST_CHECK;

#endif
