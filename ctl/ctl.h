#ifndef CTL_CTL_H
#define CTL_CTL_H

#include <cjson/cJSON.h>
#include <libpq-fe.h>

#include "common/conf.h"
#include "common/rds.h"
#include "ctl/opt.h"

/*
 * aion2ctl is a table of commands (commands.c). A command gets argv[0] = its own name, parses its
 * options with opt_parse and returns the exit code. A command with verbs ("dead list") has a
 * function for each; the first one is meant when none is named.
 */
enum ctl_exit {
    CTL_OK = 0,
    CTL_FAILED = 1,        /* the work failed, or something is not as it should be */
    CTL_TIMEOUT = 2,       /* what was waited for did not come in time */
    CTL_USAGE = 64,        /* wrong words on the command line, or a wrong setting (EX_USAGE) */
    CTL_UNAVAILABLE = 69,  /* PostgreSQL, Redis or every worker does not answer (EX_UNAVAILABLE) */
    CTL_INTERRUPTED = 130, /* as shells say it: 128 + SIGINT */
};

struct ctl_settings {
    const char *database_url;
    const char *redis_url;
    const char *task_queue;
    int64_t batch_interval_s;
};

typedef int (*ctl_fn)(const struct ctl_settings *s, int argc, char **argv);

struct ctl_verb {
    const char *name;
    ctl_fn run;
    const struct opt *opts;
};

struct ctl_command {
    const char *name;
    ctl_fn run;                   /* NULL: it has verbs */
    const char *summary;          /* one line for aion2ctl --help */
    const char *help;             /* whole text of aion2ctl NAME --help, with examples */
    const struct opt *opts;       /* for the completion; NULL: none */
    const struct ctl_verb *verbs; /* up to one without a name; NULL: none */
};

extern const struct ctl_command CTL_COMMANDS[];
extern const size_t CTL_COMMAND_COUNT;

/*
 * Prints "aion2ctl NAME: text" on standard error and returns the code. Control characters in the
 * text become "?": it may hold what others wrote.
 */
int ctl_fail(const char *command, enum ctl_exit code, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The same for an error: CTL_UNAVAILABLE when the same may work later, else CTL_FAILED. */
int ctl_fail_err(const char *command, const struct err *e);

/* Refuses positional arguments from index `first` on; CTL_OK when there are none. */
int ctl_no_more(const char *command, int first, int argc, char **argv);

/* Says that this Redis could not be reached, and which one that is; CTL_UNAVAILABLE. */
int ctl_fail_redis(const char *command, const struct rds_addr *addr, const struct err *e);

/*
 * Connects to REDIS_URL. NULL: it has said why, *code is what to return. addr may be NULL.
 * The caller frees with redisFree.
 */
redisContext *ctl_redis(const char *command, const struct ctl_settings *s, struct rds_addr *addr,
                        int *code);

/*
 * The same for DATABASE_URL; the schema is the one that this program knows. The caller frees with
 * PQfinish.
 */
PGconn *ctl_pg(const char *command, const struct ctl_settings *s, int *code);

/* A list's name as people read it: "celery", or "celery (priority 3)". NULL stays NULL. */
#define CTL_LIST_SIZE 256
const char *ctl_list_shown(char out[CTL_LIST_SIZE], const char *list);

/* One line of JSON on standard output, harmless on a terminal; takes v. CTL_OK or CTL_FAILED. */
int ctl_print_json(const char *command, cJSON *v);

/* One per command, each in its file. */
int ctl_migrate(const struct ctl_settings *s, int argc, char **argv);
int ctl_import(const struct ctl_settings *s, int argc, char **argv);
int ctl_generate(const struct ctl_settings *s, int argc, char **argv);
int ctl_call(const struct ctl_settings *s, int argc, char **argv);
int ctl_status(const struct ctl_settings *s, int argc, char **argv);
int ctl_audit(const struct ctl_settings *s, int argc, char **argv);
int ctl_doctor(const struct ctl_settings *s, int argc, char **argv);
int ctl_top(const struct ctl_settings *s, int argc, char **argv);
int ctl_why(const struct ctl_settings *s, int argc, char **argv);
int ctl_source(const struct ctl_settings *s, int argc, char **argv);
int ctl_revoke(const struct ctl_settings *s, int argc, char **argv);
int ctl_result(const struct ctl_settings *s, int argc, char **argv);
int ctl_events(const struct ctl_settings *s, int argc, char **argv);
int ctl_changes(const struct ctl_settings *s, int argc, char **argv);
int ctl_completion(const struct ctl_settings *s, int argc, char **argv);

extern const char CTL_ALERTS_HELP[];
extern const char CTL_AUDIT_HELP[];
extern const char CTL_BATCH_HELP[];
extern const char CTL_CALL_HELP[];
extern const char CTL_CHANGES_HELP[];
extern const char CTL_COMPLETION_HELP[];
extern const char CTL_DEAD_HELP[];
extern const char CTL_DOCTOR_HELP[];
extern const char CTL_EVENTS_HELP[];
extern const char CTL_GENERATE_HELP[];
extern const char CTL_IMPORT_HELP[];
extern const char CTL_INSPECT_HELP[];
extern const char CTL_MIGRATE_HELP[];
extern const char CTL_QUARANTINE_HELP[];
extern const char CTL_QUEUE_HELP[];
extern const char CTL_RESULT_HELP[];
extern const char CTL_REVOKE_HELP[];
extern const char CTL_SCHEDULE_HELP[];
extern const char CTL_SOURCE_HELP[];
extern const char CTL_SERVER_HELP[];
extern const char CTL_STATUS_HELP[];
extern const char CTL_TOKEN_HELP[];
extern const char CTL_TOP_HELP[];
extern const char CTL_WHY_HELP[];
extern const char CTL_WORKER_HELP[];

extern const struct opt CTL_AUDIT_OPTS[];
extern const struct opt CTL_CALL_OPTS[];
extern const struct opt CTL_CHANGES_OPTS[];
extern const struct opt CTL_DOCTOR_OPTS[];
extern const struct opt CTL_EVENTS_OPTS[];
extern const struct opt CTL_GENERATE_OPTS[];
extern const struct opt CTL_IMPORT_OPTS[];
extern const struct opt CTL_MIGRATE_OPTS[];
extern const struct opt CTL_RESULT_OPTS[];
extern const struct opt CTL_REVOKE_OPTS[];
extern const struct opt CTL_SOURCE_OPTS[];
extern const struct opt CTL_STATUS_OPTS[];
extern const struct opt CTL_TOP_OPTS[];
extern const struct opt CTL_WHY_OPTS[];

extern const struct ctl_verb CTL_ALERTS_VERBS[];
extern const struct ctl_verb CTL_BATCH_VERBS[];
extern const struct ctl_verb CTL_COMPLETION_VERBS[];
extern const struct ctl_verb CTL_DEAD_VERBS[];
extern const struct ctl_verb CTL_INSPECT_VERBS[];
extern const struct ctl_verb CTL_QUARANTINE_VERBS[];
extern const struct ctl_verb CTL_QUEUE_VERBS[];
extern const struct ctl_verb CTL_SCHEDULE_VERBS[];
extern const struct ctl_verb CTL_SERVER_VERBS[];
extern const struct ctl_verb CTL_TOKEN_VERBS[];
extern const struct ctl_verb CTL_WORKER_VERBS[];

#endif
