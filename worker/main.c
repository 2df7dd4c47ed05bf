#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/broker.h"
#include "common/crash.h"
#include "common/envfile.h"
#include "common/host.h"
#include "common/log.h"
#include "common/rds.h"
#include "common/text.h"
#include "common/zone.h"
#include "worker/checks.h"
#include "worker/child.h"
#include "worker/reload.h"
#include "worker/run_once.h"
#include "worker/supervisor.h"

enum { EXIT_OK = 0, EXIT_USAGE = 64 };

enum mode {
    MODE_SUPERVISE,
    MODE_CHILD,
    MODE_RUN,
    MODE_TRIAL,
    MODE_CHECK_CONFIG,
    MODE_HEALTHCHECK,
    MODE_VERSION,
    MODE_HELP,
};

struct options {
    enum mode mode;
    const char *env_file;
    const char *concurrency;
    const char *kind; /* of --healthcheck, NULL: none named */
    const char *run;  /* task to run once, in the foreground */
    const char *id;
    int64_t slot_unix_s;
    int64_t supervisor_pid;
};

enum argument { TAKES_NOTHING, TAKES_TEXT, TAKES_NUMBER };

static const struct {
    const char *name;
    enum argument argument;
    size_t offset;  /* where it goes in struct options */
    int64_t max;    /* of a number */
    enum mode mode; /* MODE_SUPERVISE: it changes none */
} OPTIONS[] = {
    {"env-file", TAKES_TEXT, offsetof(struct options, env_file), 0, MODE_SUPERVISE},
    {"concurrency", TAKES_TEXT, offsetof(struct options, concurrency), 0, MODE_SUPERVISE},
    {"run", TAKES_TEXT, offsetof(struct options, run), 0, MODE_RUN},
    {"id", TAKES_TEXT, offsetof(struct options, id), 0, MODE_SUPERVISE},
    {"slot", TAKES_NUMBER, offsetof(struct options, slot_unix_s), INT64_C(253402300799),
     MODE_SUPERVISE},
    {"check-config", TAKES_NOTHING, 0, 0, MODE_CHECK_CONFIG},
    {"healthcheck", TAKES_NOTHING, 0, 0, MODE_HEALTHCHECK},
    {"version", TAKES_NOTHING, 0, 0, MODE_VERSION},
    {"help", TAKES_NOTHING, 0, 0, MODE_HELP},
    /* For the supervisor only, so not in the help. */
    {"child", TAKES_NUMBER, offsetof(struct options, supervisor_pid), INT32_MAX, MODE_CHILD},
    {"trial", TAKES_NOTHING, 0, 0, MODE_TRIAL},
};

static void print_help(FILE *out)
{
    fputs("Usage: aion2-worker [--env-file FILE] [--concurrency N]\n"
          "       aion2-worker [--env-file FILE] --healthcheck [KIND] | --check-config\n"
          "       aion2-worker [--env-file FILE] --run TASK [--id ID] [--slot UNIX]\n\n"
          "Takes task messages from a Redis list and runs them in child processes.\n\n"
          "  --env-file FILE read settings from it, NAME=value lines; they win over the\n"
          "                  environment. SIGHUP reads it again\n"
          "  --concurrency N child processes (WORKER_CONCURRENCY)\n"
          "  --healthcheck [live|ready|fresh]\n"
          "                  ask this worker's probe at METRICS_LISTEN (ready, unless\n"
          "                  said otherwise), or without that look whether it (by its\n"
          "                  name) has a heartbeat in Redis; exit 0 when it is well\n"
          "  --check-config  print the settings in effect\n"
          "  --run TASK      run one task here and now, without Redis, and print its result\n"
          "  --id ID         its task id (default: a random one)\n"
          "  --slot UNIX     the schedule's slot that it is for\n"
          "  --version, --help\n\n"
          "Examples:\n"
          "  REDIS_URL=redis://redis:6379/0 WORKER_CONCURRENCY=4 aion2-worker\n"
          "  redis-cli LPUSH celery '{\"task\":\"app.worker.calculate_power_and_rank_batch\"}'\n"
          "  aion2-worker --run app.worker.calculate_power_and_rank_batch\n\n"
          "SIGTERM or SIGINT: take nothing more, give running tasks SHUTDOWN_GRACE seconds,\n"
          "put back what is left, exit 0. A second one, or SIGQUIT: at once. SIGHUP: the\n"
          "same, but start anew in place of exiting, with the settings as they are then.\n\n",
          out);
    conf_print_help(SETTINGS_ITEMS, SETTINGS_COUNT, out);
    fputs("\nExit codes: 0 done, 1 failed, 64 wrong usage or setting, 78 the database is of\n"
          "another version than this program, or Redis may delete data by itself.\n",
          out);
}

static bool take_option(struct options *o, size_t i, const char *text)
{
    char *field = (char *)o + OPTIONS[i].offset;

    if (OPTIONS[i].mode != MODE_SUPERVISE) {
        o->mode = OPTIONS[i].mode;
    }
    if (OPTIONS[i].argument == TAKES_TEXT) {
        memcpy(field, &text, sizeof text);
    }
    if (OPTIONS[i].argument == TAKES_NUMBER &&
        !text_to_i64(text, 0, OPTIONS[i].max, (int64_t *)(void *)field)) {
        fprintf(stderr, "aion2-worker: --%s must be a number, 0 to %" PRId64 "\n", OPTIONS[i].name,
                OPTIONS[i].max);
        return false;
    }
    return true;
}

/* Says what is wrong on standard error. */
static bool parse_options(int argc, char **argv, struct options *o)
{
    struct option list[ARRAY_LEN(OPTIONS) + 1] = {{0}};
    int which = -1;
    int c;

    for (size_t i = 0; i < ARRAY_LEN(OPTIONS); i++) {
        list[i].name = OPTIONS[i].name;
        list[i].has_arg = OPTIONS[i].argument == TAKES_NOTHING ? no_argument : required_argument;
    }
    while ((c = getopt_long(argc, argv, "h", list, &which)) != -1) {
        if (c == 'h') {
            o->mode = MODE_HELP;
        } else if (c != 0 || !take_option(o, (size_t)which, optarg)) {
            return false;
        }
    }
    if (o->mode == MODE_HEALTHCHECK && optind < argc) {
        o->kind = argv[optind++];
    }
    if (optind < argc) {
        fprintf(stderr, "aion2-worker: unexpected argument %s\n", argv[optind]);
        return false;
    }
    return true;
}

static const char *default_name(void)
{
    static char name[HOST_NAME_SIZE + 8];
    char host[HOST_NAME_SIZE];

    snprintf(name, sizeof name, "aion2@%s", host_name(host));
    return name;
}

/* What the table cannot say. */
static bool settings_make_sense(struct settings *s, struct err *e)
{
    struct rds_addr redis;
    size_t queue_len = strlen(s->task_queue);
    struct err zone;

    if (queue_len == 0 || queue_len > BROKER_QUEUE_MAX ||
        text_has_control(s->task_queue, queue_len) || !text_is_utf8(s->task_queue, queue_len)) {
        return err_set(e, ERR_PERMANENT, "ConfigError",
                       "TASK_QUEUE: expected 1 to %d bytes of UTF-8 without control characters",
                       BROKER_QUEUE_MAX);
    }
    if (!text_is_utf8(s->worker_name, strlen(s->worker_name))) {
        return err_set(e, ERR_PERMANENT, "ConfigError", "WORKER_NAME: not UTF-8");
    }
    if (!zone_check(s->history_time_zone, &zone)) {
        return err_set(e, ERR_PERMANENT, "ConfigError", "HISTORY_TIME_ZONE: %s", zone.text);
    }
    if (s->worker_name[0] == '\0') {
        s->worker_name = default_name();
    }
    return probe_check_listen(s->probe.listen, e) && rds_parse_url(s->redis_url, &redis, e) &&
           source_settings_check(&s->source, e);
}

/* File, then command line: what comes later wins. */
static bool load_settings(const struct options *o, struct settings *s, struct err *e)
{
    if (o->env_file && !envfile_load(o->env_file, e)) {
        return false;
    }
    if (o->concurrency && setenv("WORKER_CONCURRENCY", o->concurrency, 1) != 0) {
        return err_set(e, ERR_RETRYABLE, "MemoryError", "out of memory");
    }
    return conf_load(SETTINGS_ITEMS, SETTINGS_COUNT, s, e) && settings_make_sense(s, e);
}

static int check_health(const struct options *o, const struct settings *s)
{
    enum probe_kind which = PROBE_READY;

    if (o->kind && !probe_kind_parse(o->kind, &which)) {
        fputs("aion2-worker: --healthcheck takes live, ready or fresh\n", stderr);
        return EXIT_USAGE;
    }
    return o->kind || *s->probe.listen ? probe_healthcheck("aion2-worker", s->probe.listen, which)
                                       : checks_health(s);
}

static int run_mode(const struct options *o, const struct settings *s)
{
    switch (o->mode) {
    case MODE_CHILD:
        return child_main(s, o->supervisor_pid);
    case MODE_RUN:
        return run_once(s, o->run, o->id, o->slot_unix_s);
    case MODE_HEALTHCHECK:
        return check_health(o, s);
    case MODE_CHECK_CONFIG:
        conf_print_effective(SETTINGS_ITEMS, SETTINGS_COUNT, stdout);
        return EXIT_OK;
    case MODE_TRIAL:
        return checks_trial(s);
    case MODE_SUPERVISE:
    case MODE_VERSION: /* needs no settings: main() */
    case MODE_HELP:
        break;
    }
    return supervisor_main(s);
}

int main(int argc, char **argv)
{
    struct options o = {.slot_unix_s = -1};
    struct settings s;
    struct err e;

    if (!parse_options(argc, argv, &o)) {
        return EXIT_USAGE;
    }
    if (o.mode == MODE_VERSION) {
        puts("aion2-worker " AION2RANK_VERSION);
        return EXIT_OK;
    }
    if (o.mode == MODE_HELP) {
        print_help(stdout);
        return EXIT_OK;
    }
    if (o.mode == MODE_SUPERVISE) {
        reload_hold_signal(true); /* until there is somebody to heed it */
        reload_remember(argv);
    }
    if (!load_settings(&o, &s, &e)) {
        fprintf(stderr, "aion2-worker: %s\n", e.text);
        return EXIT_USAGE;
    }
    log_open("worker", s.log_level, s.log_format);
    log_context("worker", s.worker_name);
    if (s.test_tasks) {
        crash_init();
    }
    return run_mode(&o, &s);
}
