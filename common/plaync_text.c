#include <stdlib.h>
#include <string.h>

#include "common/plaync.h"
#include "common/text.h"

/* Amounts beyond this are nonsense: no stat has a billion points. */
#define AMOUNT_MAX INT64_C(100000000000)

bool plaync_read_amount(const char *text, int64_t *hundredths, bool *percent)
{
    bool negative = false;
    int64_t v = 0;
    int decimals = -1;
    bool any = false;

    if (*text == '+' || *text == '-') {
        negative = *text++ == '-';
    }
    for (; (*text >= '0' && *text <= '9') || (*text == '.' && decimals < 0); text++) {
        if (*text == '.') {
            decimals = 0;
            continue;
        }
        any = true;
        if (decimals >= 2) {
            continue; /* finer than anything the site prints */
        }
        v = v * 10 + (*text - '0');
        decimals += decimals >= 0;
        if (v > AMOUNT_MAX) {
            return false;
        }
    }
    for (decimals = decimals < 0 ? 0 : decimals; decimals < 2; decimals++) {
        v *= 10;
    }
    *percent = *text == '%';
    text += *percent;
    *hundredths = negative ? -v : v;
    return any && *text == '\0';
}

struct entity {
    const char *name;
    const char *text;
};

static size_t put_code_point(unsigned long c, char out[5])
{
    if (c == 0 || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF)) {
        return 0;
    }
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xC0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xE0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3F));
        out[2] = (char)(0x80 | (c & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3F));
    out[2] = (char)(0x80 | (c >> 6 & 0x3F));
    out[3] = (char)(0x80 | (c & 0x3F));
    return 4;
}

/* "#39;", "#x27;": its length and its text, 0: it is not one. */
static size_t numeric_entity(const char *s, char out[5], size_t *out_len)
{
    bool hex = s[1] == 'x' || s[1] == 'X';
    const char *digits = s + 1 + hex;
    char *end;
    unsigned long c;

    if (!((*digits >= '0' && *digits <= '9') ||
          (hex && strchr("abcdefABCDEF", *digits) && *digits))) {
        return 0;
    }
    c = strtoul(digits, &end, hex ? 16 : 10);
    *out_len = put_code_point(c, out);
    return *end == ';' && *out_len > 0 ? (size_t)(end - s) + 1 : 0;
}

/* What follows an ampersand: bytes it takes, and the text it stands for. 0: only an ampersand. */
static size_t read_entity(const char *s, char out[5], size_t *out_len)
{
    static const struct entity NAMED[] = {
        {"amp;", "&"}, {"lt;", "<"}, {"gt;", ">"}, {"quot;", "\""}, {"apos;", "'"},
    };

    if (*s == '#') {
        return numeric_entity(s, out, out_len);
    }
    for (size_t i = 0; i < ARRAY_LEN(NAMED); i++) {
        size_t len = strlen(NAMED[i].name);

        if (strncmp(s, NAMED[i].name, len) == 0) {
            out[0] = NAMED[i].text[0];
            *out_len = 1;
            return len;
        }
    }
    return 0;
}

bool plaync_clean_name(const char *html, char out[PLAYNC_NAME_SIZE])
{
    size_t n = 0;

    while (*html) {
        char one[5];
        size_t len = 1, taken = 1;

        if (*html == '<') {
            const char *end = strchr(html, '>');

            if (!end) {
                return false; /* half a tag: the text is cut */
            }
            html = end + 1;
            continue;
        }
        one[0] = *html;
        if (*html == '&') {
            size_t entity = read_entity(html + 1, one, &len);

            taken += entity;
            if (entity == 0) {
                one[0] = '&';
                len = 1;
            }
        }
        if (n + len >= PLAYNC_NAME_SIZE) {
            return false;
        }
        memcpy(out + n, one, len);
        n += len;
        html += taken;
    }
    out[n] = '\0';
    return text_is_utf8(out, n) && !text_has_control(out, n);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* base64url with its padding, and what plain base64 has instead */
static bool is_id_byte(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c != '\0' && strchr("-_=+/", c));
}

bool plaync_decode_id(const char *text, char out[PLAYNC_ID_SIZE])
{
    size_t n = 0;

    while (*text) {
        char c = *text++;

        if (c == '%') {
            int high = hex_digit(text[0]);
            int low = high >= 0 ? hex_digit(text[1]) : -1;

            if (low < 0) {
                return false;
            }
            c = (char)(high << 4 | low);
            text += 2;
        }
        if (!is_id_byte(c) || n + 1 >= PLAYNC_ID_SIZE) {
            return false;
        }
        out[n++] = c;
    }
    out[n] = '\0';
    return n > 0;
}
