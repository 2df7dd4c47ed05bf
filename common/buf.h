#ifndef COMMON_BUF_H
#define COMMON_BUF_H

#include "common/base.h"

#include <stdarg.h>

/*
 * A growing byte buffer with a maximum. Passing the maximum, or running out of memory, sets
 * `failed`, frees the bytes and makes every later call a no-op: check once, at the end.
 */
struct buf {
    char *data; /* owned; NUL follows the last byte whenever data is not NULL */
    size_t len;
    size_t cap;
    size_t max;
    bool failed;
};

void buf_init(struct buf *b, size_t max_bytes);
void buf_fini(struct buf *b);
/* Keeps the memory. Clears `failed`. */
void buf_reset(struct buf *b);
/* At least `more` writable bytes after data + len; false when failed. */
bool buf_reserve(struct buf *b, size_t more);
bool buf_add(struct buf *b, const void *bytes, size_t len);
bool buf_addstr(struct buf *b, const char *s);
bool buf_addch(struct buf *b, char c);
bool buf_addf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
bool buf_addi64(struct buf *b, int64_t v);
/* s as a JSON string with its quotes; s must be valid UTF-8. */
bool buf_add_json(struct buf *b, const char *s, size_t len);
/* The bytes, NUL-terminated, now the caller's (free()); NULL when failed. The buffer is empty then.
 */
char *buf_take(struct buf *b, size_t *len);
/* Drops the first n bytes. */
void buf_consume(struct buf *b, size_t n);

#endif
