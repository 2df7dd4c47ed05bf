#include "ctl/letters.h"

const char CTL_QUARANTINE_HELP[] =
    "Usage: aion2ctl quarantine list   [filters] [--limit N] [--json]\n"
    "       aion2ctl quarantine show   HANDLE... [--bytes N] [--out FILE] [--json]\n"
    "       aion2ctl quarantine replay HANDLE...|filters|--all [--queue NAME]\n"
    "                                  [--dry-run] [--json]\n"
    "       aion2ctl quarantine drop   HANDLE...|filters|--all [--dry-run] [--json]\n"
    "\n"
    "The quarantine: messages that nobody could read, kept byte by byte.\n"
    "\n"
    "  list    the newest first\n"
    "  show    the reason and the bytes: as text, or in hex when they are none\n"
    "  replay  puts the same bytes back where they came from; a newer worker may read\n"
    "          them\n"
    "  drop    removes it (with the key that holds a message of more than 16 MiB)\n"
    "\n"
    "  HANDLE         as list prints it; the first 6 digits will do\n"
    "  --reason TEXT  only where the reason has this text in it\n"
    "  --older TIME   only what is here for longer: 90s, 15m, 2h, 1d\n"
    "  --all          everything\n"
    "  --dry-run      only count what would be changed\n"
    "  --queue NAME   put it there and not where it came from\n"
    "  --limit N      list so many (default 50)\n"
    "  --bytes N      show so many of its bytes (default 4096)\n"
    "  --out FILE     write the bytes as they are to a new file (- for standard\n"
    "                 output)\n"
    "  --json         one line of JSON for each answer\n"
    "\n"
    "Examples:\n"
    "  aion2ctl quarantine list\n"
    "  aion2ctl quarantine show 5f1c2a --out message.bin\n"
    "  aion2ctl quarantine replay --reason 'not JSON' --queue celery\n"
    "\n"
    "Exit codes: 0 done, 1 nothing of that name, or some could not be changed, 64\n"
    "wrong usage, 69 Redis not reachable.\n";

#define FILTERS LETTERS_FILTER("reason", reason), LETTERS_FILTERS

static const struct opt LIST_OPTS[] = {FILTERS, LETTERS_LIMIT, OPT_END};
static const struct opt REPLAY_OPTS[] = {FILTERS, LETTERS_CHANGES, LETTERS_FILTER("queue", queue),
                                         OPT_END};
static const struct opt DROP_OPTS[] = {FILTERS, LETTERS_CHANGES, OPT_END};

static const struct letters_words WORDS = {&LETTERS_QUARANTINE, "quarantine", "replay", "replayed"};

static int list(const struct ctl_settings *s, int argc, char **argv)
{
    return letters_cmd_list(s, &WORDS, LIST_OPTS, argc, argv);
}

static int show(const struct ctl_settings *s, int argc, char **argv)
{
    return letters_cmd_show(s, &WORDS, LETTERS_SHOW_OPTS, argc, argv);
}

static int replay(const struct ctl_settings *s, int argc, char **argv)
{
    return letters_cmd_back(s, &WORDS, REPLAY_OPTS, argc, argv);
}

static int drop(const struct ctl_settings *s, int argc, char **argv)
{
    return letters_cmd_drop(s, &WORDS, DROP_OPTS, argc, argv);
}

const struct ctl_verb CTL_QUARANTINE_VERBS[] = {
    {"list", list, LIST_OPTS},
    {"show", show, LETTERS_SHOW_OPTS},
    {"replay", replay, REPLAY_OPTS},
    {"drop", drop, DROP_OPTS},
    {NULL, NULL, NULL},
};
