#include "ctl/letters.h"

const char CTL_DEAD_HELP[] =
    "Usage: aion2ctl dead list  [filters] [--limit N] [--json]\n"
    "       aion2ctl dead show  ID... [--bytes N] [--out FILE] [--json]\n"
    "       aion2ctl dead retry ID...|filters|--all [--queue NAME] [--dry-run]\n"
    "                           [--json]\n"
    "       aion2ctl dead drop  ID...|filters|--all [--dry-run] [--json]\n"
    "\n"
    "Dead letters: the messages of tasks that failed for good.\n"
    "\n"
    "  list   the newest first\n"
    "  show   everything about one, with its arguments and message\n"
    "  retry  puts the message back into its queue as if it had never been tried: no\n"
    "         retries, no time, no expiry that has passed. Its stored FAILURE goes.\n"
    "         What followed the failure (link_error, a failed chord) is not undone\n"
    "  drop   removes it\n"
    "\n"
    "  ID             a task id, or a handle (show prints it; the first 6 digits will\n"
    "                 do)\n"
    "  --task NAME    only this task; may be a pattern: 'reports.*'\n"
    "  --error TEXT   only where the error has this text in it\n"
    "  --older TIME   only what died longer ago: 90s, 15m, 2h, 1d\n"
    "  --all          everything\n"
    "  --dry-run      only count what would be changed\n"
    "  --queue NAME   put it there and not where it came from\n"
    "  --limit N      list so many (default 50)\n"
    "  --bytes N      show so much of the message (default 4096)\n"
    "  --out FILE     write the message as it is to a new file (- for standard\n"
    "                 output)\n"
    "  --json         one line of JSON for each answer\n"
    "\n"
    "Examples:\n"
    "  aion2ctl dead list --error WorkerLost\n"
    "  aion2ctl dead retry --task 'reports.*' --older 10m --dry-run\n"
    "  aion2ctl dead drop --older 7d\n"
    "\n"
    "Every change is one atomic step with its counter (dead_retried, dead_dropped),\n"
    "so two people may do this at the same time.\n"
    "\n"
    "Exit codes: 0 done, 1 nothing of that name, or some could not be changed, 64\n"
    "wrong usage, 69 Redis not reachable.\n";

#define FILTERS                                                                                    \
    {"task", OPT_TEXT, offsetof(struct letters_options, task), 0, 0, NULL},                        \
        {"error", OPT_TEXT, offsetof(struct letters_options, reason), 0, 0, NULL},                 \
        {"older", OPT_SPAN, offsetof(struct letters_options, older_s), 1, INT64_C(3155760000),     \
         NULL},                                                                                    \
    {                                                                                              \
        "json", OPT_FLAG, offsetof(struct letters_options, json), 0, 0, NULL                       \
    }
#define CHANGES                                                                                    \
    {"all", OPT_FLAG, offsetof(struct letters_options, all), 0, 0, NULL},                          \
    {                                                                                              \
        "dry-run", OPT_FLAG, offsetof(struct letters_options, dry_run), 0, 0, NULL                 \
    }

static const struct opt LIST_OPTS[] = {
    FILTERS,
    {"limit", OPT_I64, offsetof(struct letters_options, limit), 1, 10000, NULL},
    OPT_END,
};
static const struct opt SHOW_OPTS[] = {
    {"json", OPT_FLAG, offsetof(struct letters_options, json), 0, 0, NULL},
    {"bytes", OPT_I64, offsetof(struct letters_options, bytes), 0, 1 << 30, NULL},
    {"out", OPT_TEXT, offsetof(struct letters_options, out), 0, 0, NULL},
    OPT_END,
};
static const struct opt RETRY_OPTS[] = {
    FILTERS,
    CHANGES,
    {"queue", OPT_TEXT, offsetof(struct letters_options, queue), 0, 0, NULL},
    OPT_END,
};
static const struct opt DROP_OPTS[] = {FILTERS, CHANGES, OPT_END};

static const struct letters_words WORDS = {&LETTERS_DEAD, "dead", "retry", "retried"};

static int list(const struct ctl_settings *s, int argc, char **argv)
{
    return letters_cmd_list(s, &WORDS, LIST_OPTS, argc, argv);
}

static int show(const struct ctl_settings *s, int argc, char **argv)
{
    return letters_cmd_show(s, &WORDS, SHOW_OPTS, argc, argv);
}

static int retry(const struct ctl_settings *s, int argc, char **argv)
{
    return letters_cmd_back(s, &WORDS, RETRY_OPTS, argc, argv);
}

static int drop(const struct ctl_settings *s, int argc, char **argv)
{
    return letters_cmd_drop(s, &WORDS, DROP_OPTS, argc, argv);
}

const struct ctl_verb CTL_DEAD_VERBS[] = {
    {"list", list, LIST_OPTS}, {"show", show, SHOW_OPTS}, {"retry", retry, RETRY_OPTS},
    {"drop", drop, DROP_OPTS}, {NULL, NULL, NULL},
};
