#include "api/cursor.h"

#include <stdio.h>
#include <string.h>

#include "common/text.h"

/* Hexadecimal: run, place, board, and a checksum so that a cut or mixed-up text is noticed. */

uint32_t cursor_board(const char *server, const char *cls)
{
    uint64_t h = text_hash(server, strlen(server) + 1) * 31 + text_hash(cls, strlen(cls) + 1);

    return (uint32_t)(h ^ h >> 32);
}

static unsigned checksum(const char *text)
{
    return (unsigned)(text_hash(text, strlen(text)) >> 40) & 0xfff;
}

/* Without leading zeros, at least min_digits; every page has one, and printf would be slow. */
static char *put_hex(char *p, uint64_t v, int min_digits)
{
    int digits = 16;

    while (digits > min_digits && v >> (4 * (digits - 1)) == 0) {
        digits--;
    }
    while (digits-- > 0) {
        *p++ = "0123456789abcdef"[v >> (4 * digits) & 15];
    }
    return p;
}

const char *cursor_print(const struct cursor *c, char out[CURSOR_SIZE])
{
    char *p = put_hex(out, (uint64_t)c->run_id, 1);

    *p++ = '-';
    p = put_hex(p, c->next, 1);
    *p++ = '-';
    p = put_hex(p, c->board, 1);
    *p = '\0';
    p[4] = '\0';
    put_hex(p + 1, checksum(out), 3);
    *p = '-';
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
