#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/broker.h"
#include "common/log.h"
#include "ctl/ctl.h"

static const struct conf_item ITEMS[] = {
    CONF_STR("DATABASE_URL", struct ctl_settings, database_url, "postgresql://localhost/aion2rank",
             CONF_SECRET_URL, "PostgreSQL: URL or key=value list"),
    CONF_STR("REDIS_URL", struct ctl_settings, redis_url, "redis://localhost:6379/0",
             CONF_SECRET_URL, "Redis: broker and results"),
    {"TASK_QUEUE", CONF_T_STR, offsetof(struct ctl_settings, task_queue), "celery", 0,
     BROKER_QUEUE_MAX, CONF_PLAIN, NULL, "name of the queue's list in Redis"},
    CONF_INT("BATCH_INTERVAL", struct ctl_settings, batch_interval_s, "600", 1, 86400,
             "seconds between batches"),
};

static void print_help(FILE *out)
{
    fputs("Usage: aion2ctl COMMAND [options]\n\n"
          "The operator's hand of aion2rank.\n\nCommands:\n",
          out);
    for (size_t i = 0; i < CTL_COMMAND_COUNT; i++) {
        fprintf(out, "  %-10s %s\n", CTL_COMMANDS[i].name, CTL_COMMANDS[i].summary);
    }
    fputs("\naion2ctl COMMAND --help says more, with examples.\n"
          "aion2ctl --check-config prints the settings in effect.\n\n",
          out);
    conf_print_help(ITEMS, ARRAY_LEN(ITEMS), out);
    fputs("\nExit codes: 0 done, 1 failed, 2 not in time, 64 wrong usage or setting,\n"
          "69 PostgreSQL or Redis not reachable, or no worker answers, 130 interrupted.\n",
          out);
}

/* The verb that is named, or the first one when none is. */
static int run_verb(const struct ctl_command *cmd, const struct ctl_settings *s, int argc,
                    char **argv)
{
    const struct ctl_verb *v = cmd->verbs;
    char name[64];

    if (argc > 1 && argv[1][0] != '-') {
        while (v->name && strcmp(v->name, argv[1]) != 0) {
            v++;
        }
        if (!v->name) {
            return ctl_fail(cmd->name, CTL_USAGE, "no \"%s\" here; see aion2ctl %s --help", argv[1],
                            cmd->name);
        }
        argc--;
        argv++;
    }
    snprintf(name, sizeof name, "%s %s", cmd->name, v->name);
    argv[0] = name;
    return v->run(s, argc, argv);
}

static int run_command(const struct ctl_command *cmd, const struct ctl_settings *s, int argc,
                       char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(cmd->help, stdout);
            return CTL_OK;
        }
    }
    return cmd->verbs ? run_verb(cmd, s, argc, argv) : cmd->run(s, argc, argv);
}

/* What was printed must have been written: half an answer is none. */
static int check_output(const char *command, int code)
{
    if (fflush(stdout) != 0 || ferror(stdout)) {
        return ctl_fail(command, CTL_FAILED, "cannot write: %s", strerror(errno));
    }
    return code;
}

int main(int argc, char **argv)
{
    struct ctl_settings s;
    struct err e;

    log_init("ctl", LOG_WARN);
    if (argc < 2) {
        print_help(stderr);
        return CTL_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return CTL_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("aion2ctl " AION2RANK_VERSION);
        return CTL_OK;
    }
    if (!conf_load(ITEMS, ARRAY_LEN(ITEMS), &s, &e)) {
        return ctl_fail("settings", CTL_USAGE, "%s", e.text);
    }
    if (strcmp(argv[1], "--check-config") == 0) {
        conf_print_effective(ITEMS, ARRAY_LEN(ITEMS), stdout);
        return CTL_OK;
    }
    for (size_t i = 0; i < CTL_COMMAND_COUNT; i++) {
        if (strcmp(argv[1], CTL_COMMANDS[i].name) == 0) {
            return check_output(argv[1], run_command(&CTL_COMMANDS[i], &s, argc - 1, argv + 1));
        }
    }
    return ctl_fail(argv[1], CTL_USAGE, "no such command; see aion2ctl --help");
}
