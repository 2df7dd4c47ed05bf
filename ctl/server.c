#include <string.h>

#include "common/server_stats.h"
#include "common/stats.h"
#include "ctl/ctl.h"
#include "ctl/table.h"

const char CTL_SERVER_HELP[] =
    "Usage: aion2ctl server [list] [--json]\n"
    "       aion2ctl server show NAME [--limit N] [--before RUN] [--json]\n"
    "\n"
    "What the batches found out about the servers.\n"
    "\n"
    "  list  of the live ranking: how many characters the averages are of, the eight\n"
    "        averages, and the lowest score of the tier S1\n"
    "  show  the same of one server over the runs that are kept, the newest first\n"
    "\n"
    "  --limit N     show so many runs (default 20)\n"
    "  --before RUN  go on before this run\n"
    "  --json        one line of JSON, with every tier\n"
    "\n"
    "Examples:\n"
    "  aion2ctl server\n"
    "  aion2ctl server show Siel --limit 144\n"
    "\n"
    "Exit codes: 0 done, 1 no run knows the server, 64 wrong usage, 69 PostgreSQL\n"
    "not reachable.\n";

struct options {
    int64_t limit, before;
    bool json;
};

static const struct opt LIST_OPTS[] = {
    {"json", OPT_FLAG, offsetof(struct options, json), 0, 0, NULL},
    OPT_END,
};
static const struct opt SHOW_OPTS[] = {
    {"limit", OPT_I64, offsetof(struct options, limit), 1, SERVER_STATS_POINTS_MAX, NULL},
    {"before", OPT_I64, offsetof(struct options, before), 1, INT64_MAX, NULL},
    {"json", OPT_FLAG, offsetof(struct options, json), 0, 0, NULL},
    OPT_END,
};

/* The averages in the order of STAT_NAMES, short enough for a line. */
static const struct table_column COLUMNS[] = {
    {"", false, 10},        {"Sample", true, 0},  {"Attack", true, 0},  {"Amp", true, 0},
    {"Crit", true, 0},      {"CritDmg", true, 0}, {"Speed", true, 0},   {"Defense", true, 0},
    {"Reduction", true, 0}, {"HP", true, 0},      {"S1 from", true, 0},
};

static void add_number(struct table *table, const cJSON *obj, const char *name)
{
    int64_t n;

    if (json_get_i64(obj, name, INT64_MIN / 2, INT64_MAX / 2, &n)) {
        table_add_number(table, TERM_PLAIN, n);
    } else {
        table_add(table, TERM_DIM, "-");
    }
}

static void print_rows(const cJSON *rows, const char *title)
{
    struct table table;
    const cJSON *row;
    struct term t;

    term_init(&t, stdout);
    table_init(&table, COLUMNS, ARRAY_LEN(COLUMNS));
    cJSON_ArrayForEach(row, rows)
    {
        table_add(&table, TERM_BOLD, json_get_str(row, title));
        add_number(&table, row, "sample_size");
        for (int i = 0; i < STAT_COUNT; i++) {
            add_number(&table, json_get_obj(row, "averages"), STAT_NAMES[i]);
        }
        add_number(&table, json_get_obj(json_get_obj(row, "tiers"), "S1"), "min_score");
    }
    table_print(&table, &t, 0);
    table_fini(&table);
}

/* Takes doc; NULL: *e says why. */
static int finish(cJSON *doc, const struct err *e, bool json, const char *rows, const char *title)
{
    if (!doc) {
        return ctl_fail_err("server", e);
    }
    if (json) {
        return ctl_print_json("server", doc);
    }
    if (cJSON_GetArraySize(json_get_arr(doc, rows)) == 0) {
        puts("There is no ranking yet.");
    }
    print_rows(json_get_arr(doc, rows), title);
    cJSON_Delete(doc);
    return CTL_OK;
}

static int list(const struct ctl_settings *s, int argc, char **argv)
{
    struct options o = {0};
    int code, first = opt_parse("server", LIST_OPTS, argc, argv, &o);
    struct err e;
    PGconn *c;
    cJSON *doc;

    if (first < 0 || ctl_no_more("server", first, argc, argv) != CTL_OK) {
        return CTL_USAGE;
    }
    c = ctl_pg("server", s, &code);
    if (!c) {
        return code;
    }
    doc = server_stats_now(c, &e);
    PQfinish(c);
    return finish(doc, &e, o.json, "servers", "server");
}

static int show(const struct ctl_settings *s, int argc, char **argv)
{
    struct options o = {.limit = 20};
    int code, first = opt_parse("server", SHOW_OPTS, argc, argv, &o);
    struct err e;
    PGconn *c;
    cJSON *doc;

    if (first < 0) {
        return CTL_USAGE;
    }
    if (argc - first != 1) {
        return ctl_fail("server", CTL_USAGE, "name one server");
    }
    c = ctl_pg("server", s, &code);
    if (!c) {
        return code;
    }
    doc = server_stats_history(c, argv[first], o.before, o.limit, &e);
    PQfinish(c);
    return finish(doc, &e, o.json, "points", "at");
}

const struct ctl_verb CTL_SERVER_VERBS[] = {
    {"list", list, LIST_OPTS}, {"show", show, SHOW_OPTS}, {NULL, NULL, NULL}};
