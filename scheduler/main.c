#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/broker.h"
#include "common/conf.h"
#include "common/crash.h"
#include "common/keys.h"
#include "common/log.h"
#include "scheduler/alerts.h"
#include "scheduler/beat.h"
#include "scheduler/probes.h"

enum {
    EXIT_FAILED = 1,
    EXIT_UNHEALTHY = 1,
    EXIT_USAGE = 64,
    EXIT_UNAVAILABLE = 69,
    EXIT_CONFIG = 78
};

struct beat_settings {
    const char *redis_url;
    const char *task_queue;
    const char *log_level;
    const char *log_format;
    int64_t batch_interval_s;
    bool allow_unsafe_redis;
    bool test_tasks;
    const char *database_url;
    int64_t alert_interval_s, alert_ranking_age_s, alert_dead_letters;
    struct alert_routes routes;
    struct probe_settings probe;
};

static const struct conf_item ITEMS[] = {
    CONF_INT("BATCH_INTERVAL", struct beat_settings, batch_interval_s, "600", 1, 86400,
             "seconds between batches"),
    CONF_STR("REDIS_URL", struct beat_settings, redis_url, "redis://localhost:6379/0",
             CONF_SECRET_URL, "Redis: broker and results"),
    {"TASK_QUEUE", CONF_T_STR, offsetof(struct beat_settings, task_queue), "celery", 0,
     BROKER_QUEUE_MAX, CONF_PLAIN, NULL, "name of the queue's list in Redis"},
    LOG_SETTINGS(struct beat_settings),
    CONF_BOOL("ALLOW_UNSAFE_REDIS", struct beat_settings, allow_unsafe_redis, "0",
              "start although Redis may delete data by itself (maxmemory-policy)"),
    PROBE_SETTINGS(struct beat_settings),
    CONF_BOOL("TEST_TASKS", struct beat_settings, test_tasks, "0",
              "heed CRASH_AT, with which tests end the program at a named point"),
    CONF_STR("DATABASE_URL", struct beat_settings, database_url, "postgresql://localhost/aion2rank",
             CONF_SECRET_URL, "PostgreSQL, asked for the age of the ranking (alerts only)"),
    CONF_STR("ALERT_WEBHOOK_URL", struct beat_settings, routes.webhook_url, "", CONF_SECRET,
             "alerts are posted there, in Slack's form (empty: not)"),
    CONF_STR("ALERT_WEBHOOK_SECRET", struct beat_settings, routes.webhook_secret, "", CONF_SECRET,
             "key of the signature in X-Aion2rank-Signature (empty: none)"),
    CONF_STR("ALERT_SMTP_URL", struct beat_settings, routes.smtp_url, "", CONF_SECRET_URL,
             "server that takes mail: smtp://user:password@host:587 (empty: no mail)"),
    CONF_STR("ALERT_MAIL_FROM", struct beat_settings, routes.mail_from, "", CONF_PLAIN,
             "sender of the mail"),
    CONF_STR("ALERT_MAIL_TO", struct beat_settings, routes.mail_to, "", CONF_PLAIN,
             "who gets the mail: addresses with commas between"),
    CONF_STR("ALERT_PING_URL", struct beat_settings, routes.ping_url, "", CONF_SECRET,
             "asked once for each successful batch (a dead-man's switch; empty: not)"),
    {"ALERT_NAME", CONF_T_STR, offsetof(struct beat_settings, routes.deployment), "aion2rank", 0,
     64, CONF_PLAIN, NULL, "name of this deployment in alerts"},
    CONF_INT("ALERT_INTERVAL", struct beat_settings, alert_interval_s, "15", 1, 3600,
             "seconds between two looks whether something is wrong"),
    CONF_INT("ALERT_RANKING_AGE", struct beat_settings, alert_ranking_age_s, "0", 0, 31536000,
             "seconds after the last good batch that are too many (0: three BATCH_INTERVALs)"),
    CONF_INT("ALERT_DEAD_LETTERS", struct beat_settings, alert_dead_letters, "0", 0, 10000,
             "dead letters that are no alert yet"),
};

static const char HELP[] =
    "Usage: aion2-beat [--check-config | --healthcheck [NAME] | --version | --help]\n"
    "\n"
    "Sends what is due: the scoring batch every BATCH_INTERVAL seconds, the daily\n"
    "pruning, and every schedule that aion2ctl schedule has put into Redis (changes\n"
    "are noticed within two seconds; there is nothing to reload).\n"
    "\n"
    "Slots are moments by Redis' clock: the multiples of an interval since the epoch\n"
    "(with 600: 12:00, 12:10, ...), or the minutes of a crontab in its time zone. Any\n"
    "number of beats may run; a slot is claimed and sent in one step in Redis, so\n"
    "each slot is sent once. A slot that could not be sent in time, or whose\n"
    "predecessor still runs, is dealt with as its schedule says; aion2ctl why TIME\n"
    "tells what became of it. The very first start sends nothing before the next slot\n"
    "begins.\n"
    "\n"
    "  --check-config  print the settings in effect and end\n"
    "  --healthcheck   exit 0 when this beat's probe at METRICS_LISTEN says so, else\n"
    "                  1 and the reason: ready, or with NAME live or fresh. Without\n"
    "                  METRICS_LISTEN, or with the NAME of a schedule: when a beat\n"
    "                  was seen within 15 s and no schedule (not this one) has two\n"
    "                  slots that nobody has dealt with\n"
    "  --version       print the version and end\n"
    "\n"
    "Examples:\n"
    "  aion2-beat\n"
    "  REDIS_URL=redis://:secret@cache:6379/0 BATCH_INTERVAL=300 aion2-beat\n"
    "  aion2-beat --healthcheck batch && echo fine\n"
    "\n"
    "SIGTERM and SIGINT end it at once.\n"
    "\n";

static const char HELP_END[] =
    "\nExit codes: 0 ended by a signal (or healthy), 1 not healthy, 64 wrong usage or\n"
    "setting, 69 Redis not reachable (--healthcheck only), 78 Redis may delete data\n"
    "by itself.\n";

static volatile sig_atomic_t stop_requested;
static int wake_pipe[2];

/*
 * Wakes the loop. A Redis that hangs may hold the loop for longer than we want to take to end, so
 * the alarm ends us then. What is lost is the goodbye; the entry ages out.
 */
static void on_stop(int sig)
{
    int saved = errno;

    (void)sig;
    stop_requested = 1;
    if (write(wake_pipe[1], "", 1) < 0) {
        /* Full: it is readable already. */
    }
    alarm(1);
    errno = saved;
}

static void on_alarm(int sig)
{
    (void)sig;
    _exit(EXIT_SUCCESS);
}

static void watch_signals(void)
{
    struct sigaction stop = {.sa_handler = on_stop}, late = {.sa_handler = on_alarm};
    struct sigaction ignore = {.sa_handler = SIG_IGN};

    MUST(pipe2(wake_pipe, O_CLOEXEC | O_NONBLOCK) == 0);
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGALRM, &late, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
    sigaction(SIGHUP, &ignore, NULL); /* there is nothing to read again */
}

static int run(const struct beat_config *cfg)
{
    struct probes *probes;
    struct alerts *alerts;
    struct err e;
    bool fit;

    log_info("beat.start", "version=%s interval_s=%" PRId64 " queue=%s", AION2RANK_VERSION,
             cfg->defaults.batch_interval_s, LOGQ(cfg->defaults.queue));
    probes = probes_start(cfg, cfg->probe, &e);
    if (!probes) {
        log_error("beat.no_address", "error=%s", LOGQ(e.text));
        return EXIT_FAILED;
    }
    alerts = alerts_start(cfg->alerts);
    fit = beat_run(cfg);
    alerts_stop(alerts);
    probes_stop(probes);
    if (!fit) {
        return EXIT_CONFIG;
    }
    log_info("beat.stop", "reason=signal");
    return EXIT_SUCCESS;
}

static int healthcheck(const struct beat_config *cfg)
{
    enum probe_kind kind = PROBE_READY;
    struct err e;

    if ((cfg->only && probe_kind_parse(cfg->only, &kind)) || (!cfg->only && *cfg->probe->listen)) {
        return probe_healthcheck("aion2-beat", cfg->probe->listen, kind);
    }

    if (beat_check_health(cfg, &e)) {
        return EXIT_SUCCESS;
    }
    fprintf(stderr, "aion2-beat: %s\n", e.text);
    return e.cls == ERR_RETRYABLE ? EXIT_UNAVAILABLE : EXIT_UNHEALTHY;
}

static int check_config(const struct beat_config *cfg)
{
    (void)cfg;
    conf_print_effective(ITEMS, ARRAY_LEN(ITEMS), stdout);
    return EXIT_SUCCESS;
}

static int help(void)
{
    fputs(HELP, stdout);
    conf_print_help(ITEMS, ARRAY_LEN(ITEMS), stdout);
    fputs(HELP_END, stdout);
    return EXIT_SUCCESS;
}

static int version(void)
{
    puts("aion2-beat " AION2RANK_VERSION);
    return EXIT_SUCCESS;
}

static void set_alerts(const struct beat_settings *s, const struct rds_addr *redis,
                       struct alerts_config *a)
{
    *a = (struct alerts_config){
        .redis = redis,
        .database_url = s->database_url,
        .interval_s = s->alert_interval_s,
        .limits = {.ranking_age_s = s->alert_ranking_age_s, .dead_letters = s->alert_dead_letters},
        .routes = s->routes};
    if (a->limits.ranking_age_s == 0) {
        a->limits.ranking_age_s = 3 * s->batch_interval_s;
    }
}

/* Reads the settings, then does the action. */
static int with_settings(int (*action)(const struct beat_config *cfg), const char *only)
{
    struct beat_settings s;
    struct alerts_config alerts;
    struct beat_config cfg = {
        .stop = &stop_requested, .only = only, .alerts = &alerts, .probe = &s.probe};
    struct err e;

    if (!conf_load(ITEMS, ARRAY_LEN(ITEMS), &s, &e) ||
        !rds_parse_url(s.redis_url, &cfg.redis, &e) || !alert_routes_check(&s.routes, &e) ||
        !probe_check_listen(s.probe.listen, &e)) {
        fprintf(stderr, "aion2-beat: %s\n", e.text);
        return EXIT_USAGE;
    }
    log_open("beat", s.log_level, s.log_format);
    watch_signals();
    cfg.wake_fd = wake_pipe[0];
    cfg.allow_unsafe = s.allow_unsafe_redis;
    cfg.defaults = (struct schedule_defaults){s.task_queue, s.batch_interval_s};
    set_alerts(&s, &cfg.redis, &alerts);
    if (s.test_tasks) {
        crash_init();
    }
    return action(&cfg);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *option;
        int (*plain)(void);
        int (*action)(const struct beat_config *cfg);
    } OPTIONS[] = {
        {"--help", help, NULL},
        {"-h", help, NULL},
        {"--version", version, NULL},
        {"--check-config", NULL, check_config},
        {"--healthcheck", NULL, healthcheck},
    };
    bool named = argc == 3 && strcmp(argv[1], "--healthcheck") == 0;

    if (argc == 1) {
        return with_settings(run, NULL);
    }
    for (size_t i = 0; (argc == 2 || named) && i < ARRAY_LEN(OPTIONS); i++) {
        if (strcmp(argv[1], OPTIONS[i].option) == 0) {
            return OPTIONS[i].plain ? OPTIONS[i].plain()
                                    : with_settings(OPTIONS[i].action, argv[2]);
        }
    }
    fprintf(stderr, "aion2-beat: unknown words on the command line; see aion2-beat --help\n");
    return EXIT_USAGE;
}
