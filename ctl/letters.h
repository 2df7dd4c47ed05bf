#ifndef CTL_LETTERS_H
#define CTL_LETTERS_H

#include "common/letters.h"
#include "ctl/ctl.h"
#include "ctl/term.h"

/*
 * What aion2ctl dead and aion2ctl quarantine have in common: the same verbs over two lists.
 */
struct letters_words {
    const struct letters *which;
    const char *command; /* "dead" */
    const char *back;    /* the verb that puts back: "retry" */
    const char *backed;  /* "retried" */
};

struct letters_options {
    const char *task, *reason, *queue, *out;
    int64_t older_s, limit, bytes;
    bool all, dry_run, json;
};

/*
 * Rows of the tables of options that both have; each command begins its filters with its own.
 */
#define LETTERS_FILTER(name, member)                                                               \
    {                                                                                              \
        name, OPT_TEXT, offsetof(struct letters_options, member), 0, 0, NULL                       \
    }
#define LETTERS_FILTERS                                                                            \
    {"older", OPT_SPAN, offsetof(struct letters_options, older_s), 1, INT64_C(3155760000), NULL},  \
    {                                                                                              \
        "json", OPT_FLAG, offsetof(struct letters_options, json), 0, 0, NULL                       \
    }
#define LETTERS_LIMIT                                                                              \
    {                                                                                              \
        "limit", OPT_I64, offsetof(struct letters_options, limit), 1, 10000, NULL                  \
    }
#define LETTERS_CHANGES                                                                            \
    {"all", OPT_FLAG, offsetof(struct letters_options, all), 0, 0, NULL},                          \
    {                                                                                              \
        "dry-run", OPT_FLAG, offsetof(struct letters_options, dry_run), 0, 0, NULL                 \
    }
extern const struct opt LETTERS_SHOW_OPTS[];

int letters_cmd_list(const struct ctl_settings *s, const struct letters_words *w,
                     const struct opt *opts, int argc, char **argv);
int letters_cmd_show(const struct ctl_settings *s, const struct letters_words *w,
                     const struct opt *opts, int argc, char **argv);
int letters_cmd_back(const struct ctl_settings *s, const struct letters_words *w,
                     const struct opt *opts, int argc, char **argv);
int letters_cmd_drop(const struct ctl_settings *s, const struct letters_words *w,
                     const struct opt *opts, int argc, char **argv);

/* The document of letters_list as a table. */
void letters_print_list(const struct term *t, const struct letters_words *w, const cJSON *doc);
/* One entry in full, with at most `max` bytes of its message. bytes NULL: they are elsewhere. */
void letters_print_one(const struct term *t, const struct letter *l, const struct buf *bytes,
                       int64_t now_s, int64_t max);

#endif
