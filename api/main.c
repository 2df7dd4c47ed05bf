#include <errno.h>
#include <event2/util.h>
#include <getopt.h>
#include <malloc.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include "api/admin/admin.h"
#include "api/cors.h"
#include "api/figures.h"
#include "api/health.h"
#include "api/loop.h"
#include "common/log.h"
#include "common/net.h"
#include "common/notify.h"
#include "common/zone.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 64 };

#define HEALTH_WAIT_S 3
#define SPARE_FILES   256 /* descriptors beside those of clients */
#define LOOPS_MAX     64

static void print_help(FILE *out)
{
    fputs("Usage: aion2-api [--check-config | --healthcheck [KIND] | --version | --help]\n\n"
          "Serves the ranking over HTTP, from memory. SIGTERM: answers what is open, then\n"
          "ends.\n\n"
          "  --check-config  print the settings in effect and check them\n"
          "  --healthcheck [live|ready|fresh]\n"
          "                  ask the running service, exit 0 when it is well: at\n"
          "                  METRICS_LISTEN (ready, unless said otherwise), or without\n"
          "                  that at API_LISTEN\n\n",
          out);
    conf_print_help(API_SETTINGS_ITEMS, API_SETTINGS_COUNT, out);
    fputs("\nExit codes: 0 done, 1 failed, 64 wrong usage or setting.\n", out);
}

static int usage_error(const char *what, const char *why)
{
    fprintf(stderr, "aion2-api: %s%s%s\n", what, why ? ": " : "", why ? why : "");
    return EXIT_USAGE;
}

/* API_LISTEN as an address; an IP and a port. */
static bool check_public_url(const char *url, struct err *e)
{
    if (*url && !cors_is_origin(url)) {
        return err_set(e, ERR_PERMANENT, "ConfigError",
                       "PUBLIC_URL: expected an address as https://example.org, without a path");
    }
    return true;
}

static bool parse_listen(const struct api_settings *s, struct sockaddr_storage *addr, struct err *e)
{
    int len = sizeof *addr;
    in_port_t port = 0;

    memset(addr, 0, sizeof *addr);
    if (evutil_parse_sockaddr_port(s->listen, (struct sockaddr *)addr, &len) == 0) {
        port = addr->ss_family == AF_INET6 ? ((struct sockaddr_in6 *)(void *)addr)->sin6_port
                                           : ((struct sockaddr_in *)(void *)addr)->sin_port;
    }
    return port != 0 || err_set(e, ERR_PERMANENT, "ConfigError",
                                "API_LISTEN=%s: must be an IP address and a port, like "
                                "127.0.0.1:8000 or [::1]:8000",
                                s->listen);
}

/* ---- --healthcheck ---- */

/* A service that listens on every address is asked on the loopback one. */
static void aim_at_self(struct sockaddr_storage *addr)
{
    struct sockaddr_in *v4 = (void *)addr;
    struct sockaddr_in6 *v6 = (void *)addr;

    if (addr->ss_family == AF_INET && v4->sin_addr.s_addr == htonl(INADDR_ANY)) {
        v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    } else if (addr->ss_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr)) {
        v6->sin6_addr = in6addr_loopback;
    }
}

static bool ask_health(int fd)
{
    static const char ASK[] = "GET /health HTTP/1.1\r\nHost: health\r\nConnection: close\r\n\r\n";
    static const char GOOD[] = "HTTP/1.1 200 ";
    char answer[64];
    size_t have = 0;
    ssize_t n = send(fd, ASK, sizeof ASK - 1, MSG_NOSIGNAL);

    if (n != (ssize_t)sizeof ASK - 1) {
        return false;
    }
    while (have < sizeof GOOD - 1 && (n = recv(fd, answer + have, sizeof answer - have, 0)) > 0) {
        have += (size_t)n;
    }
    return have >= sizeof GOOD - 1 && memcmp(answer, GOOD, sizeof GOOD - 1) == 0;
}

static int ask_service(struct sockaddr_storage *addr)
{
    const struct timeval wait = {.tv_sec = HEALTH_WAIT_S};
    socklen_t len =
        addr->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    int fd = socket(addr->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool well;

    aim_at_self(addr);
    if (fd < 0) {
        return EXIT_FAILED;
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    well = connect(fd, (const void *)addr, len) == 0 && ask_health(fd);
    close(fd);
    if (!well) {
        fputs("aion2-api: the service does not answer\n", stderr);
    }
    return well ? EXIT_OK : EXIT_FAILED;
}

/* kind: NULL for ready, or what there is without METRICS_LISTEN. */
static int health_check(const struct api_settings *s, const char *kind,
                        struct sockaddr_storage *addr)
{
    enum probe_kind which = PROBE_READY;

    if (kind && !probe_kind_parse(kind, &which)) {
        return usage_error("--healthcheck takes live, ready or fresh", NULL);
    }
    return kind || *s->probe.listen ? probe_healthcheck("aion2-api", s->probe.listen, which)
                                    : ask_service(addr);
}

/* ---- serving ---- */

/* One descriptor per client and some for the rest. */
static void raise_file_limit(const struct api_settings *s)
{
    rlim_t want = (rlim_t)s->connections_max + SPARE_FILES;
    struct rlimit lim;

    if (getrlimit(RLIMIT_NOFILE, &lim) < 0 || lim.rlim_cur >= want) {
        return;
    }
    lim.rlim_cur = want < lim.rlim_max ? want : lim.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &lim) < 0 || lim.rlim_cur < want) {
        log_warn("limit.files", "have=%ju want=%ju", (uintmax_t)lim.rlim_cur, (uintmax_t)want);
    }
}

/* Until a signal; meanwhile systemd hears that every serving thread turns. */
static void wait_for_stop(const struct health *h)
{
    const struct timespec turn = {.tv_sec = 1};
    char why[PROBE_WHY_SIZE];
    sigset_t set;
    int sig;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    notify_ready("serving");
    while ((sig = sigtimedwait(&set, NULL, &turn)) < 0) {
        if (health_is_live(h, why)) {
            notify_progress();
        } else {
            notify_status("%s", why);
        }
    }
    notify_stopping();
    log_info("api.stopping", "signal=%d", sig);
}

/* Every thread inherits the mask: only wait_for_stop() takes these signals. */
static void block_signals(void)
{
    sigset_t set;

    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

/* What the table of settings cannot check. */
static bool check_settings(const struct api_settings *s, struct err *e)
{
    struct net_list proxies;
    struct rds_addr redis;

    return cors_check_list(s->cors_origins, e) && rds_parse_url(s->redis_url, &redis, e) &&
           source_settings_check(&s->source, e) &&
           (net_list_parse(s->trusted_proxies, &proxies, e) || err_prefix(e, "TRUSTED_PROXIES"));
}

static int serve(const struct api_settings *s, const struct sockaddr_storage *addr)
{
    struct admin *admin = NULL;
    struct loop *loops[LOOPS_MAX];
    int threads = api_settings_threads(s), started = 0;
    struct health *health = NULL;
    struct loop_shared shared = {.peers = NULL};
    struct net_list proxies;
    struct loader *loader;
    struct err e;

    block_signals();
    figures_open(threads);
    raise_file_limit(s);
    loader = loader_start(s);
    loader_wait_first(loader);                              /* the port stays closed until then */
    MUST(net_list_parse(s->trusted_proxies, &proxies, &e)); /* checked before */
    shared.loader = loader;
    shared.searcher = searcher_start(s, loader_details(loader), &e);
    shared.peers = s->connections_per_address > 0
                       ? peers_new((unsigned)s->connections_per_address,
                                   (unsigned)s->connections_max, &proxies)
                       : NULL;
    while (shared.searcher && started < threads &&
           (loops[started] = loop_start(s, &shared, addr, &e))) {
        started++;
    }
    if (started == threads && (admin = admin_start(s, &e)) != NULL &&
        (health = health_start(s, loader, loops, started, &e)) != NULL) {
        log_info("api.ready", "listen=%s threads=%d", s->listen, threads);
        wait_for_stop(health);
    } else {
        log_error("api.start", "error=%s", LOGQ(e.text));
    }
    health_stop(health);
    if (admin) {
        admin_stop(admin);
    }
    for (int i = 0; i < started; i++) {
        loop_stop(loops[i]);
    }
    loader_stop(loader);
    for (int i = 0; i < started; i++) {
        loop_join(loops[i]);
    }
    admin_join(admin);
    searcher_stop(shared.searcher); /* posts to the loops to the end */
    for (int i = 0; i < started; i++) {
        loop_free(loops[i]);
    }
    loader_free(loader);
    peers_free(shared.peers);
    log_info("api.stopped", "threads=%d", started);
    return health ? EXIT_OK : EXIT_FAILED;
}

enum action { ACT_SERVE, ACT_CHECK_CONFIG, ACT_HEALTH, ACT_DONE, ACT_BAD };

/* *kind: of --healthcheck, NULL when none is named. */
static enum action parse_options(int argc, char **argv, const char **kind)
{
    static const struct option OPTIONS[] = {{"help", no_argument, NULL, 'h'},
                                            {"version", no_argument, NULL, 'V'},
                                            {"check-config", no_argument, NULL, 'c'},
                                            {"healthcheck", no_argument, NULL, 'H'},
                                            {NULL, 0, NULL, 0}};
    enum action act = ACT_SERVE;
    int opt;

    while ((opt = getopt_long(argc, argv, "h", OPTIONS, NULL)) != -1) {
        switch (opt) {
        case 'h':
            print_help(stdout);
            return ACT_DONE;
        case 'V':
            puts("aion2-api " AION2RANK_VERSION);
            return ACT_DONE;
        case 'c':
            act = ACT_CHECK_CONFIG;
            break;
        case 'H':
            act = ACT_HEALTH;
            break;
        default:
            return ACT_BAD;
        }
    }
    if (act == ACT_HEALTH && optind < argc) {
        *kind = argv[optind++];
    }
    return optind < argc ? ACT_BAD : act;
}

int main(int argc, char **argv)
{
    struct sockaddr_storage addr;
    struct api_settings s;
    const char *kind = NULL;
    enum action act;
    struct err e;

    act = parse_options(argc, argv, &kind);
    if (act == ACT_DONE) {
        return EXIT_OK;
    }
    if (act == ACT_BAD) {
        return usage_error("wrong option; see aion2-api --help", NULL);
    }
    if (!conf_load(API_SETTINGS_ITEMS, API_SETTINGS_COUNT, &s, &e) || !check_settings(&s, &e) ||
        !admin_check_settings(&s, &e) || !check_public_url(s.public_url, &e) ||
        !parse_listen(&s, &addr, &e) || !probe_check_listen(s.probe.listen, &e)) {
        return usage_error("settings", e.text);
    }
    if (act == ACT_CHECK_CONFIG) {
        conf_print_effective(API_SETTINGS_ITEMS, API_SETTINGS_COUNT, stdout);
        return EXIT_OK;
    }
    if (act == ACT_HEALTH) {
        return health_check(&s, kind, &addr);
    }
    log_open("api", s.log_level, s.log_format);
    zone_start();
    /* Large blocks always go back at once; by itself malloc learns to keep them. */
    mallopt(M_MMAP_THRESHOLD, 1024 * 1024);
    return serve(&s, &addr);
}
