#include "api/query.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/text.h"

static PRINTF_LIKE(3, 4) bool refuse(struct query_error *e, const char *param, const char *fmt, ...)
{
    va_list ap;

    text_copy(e->param, sizeof e->param, param);
    va_start(ap, fmt);
    vsnprintf(e->detail, sizeof e->detail, fmt, ap);
    va_end(ap);
    return false;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void clear_value(const struct query_param *p, struct query_value *v)
{
    v->given = false;
    v->number = p->fallback;
    v->len = 0;
    v->text[0] = '\0';
}

bool query_decode(const char *s, size_t len, char *out, size_t cap, size_t *out_len)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        char c = s[i] == '+' ? ' ' : s[i];

        if (c == '%') {
            int high = i + 2 < len ? hex_digit(s[i + 1]) : -1;
            int low = i + 2 < len ? hex_digit(s[i + 2]) : -1;

            if (high < 0 || low < 0) {
                return false;
            }
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (n == cap) {
            return false;
        }
        out[n++] = c;
    }
    *out_len = n;
    return true;
}

void query_encode(struct buf *b, const char *s)
{
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;

        if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
            strchr("-._~", c)) {
            buf_addch(b, *s);
        } else {
            buf_addf(b, "%%%02X", c);
        }
    }
}

static bool set_number(const struct query_param *p, const char *s, size_t len,
                       struct query_value *v, struct query_error *e)
{
    char digits[32];
    size_t n;

    if (!query_decode(s, len, digits, sizeof digits, &n) ||
        !text_n_to_i64(digits, n, p->min, p->max, &v->number)) {
        return refuse(e, p->name, "%s must be a whole number from %" PRId64 " to %" PRId64 ".",
                      p->name, p->min, p->max);
    }
    return true;
}

int query_text_max(const struct query_param *p)
{
    return p->max ? (int)p->max : QUERY_TEXT_CHARS;
}

static bool set_text(const struct query_param *p, const char *s, size_t len, struct query_value *v,
                     struct query_error *e)
{
    if (!query_decode(s, len, v->text, QUERY_PAIR_BYTES, &v->len) ||
        !text_is_utf8(v->text, v->len) || text_has_control(v->text, v->len)) {
        return refuse(e, p->name,
                      "%s must be percent-encoded UTF-8 of at most %d characters, without control "
                      "characters.",
                      p->name, query_text_max(p));
    }
    v->text[v->len] = '\0';
    if (v->len == 0 && p->kind == QUERY_TEXT_OPTIONAL) {
        return true;
    }
    if (v->len == 0 || text_utf8_count(v->text, v->len) > (size_t)query_text_max(p)) {
        return refuse(e, p->name, "%s must have 1 to %d characters.", p->name, query_text_max(p));
    }
    return true;
}

static bool set_value(const struct query_param *p, const char *s, size_t len, struct query_value *v,
                      struct query_error *e)
{
    return p->kind == QUERY_INT ? set_number(p, s, len, v, e) : set_text(p, s, len, v, e);
}

bool query_parse_value(const struct query_param *p, const char *s, size_t len,
                       struct query_value *v, struct query_error *e)
{
    char escaped[3 * QUERY_PAIR_BYTES];
    size_t n = 0;

    clear_value(p, v);
    if (len > QUERY_PAIR_BYTES) {
        return refuse(e, p->name, "%s is too long.", p->name);
    }
    for (size_t i = 0; i < len; i++) {
        escaped[n++] = s[i];
        if (s[i] == '+') {
            memcpy(escaped + n - 1, "%2B", 3);
            n += 2;
        }
    }
    v->given = true;
    return set_value(p, escaped, n, v, e);
}

/* "limit, server" */
static void list_names(const struct query_param *params, size_t n, char *out, size_t cap)
{
    size_t len = 0;

    out[0] = '\0';
    for (size_t i = 0; i < n && len < cap; i++) {
        int more = snprintf(out + len, cap - len, "%s%s", i ? ", " : "", params[i].name);

        len += more > 0 ? (size_t)more : 0;
    }
}

static bool refuse_unknown(const struct query_param *params, size_t n, const char *key,
                           struct query_error *e)
{
    char names[128];

    if (n == 0) {
        return refuse(e, key, "This address takes no parameters.");
    }
    list_names(params, n, names, sizeof names);
    return refuse(e, key, "Unknown parameter; this address knows %s.", names);
}

/* One "key=value" of len bytes. */
static bool parse_pair(const char *s, size_t len, const struct query_param *params, size_t n,
                       struct query_value *values, struct query_error *e)
{
    const char *eq = memchr(s, '=', len);
    size_t key_len = eq ? (size_t)(eq - s) : len, decoded_len;
    const char *value = eq ? eq + 1 : s + len;
    size_t value_len = eq ? len - key_len - 1 : 0;
    char key[QUERY_TEXT_BYTES + 1];

    if (!query_decode(s, key_len, key, QUERY_TEXT_BYTES, &decoded_len) ||
        !text_is_utf8(key, decoded_len) || text_has_control(key, decoded_len)) {
        return refuse(e, "", "The name of a parameter is not percent-encoded UTF-8.");
    }
    key[decoded_len] = '\0';
    for (size_t i = 0; i < n; i++) {
        if (strcmp(params[i].name, key) != 0) {
            continue;
        }
        if (values[i].given) {
            return refuse(e, key, "%s is given more than once.", params[i].name);
        }
        values[i].given = set_value(&params[i], value, value_len, &values[i], e);
        return values[i].given;
    }
    return refuse_unknown(params, n, key, e);
}

static bool check_required(const struct query_param *params, size_t n, struct query_value *values,
                           struct query_error *e)
{
    for (size_t i = 0; i < n; i++) {
        if (params[i].kind == QUERY_TEXT && !values[i].given) {
            return refuse(e, params[i].name, "%s is missing.", params[i].name);
        }
        if (params[i].kind == QUERY_TEXT_OPTIONAL && values[i].len == 0) {
            values[i].given = false;
        }
    }
    return true;
}

static void set_fallbacks(const struct query_param *params, size_t n, struct query_value *values)
{
    MUST(n <= QUERY_PARAMS_MAX);
    for (size_t i = 0; i < n; i++) {
        clear_value(&params[i], &values[i]);
    }
}

bool query_parse(const char *query, const struct query_param *params, size_t n,
                 struct query_value *values, struct query_error *e)
{
    set_fallbacks(params, n, values);
    for (const char *p = query ? query : ""; *p;) {
        size_t len = strcspn(p, "&");

        if (len > 0 && !parse_pair(p, len, params, n, values, e)) {
            return false;
        }
        p += len + (p[len] == '&');
    }
    return check_required(params, n, values, e);
}

void query_pick(const char *query, const struct query_param *params, size_t n,
                struct query_value *values)
{
    struct query_error e;

    set_fallbacks(params, n, values);
    for (const char *p = query ? query : ""; *p;) {
        size_t len = strcspn(p, "&");

        if (len > 0) {
            parse_pair(p, len, params, n, values, &e); /* what it refuses is not given */
        }
        p += len + (p[len] == '&');
    }
    for (size_t i = 0; i < n; i++) {
        if (!values[i].given || (params[i].kind != QUERY_INT && values[i].len == 0)) {
            clear_value(&params[i], &values[i]);
        }
    }
}
