#include <string.h>

#include "common/source_state.h"
#include "ctl/ctl.h"
#include "ctl/term.h"

const char CTL_SOURCE_HELP[] =
    "Usage: aion2ctl source [--json]\n"
    "\n"
    "How the source of characters does: whether it rests and why, what was asked, the\n"
    "last answers. Every program asks it through one gate, which is kept in Redis.\n"
    "\n"
    "  --json  one line of JSON\n"
    "\n"
    "States: working, failing (but asked on), resting (nobody asks it for a while),\n"
    "unused (never asked).\n"
    "\n"
    "Examples:\n"
    "  aion2ctl source\n"
    "  aion2ctl source --json | jq .state\n"
    "\n"
    "Exit codes: 0 it works or is unused, 1 it fails or rests, 64 wrong usage, 69\n"
    "Redis not reachable.\n";

struct options {
    bool json;
};

const struct opt CTL_SOURCE_OPTS[] = {
    {"json", OPT_FLAG, offsetof(struct options, json), 0, 0, NULL},
    OPT_END,
};

static int64_t get(const cJSON *doc, const char *name)
{
    int64_t n = 0;

    json_get_i64(doc, name, 0, INT64_MAX, &n);
    return n;
}

static void print_ago(const struct term *t, const cJSON *doc, const char *what, const char *name)
{
    char text[TERM_NUMBER_SIZE];

    if (json_has(doc, name)) {
        term_print(t, TERM_PLAIN, "%s %s ago\n", what,
                   term_duration(text, get(doc, "at") - get(doc, name)));
    }
}

static void print(const struct term *t, const cJSON *doc, bool well)
{
    char asked[TERM_NUMBER_SIZE], ok[TERM_NUMBER_SIZE], busy[TERM_NUMBER_SIZE];
    char failed[TERM_NUMBER_SIZE], text[TERM_NUMBER_SIZE];

    term_print(t, well ? TERM_GREEN : TERM_RED, "%s", json_get_str(doc, "state"));
    if (json_has(doc, "rest_s")) {
        term_print(t, TERM_PLAIN, " for %s (", term_duration(text, get(doc, "rest_s")));
        term_text(t, TERM_YELLOW, 40, json_get_str(doc, "rest_reason"));
        term_print(t, TERM_PLAIN, ")");
    }
    term_print(t, TERM_PLAIN, "\n");
    term_print(t, TERM_PLAIN, "asked %s   answered %s   busy %s   failed %s, %s in a row\n",
               term_number(asked, get(doc, "asked")), term_number(ok, get(doc, "ok")),
               term_number(busy, get(doc, "busy")), term_number(failed, get(doc, "failed")),
               term_number(text, get(doc, "failures")));
    print_ago(t, doc, "last answer ", "last_ok");
    print_ago(t, doc, "last busy   ", "last_busy");
    print_ago(t, doc, "last failure", "last_failed");
}

int ctl_source(const struct ctl_settings *s, int argc, char **argv)
{
    struct options o = {0};
    int code, first = opt_parse("source", CTL_SOURCE_OPTS, argc, argv, &o);
    redisContext *c;
    struct term t;
    struct err e;
    cJSON *doc;
    bool well;

    if (first < 0 || ctl_no_more("source", first, argc, argv) != CTL_OK) {
        return CTL_USAGE;
    }
    c = ctl_redis("source", s, NULL, &code);
    if (!c) {
        return code;
    }
    doc = source_state(c, &e);
    redisFree(c);
    if (!doc) {
        return ctl_fail_err("source", &e);
    }
    well = strcmp(json_get_str(doc, "state"), "working") == 0 ||
           strcmp(json_get_str(doc, "state"), "unused") == 0;
    if (o.json) {
        code = ctl_print_json("source", doc);
        return code == CTL_OK && !well ? CTL_FAILED : code;
    }
    term_init(&t, stdout);
    print(&t, doc, well);
    cJSON_Delete(doc);
    return well ? CTL_OK : CTL_FAILED;
}
