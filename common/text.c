#include "common/text.h"

#include <string.h>

bool text_n_to_i64(const char *s, size_t len, int64_t min, int64_t max, int64_t *out)
{
    bool negative = len > 0 && s[0] == '-';
    int64_t v = 0;
    size_t i = negative ? 1 : 0;

    if (i == len || len > 20) {
        return false;
    }
    for (; i < len; i++) {
        int digit = s[i] - '0';

        if (digit < 0 || digit > 9 || __builtin_mul_overflow(v, 10, &v) ||
            __builtin_sub_overflow(v, digit, &v)) {
            return false; /* built negative, so that INT64_MIN fits */
        }
    }
    if (!negative && __builtin_sub_overflow((int64_t)0, v, &v)) {
        return false;
    }
    if (v < min || v > max) {
        return false;
    }
    *out = v;
    return true;
}

bool text_to_i64(const char *s, int64_t min, int64_t max, int64_t *out)
{
    return text_n_to_i64(s, strlen(s), min, max, out);
}

/* Bytes of the sequence at s, 0 when it is not valid. Table 3-7 of the Unicode standard. */
static size_t utf8_sequence(const unsigned char *s, size_t left)
{
    size_t n = s[0] < 0x80                   ? 1
               : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
               : (s[0] & 0xf0) == 0xe0       ? 3
               : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
                                             : 0;

    if (n == 0 || n > left) {
        return 0;
    }
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
        (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f)) {
        return 0;
    }
    return n;
}

/* How many bytes are ASCII for sure, by eights: most of what is checked is JSON. */
static size_t ascii_run(const unsigned char *s, size_t left)
{
    size_t i = 0;
    uint64_t eight;

    for (; left - i >= sizeof eight; i += sizeof eight) {
        memcpy(&eight, s + i, sizeof eight);
        if (eight & UINT64_C(0x8080808080808080)) {
            break;
        }
    }
    return i;
}

bool text_is_utf8(const char *s, size_t len)
{
    const unsigned char *u = (const unsigned char *)s;
    size_t i = 0;

    while (i < len) {
        size_t n = ascii_run(u + i, len - i);

        if (n == 0) {
            n = utf8_sequence(u + i, len - i);
        }
        if (n == 0) {
            return false;
        }
        i += n;
    }
    return true;
}

void text_make_utf8(char *s)
{
    unsigned char *u = (unsigned char *)s;
    size_t left = strlen(s);

    while (left > 0) {
        size_t n = utf8_sequence(u, left);

        if (n == 0) {
            *u = '?';
            n = 1;
        }
        u += n;
        left -= n;
    }
}

size_t text_utf8_count(const char *s, size_t len)
{
    size_t count = 0;

    for (size_t i = 0; i < len; i++) {
        count += ((unsigned char)s[i] & 0xc0) != 0x80;
    }
    return count;
}

bool text_has_control(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];

        if (c < 0x20 || c == 0x7f) {
            return true;
        }
    }
    return false;
}

bool text_copy(char *dst, size_t cap, const char *src)
{
    size_t len = strlen(src);
    bool fits = len < cap;

    if (!fits) {
        len = cap - 1;
    }
    memmove(dst, src, len);
    dst[len] = '\0';
    return fits;
}

uint64_t text_hash(const void *bytes, size_t len)
{
    const unsigned char *p = bytes;
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < len; i++) {
        h = (h ^ p[i]) * UINT64_C(0x100000001b3);
    }
    return h;
}
