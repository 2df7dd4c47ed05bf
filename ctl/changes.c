#include "common/changes.h"

#include <string.h>

#include "ctl/ctl.h"
#include "ctl/table.h"

const char CTL_CHANGES_HELP[] =
    "Usage: aion2ctl changes [--by WHO] [--action NAME] [--refused] [--limit N]\n"
    "                        [--before ID] [--json]\n"
    "\n"
    "The log of changes: who changed what, when and from where, the newest first; and\n"
    "requests to the admin side that were refused.\n"
    "\n"
    "  --by WHO       only by this one: token:grafana#3, env, uid:0, ctl:ann@host\n"
    "  --action NAME  only of this kind: batch.start, token.revoke, ...\n"
    "  --refused      only what was not done\n"
    "  --limit N      show so many (default 20, at most 500)\n"
    "  --before ID    go on after this one\n"
    "  --json         one line of JSON, with what was before and after\n"
    "\n"
    "Examples:\n"
    "  aion2ctl changes --refused\n"
    "  aion2ctl changes --action batch.cancel --json\n"
    "\n"
    "Exit codes: 0 done, 64 wrong usage, 69 PostgreSQL not reachable.\n";

struct options {
    const char *by, *action;
    int64_t limit, before;
    bool refused, json;
};

const struct opt CTL_CHANGES_OPTS[] = {
    {"by", OPT_TEXT, offsetof(struct options, by), 0, 0, NULL},
    {"action", OPT_TEXT, offsetof(struct options, action), 0, 0, NULL},
    {"refused", OPT_FLAG, offsetof(struct options, refused), 0, 0, NULL},
    {"limit", OPT_I64, offsetof(struct options, limit), 1, CHANGES_PAGE_MAX, NULL},
    {"before", OPT_I64, offsetof(struct options, before), 1, INT64_MAX, NULL},
    {"json", OPT_FLAG, offsetof(struct options, json), 0, 0, NULL},
    OPT_END,
};

static void add_status(struct table *t, const cJSON *one)
{
    int64_t status = 0;

    json_get_i64(one, "status", 0, 999, &status);
    if (status == 0) {
        table_add(t, TERM_YELLOW, "begun");
    } else {
        table_addf(t, status < 400 ? TERM_GREEN : TERM_RED, "%" PRId64, status);
    }
}

static void print_changes(const cJSON *doc)
{
    static const struct table_column COLUMNS[] = {{"When", false, 0},    {"Who", false, 12},
                                                  {"Action", false, 10}, {"Target", false, 12},
                                                  {"Status", false, 0},  {"Why", false, 10}};
    const cJSON *one;
    struct table table;
    struct term t;

    term_init(&t, stdout);
    table_init(&table, COLUMNS, ARRAY_LEN(COLUMNS));
    cJSON_ArrayForEach(one, json_get_arr(doc, "items"))
    {
        table_addf(&table, TERM_DIM, "%.19sZ", json_get_str(one, "at"));
        table_add(&table, TERM_BOLD, json_get_str(one, "principal"));
        table_add(&table, TERM_PLAIN, json_get_str(one, "action"));
        table_add(&table, TERM_PLAIN, json_get_str(one, "target"));
        add_status(&table, one);
        table_add(&table, TERM_PLAIN, json_get_str(one, "detail"));
    }
    if (table.count == 0) {
        term_print(&t, TERM_PLAIN, "nothing was changed\n");
    }
    table_print(&table, &t, 0);
    table_fini(&table);
}

int ctl_changes(const struct ctl_settings *s, int argc, char **argv)
{
    struct options o = {.by = "", .action = "", .limit = 20};
    int code, first = opt_parse("changes", CTL_CHANGES_OPTS, argc, argv, &o);
    struct changes_filter f;
    struct err e;
    PGconn *c;
    cJSON *doc;

    if (first < 0 || ctl_no_more("changes", first, argc, argv) != CTL_OK) {
        return CTL_USAGE;
    }
    c = ctl_pg("changes", s, &code);
    if (!c) {
        return code;
    }
    f = (struct changes_filter){o.before, o.limit, o.by, o.action, o.refused};
    doc = changes_list(c, &f, &e);
    PQfinish(c);
    if (!doc) {
        return ctl_fail_err("changes", &e);
    }
    if (o.json) {
        return ctl_print_json("changes", doc);
    }
    print_changes(doc);
    cJSON_Delete(doc);
    return CTL_OK;
}
