#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "common/workers.h"
#include "ctl/ctl.h"
#include "ctl/table.h"

const char CTL_WORKER_HELP[] =
    "Usage: aion2ctl worker list   [--json]\n"
    "       aion2ctl worker show   NAME [--json]\n"
    "       aion2ctl worker stop   NAME [--json]\n"
    "       aion2ctl worker grow   NAME [N] [--json]\n"
    "       aion2ctl worker shrink NAME [N] [--json]\n"
    "\n"
    "The workers, what each of their children runs and for how long.\n"
    "\n"
    "  list    every worker, out of the heartbeats: nobody is asked\n"
    "  show    one worker, asked: each child with what it runs\n"
    "  stop    as SIGTERM: it takes nothing more, what runs may end, the rest goes\n"
    "          back into the queue. Whatever keeps it running starts it again\n"
    "  grow    N more children (default 1), until it is started anew\n"
    "  shrink  N fewer; what runs may end\n"
    "\n"
    "  --json  one line of JSON\n"
    "\n"
    "Examples:\n"
    "  aion2ctl worker\n"
    "  aion2ctl worker show aion2@web1\n"
    "  aion2ctl worker grow aion2@web1 2\n"
    "\n"
    "Exit codes: 0 done, 1 no worker of that name, or it will not, 64 wrong usage, 69\n"
    "Redis not reachable, or the worker does not answer.\n";

struct options {
    bool json;
};

static const struct opt OPTS[] = {
    {"json", OPT_FLAG, offsetof(struct options, json), 0, 0, NULL},
    OPT_END,
};

static int64_t get(const cJSON *obj, const char *name)
{
    int64_t n = 0;

    json_get_i64(obj, name, INT64_MIN, INT64_MAX, &n);
    return n;
}

/* ------------------------------------------------------------------------------------- list */

/* What runs: in the worker's row when it is one thing, else a row each. */
static void add_running(struct table *t, const cJSON *running)
{
    const cJSON *task;
    bool first = true;
    char text[TERM_NUMBER_SIZE];

    cJSON_ArrayForEach(task, running)
    {
        for (int i = 0; i < 4 && !first; i++) {
            table_add(t, TERM_PLAIN, "");
        }
        table_add(t, TERM_CYAN, term_duration(text, get(task, "for_s")));
        table_add(t, TERM_PLAIN, json_get_str(task, "task"));
        table_add(t, TERM_DIM, json_get_str(task, "id"));
        first = false;
    }
    for (int i = 0; i < 3 && first; i++) {
        table_add(t, TERM_PLAIN, "");
    }
}

static void add_worker(struct table *t, const cJSON *w)
{
    const char *name = json_get_str(w, "name");
    bool alive = json_get_bool(w, "alive", false);

    table_add(t, alive ? TERM_BOLD : TERM_RED, name ? name : json_get_str(w, "boot"));
    if (alive) {
        table_addf(t, TERM_PLAIN, "%" PRId64, get(w, "pid"));
        table_addf(t, TERM_PLAIN, "%d of %" PRId64, cJSON_GetArraySize(json_get_arr(w, "running")),
                   get(w, "children"));
    } else {
        table_add(t, TERM_RED, "silent");
        table_add(t, TERM_PLAIN, "");
    }
    table_add_number(t, TERM_PLAIN, get(w, "held"));
    add_running(t, json_get_arr(w, "running"));
}

static void print_list(const cJSON *doc)
{
    static const struct table_column COLUMNS[] = {
        {"Worker", false, 16}, {"Pid", true, 0},    {"Busy", true, 0}, {"Holds", true, 0},
        {"For", true, 0},      {"Task", false, 12}, {"Id", false, -8}};
    struct table table;
    struct term t;
    const cJSON *w;

    term_init(&t, stdout);
    table_init(&table, COLUMNS, ARRAY_LEN(COLUMNS));
    cJSON_ArrayForEach(w, json_get_arr(doc, "workers"))
    {
        add_worker(&table, w);
    }
    if (table.count > 0) {
        table_print(&table, &t, 0);
    } else {
        term_print(&t, TERM_YELLOW, "no worker\n");
    }
    table_fini(&table);
}

static int list(const struct ctl_settings *s, int argc, char **argv)
{
    struct options o = {0};
    int code, first = opt_parse("worker list", OPTS, argc, argv, &o);
    redisContext *c;
    struct err e;
    cJSON *doc;

    if (first < 0 || ctl_no_more("worker list", first, argc, argv) != CTL_OK) {
        return CTL_USAGE;
    }
    c = ctl_redis("worker list", s, NULL, &code);
    if (!c) {
        return code;
    }
    doc = workers_list(c, &e);
    redisFree(c);
    if (!doc) {
        return ctl_fail_err("worker list", &e);
    }
    if (o.json) {
        return ctl_print_json("worker list", doc);
    }
    print_list(doc);
    cJSON_Delete(doc);
    return CTL_OK;
}

/* -------------------------------------------------------------------------------- one worker */

/* Says why it could not be done; the exit code. */
static int fail(const char *command, const char *name, enum workers_end end, const struct err *e)
{
    switch (end) {
    case WORKERS_NONE:
        return ctl_fail(command, CTL_FAILED, "there is no worker \"%.80s\"; see aion2ctl worker",
                        name);
    case WORKERS_SILENT:
        return ctl_fail(command, CTL_UNAVAILABLE, "%.80s does not answer", name);
    case WORKERS_REFUSED:
        return ctl_fail(command, CTL_FAILED, "%.80s: %s", name, e->text);
    default:
        return ctl_fail_err(command, e);
    }
}

static void print_process(struct table *t, const cJSON *p)
{
    char text[TERM_NUMBER_SIZE], *args, *kwargs;

    table_addf(t, TERM_PLAIN, "%" PRId64, get(p, "pid"));
    if (!json_has(p, "task")) {
        table_add(t, TERM_DIM, "idle");
        for (int i = 0; i < 3; i++) {
            table_add(t, TERM_PLAIN, "");
        }
        return;
    }
    args = json_print(cJSON_GetObjectItemCaseSensitive(p, "args"));
    kwargs = json_print(cJSON_GetObjectItemCaseSensitive(p, "kwargs"));
    table_add(t, TERM_CYAN, term_duration(text, get(p, "for_s")));
    table_add(t, TERM_PLAIN, json_get_str(p, "task"));
    table_add(t, TERM_DIM, json_get_str(p, "id"));
    table_addf(t, TERM_DIM, "%.250s %.250s", args ? args : "", kwargs ? kwargs : "");
    free(args);
    free(kwargs);
}

static void print_one(const cJSON *doc)
{
    static const struct table_column COLUMNS[] = {{"Child", true, 0},
                                                  {"For", true, 0},
                                                  {"Task", false, 12},
                                                  {"Id", false, -8},
                                                  {"Arguments", false, 2}};
    char up[TERM_NUMBER_SIZE], memory[TERM_NUMBER_SIZE];
    const cJSON *p;
    struct table table;
    struct term t;

    term_init(&t, stdout);
    term_text(&t, TERM_BOLD, TERM_TEXT_SIZE, json_get_str(doc, "name"));
    term_print(&t, TERM_PLAIN, "   pid %" PRId64 "   up %s   %s   holds %" PRId64 "%s\n\n",
               get(doc, "pid"), term_duration(up, get(doc, "uptime_s")),
               term_bytes(memory, get(doc, "memory_bytes")), get(doc, "held"),
               json_get_bool(doc, "stopping", false) ? "   stopping" : "");
    table_init(&table, COLUMNS, ARRAY_LEN(COLUMNS));
    cJSON_ArrayForEach(p, json_get_arr(doc, "processes"))
    {
        print_process(&table, p);
    }
    table_print(&table, &t, 0);
    table_fini(&table);
}

static int show(const struct ctl_settings *s, int argc, char **argv)
{
    struct options o = {0};
    int code, first = opt_parse("worker show", OPTS, argc, argv, &o);
    struct rds_addr addr;
    enum workers_end end;
    redisContext *c;
    struct err e;
    cJSON *doc;

    if (first < 0) {
        return CTL_USAGE;
    }
    if (first + 1 != argc) {
        return ctl_fail("worker show", CTL_USAGE, "name one worker");
    }
    c = ctl_redis("worker show", s, &addr, &code);
    if (!c) {
        return code;
    }
    end = workers_one(c, addr.db, argv[first], &doc, &e);
    redisFree(c);
    if (end != WORKERS_DONE) {
        cJSON_Delete(doc);
        return fail("worker show", argv[first], end, &e);
    }
    if (o.json) {
        return ctl_print_json("worker show", doc);
    }
    print_one(doc);
    cJSON_Delete(doc);
    return CTL_OK;
}

/* ----------------------------------------------------------------------------------- telling */

static int tell(const char *command, const struct ctl_settings *s,
                const struct workers_order *order, bool json)
{
    struct rds_addr addr;
    enum workers_end end;
    struct err e;
    cJSON *doc;
    int code;
    redisContext *c = ctl_redis(command, s, &addr, &code);

    if (!c) {
        return code;
    }
    end = workers_tell(c, addr.db, order, &doc, &e);
    redisFree(c);
    if (end != WORKERS_DONE) {
        return fail(command, order->name, end, &e);
    }
    if (json) {
        return ctl_print_json(command, doc);
    }
    {
        struct term t;

        term_init(&t, stdout);
        term_text(&t, TERM_BOLD, TERM_TEXT_SIZE, order->name);
        term_print(&t, TERM_PLAIN, "  ");
        term_text(&t, TERM_GREEN, TERM_TEXT_SIZE, json_get_str(doc, "answer"));
        term_print(&t, TERM_PLAIN, "\n");
    }
    cJSON_Delete(doc);
    return CTL_OK;
}

/* argv[0] is "worker VERB". */
static int order(const struct ctl_settings *s, enum workers_verb verb, int argc, char **argv)
{
    struct workers_order w = {.verb = verb, .n = 1};
    char command[32];
    struct options o = {0};
    int first;

    snprintf(command, sizeof command, "%s", argv[0]);
    first = opt_parse(command, OPTS, argc, argv, &o);
    if (first < 0) {
        return CTL_USAGE;
    }
    if (argc - first < 1 || argc - first > (verb == WORKERS_STOP ? 1 : 2)) {
        return ctl_fail(command, CTL_USAGE, "name one worker%s",
                        verb == WORKERS_STOP ? "" : ", and how many children");
    }
    w.name = argv[first];
    if (argc - first == 2 && !text_to_i64(argv[first + 1], 1, WORKERS_STEP_MAX, &w.n)) {
        return ctl_fail(command, CTL_USAGE, "N: must be a whole number from 1 to %d",
                        WORKERS_STEP_MAX);
    }
    return tell(command, s, &w, o.json);
}

static int stop(const struct ctl_settings *s, int argc, char **argv)
{
    return order(s, WORKERS_STOP, argc, argv);
}

static int grow(const struct ctl_settings *s, int argc, char **argv)
{
    return order(s, WORKERS_GROW, argc, argv);
}

static int shrink(const struct ctl_settings *s, int argc, char **argv)
{
    return order(s, WORKERS_SHRINK, argc, argv);
}

const struct ctl_verb CTL_WORKER_VERBS[] = {
    {"list", list, OPTS}, {"show", show, OPTS},     {"stop", stop, OPTS},
    {"grow", grow, OPTS}, {"shrink", shrink, OPTS}, {NULL, NULL, NULL},
};
