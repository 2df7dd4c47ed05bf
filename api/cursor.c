#include "api/cursor.h"

#include <stdio.h>
#include <string.h>

#include "common/text.h"

/* Hexadecimal: run, place, board, and a checksum so that a cut or mixed-up text is noticed. */
#define FORMAT "%" PRIx64 "-%" PRIx32 "-%" PRIx32

uint32_t cursor_board(const char *server, const char *cls)
{
    uint64_t h = text_hash(server, strlen(server) + 1) * 31 + text_hash(cls, strlen(cls) + 1);

    return (uint32_t)(h ^ h >> 32);
}

static unsigned checksum(const char *text)
{
    return (unsigned)(text_hash(text, strlen(text)) >> 40) & 0xfff;
}

const char *cursor_print(const struct cursor *c, char out[CURSOR_SIZE])
{
    size_t len;

    snprintf(out, CURSOR_SIZE, FORMAT, (uint64_t)c->run_id, c->next, c->board);
    len = strlen(out);
    snprintf(out + len, CURSOR_SIZE - len, "-%03x", checksum(out));
    return out;
}

bool cursor_parse(const char *text, struct cursor *c)
{
    struct cursor read;
    uint64_t run;
    char again[CURSOR_SIZE];

    if (strlen(text) >= CURSOR_SIZE ||
        sscanf(text, "%16" SCNx64 "-%8" SCNx32 "-%8" SCNx32, &run, &read.next, &read.board) != 3 ||
        run > INT64_MAX) {
        return false;
    }
    read.run_id = (int64_t)run;
    if (strcmp(cursor_print(&read, again), text) != 0) {
        return false;
    }
    *c = read;
    return true;
}
