#include "common/rds.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "common/text.h"

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

static bool parse_hostport(const char *s, size_t len, struct rds_addr *a)
{
    const char *colon = memrchr(s, ':', len);
    size_t host_len = colon ? (size_t)(colon - s) : len;
    int64_t port;

    if (len > 0 && s[0] == '[') { /* IPv6 literal */
        const char *close = memchr(s, ']', len);

        if (!close) {
            return false;
        }
        colon = close + 1 < s + len ? close + 1 : NULL;
        if (colon && *colon != ':') {
            return false;
        }
        s++;
        host_len = (size_t)(close - s);
        len -= 1;
    }
    if (colon) {
        if (!text_n_to_i64(colon + 1, (size_t)(s + len - colon - 1), 1, 65535, &port)) {
            return false;
        }
        a->port = (int)port;
    }
    return host_len == 0 || percent_decode(s, host_len, a->host, sizeof a->host);
}

static bool parse_db(const char *s, struct rds_addr *a)
{
    int64_t db;

    if (*s == '\0') {
        return true;
    }
    if (!text_to_i64(s, 0, 1 << 20, &db)) {
        return false;
    }
    a->db = (int)db;
    return true;
}

static bool parse_socket(const char *s, struct rds_addr *a)
{
    const char *query = strchr(s, '?');
    size_t len = query ? (size_t)(query - s) : strlen(s);

    a->host[0] = '\0';
    if (len == 0 || s[0] != '/' || !percent_decode(s, len, a->path, sizeof a->path)) {
        return false;
    }
    if (!query) {
        return true;
    }
    query++;
    if (strncmp(query, "db=", 3) != 0 && strncmp(query, "virtual_host=", 13) != 0) {
        return false;
    }
    return parse_db(strchr(query, '=') + 1, a);
}

static bool parse_tcp(const char *s, struct rds_addr *a)
{
    size_t authority = strcspn(s, "/?");
    const char *at = memrchr(s, '@', authority);
    const char *rest = s + authority;

    if (at && !parse_userinfo(s, (size_t)(at - s), a)) {
        return false;
    }
    if (at) {
        authority -= (size_t)(at + 1 - s);
        s = at + 1;
    }
    if (!parse_hostport(s, authority, a)) {
        return false;
    }
    if (*rest == '/') {
        return parse_db(rest + 1, a);
    }
    return *rest == '\0';
}

bool rds_parse_url(const char *url, struct rds_addr *a, struct err *e)
{
    static const struct {
        const char *scheme;
        bool (*parse)(const char *s, struct rds_addr *a);
    } SCHEMES[] = {
        {"redis://", parse_tcp}, {"redis+socket://", parse_socket}, {"unix://", parse_socket}};

    *a = (struct rds_addr){.host = "localhost", .port = 6379};
    for (size_t i = 0; i < ARRAY_LEN(SCHEMES); i++) {
        size_t len = strlen(SCHEMES[i].scheme);

        if (strncmp(url, SCHEMES[i].scheme, len) == 0 && SCHEMES[i].parse(url + len, a)) {
            return true;
        }
    }
    return err_set(e, ERR_PERMANENT, "ConfigError",
                   "REDIS_URL: expected redis://[[user]:password@]host[:port][/db] or "
                   "redis+socket:///path[?db=n]");
}

void rds_error_reply(const char *text, struct err *e)
{
    /* Errors that pass by themselves; everything else repeats on a retry. */
    static const char *const RETRYABLE[] = {"LOADING",  "READONLY",   "MASTERDOWN",
                                            "TRYAGAIN", "BUSY ",      "OOM",
                                            "MISCONF",  "NOREPLICAS", "UNBLOCKED"};

    for (size_t i = 0; i < ARRAY_LEN(RETRYABLE); i++) {
        if (strncmp(text, RETRYABLE[i], strlen(RETRYABLE[i])) == 0) {
            err_set(e, ERR_RETRYABLE, "RedisError", "Redis answered: %.300s", text);
            return;
        }
    }
    err_set(e, ERR_PERMANENT, "RedisError", "Redis answered: %.300s", text);
}

static void connection_error(const redisContext *c, struct err *e)
{
    err_set(e, ERR_RETRYABLE, "ConnectionError", "Redis: %s",
            c && c->err ? c->errstr : "out of memory");
}

static bool authenticate(redisContext *c, const struct rds_addr *a, struct err *e)
{
    redisReply *r;

    if (a->password[0]) {
        r = a->user[0] ? rds_command(c, e, "AUTH %s %s", a->user, a->password)
                       : rds_command(c, e, "AUTH %s", a->password);
        if (!r) {
            return false;
        }
        freeReplyObject(r);
    }
    if (a->db != 0) {
        r = rds_command(c, e, "SELECT %d", a->db);
        if (!r) {
            return false;
        }
        freeReplyObject(r);
    }
    return true;
}

redisContext *rds_connect(const struct rds_addr *a, int timeout_ms, struct err *e)
{
    struct timeval tv = {timeout_ms / 1000, (timeout_ms % 1000) * 1000};
    redisContext *c = a->path[0] ? redisConnectUnixWithTimeout(a->path, tv)
                                 : redisConnectWithTimeout(a->host, a->port, tv);

    if (!c || c->err || redisSetTimeout(c, tv) != REDIS_OK) {
        connection_error(c, e);
        if (c) {
            redisFree(c);
        }
        return NULL;
    }
    if (!a->path[0]) {
        redisEnableKeepAlive(c);
    }
    if (!authenticate(c, a, e)) {
        redisFree(c);
        return NULL;
    }
    return c;
}

static redisReply *checked(redisContext *c, redisReply *r, struct err *e)
{
    if (!r) {
        connection_error(c, e);
        return NULL;
    }
    if (r->type == REDIS_REPLY_ERROR) {
        rds_error_reply(r->str, e);
        freeReplyObject(r);
        return NULL;
    }
    return r;
}

redisReply *rds_command_argv(redisContext *c, int argc, const char **argv, const size_t *lens,
                             struct err *e)
{
    return checked(c, redisCommandArgv(c, argc, argv, lens), e);
}

redisReply *rds_command(redisContext *c, struct err *e, const char *fmt, ...)
{
    redisReply *r;
    va_list ap;

    va_start(ap, fmt);
    r = redisvCommand(c, fmt, ap);
    va_end(ap);
    return checked(c, r, e);
}

bool rds_read_time(const redisReply *r, int64_t *now_us)
{
    int64_t s, us;

    if (r->type != REDIS_REPLY_ARRAY || r->elements != 2 ||
        r->element[0]->type != REDIS_REPLY_STRING || r->element[1]->type != REDIS_REPLY_STRING ||
        !text_to_i64(r->element[0]->str, 0, INT64_MAX / 2000000, &s) ||
        !text_to_i64(r->element[1]->str, 0, 999999, &us)) {
        return false;
    }
    *now_us = s * 1000000 + us;
    return true;
}

bool rds_time_us(redisContext *c, int64_t *now_us, struct err *e)
{
    redisReply *r = rds_command(c, e, "TIME");
    bool ok;

    if (!r) {
        return false;
    }
    ok = rds_read_time(r, now_us) ||
         err_set(e, ERR_PERMANENT, "RedisError", "TIME: unexpected kind of answer");
    freeReplyObject(r);
    return ok;
}
