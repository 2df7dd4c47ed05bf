#include "api/fold.h"

#define SYLLABLE_FIRST 0xAC00u
#define SYLLABLE_LAST  0xD7A3u
#define PER_INITIAL    588u /* syllables that begin with the same consonant */
#define JAMO_FIRST     0x3131u
#define JAMO_LAST      0x314Eu
#define INITIAL_BYTE   0x80

/* Of the consonants U+3131 to U+314E; -1: stands at the end of syllables only. */
static int initial_of_jamo(uint32_t c)
{
    static const signed char INITIALS[] = {0,  1,  -1, 2,  -1, -1, 3,  4,  5,  -1,
                                           -1, -1, -1, -1, -1, -1, 6,  7,  8,  -1,
                                           9,  10, 11, 12, 13, 14, 15, 16, 17, 18};

    return c >= JAMO_FIRST && c <= JAMO_LAST ? INITIALS[c - JAMO_FIRST] : -1;
}

static int initial_of_syllable(uint32_t c)
{
    return c >= SYLLABLE_FIRST && c <= SYLLABLE_LAST ? (int)((c - SYLLABLE_FIRST) / PER_INITIAL)
                                                     : -1;
}

/* The code point at s and its bytes; valid UTF-8, anything else is taken byte by byte. */
static uint32_t next_char(const char *s, size_t len, size_t *bytes)
{
    const unsigned char *p = (const unsigned char *)s;

    *bytes = 1;
    if (len >= 3 && (p[0] & 0xF0) == 0xE0) {
        *bytes = 3;
        return (uint32_t)(p[0] & 0x0F) << 12 | (uint32_t)(p[1] & 0x3F) << 6 | (p[2] & 0x3F);
    }
    return p[0];
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

size_t fold_name(const char *s, size_t len, char *out, size_t cap)
{
    size_t n = len < cap ? len : cap;

    for (size_t i = 0; i < n; i++) {
        out[i] = lower(s[i]);
    }
    return n;
}

static int initial_of(uint32_t c)
{
    int initial = initial_of_syllable(c);

    return initial >= 0 ? initial : initial_of_jamo(c);
}

size_t fold_initials(const char *s, size_t len, char *out, size_t cap)
{
    size_t n = 0, bytes;

    for (size_t i = 0; i < len && n < cap; i += bytes) {
        int initial = initial_of(next_char(s + i, len - i, &bytes));

        if (initial >= 0) {
            out[n++] = (char)(INITIAL_BYTE + initial);
            continue;
        }
        for (size_t k = 0; k < bytes && n < cap; k++) {
            out[n++] = lower(s[i + k]);
        }
    }
    return n;
}

bool fold_has_initial(const char *s, size_t len)
{
    size_t bytes;

    for (size_t i = 0; i < len; i += bytes) {
        if (initial_of_jamo(next_char(s + i, len - i, &bytes)) >= 0) {
            return true;
        }
    }
    return false;
}

bool fold_matches(const char *typed, size_t typed_len, const char *name, size_t len)
{
    size_t at = 0, typed_bytes, bytes;

    for (size_t i = 0; i < typed_len; i += typed_bytes, at += bytes) {
        uint32_t want = next_char(typed + i, typed_len - i, &typed_bytes), have;
        int initial = initial_of_jamo(want);

        if (at >= len) {
            return false;
        }
        have = next_char(name + at, len - at, &bytes);
        if (have == want || (initial >= 0 && initial_of_syllable(have) == initial)) {
            continue;
        }
        if (want >= 0x80 || have >= 0x80 || lower((char)want) != lower((char)have)) {
            return false;
        }
    }
    return true;
}
