#include "common/log_line.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "common/text.h"

/* ---- logfmt ---- */

static const char *skip_quoted(const char *p)
{
    while (*p && *p != '"') {
        p += p[0] == '\\' && p[1] ? 2 : 1;
    }
    return p;
}

bool log_next_field(const char **at, struct log_field *f)
{
    const char *p = *at + strspn(*at, " ");

    if (*p == '\0') {
        return false;
    }
    f->key = p;
    f->key_len = strcspn(p, "= ");
    p += f->key_len;
    f->quoted = p[0] == '=' && p[1] == '"';
    p += (p[0] == '=') + f->quoted;
    f->value = p;
    p = f->quoted ? skip_quoted(p) : f->value[-1] == '=' ? p + strcspn(p, " ") : p;
    f->len = (size_t)(p - f->value);
    *at = p + (f->quoted && *p == '"');
    return true;
}

static bool is_key(const struct log_field *f, const char *key, size_t len)
{
    return f->key_len == len && memcmp(f->key, key, len) == 0;
}

bool log_has_field(const char *line, const char *key)
{
    struct log_field f;

    while (log_next_field(&line, &f)) {
        if (is_key(&f, key, strlen(key))) {
            return true;
        }
    }
    return false;
}

/* ---- JSON ---- */

/* Room for the end of a text and of the object is always kept. */
static const char END[] = "\",\"clipped\":true}";

struct json_line {
    char *out;
    size_t len;
    bool full;
    bool in_text; /* a text is open: what did fit of it is kept */
};

static void put(struct json_line *j, const char *bytes, size_t len)
{
    j->full |= j->len + len + sizeof END > LOG_JSON_MAX;
    if (!j->full) {
        memcpy(j->out + j->len, bytes, len);
        j->len += len;
    }
}

static void put_escape(struct json_line *j, unsigned code)
{
    char text[8];

    put(j, text, (size_t)snprintf(text, sizeof text, "\\u%04x", code & 0xffff));
}

/* Bytes of the UTF-8 character there, 0 when it is none. */
static size_t utf8_length(const char *p, size_t left)
{
    for (size_t n = 1; n <= 4 && n <= left; n++) {
        if (text_is_utf8(p, n)) {
            return n;
        }
    }
    return 0;
}

static size_t put_character(struct json_line *j, const char *p, size_t left)
{
    size_t n = utf8_length(p, left);

    if (n == 0) {
        put_escape(j, 0xfffd);
        return 1;
    }
    if (*p == '"' || *p == '\\') {
        put(j, "\\", 1);
    }
    if (n == 1 && (unsigned char)*p < 0x20) {
        put_escape(j, (unsigned char)*p);
    } else {
        put(j, p, n);
    }
    return n;
}

static int hex_digit(char c)
{
    return isdigit((unsigned char)c)    ? c - '0'
           : isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10
                                        : -1;
}

/* An escape as log_quote() writes it: \" \\ \x1f. Returns its length. */
static size_t put_escaped(struct json_line *j, const char *p, size_t left)
{
    if (left >= 4 && p[1] == 'x' && hex_digit(p[2]) >= 0 && hex_digit(p[3]) >= 0) {
        unsigned code = (unsigned)(hex_digit(p[2]) << 4 | hex_digit(p[3]));

        put_escape(j, code ? code : 0xfffd); /* many readers end a text at a NUL */
        return 4;
    }
    return left >= 2 ? 1 + put_character(j, p + 1, left - 1) : put_character(j, p, left);
}

static void put_text(struct json_line *j, const char *text, size_t len, bool escapes)
{
    for (size_t i = 0; i < len && !j->full;) {
        i += escapes && text[i] == '\\' ? put_escaped(j, text + i, len - i)
                                        : put_character(j, text + i, len - i);
    }
}

static size_t digits(const char *p, size_t len)
{
    size_t n = 0;

    while (n < len && isdigit((unsigned char)p[n])) {
        n++;
    }
    return n;
}

/* A number by JSON's grammar, without an exponent (we write none). */
static bool is_number(const char *p, size_t len)
{
    size_t sign = len > 0 && p[0] == '-', whole = digits(p + sign, len - sign), part;

    if (whole == 0 || whole > 18 || (whole > 1 && p[sign] == '0')) {
        return false;
    }
    if (sign + whole == len) {
        return true;
    }
    part = p[sign + whole] == '.' ? digits(p + sign + whole + 1, len - sign - whole - 1) : 0;
    return part > 0 && sign + whole + 1 + part == len;
}

/* Fields before `end` with the same key. */
static int count_before(const char *line, const struct log_field *f)
{
    struct log_field other;
    int n = 0;

    while (log_next_field(&line, &other) && other.key < f->key) {
        n += is_key(&other, f->key, f->key_len);
    }
    return n;
}

static void put_field(struct json_line *j, const char *line, const struct log_field *f)
{
    int before = count_before(line, f);
    char number[16];

    put(j, j->len == 1 ? "\"" : ",\"", j->len == 1 ? 1 : 2);
    put_text(j, f->key, f->key_len, false);
    if (before > 0) {
        put(j, number, (size_t)snprintf(number, sizeof number, "_%d", before + 1));
    }
    put(j, "\":", 2);
    if (!f->quoted && is_number(f->value, f->len)) {
        put(j, f->value, f->len);
        return;
    }
    put(j, "\"", 1);
    j->in_text = !j->full;
    put_text(j, f->value, f->len, f->quoted);
    put(j, "\"", 1);
    j->in_text = j->in_text && j->full;
}

size_t log_to_json(const char *line, char out[LOG_JSON_MAX])
{
    struct json_line j = {.out = out};
    const char *at = line;
    struct log_field f;
    size_t whole; /* the object up to the last field that fitted */

    put(&j, "{", 1);
    whole = j.len;
    while (log_next_field(&at, &f)) {
        put_field(&j, line, &f);
        if (j.full) {
            break;
        }
        whole = j.len;
    }
    if (!j.full) {
        out[j.len++] = '}';
        return j.len;
    }
    if (j.in_text) {
        memcpy(out + j.len, END, sizeof END - 1);
        return j.len + sizeof END - 1;
    }
    memcpy(out + whole, END + 1, sizeof END - 2); /* without the quote */
    return whole + sizeof END - 2;
}
