#include "ctl/json_scan.h"

#include <string.h>

#include "common/json.h"

/* numeric: up to 131072 digits before the decimal point and 16383 after it. */
#define NUMERIC_INT_DIGITS  131072
#define NUMERIC_FRAC_DIGITS 16383

static bool refuse(struct json_scan *s, const char *why)
{
    s->why = why;
    return false;
}

static void skip_space(struct json_scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r')) {
        s->p++;
    }
}

static bool next_is(const struct json_scan *s, char c)
{
    return s->p < s->end && *s->p == c;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* The four digits of \uXXXX at p, or -1. */
static int32_t unit_at(const char *p, const char *end)
{
    int32_t v = 0;

    if (end - p < 4) {
        return -1;
    }
    for (int i = 0; i < 4; i++) {
        int d = hex_digit(p[i]);

        if (d < 0) {
            return -1;
        }
        v = v * 16 + d;
    }
    return v;
}

static bool is_high(int32_t unit)
{
    return unit >= 0xd800 && unit < 0xdc00;
}

static bool is_low(int32_t unit)
{
    return unit >= 0xdc00 && unit < 0xe000;
}

/* s->p is behind "\u". */
static bool scan_unicode(struct json_scan *s)
{
    int32_t unit = unit_at(s->p, s->end);

    if (unit < 0) {
        return refuse(s, "\\u needs four hexadecimal digits");
    }
    if (unit == 0) {
        return refuse(s, "\\u0000 cannot be stored");
    }
    s->p += 4;
    if (is_low(unit)) {
        return refuse(s, "half of a surrogate pair");
    }
    if (!is_high(unit)) {
        return true;
    }
    if (s->end - s->p < 6 || s->p[0] != '\\' || s->p[1] != 'u' ||
        !is_low(unit_at(s->p + 2, s->end))) {
        return refuse(s, "half of a surrogate pair");
    }
    s->p += 6;
    return true;
}

static bool scan_escape(struct json_scan *s)
{
    s->p++;
    if (s->p == s->end) {
        return refuse(s, "a string is not closed");
    }
    char c = *s->p++;

    if (c == 'u') {
        return scan_unicode(s);
    }
    return (c && strchr("\"\\/bfnrt", c)) || refuse(s, "an unknown escape");
}

/* s->p is at the opening quote. *inner gets what is between the quotes. */
static bool scan_string(struct json_scan *s, struct span *inner)
{
    const char *start = ++s->p;

    while (s->p < s->end) {
        unsigned char c = (unsigned char)*s->p;

        if (c == '"') {
            *inner = (struct span){start, (size_t)(s->p - start)};
            s->p++;
            return true;
        }
        if (c < 0x20) {
            return refuse(s, "a control character inside a string");
        }
        if (c != '\\') {
            s->p++;
        } else if (!scan_escape(s)) {
            return false;
        }
    }
    return refuse(s, "a string is not closed");
}

static size_t skip_digits(struct json_scan *s)
{
    const char *start = s->p;

    while (s->p < s->end && *s->p >= '0' && *s->p <= '9') {
        s->p++;
    }
    return (size_t)(s->p - start);
}

/* The exponent behind e or E, clipped to +-10 million: beyond that the number is refused anyway. */
static bool scan_exponent(struct json_scan *s, int64_t *exponent)
{
    bool negative;
    int64_t v = 0;

    s->p++;
    negative = next_is(s, '-');
    if (negative || next_is(s, '+')) {
        s->p++;
    }
    const char *start = s->p;

    if (skip_digits(s) == 0) {
        return refuse(s, "a malformed number");
    }
    for (const char *p = start; p < s->p && v < 10000000; p++) {
        v = v * 10 + (*p - '0');
    }
    *exponent = negative ? -v : v;
    return true;
}

static bool scan_number(struct json_scan *s)
{
    int64_t whole, fraction = 0, exponent = 0;
    const char *first;

    if (next_is(s, '-')) {
        s->p++;
    }
    first = s->p;
    whole = (int64_t)skip_digits(s);
    if (whole == 0 || (*first == '0' && whole > 1)) {
        return refuse(s, "a malformed number");
    }
    if (next_is(s, '.')) {
        s->p++;
        fraction = (int64_t)skip_digits(s);
        if (fraction == 0) {
            return refuse(s, "a malformed number");
        }
    }
    if ((next_is(s, 'e') || next_is(s, 'E')) && !scan_exponent(s, &exponent)) {
        return false;
    }
    if (whole + exponent > NUMERIC_INT_DIGITS || fraction - exponent > NUMERIC_FRAC_DIGITS) {
        return refuse(s, "a number outside the range that can be stored");
    }
    return true;
}

static bool scan_word(struct json_scan *s, const char *word)
{
    size_t len = strlen(word);

    if ((size_t)(s->end - s->p) < len || memcmp(s->p, word, len) != 0) {
        return refuse(s, "not a JSON value");
    }
    s->p += len;
    return true;
}

static bool scan_value(struct json_scan *s, int depth, struct json_member *m);

/* A key, a colon and a value; s->p is behind the value afterwards. */
static bool scan_pair(struct json_scan *s, int depth, struct json_member *m)
{
    skip_space(s);
    if (!next_is(s, '"')) {
        return refuse(s, "expected a key in quotes");
    }
    if (!scan_string(s, &m->key)) {
        return false;
    }
    skip_space(s);
    if (!next_is(s, ':')) {
        return refuse(s, "expected a colon behind a key");
    }
    s->p++;
    return scan_value(s, depth, m);
}

/* The inside of an object or array behind its opening bracket. */
static bool scan_container(struct json_scan *s, int depth, char close)
{
    struct json_member m;

    if (depth > JSON_DEPTH_MAX) {
        return refuse(s, "nested too deep");
    }
    skip_space(s);
    if (next_is(s, close)) {
        s->p++;
        return true;
    }
    for (;;) {
        if (!(close == '}' ? scan_pair(s, depth, &m) : scan_value(s, depth, &m))) {
            return false;
        }
        skip_space(s);
        if (next_is(s, close)) {
            s->p++;
            return true;
        }
        if (!next_is(s, ',')) {
            return refuse(s, "expected a comma or the closing bracket");
        }
        s->p++;
    }
}

static bool scan_by_kind(struct json_scan *s, int depth, struct json_member *m)
{
    switch (m->kind) {
    case JSON_OBJECT:
        s->p++;
        return scan_container(s, depth + 1, '}');
    case JSON_ARRAY:
        s->p++;
        return scan_container(s, depth + 1, ']');
    case JSON_TRUE:
        return scan_word(s, "true");
    case JSON_FALSE:
        return scan_word(s, "false");
    case JSON_NULL:
        return scan_word(s, "null");
    default:
        return scan_number(s);
    }
}

static enum json_kind kind_of_first(char c)
{
    return c == '{'   ? JSON_OBJECT
           : c == '[' ? JSON_ARRAY
           : c == 't' ? JSON_TRUE
           : c == 'f' ? JSON_FALSE
           : c == 'n' ? JSON_NULL
           : c == '"' ? JSON_STRING
                      : JSON_NUMBER;
}

/* Fills in m->kind and m->value. */
static bool scan_value(struct json_scan *s, int depth, struct json_member *m)
{
    const char *start;

    skip_space(s);
    if (s->p == s->end) {
        return refuse(s, "the text ends in the middle");
    }
    start = s->p;
    m->kind = kind_of_first(*start);
    if (m->kind == JSON_STRING) {
        return scan_string(s, &m->value);
    }
    if (m->kind == JSON_NUMBER && *start != '-' && (*start < '0' || *start > '9')) {
        return refuse(s, "not a JSON value");
    }
    if (!scan_by_kind(s, depth, m)) {
        return false;
    }
    m->value = (struct span){start, (size_t)(s->p - start)};
    return true;
}

static bool ends_here(struct json_scan *s)
{
    skip_space(s);
    return s->p == s->end || refuse(s, "more text behind the value");
}

bool json_scan_check(struct span text, enum json_kind *kind, const char **why)
{
    struct json_scan s = {text.p, text.p + text.len, false, NULL};
    struct json_member m;

    if (!scan_value(&s, 0, &m) || !ends_here(&s)) {
        *why = s.why;
        return false;
    }
    *kind = m.kind;
    return true;
}

void json_scan_object(struct json_scan *s, struct span text)
{
    *s = (struct json_scan){text.p, text.p + text.len, false, NULL};
    skip_space(s);
}

int json_scan_member(struct json_scan *s, struct json_member *m)
{
    bool first = !s->inside;

    if (first && !next_is(s, '{')) {
        refuse(s, "not a JSON object");
        return -1;
    }
    s->p += first;
    s->inside = true;
    skip_space(s);
    if (next_is(s, '}')) {
        s->p++;
        return ends_here(s) ? 0 : -1;
    }
    if (!first && !next_is(s, ',')) {
        refuse(s, "expected a comma or the closing bracket");
        return -1;
    }
    s->p += !first;
    return scan_pair(s, 1, m) ? 1 : -1;
}

static void add_code_point(struct buf *out, uint32_t c)
{
    if (c < 0x80) {
        buf_addch(out, (char)c);
    } else if (c < 0x800) {
        buf_addch(out, (char)(0xc0 | c >> 6));
        buf_addch(out, (char)(0x80 | (c & 0x3f)));
    } else if (c < 0x10000) {
        buf_addch(out, (char)(0xe0 | c >> 12));
        buf_addch(out, (char)(0x80 | (c >> 6 & 0x3f)));
        buf_addch(out, (char)(0x80 | (c & 0x3f)));
    } else {
        buf_addch(out, (char)(0xf0 | c >> 18));
        buf_addch(out, (char)(0x80 | (c >> 12 & 0x3f)));
        buf_addch(out, (char)(0x80 | (c >> 6 & 0x3f)));
        buf_addch(out, (char)(0x80 | (c & 0x3f)));
    }
}

/* p is behind the backslash of a valid escape; returns what follows it. */
static const char *decode_escape(const char *p, const char *end, struct buf *out)
{
    static const char FROM[] = "bfnrt", TO[] = "\b\f\n\r\t";
    const char *at = strchr(FROM, *p);

    if (*p != 'u') {
        buf_addch(out, at ? TO[at - FROM] : *p);
        return p + 1;
    }
    uint32_t c = (uint32_t)unit_at(p + 1, end);

    p += 5;
    if (is_high((int32_t)c)) {
        c = 0x10000 + ((c - 0xd800) << 10) + ((uint32_t)unit_at(p + 2, end) - 0xdc00);
        p += 6;
    }
    add_code_point(out, c);
    return p;
}

void json_scan_decode(struct span raw, struct buf *out)
{
    const char *p = raw.p, *end = raw.p + raw.len;

    while (p < end) {
        const char *escape = memchr(p, '\\', (size_t)(end - p));

        buf_add(out, p, (size_t)((escape ? escape : end) - p));
        p = escape ? decode_escape(escape + 1, end, out) : end;
    }
}

bool json_scan_is_number(struct span text)
{
    struct json_scan s = {text.p, text.p + text.len, false, NULL};

    return text.len > 0 && scan_number(&s) && s.p == s.end;
}
