#include "common/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

void buf_init(struct buf *b, size_t max_bytes)
{
    *b = (struct buf){.max = max_bytes};
}

void buf_fini(struct buf *b)
{
    free(b->data);
    *b = (struct buf){.max = b->max};
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    b->failed = false;
}

static bool fail(struct buf *b)
{
    buf_fini(b);
    b->failed = true;
    return false;
}

bool buf_reserve(struct buf *b, size_t more)
{
    size_t want, cap;
    char *data;

    if (b->failed) {
        return false;
    }
    if (more > b->max || b->len > b->max - more) {
        return fail(b);
    }
    want = b->len + more + 1;
    if (want <= b->cap) {
        return true;
    }
    cap = b->cap < 128 ? 256 : b->cap * 2;
    if (cap > b->max + 1) {
        cap = b->max + 1;
    }
    if (cap < want) {
        cap = want;
    }
    data = mem_try_resize(b->data, cap, 1);
    if (!data) {
        return fail(b);
    }
    b->data = data;
    b->data[b->len] = '\0'; /* also when nothing is added */
    b->cap = cap;
    return true;
}

bool buf_add(struct buf *b, const void *bytes, size_t len)
{
    if (!buf_reserve(b, len)) {
        return false;
    }
    if (len > 0) {
        memcpy(b->data + b->len, bytes, len);
    }
    b->len += len;
    b->data[b->len] = '\0';
    return true;
}

bool buf_addstr(struct buf *b, const char *s)
{
    return buf_add(b, s, strlen(s));
}

bool buf_addch(struct buf *b, char c)
{
    return buf_add(b, &c, 1);
}

bool buf_addf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0 || !buf_reserve(b, (size_t)n)) {
        return false;
    }
    va_start(ap, fmt);
    vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
    return true;
}

bool buf_addi64(struct buf *b, int64_t v)
{
    char digits[20];
    char *p = digits + sizeof digits;
    uint64_t u = v < 0 ? (uint64_t)0 - (uint64_t)v : (uint64_t)v;

    do {
        *--p = (char)('0' + u % 10);
        u /= 10;
    } while (u);
    if (v < 0) {
        *--p = '-';
    }
    return buf_add(b, p, (size_t)(digits + sizeof digits - p));
}

bool buf_add_json(struct buf *b, const char *s, size_t len)
{
    size_t start = 0;

    buf_addch(b, '"');
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];

        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f) {
            continue;
        }
        buf_add(b, s + start, i - start);
        start = i + 1;
        if (c == '"' || c == '\\') {
            buf_addch(b, '\\');
            buf_addch(b, (char)c);
        } else {
            buf_addf(b, "\\u%04x", c);
        }
    }
    buf_add(b, s + start, len - start);
    return buf_addch(b, '"');
}

char *buf_take(struct buf *b, size_t *len)
{
    char *data;

    if (!buf_reserve(b, 0)) {
        return NULL;
    }
    data = b->data;
    data[b->len] = '\0';
    if (len) {
        *len = b->len;
    }
    b->data = NULL;
    buf_fini(b);
    return data;
}

void buf_consume(struct buf *b, size_t n)
{
    MUST(n <= b->len);
    if (n > 0) {
        memmove(b->data, b->data + n, b->len - n + 1);
        b->len -= n;
    }
}
