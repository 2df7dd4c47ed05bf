#include <stdio.h>
#include <string.h>

#include "common/rds.h"
#include "common/text.h"

#define REDIS_PORT    6379
#define SENTINEL_PORT 26379

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Copies src[0..len), percent-decoded, into dst. False when it does not fit or is malformed. */
static bool percent_decode(const char *src, size_t len, char *dst, size_t cap)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        char c = src[i];

        if (c == '%') {
            int hi = len - i > 2 ? hex_digit(src[i + 1]) : -1;
            int lo = len - i > 2 ? hex_digit(src[i + 2]) : -1;

            if (hi < 0 || lo < 0) {
                return false;
            }
            c = (char)(hi << 4 | lo);
            i += 2;
        }
        if (n + 1 >= cap || c == '\0') {
            return false;
        }
        dst[n++] = c;
    }
    dst[n] = '\0';
    return true;
}

/* "user:password", ":password" or "password" (what redis-py and redis-cli -u take). */
static bool parse_userinfo(const char *s, size_t len, struct rds_addr *a)
{
    const char *colon = memchr(s, ':', len);

    if (!colon) {
        return percent_decode(s, len, a->password, sizeof a->password);
    }
    return percent_decode(s, (size_t)(colon - s), a->user, sizeof a->user) &&
           percent_decode(colon + 1, len - (size_t)(colon - s) - 1, a->password,
                          sizeof a->password);
}

/* "host", "host:port", ":port", "[v6]", "[v6]:port". What is not there stays as it was. */
static bool parse_hostport(const char *s, size_t len, char host[RDS_NAME_SIZE], int *port)
{
    const char *end = s + len, *colon = memrchr(s, ':', len);
    int64_t n;

    if (len > 0 && s[0] == '[') { /* IPv6 literal */
        const char *close = memchr(s, ']', len);

        if (!close || (close + 1 < end && close[1] != ':')) {
            return false;
        }
        s++;
        len = (size_t)(close - s);
        colon = close + 1 < end ? close + 1 : NULL;
    } else if (colon) {
        len = (size_t)(colon - s);
    }
    if (colon) {
        if (!text_n_to_i64(colon + 1, (size_t)(end - colon - 1), 1, 65535, &n)) {
            return false;
        }
        *port = (int)n;
    }
    return len == 0 || percent_decode(s, len, host, RDS_NAME_SIZE);
}

static bool parse_db(const char *s, size_t len, struct rds_addr *a)
{
    int64_t db;

    if (len == 0) {
        return true;
    }
    if (!text_n_to_i64(s, len, 0, 1 << 20, &db)) {
        return false;
    }
    a->db = (int)db;
    return true;
}

static bool parse_socket(const char *s, struct rds_addr *a)
{
    size_t len = strcspn(s, "?");
    const char *query = s + len;

    if (len == 0 || s[0] != '/' || !percent_decode(s, len, a->path, sizeof a->path)) {
        return false;
    }
    if (*query == '\0') {
        return true;
    }
    query++;
    if (strncmp(query, "db=", 3) != 0 && strncmp(query, "virtual_host=", 13) != 0) {
        return false;
    }
    query = strchr(query, '=') + 1;
    return parse_db(query, strlen(query), a);
}

/* Takes "user:password@" off the front of the *len bytes at *s. */
static bool take_userinfo(const char **s, size_t *len, struct rds_addr *a)
{
    const char *at = memrchr(*s, '@', *len);

    if (!at) {
        return true;
    }
    if (!parse_userinfo(*s, (size_t)(at - *s), a)) {
        return false;
    }
    *len -= (size_t)(at + 1 - *s);
    *s = at + 1;
    return true;
}

static bool parse_tcp(const char *s, struct rds_addr *a)
{
    size_t len = strcspn(s, "/?");
    const char *rest = s + len;

    snprintf(a->host, sizeof a->host, "localhost");
    a->port = REDIS_PORT;
    if (!take_userinfo(&s, &len, a) || !parse_hostport(s, len, a->host, &a->port)) {
        return false;
    }
    if (*rest == '/') {
        return parse_db(rest + 1, strlen(rest + 1), a);
    }
    return *rest == '\0';
}

/* ---- Sentinel ---- */

static bool parse_sentinels(const char *s, size_t len, struct rds_addr *a)
{
    for (;;) {
        const char *comma = memchr(s, ',', len);
        size_t one = comma ? (size_t)(comma - s) : len;
        struct rds_place *p = &a->sentinels[a->sentinel_count];

        if (a->sentinel_count == RDS_SENTINELS_MAX) {
            return false;
        }
        *p = (struct rds_place){.port = SENTINEL_PORT};
        if (!parse_hostport(s, one, p->host, &p->port) || p->host[0] == '\0') {
            return false;
        }
        a->sentinel_count++;
        if (!comma) {
            return true;
        }
        s = comma + 1;
        len -= one + 1;
    }
}

static bool parse_sentinel_option(const char *s, size_t len, struct rds_addr *a)
{
    const struct {
        const char *name;
        char *value;
        size_t cap;
    } OPTIONS[] = {
        {"sentinel_username=", a->sentinel_user, sizeof a->sentinel_user},
        {"sentinel_password=", a->sentinel_password, sizeof a->sentinel_password},
    };

    for (size_t i = 0; i < ARRAY_LEN(OPTIONS); i++) {
        size_t n = strlen(OPTIONS[i].name);

        if (len >= n && memcmp(s, OPTIONS[i].name, n) == 0) {
            return percent_decode(s + n, len - n, OPTIONS[i].value, OPTIONS[i].cap);
        }
    }
    return false;
}

static bool parse_sentinel_query(const char *s, struct rds_addr *a)
{
    while (*s) {
        size_t len = strcspn(s, "&");

        if (!parse_sentinel_option(s, len, a)) {
            return false;
        }
        s += len + (s[len] == '&');
    }
    return true;
}

static bool parse_sentinel(const char *s, struct rds_addr *a)
{
    size_t len = strcspn(s, "/?");
    const char *name = s + len + 1;
    size_t name_len, db_len;

    if (s[len] != '/' || !take_userinfo(&s, &len, a) || !parse_sentinels(s, len, a)) {
        return false;
    }
    name_len = strcspn(name, "/?");
    if (name_len == 0 || !percent_decode(name, name_len, a->master, sizeof a->master)) {
        return false;
    }
    name += name_len;
    if (*name == '/') {
        db_len = strcspn(++name, "?");
        if (!parse_db(name, db_len, a)) {
            return false;
        }
        name += db_len;
    }
    return *name == '\0' || parse_sentinel_query(name + 1, a);
}

/* ---- all of it ---- */

static bool refuse_tls(const char *s, struct rds_addr *a)
{
    (void)s;
    (void)a;
    return false;
}

#define TLS_TEXT                                                                                   \
    "TLS is not built in: run stunnel or spiped beside this program and let REDIS_URL name its "   \
    "local end, redis://127.0.0.1:port/0"

bool rds_parse_url(const char *url, struct rds_addr *a, struct err *e)
{
    static const struct {
        const char *scheme;
        bool (*parse)(const char *s, struct rds_addr *a);
        const char *expected;
    } SCHEMES[] = {
        {"redis+socket://", parse_socket, "expected redis+socket:///path[?db=n]"},
        {"unix://", parse_socket, "expected unix:///path[?db=n]"},
        {"redis+sentinel://", parse_sentinel,
         "expected redis+sentinel://[user:password@]host[:port],.../master[/db]"
         "[?sentinel_password=...], at most 8 Sentinels"},
        {"rediss://", refuse_tls, TLS_TEXT},
        {"rediss+sentinel://", refuse_tls, TLS_TEXT},
        {"redis://", parse_tcp,
         "expected redis://[[user]:password@]host[:port][/db], redis+socket:///path[?db=n] or "
         "redis+sentinel://host[:port],.../master[/db]"},
    };
    size_t i, len = 0;

    *a = (struct rds_addr){.port = REDIS_PORT};
    for (i = 0; i < ARRAY_LEN(SCHEMES); i++) {
        len = strlen(SCHEMES[i].scheme);
        if (strncmp(url, SCHEMES[i].scheme, len) == 0) {
            break;
        }
    }
    if (i < ARRAY_LEN(SCHEMES) && SCHEMES[i].parse(url + len, a)) {
        return true;
    }
    i = i < ARRAY_LEN(SCHEMES) ? i : ARRAY_LEN(SCHEMES) - 1;
    return err_set(e, ERR_PERMANENT, "ConfigError", "REDIS_URL: %s", SCHEMES[i].expected);
}

static size_t add_place(char *out, size_t n, const struct rds_place *p)
{
    bool v6 = strchr(p->host, ':') != NULL;
    int added = snprintf(out + n, RDS_TEXT_SIZE - n, v6 ? "%s[%.100s]:%d" : "%s%.100s:%d",
                         n > 0 && out[n - 1] != ' ' ? "," : "", p->host, p->port);

    n += added > 0 ? (size_t)added : 0;
    return n < RDS_TEXT_SIZE ? n : RDS_TEXT_SIZE - 1;
}

const char *rds_addr_text(const struct rds_addr *a, char out[RDS_TEXT_SIZE])
{
    size_t n = 0;

    if (a->path[0]) {
        snprintf(out, RDS_TEXT_SIZE, "%s", a->path);
    } else if (a->master[0]) {
        n = (size_t)snprintf(out, RDS_TEXT_SIZE, "%s of ", a->master);
        for (int i = 0; i < a->sentinel_count; i++) {
            n = add_place(out, n, &a->sentinels[i]);
        }
    } else {
        struct rds_place p = {.port = a->port};

        memcpy(p.host, a->host, sizeof p.host);
        n = add_place(out, n, &p);
        snprintf(out + n, RDS_TEXT_SIZE - n, "/%d", a->db);
    }
    return out;
}
