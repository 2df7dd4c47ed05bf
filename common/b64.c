#include "common/b64.h"

static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

bool b64_encode(struct buf *out, const void *bytes, size_t len)
{
    const unsigned char *p = bytes;

    for (size_t i = 0; i < len; i += 3) {
        size_t left = len - i;
        unsigned v = (unsigned)p[i] << 16 | (left > 1 ? (unsigned)p[i + 1] << 8 : 0) |
                     (left > 2 ? (unsigned)p[i + 2] : 0);
        char four[4] = {ALPHABET[v >> 18], ALPHABET[v >> 12 & 63],
                        left > 1 ? ALPHABET[v >> 6 & 63] : '=', left > 2 ? ALPHABET[v & 63] : '='};

        buf_add(out, four, sizeof four);
    }
    return buf_reserve(out, 0);
}

static int value(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool b64_decode(struct buf *out, const char *text, size_t len)
{
    size_t pad = len > 0 && text[len - 1] == '=' ? (len > 1 && text[len - 2] == '=' ? 2 : 1) : 0;

    if (len % 4 != 0) {
        return false;
    }
    for (size_t i = 0; i < len; i += 4) {
        size_t bytes = i + 4 == len ? 3 - pad : 3;
        unsigned v = 0;
        unsigned char three[3];

        for (size_t k = 0; k < 4; k++) {
            int d = k > bytes ? 0 : value(text[i + k]);

            if (d < 0) {
                return false;
            }
            v = v << 6 | (unsigned)d;
        }
        three[0] = (unsigned char)(v >> 16);
        three[1] = (unsigned char)(v >> 8);
        three[2] = (unsigned char)v;
        buf_add(out, three, bytes);
    }
    return buf_reserve(out, 0);
}
