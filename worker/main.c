#include <getopt.h>
#include <stdio.h>

#include "common/log.h"
#include "common/text.h"
#include "worker/run_once.h"

enum { EXIT_OK = 0, EXIT_USAGE = 64 };

struct options {
    const char *run; /* task to run once, in the foreground */
    const char *id;
    int64_t slot_unix_s;
    bool check_config;
};

static void print_help(FILE *out)
{
    fputs("Usage: aion2-worker [--check-config | --run TASK [--id ID] [--slot UNIX]]\n\n"
          "  --run TASK      run one task here and now, without Redis, and print its result\n"
          "  --id ID         its task id (default: a random one)\n"
          "  --slot UNIX     the schedule's slot that it is for\n"
          "  --check-config  print the settings in effect\n"
          "  --version, --help\n\n",
          out);
    conf_print_help(SETTINGS_ITEMS, SETTINGS_COUNT, out);
}

/* An exit code, or -1 to go on. */
static int parse_options(int argc, char **argv, struct options *o)
{
    static const struct option LONG[] = {{"run", required_argument, NULL, 'r'},
                                         {"id", required_argument, NULL, 'i'},
                                         {"slot", required_argument, NULL, 's'},
                                         {"check-config", no_argument, NULL, 'c'},
                                         {"version", no_argument, NULL, 'V'},
                                         {"help", no_argument, NULL, 'h'},
                                         {NULL, 0, NULL, 0}};
    int c;

    while ((c = getopt_long(argc, argv, "h", LONG, NULL)) != -1) {
        switch (c) {
        case 'r':
            o->run = optarg;
            break;
        case 'i':
            o->id = optarg;
            break;
        case 's':
            if (!text_to_i64(optarg, 0, INT64_C(253402300799), &o->slot_unix_s)) {
                fputs("aion2-worker: --slot must be seconds since 1970\n", stderr);
                return EXIT_USAGE;
            }
            break;
        case 'c':
            o->check_config = true;
            break;
        case 'V':
            puts("aion2-worker " AION2RANK_VERSION);
            return EXIT_OK;
        case 'h':
            print_help(stdout);
            return EXIT_OK;
        default:
            return EXIT_USAGE; /* getopt said what is wrong */
        }
    }
    if (optind < argc) {
        fprintf(stderr, "aion2-worker: unexpected argument %s\n", argv[optind]);
        return EXIT_USAGE;
    }
    return -1;
}

int main(int argc, char **argv)
{
    struct options o = {.slot_unix_s = -1};
    struct settings s;
    struct err e;
    enum log_level level = LOG_INFO;
    int code = parse_options(argc, argv, &o);

    if (code >= 0) {
        return code;
    }
    if (!conf_load(SETTINGS_ITEMS, SETTINGS_COUNT, &s, &e)) {
        fprintf(stderr, "aion2-worker: %s\n", e.text);
        return EXIT_USAGE;
    }
    if (o.check_config) {
        conf_print_effective(SETTINGS_ITEMS, SETTINGS_COUNT, stdout);
        return EXIT_OK;
    }
    log_level_parse(s.log_level, &level);
    log_init("worker", level);
    if (o.run) {
        return run_once(&s, o.run, o.id, o.slot_unix_s);
    }
    print_help(stderr);
    return EXIT_USAGE;
}
