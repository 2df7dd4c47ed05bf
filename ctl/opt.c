#include "ctl/opt.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "ctl/ctl.h"

#define OPTS_MAX 32

bool opt_read_span(const char *text, int64_t min, int64_t max, int64_t *seconds)
{
    static const struct {
        char letter;
        int64_t seconds;
    } UNITS[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    size_t len = strlen(text);
    int64_t n, unit = 1;

    for (size_t i = 0; len > 0 && i < ARRAY_LEN(UNITS); i++) {
        if (text[len - 1] == UNITS[i].letter) {
            unit = UNITS[i].seconds;
            len--;
            break;
        }
    }
    if (!text_n_to_i64(text, len, 0, INT64_MAX / 86400, &n) || n * unit < min || n * unit > max) {
        return false;
    }
    *seconds = n * unit;
    return true;
}

static bool is_word(const char *words, const char *text)
{
    size_t len = strlen(text);

    for (const char *p = words; p; p = strchr(p, '|') ? strchr(p, '|') + 1 : NULL) {
        if (len > 0 && strncmp(p, text, len) == 0 && (p[len] == '|' || p[len] == '\0')) {
            return true;
        }
    }
    return false;
}

/* Stores a value; false when it is none of those allowed. */
static bool store(const struct opt *o, const char *text, void *into)
{
    void *member = (char *)into + o->offset;

    switch (o->kind) {
    case OPT_FLAG:
        *(bool *)member = true;
        return true;
    case OPT_TEXT:
        memcpy(member, &text, sizeof text);
        return !o->words || is_word(o->words, text);
    case OPT_I64:
        return text_to_i64(text, o->min, o->max, member);
    case OPT_SPAN:
        return opt_read_span(text, o->min, o->max, member);
    }
    MUST(!"a known kind");
}

static void refuse(const char *command, const struct opt *o)
{
    switch (o->kind) {
    case OPT_I64:
        if (o->max == INT64_MAX) {
            ctl_fail(command, CTL_USAGE, "--%s: must be a whole number, %" PRId64 " or more",
                     o->name, o->min);
        } else {
            ctl_fail(command, CTL_USAGE,
                     "--%s: must be a whole number from %" PRId64 " to %" PRId64, o->name, o->min,
                     o->max);
        }
        return;
    case OPT_SPAN:
        ctl_fail(command, CTL_USAGE,
                 "--%s: must be a time like 90s, 15m, 2h or 1d, from %" PRId64 " to %" PRId64
                 " seconds",
                 o->name, o->min, o->max);
        return;
    default:
        ctl_fail(command, CTL_USAGE, "--%s: must be one of %s", o->name, o->words);
    }
}

int opt_parse(const char *command, const struct opt *opts, int argc, char **argv, void *into)
{
    struct option longs[OPTS_MAX + 1] = {{0}};
    static char name[128]; /* getopt keeps argv[0] */
    int n = 0, index, c;

    for (; opts[n].name; n++) {
        MUST(n < OPTS_MAX);
        longs[n] = (struct option){
            opts[n].name, opts[n].kind == OPT_FLAG ? no_argument : required_argument, NULL, 1};
    }
    /* getopt begins its own messages with argv[0]. */
    snprintf(name, sizeof name, "aion2ctl %s", command);
    argv[0] = name;
    optind = 0;
    while ((c = getopt_long(argc, argv, "", longs, &index)) != -1) {
        if (c != 1) {
            /* getopt has said why */
            ctl_fail(command, CTL_USAGE, "see aion2ctl %.*s --help", (int)strcspn(command, " "),
                     command);
            return -1;
        }
        if (!store(&opts[index], optarg, into)) {
            refuse(command, &opts[index]);
            return -1;
        }
    }
    return optind;
}
