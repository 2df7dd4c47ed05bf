#include "ctl/ctl.h"

/* Every command, in the order in which --help shows them. */
const struct ctl_command CTL_COMMANDS[] = {
    {"migrate", ctl_migrate, "bring the database schema up to date", CTL_MIGRATE_HELP,
     CTL_MIGRATE_OPTS, NULL},
    {"import", ctl_import, "load characters from CSV or NDJSON", CTL_IMPORT_HELP, CTL_IMPORT_OPTS,
     NULL},
    {"generate", ctl_generate, "write a made-up but plausible population", CTL_GENERATE_HELP,
     CTL_GENERATE_OPTS, NULL},
    {"call", ctl_call, "send a task, wait for its result", CTL_CALL_HELP, CTL_CALL_OPTS, NULL},
    {"status", ctl_status, "what runs, what waits, how old the ranking is", CTL_STATUS_HELP,
     CTL_STATUS_OPTS, NULL},
    {"schedule", NULL, "what is sent when: list, set, pause, run, next", CTL_SCHEDULE_HELP, NULL,
     CTL_SCHEDULE_VERBS},
    {"why", ctl_why, "what became of a slot, in one sentence", CTL_WHY_HELP, CTL_WHY_OPTS, NULL},
    {"queue", NULL, "what waits and who holds what: list, show, purge", CTL_QUEUE_HELP, NULL,
     CTL_QUEUE_VERBS},
    {"dead", NULL, "dead letters: list, show, retry, drop", CTL_DEAD_HELP, NULL, CTL_DEAD_VERBS},
    {"quarantine", NULL, "messages that nobody can read: list, show, replay, drop",
     CTL_QUARANTINE_HELP, NULL, CTL_QUARANTINE_VERBS},
    {"audit", ctl_audit, "is every message accounted for?", CTL_AUDIT_HELP, CTL_AUDIT_OPTS, NULL},
    {"inspect", NULL, "ask the workers what they are doing", CTL_INSPECT_HELP, NULL,
     CTL_INSPECT_VERBS},
    {"doctor", ctl_doctor, "look for what loses data or stops work", CTL_DOCTOR_HELP,
     CTL_DOCTOR_OPTS, NULL},
    {"completion", NULL, "print the completion for a shell", CTL_COMPLETION_HELP, NULL,
     CTL_COMPLETION_VERBS},
};
const size_t CTL_COMMAND_COUNT = ARRAY_LEN(CTL_COMMANDS);
