#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "common/rds.h"
#include "common/text.h"

/* Which Sentinel is asked first; shared by the threads of a program. */
static atomic_uint first_sentinel;

void rds_distrust_sentinel(void)
{
    atomic_fetch_add(&first_sentinel, 1);
}

void rds_tune_socket(int fd)
{
    static const struct {
        int level, name, value;
    } OPTIONS[] = {
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, 3},
        {IPPROTO_TCP, TCP_KEEPINTVL, 2},
        {IPPROTO_TCP, TCP_KEEPCNT, 3},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, RDS_SILENCE_MS},
    };

    fcntl(fd, F_SETFD, FD_CLOEXEC); /* hiredis leaves it open */
    for (size_t i = 0; i < ARRAY_LEN(OPTIONS); i++) {
        /* Refused for Unix sockets, which do without. */
        setsockopt(fd, OPTIONS[i].level, OPTIONS[i].name, &OPTIONS[i].value, sizeof(int));
    }
}

/* ---- Sentinels ---- */

void rds_sentinel_addr(const struct rds_addr *a, int i, struct rds_addr *out)
{
    *out = (struct rds_addr){.port = a->sentinels[i].port};
    memcpy(out->host, a->sentinels[i].host, sizeof out->host);
    memcpy(out->user, a->sentinel_user, sizeof out->user);
    memcpy(out->password, a->sentinel_password, sizeof out->password);
}

redisContext *rds_connect_sentinel(const struct rds_addr *a, int i, struct err *e)
{
    struct rds_addr one;

    rds_sentinel_addr(a, i, &one);
    return rds_connect(&one, RDS_SENTINEL_MS, e);
}

/* What it says is copied, if it is an address. */
static bool read_master(const redisReply *r, struct rds_place *p)
{
    int64_t port;

    if (r->type != REDIS_REPLY_ARRAY || r->elements != 2 ||
        r->element[0]->type != REDIS_REPLY_STRING || r->element[1]->type != REDIS_REPLY_STRING ||
        r->element[0]->len == 0 || (size_t)r->element[0]->len >= sizeof p->host ||
        !text_to_i64(r->element[1]->str, 1, 65535, &port)) {
        return false;
    }
    text_copy(p->host, sizeof p->host, r->element[0]->str);
    p->port = (int)port;
    return true;
}

static bool ask_sentinel(const struct rds_addr *a, int i, struct rds_place *p, struct err *e)
{
    redisContext *c = rds_connect_sentinel(a, i, e);
    redisReply *r = NULL;
    bool ok = false;

    if (c) {
        r = rds_command(c, e, "SENTINEL get-master-addr-by-name %s", a->master);
    }
    if (r) {
        ok = read_master(r, p) || err_set(e, ERR_RETRYABLE, "SentinelError",
                                          "Redis: it knows no master called %s", a->master);
        freeReplyObject(r);
    }
    if (c) {
        redisFree(c);
    }
    return ok;
}

bool rds_find_master(const struct rds_addr *a, struct rds_place *p, struct err *e)
{
    unsigned first = atomic_load(&first_sentinel), n = (unsigned)a->sentinel_count;
    struct err last = {.text = ""};

    for (unsigned k = 0; k < n; k++) {
        unsigned i = (first + k) % n;

        if (ask_sentinel(a, (int)i, p, &last)) {
            if (k > 0) {
                atomic_compare_exchange_strong(&first_sentinel, &first, i);
            }
            return true;
        }
        err_set(e, ERR_RETRYABLE, "SentinelError", "no Sentinel tells the master; %.100s:%d: %s",
                a->sentinels[i].host, a->sentinels[i].port, last.text);
    }
    return false;
}

/* ---- names ---- */

/* The first IPv4 address, without one the first of IPv6, as hiredis does. flags: AI_... */
static int resolve(const char *host, int port, int flags, struct rds_place *p)
{
    static const int FAMILIES[] = {AF_INET, AF_INET6};
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags}, *found = NULL;
    int rc = EAI_NONAME;

    for (size_t i = 0; i < ARRAY_LEN(FAMILIES) && rc != 0; i++) {
        hints.ai_family = FAMILIES[i];
        rc = getaddrinfo(host, NULL, &hints, &found);
    }
    if (rc == 0) {
        rc = getnameinfo(found->ai_addr, found->ai_addrlen, p->host, sizeof p->host, NULL, 0,
                         NI_NUMERICHOST);
        p->port = port;
        freeaddrinfo(found);
    }
    return rc;
}

bool rds_locate(const struct rds_addr *a, struct rds_place *p, struct err *e)
{
    struct rds_place named = {.port = a->port};
    int rc;

    memcpy(named.host, a->host, sizeof named.host);
    if (a->master[0] && !rds_find_master(a, &named, e)) {
        return false;
    }
    rc = resolve(named.host, named.port, 0, p);
    return rc == 0 || err_set(e, ERR_RETRYABLE, "ConnectionError", "Redis: %.200s: %s", named.host,
                              gai_strerror(rc));
}

bool rds_locate_at_once(const struct rds_addr *a, struct rds_place *p)
{
    return !a->master[0] && resolve(a->host, a->port, AI_NUMERICHOST, p) == 0;
}

bool rds_has_moved(const struct rds_addr *a, const redisContext *c)
{
    struct sockaddr_storage peer = {0};
    socklen_t len = sizeof peer;
    char host[RDS_NAME_SIZE], port[8];
    struct rds_place now;
    struct err ignored;
    int64_t n;

    return a->master[0] && rds_locate(a, &now, &ignored) &&
           getpeername(c->fd, (struct sockaddr *)&peer, &len) == 0 &&
           getnameinfo((struct sockaddr *)&peer, len, host, sizeof host, port, sizeof port,
                       NI_NUMERICHOST | NI_NUMERICSERV) == 0 &&
           text_to_i64(port, 1, 65535, &n) && (n != now.port || strcmp(host, now.host) != 0);
}
