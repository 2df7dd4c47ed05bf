#ifndef CTL_CTL_H
#define CTL_CTL_H

#include "common/conf.h"

/*
 * aion2ctl is a table of commands (main.c). A command gets argv[0] = its own name, parses its
 * options with getopt_long (optind is reset before the call) and returns the exit code.
 */
enum ctl_exit {
    CTL_OK = 0,
    CTL_FAILED = 1,       /* the work failed; for import also: some lines were skipped */
    CTL_TIMEOUT = 2,      /* call --wait only */
    CTL_USAGE = 64,       /* wrong words on the command line, or a wrong setting (EX_USAGE) */
    CTL_UNAVAILABLE = 69, /* PostgreSQL or Redis does not answer (EX_UNAVAILABLE) */
};

struct ctl_settings {
    const char *database_url;
    const char *redis_url;
    const char *task_queue;
    int64_t batch_interval_s;
};

struct ctl_command {
    const char *name;
    int (*run)(const struct ctl_settings *s, int argc, char **argv);
    const char *summary; /* one line for aion2ctl --help */
    const char *help;    /* whole text of aion2ctl NAME --help, with examples */
};

/* Prints "aion2ctl NAME: text" on standard error and returns the code. */
int ctl_fail(const char *command, enum ctl_exit code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* One per command, each in its file. */
int ctl_migrate(const struct ctl_settings *s, int argc, char **argv);
int ctl_import(const struct ctl_settings *s, int argc, char **argv);
int ctl_generate(const struct ctl_settings *s, int argc, char **argv);
int ctl_call(const struct ctl_settings *s, int argc, char **argv);
int ctl_status(const struct ctl_settings *s, int argc, char **argv);

extern const char CTL_MIGRATE_HELP[], CTL_IMPORT_HELP[], CTL_GENERATE_HELP[], CTL_CALL_HELP[],
    CTL_STATUS_HELP[];

#endif
