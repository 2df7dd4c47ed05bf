#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/metrics.h"
#include "common/probe_parts.h"
#include "common/text.h"

#define ASK_WAIT_S 3
#define ASK_ANSWER 1024

static const char *const NAMES[PROBE_KINDS] = {"live", "ready", "fresh"};

const char *probe_kind_name(enum probe_kind kind)
{
    return NAMES[kind];
}

bool probe_kind_parse(const char *name, enum probe_kind *kind)
{
    for (int i = 0; i < PROBE_KINDS; i++) {
        if (strcmp(name, NAMES[i]) == 0) {
            *kind = (enum probe_kind)i;
            return true;
        }
    }
    return false;
}

/* ---- addresses ---- */

static bool parse_path(const char *path, struct probe_addr *a)
{
    struct sockaddr_un *un = (void *)&a->any;

    un->sun_family = AF_UNIX;
    a->len = sizeof *un;
    return text_copy(un->sun_path, sizeof un->sun_path, path);
}

/* "host:port", "[host]:port"; the host is a number. */
static bool parse_ip(const char *text, struct probe_addr *a)
{
    const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                                   .ai_socktype = SOCK_STREAM};
    bool bracket = text[0] == '[';
    const char *colon = strrchr(text, ':');
    char host[INET6_ADDRSTRLEN + 20];
    struct addrinfo *found = NULL;
    int64_t port;
    size_t len;

    if (!colon || !text_to_i64(colon + 1, 1, 65535, &port)) {
        return false;
    }
    len = (size_t)(colon - text);
    if (bracket && (len < 2 || text[len - 1] != ']')) {
        return false;
    }
    text += bracket ? 1 : 0;
    len -= bracket ? 2 : 0;
    if (len == 0 || len >= sizeof host || (!bracket && memchr(text, ':', len))) {
        return false;
    }
    memcpy(host, text, len);
    host[len] = '\0';
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0) {
        return false;
    }
    memcpy(&a->any, found->ai_addr, found->ai_addrlen);
    a->len = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

bool probe_parse_listen(const char *listen, struct probe_addr *a, struct err *e)
{
    memset(a, 0, sizeof *a);
    if (listen[0] == '/' ? parse_path(listen, a) : parse_ip(listen, a)) {
        return true;
    }
    return err_set(e, ERR_PERMANENT, "ConfigError",
                   "METRICS_LISTEN=%.100s: must be an IP address and a port, like 127.0.0.1:9101 "
                   "or [::1]:9101, or the path of a Unix socket (at most %zu bytes)",
                   listen, sizeof((struct sockaddr_un *)0)->sun_path - 1);
}

bool probe_check_listen(const char *listen, struct err *e)
{
    struct probe_addr a;

    return *listen == '\0' || probe_parse_listen(listen, &a, e);
}

/* Who listens on every address is asked on the loopback one. */
static void aim_at_self(struct probe_addr *a)
{
    struct sockaddr_in *v4 = (void *)&a->any;
    struct sockaddr_in6 *v6 = (void *)&a->any;

    if (a->any.ss_family == AF_INET && v4->sin_addr.s_addr == htonl(INADDR_ANY)) {
        v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    } else if (a->any.ss_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr)) {
        v6->sin6_addr = in6addr_loopback;
    }
}

/* ---- asking ---- */

static bool away(struct err *e, const char *listen)
{
    return err_set(e, ERR_RETRYABLE, "NotRunning", "nobody answers on %.100s: %s", listen,
                   strerror(errno));
}

/* Reads until the end, at most size - 1 bytes; false: nothing came. */
static bool read_answer(int fd, char *out, size_t size)
{
    size_t have = 0;
    ssize_t n;

    while (have < size - 1 && (n = recv(fd, out + have, size - 1 - have, 0)) > 0) {
        have += (size_t)n;
    }
    out[have] = '\0';
    return have > 0;
}

static bool judge(const char *answer, enum probe_kind kind, struct err *e)
{
    static const char GOOD[] = "HTTP/1.1 200 ";
    const char *body = strstr(answer, "\r\n\r\n");

    if (strncmp(answer, GOOD, sizeof GOOD - 1) == 0) {
        return true;
    }
    body = body ? body + 4 : "";
    return err_set(e, ERR_PERMANENT, "NotWell", "not %s: %.*s", NAMES[kind],
                   (int)strcspn(body, "\r\n"), body);
}

bool probe_ask(const char *listen, enum probe_kind kind, struct err *e)
{
    const struct timeval wait = {.tv_sec = ASK_WAIT_S};
    char ask[128], answer[ASK_ANSWER];
    struct probe_addr a;
    bool told;
    int fd;

    if (!probe_parse_listen(listen, &a, e)) {
        return false;
    }
    aim_at_self(&a);
    fd = socket(a.any.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return away(e, listen);
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    snprintf(ask, sizeof ask, "GET /%s HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n",
             NAMES[kind]);
    told = connect(fd, (const void *)&a.any, a.len) == 0 &&
           send(fd, ask, strlen(ask), MSG_NOSIGNAL) == (ssize_t)strlen(ask) &&
           read_answer(fd, answer, sizeof answer);
    if (!told) {
        away(e, listen);
    }
    close(fd);
    return told && judge(answer, kind, e);
}

int probe_healthcheck(const char *program, const char *listen, enum probe_kind kind)
{
    enum { EXIT_OK = 0, EXIT_NOT_WELL = 1, EXIT_USAGE = 64 };
    struct err e;

    if (*listen == '\0') {
        fprintf(stderr, "%s: --healthcheck %s needs METRICS_LISTEN\n", program, NAMES[kind]);
        return EXIT_USAGE;
    }
    if (!probe_ask(listen, kind, &e)) {
        fprintf(stderr, "%s: %s\n", program, e.text);
        return EXIT_NOT_WELL;
    }
    return EXIT_OK;
}

/* ---- how young a ranking is ---- */

bool probe_is_fresh(const struct probe_settings *s, int64_t interval_s, int64_t made_us,
                    char why[PROBE_WHY_SIZE])
{
    int64_t limit_s = s->fresh_limit_s > 0 ? s->fresh_limit_s : interval_s * 5 / 2;
    int64_t age_us;

    if (made_us == METRIC_UNKNOWN) {
        snprintf(why, PROBE_WHY_SIZE, "no ranking is known");
        return false;
    }
    age_us = clock_wall_us() - made_us;
    if (age_us <= limit_s * 1000000) {
        return true;
    }
    snprintf(why, PROBE_WHY_SIZE, "the ranking is %" PRId64 " s old, %" PRId64 " s are allowed",
             age_us / 1000000, limit_s);
    return false;
}
