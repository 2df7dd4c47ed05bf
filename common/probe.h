#ifndef COMMON_PROBE_H
#define COMMON_PROBE_H

#include "common/err.h"

/*
 * How a program is looked at from outside: a small HTTP server on METRICS_LISTEN with /metrics (see
 * metrics.h), /live, /ready and /fresh. The probes answer 200 "ok" or 503 and the reason.
 *
 * METRICS_LISTEN is an IP address and a port (127.0.0.1:9101, [::1]:9101), or the path of a Unix
 * socket; empty: there is none.
 */
#define PROBE_CONNECTIONS_MAX 64
#define PROBE_IDLE_S          10
#define PROBE_HEADERS_MAX     (8 * KIB)
#define PROBE_ANSWER_MAX      (4 * MIB)
#define PROBE_WHY_SIZE        200

enum probe_kind {
    PROBE_LIVE,  /* the main loop turns */
    PROBE_READY, /* it can do its work */
    PROBE_FRESH, /* the ranking is young enough */
    PROBE_KINDS
};
/* "live", "ready", "fresh"; false: none of them. */
bool probe_kind_parse(const char *name, enum probe_kind *kind) MUST_CHECK;

/* Whether METRICS_LISTEN can be used as it is written. */
bool probe_check_listen(const char *listen, struct err *e) MUST_CHECK;

struct event_base;
struct probe;

struct probe_config {
    const char *listen;      /* borrowed, not empty */
    struct event_base *base; /* serves on this loop; NULL: on a thread of its own */
    /* Called on that loop or thread. False: why says so. */
    bool (*check)(void *ctx, enum probe_kind kind, char why[PROBE_WHY_SIZE]);
    /* Sets what is only looked up when somebody asks for /metrics. NULL: nothing. */
    void (*collect)(void *ctx);
    void *ctx;
};

/* NULL and *e when the address cannot be used. */
struct probe *probe_start(const struct probe_config *config, struct err *e) MUST_CHECK;
void probe_stop(struct probe *p); /* NULL is fine */

/* Asks the program that listens there; waits 3 s at most. False and *e: it says no, or nothing. */
bool probe_ask(const char *listen, enum probe_kind kind, struct err *e) MUST_CHECK;

/*
 * --healthcheck of a program: asks its probe and gives the exit code, 0 or 1 and the reason on
 * standard error (64: METRICS_LISTEN is empty, so there is nobody to ask).
 */
int probe_healthcheck(const char *program, const char *listen, enum probe_kind kind);

/* The settings of every program; st: its struct, with struct probe_settings probe. */
struct probe_settings {
    const char *listen;
    int64_t fresh_limit_s; /* 0: 2.5 times the interval of batches */
};
#define PROBE_SETTINGS(st)                                                                         \
    CONF_STR("METRICS_LISTEN", st, probe.listen, "", CONF_PLAIN,                                   \
             "address and port, or path of a Unix socket, for /metrics and the probes "            \
             "/live, /ready and /fresh; empty: none"),                                             \
        CONF_INT("FRESH_LIMIT", st, probe.fresh_limit_s, "0", 0, 31536000,                         \
                 "seconds within which a ranking counts as fresh (0: 2.5 times BATCH_INTERVAL)")

/*
 * Whether a ranking of that moment (unix us, METRIC_UNKNOWN: nobody knows of one) is young enough;
 * else why says so.
 */
bool probe_is_fresh(const struct probe_settings *s, int64_t interval_s, int64_t made_us,
                    char why[PROBE_WHY_SIZE]);

#endif
