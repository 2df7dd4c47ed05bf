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

#define FILTERS LETTERS_FILTER("task", task), LETTERS_FILTER("error", reason), LETTERS_FILTERS

static const struct opt LIST_OPTS[] = {FILTERS, LETTERS_LIMIT, OPT_END};
static const struct opt RETRY_OPTS[] = {FILTERS, LETTERS_CHANGES, LETTERS_FILTER("queue", queue),
                                        OPT_END};
static const struct opt DROP_OPTS[] = {FILTERS, LETTERS_CHANGES, OPT_END};

static const struct letters_words WORDS = {&LETTERS_DEAD, "dead", "retry", "retried"};

static int list(const struct ctl_settings *s, int argc, char **argv)
{
    return letters_cmd_list(s, &WORDS, LIST_OPTS, argc, argv);
}

static int show(const struct ctl_settings *s, int argc, char **argv)
{
    return letters_cmd_show(s, &WORDS, LETTERS_SHOW_OPTS, argc, argv);
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
    {"list", list, LIST_OPTS},    {"show", show, LETTERS_SHOW_OPTS},
    {"retry", retry, RETRY_OPTS}, {"drop", drop, DROP_OPTS},
    {NULL, NULL, NULL},
};
