#include "api/negotiate.h"

#include <string.h>
#include <strings.h>

#define WHITE " \t"

/* "0.25" in thousandths; -1 when malformed. */
static int parse_q(const char *s, size_t len)
{
    int q, scale = 100;

    if (len == 0 || len > 5 || (s[0] != '0' && s[0] != '1') || (len > 1 && s[1] != '.')) {
        return -1;
    }
    q = (s[0] - '0') * 1000;
    for (size_t i = 2; i < len; i++) {
        if (s[i] < '0' || s[i] > '9') {
            return -1;
        }
        q += (s[i] - '0') * scale;
        scale /= 10;
    }
    return q <= 1000 ? q : -1;
}

/* Weight of "name ; q=0.5"; *name_len is the length of the name. A malformed weight is 0. */
static int item_weight(const char *s, size_t len, size_t *name_len)
{
    const char *semi = memchr(s, ';', len);
    size_t left;
    int q;

    *name_len = semi ? (size_t)(semi - s) : len;
    while (*name_len > 0 && strchr(WHITE, s[*name_len - 1])) {
        (*name_len)--;
    }
    if (!semi) {
        return 1000;
    }
    semi++;
    left = len - (size_t)(semi - s);
    while (left > 0 && strchr(WHITE, *semi)) {
        semi++;
        left--;
    }
    while (left > 0 && strchr(WHITE, semi[left - 1])) {
        left--;
    }
    if (left < 2 || (semi[0] | 0x20) != 'q' || semi[1] != '=') {
        return 0;
    }
    q = parse_q(semi + 2, left - 2);
    return q < 0 ? 0 : q;
}

static bool is_name(const char *s, size_t len, const char *name)
{
    return len == strlen(name) && strncasecmp(s, name, len) == 0;
}

bool negotiate_gzip(const char *accept)
{
    int gzip = -1, any = -1, identity = -1;

    for (const char *p = accept ? accept : ""; *p;) {
        size_t len, name_len;
        int q;

        p += strspn(p, WHITE ",");
        len = strcspn(p, ",");
        q = item_weight(p, len, &name_len);
        if (is_name(p, name_len, "gzip") || is_name(p, name_len, "x-gzip")) {
            gzip = q;
        } else if (is_name(p, name_len, "identity")) {
            identity = q;
        } else if (is_name(p, name_len, "*")) {
            any = q;
        }
        p += len;
    }
    gzip = gzip >= 0 ? gzip : any;
    return gzip > 0 && gzip >= identity;
}

bool negotiate_html(const char *accept)
{
    for (const char *p = accept ? accept : ""; *p;) {
        size_t len, name_len;
        int q;

        p += strspn(p, WHITE ",");
        len = strcspn(p, ",");
        q = item_weight(p, len, &name_len);
        if (q > 0 && is_name(p, name_len, "text/html")) {
            return true;
        }
        p += len;
    }
    return false;
}

/* "ko" or "ko-KR" for "ko". */
static bool is_language(const char *s, size_t len, const char *language)
{
    size_t n = strlen(language);

    return len >= n && strncasecmp(s, language, n) == 0 && (len == n || s[n] == '-');
}

size_t negotiate_language(const char *accept_language, const char *const *languages, size_t n)
{
    size_t best = n;
    int best_q = 0;
    bool any = true;

    for (const char *p = accept_language ? accept_language : ""; *p;) {
        size_t len, name_len;
        int q;

        p += strspn(p, WHITE ",");
        len = strcspn(p, ",");
        q = item_weight(p, len, &name_len);
        any = any && (len == 0 || is_name(p, name_len, "*"));
        for (size_t i = 0; i < n; i++) {
            if (is_language(p, name_len, languages[i]) &&
                (q > best_q || (q == best_q && q > 0 && i < best))) {
                best = i;
                best_q = q;
            }
        }
        p += len;
    }
    return best < n ? best : any ? 0 : n - 1;
}

bool negotiate_not_modified(const char *list, const char *etag)
{
    size_t tag_len = strlen(etag);

    for (const char *p = list ? list : ""; *p;) {
        const char *end;

        p += strspn(p, WHITE ",");
        if (*p == '*') {
            return p[1 + strspn(p + 1, WHITE)] == '\0';
        }
        if (p[0] == 'W' && p[1] == '/') {
            p += 2;
        }
        end = *p == '"' ? strchr(p + 1, '"') : NULL;
        if (!end) {
            return false;
        }
        if ((size_t)(end + 1 - p) == tag_len && memcmp(p, etag, tag_len) == 0) {
            return true;
        }
        p = end + 1;
    }
    return false;
}

int64_t negotiate_max_age_s(int64_t generated_us, int64_t now_us, int64_t interval_s)
{
    int64_t interval_us = interval_s * 1000000;
    int64_t next_us = (generated_us / interval_us + 1) * interval_us;
    int64_t left_us = next_us - now_us;

    /* A clock that runs behind must not make an answer last for hours. */
    if (left_us > interval_us) {
        left_us = interval_us;
    }
    return left_us > 1000000 ? left_us / 1000000 : 1;
}
