#ifndef CTL_OPT_H
#define CTL_OPT_H

#include "common/base.h"

/*
 * The options of a command as a table: it parses the command line, and bash completion is made
 * from it. A table ends with {0}.
 */
enum opt_kind {
    OPT_FLAG, /* bool: given or not */
    OPT_TEXT, /* const char *, as it was given; with words: one of them */
    OPT_I64,  /* int64_t from min to max */
    OPT_SPAN, /* int64_t seconds from min to max: "90", "90s", "15m", "2h", "1d" */
};

struct opt {
    const char *name; /* without dashes */
    enum opt_kind kind;
    size_t offset; /* of the member in the command's struct */
    int64_t min, max;
    const char *words; /* "csv|ndjson"; NULL: anything */
};

#define OPT_END                                                                                    \
    {                                                                                              \
        NULL, OPT_FLAG, 0, 0, 0, NULL                                                              \
    }

/*
 * Fills in the members of *into for the options given; others stay as they are. Returns the index
 * of the first positional argument (all of them are last then), or -1: it has said what is wrong,
 * and the caller returns CTL_USAGE.
 */
int opt_parse(const char *command, const struct opt *opts, int argc, char **argv, void *into);

/* "90s", "15m", "2h", "1d", "90" -> seconds. */
bool opt_read_span(const char *text, int64_t min, int64_t max, int64_t *seconds) MUST_CHECK;

#endif
