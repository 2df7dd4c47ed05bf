#include <stdlib.h>
#include <string.h>

#include "common/queues.h"
#include "ctl/ctl.h"
#include "ctl/table.h"

const char CTL_QUEUE_HELP[] =
    "Usage: aion2ctl queue [list] [NAME...] [--json]\n"
    "       aion2ctl queue show [NAME] [--limit N] [--json]\n"
    "       aion2ctl queue delayed [--limit N] [--json]\n"
    "       aion2ctl queue purge NAME --yes [--json]\n"
    "\n"
    "What waits, and who holds what.\n"
    "\n"
    "  list     every queue that workers take from, TASK_QUEUE, and those named: how\n"
    "           much waits at each priority (0 is the most urgent), for how long\n"
    "           (where the messages tell); what waits for its time; what each worker\n"
    "           holds; quarantine and dead letters\n"
    "  show     the messages of one queue (TASK_QUEUE) in the order in which they\n"
    "           will be taken\n"
    "  delayed  what waits for its time (retries, countdowns), the first one due\n"
    "           first\n"
    "  purge    throws away everything that waits in one queue. Not what is held or\n"
    "           waits for its time. Counted as \"purged\"\n"
    "\n"
    "  --limit N  show so many (default 20, at most 1000)\n"
    "  --yes      yes, purge\n"
    "  --json     one line of JSON\n"
    "\n"
    "Examples:\n"
    "  aion2ctl queue\n"
    "  aion2ctl queue show celery --limit 100\n"
    "  aion2ctl queue purge celery --yes\n"
    "\n"
    "Exit codes: 0 done, 1 a key is no list, 64 wrong usage (also purge without\n"
    "--yes), 69 Redis not reachable.\n";

struct options {
    int64_t limit;
    bool yes, json;
};

static const struct opt LIST_OPTS[] = {
    {"json", OPT_FLAG, offsetof(struct options, json), 0, 0, NULL},
    OPT_END,
};
static const struct opt SHOW_OPTS[] = {
    {"limit", OPT_I64, offsetof(struct options, limit), 1, QUEUES_PEEK_MAX, NULL},
    {"json", OPT_FLAG, offsetof(struct options, json), 0, 0, NULL},
    OPT_END,
};
static const struct opt PURGE_OPTS[] = {
    {"yes", OPT_FLAG, offsetof(struct options, yes), 0, 0, NULL},
    {"json", OPT_FLAG, offsetof(struct options, json), 0, 0, NULL},
    OPT_END,
};

static int64_t get(const cJSON *obj, const char *name, int64_t fallback)
{
    json_get_i64(obj, name, INT64_MIN, INT64_MAX, &fallback);
    return fallback;
}

/* A duration, or "-" when it is not known. */
static void add_age(struct table *t, const cJSON *obj, const char *name)
{
    char text[TERM_NUMBER_SIZE];

    if (json_has(obj, name)) {
        table_add(t, TERM_CYAN, term_duration(text, get(obj, name, 0)));
    } else {
        table_add(t, TERM_DIM, "-");
    }
}

/* ------------------------------------------------------------------------------------- list */

static void print_queues(const struct term *t, const cJSON *doc)
{
    static const struct table_column COLUMNS[] = {
        {"Queue", false, 16}, {"Waiting", true, 0}, {"Oldest", true, 0}, {"Prio 0", true, 0},
        {"Prio 3", true, 0},  {"Prio 6", true, 0},  {"Prio 9", true, 0}, {"Next", false, 8}};
    const cJSON *queue, *list;
    struct table table;

    table_init(&table, COLUMNS, ARRAY_LEN(COLUMNS));
    cJSON_ArrayForEach(queue, json_get_arr(doc, "queues"))
    {
        int64_t ready = get(queue, "ready", 0);
        const char *next = NULL;

        table_add(&table, TERM_BOLD, json_get_str(queue, "name"));
        table_add_number(&table, ready ? TERM_CYAN : TERM_PLAIN, ready);
        add_age(&table, queue, "oldest_s");
        cJSON_ArrayForEach(list, json_get_arr(queue, "lists"))
        {
            int64_t n = get(list, "length", -1);

            if (n < 0) {
                table_add(&table, TERM_RED, "no list");
            } else {
                table_add_number(&table, n ? TERM_PLAIN : TERM_DIM, n);
            }
            next = next ? next : json_get_str(list, "task");
        }
        table_add(&table, TERM_DIM, next);
    }
    table_print(&table, t, 0);
    table_fini(&table);
}

static void print_workers(const struct term *t, const cJSON *held)
{
    static const struct table_column COLUMNS[] = {
        {"Worker", false, 20}, {"Holds", true, 0}, {"Longest run", true, 0}, {"", false, 0}};
    const cJSON *w;
    struct table table;

    table_init(&table, COLUMNS, ARRAY_LEN(COLUMNS));
    cJSON_ArrayForEach(w, json_get_arr(held, "workers"))
    {
        const char *name = json_get_str(w, "name");
        bool alive = json_get_bool(w, "alive", false);

        table_add(&table, TERM_BOLD, name ? name : json_get_str(w, "boot"));
        table_add_number(&table, TERM_PLAIN, get(w, "held", 0));
        add_age(&table, w, "oldest_s");
        table_add(&table, TERM_RED, alive ? "" : "silent: put back within 15 s");
    }
    if (table.count > 0) {
        term_print(t, TERM_PLAIN, "\n");
    }
    table_print(&table, t, 0);
    table_fini(&table);
}

static void print_count(const struct term *t, const char *name, const cJSON *obj,
                        const char *member, enum term_colour colour)
{
    char text[TERM_NUMBER_SIZE];
    int64_t n = get(obj, member, -1);

    term_print(t, TERM_PLAIN, "%s ", name);
    if (n < 0) {
        term_print(t, TERM_RED, "?");
    } else {
        term_print(t, n > 0 ? colour : TERM_PLAIN, "%s", term_number(text, n));
    }
}

static void print_list(const struct term *t, const cJSON *doc)
{
    const cJSON *held = json_get_obj(doc, "held"), *delayed = json_get_obj(doc, "delayed");
    int64_t next_s = get(delayed, "next_in_s", 0);
    char text[TERM_NUMBER_SIZE];

    print_queues(t, doc);
    print_workers(t, held);
    term_print(t, TERM_PLAIN, "\n");
    print_count(t, "held", held, "count", TERM_CYAN);
    print_count(t, "   waiting for their time", delayed, "count", TERM_CYAN);
    if (json_has(delayed, "next_in_s")) {
        term_print(t, TERM_PLAIN, " (next %s%s)", next_s > 0 ? "in " : "is due",
                   next_s > 0 ? term_duration(text, next_s) : "");
    }
    print_count(t, "   quarantine", doc, "quarantine", TERM_YELLOW);
    print_count(t, "   dead", doc, "dead", TERM_RED);
    term_print(t, TERM_PLAIN, "\n");
}

/* Prints the document, or the error when there is none. */
static int finish(const char *command, cJSON *doc, const struct err *e, bool json,
                  void (*print)(const struct term *t, const cJSON *doc))
{
    struct term t;

    if (!doc) {
        return ctl_fail_err(command, e);
    }
    if (json) {
        return ctl_print_json(command, doc);
    }
    term_init(&t, stdout);
    print(&t, doc);
    cJSON_Delete(doc);
    return CTL_OK;
}

static int list(const struct ctl_settings *s, int argc, char **argv)
{
    struct queue_names names = {0};
    struct options o = {0};
    struct err e;
    redisContext *c;
    int code = CTL_OK, first = opt_parse("queue list", LIST_OPTS, argc, argv, &o);

    if (first < 0) {
        return CTL_USAGE;
    }
    queue_names_add(&names, s->task_queue);
    for (int i = first; i < argc && code == CTL_OK; i++) {
        if (!queue_names_add(&names, argv[i])) {
            code = ctl_fail("queue list", CTL_USAGE,
                            "\"%s\" cannot be the name of a queue, or there are more than %d",
                            argv[i], QUEUES_MAX);
        }
    }
    c = code == CTL_OK ? ctl_redis("queue list", s, NULL, &code) : NULL;
    if (c) {
        cJSON *doc = queues_list(c, &names, &e);

        code = finish("queue list", doc, &e, o.json, print_list);
        redisFree(c);
    }
    queue_names_fini(&names);
    return code;
}

/* ------------------------------------------------------------------------------------- show */

static void print_messages(const struct term *t, const cJSON *doc)
{
    static const struct table_column COLUMNS[] = {{"Prio", true, 0},   {"Age", true, 0},
                                                  {"Size", true, 0},   {"Tries", true, 0},
                                                  {"Task", false, 16}, {"Id", false, -8}};
    int shown = cJSON_GetArraySize(json_get_arr(doc, "messages"));
    int64_t ready = get(doc, "ready", 0);
    char text[TERM_NUMBER_SIZE];
    const cJSON *m;
    struct table table;

    table_init(&table, COLUMNS, ARRAY_LEN(COLUMNS));
    cJSON_ArrayForEach(m, json_get_arr(doc, "messages"))
    {
        const char *fault = json_get_str(m, "fault"), *task = json_get_str(m, "task");

        table_add_number(&table, TERM_PLAIN, get(m, "priority", 0));
        add_age(&table, m, "age_s");
        table_add(&table, TERM_PLAIN, term_bytes(text, get(m, "bytes", 0)));
        table_add_number(&table, TERM_PLAIN, get(m, "retries", 0));
        if (fault) {
            table_add(&table, TERM_RED, fault);
        } else {
            table_add(&table, TERM_PLAIN, task ? task : "(too long to be shown)");
        }
        table_add(&table, TERM_DIM, json_get_str(m, "id"));
    }
    table_print(&table, t, 0);
    table_fini(&table);
    if (shown < ready) {
        term_print(t, TERM_DIM, "the next %d of %s\n", shown, term_number(text, ready));
    } else {
        term_print(t, TERM_DIM, "%s waiting\n", term_number(text, ready));
    }
}

static int show(const struct ctl_settings *s, int argc, char **argv)
{
    struct options o = {.limit = 20};
    struct err e;
    redisContext *c;
    int code, first = opt_parse("queue show", SHOW_OPTS, argc, argv, &o);

    if (first < 0 || ctl_no_more("queue show", first + 1, argc, argv) != CTL_OK) {
        return CTL_USAGE;
    }
    c = ctl_redis("queue show", s, NULL, &code);
    if (c) {
        cJSON *doc = queues_peek(c, first < argc ? argv[first] : s->task_queue, o.limit, &e);

        code = finish("queue show", doc, &e, o.json, print_messages);
        redisFree(c);
    }
    return code;
}

/* ---------------------------------------------------------------------------------- delayed */

static void print_delayed(const struct term *t, const cJSON *doc)
{
    static const struct table_column COLUMNS[] = {{"Due in", true, 0},
                                                  {"Queue", false, 12},
                                                  {"Tries", true, 0},
                                                  {"Task", false, 16},
                                                  {"Id", false, -8}};
    int shown = cJSON_GetArraySize(json_get_arr(doc, "messages"));
    char text[CTL_LIST_SIZE], number[TERM_NUMBER_SIZE];
    const cJSON *m;
    struct table table;

    table_init(&table, COLUMNS, ARRAY_LEN(COLUMNS));
    cJSON_ArrayForEach(m, json_get_arr(doc, "messages"))
    {
        const char *fault = json_get_str(m, "fault"), *task = json_get_str(m, "task");

        add_age(&table, m, "due_in_s");
        table_add(&table, TERM_PLAIN, ctl_list_shown(text, json_get_str(m, "queue")));
        table_add_number(&table, TERM_PLAIN, get(m, "retries", 0));
        table_add(&table, fault ? TERM_RED : TERM_PLAIN,
                  fault  ? fault
                  : task ? task
                         : "(too long to be shown)");
        table_add(&table, TERM_DIM, json_get_str(m, "id"));
    }
    table_print(&table, t, 0);
    table_fini(&table);
    term_print(t, TERM_DIM, "%s%s waiting for their time\n",
               shown < get(doc, "count", 0) ? "the first of " : "",
               term_number(number, get(doc, "count", 0)));
}

static int delayed(const struct ctl_settings *s, int argc, char **argv)
{
    struct options o = {.limit = 20};
    struct err e;
    redisContext *c;
    int code, first = opt_parse("queue delayed", SHOW_OPTS, argc, argv, &o);

    if (first < 0 || ctl_no_more("queue delayed", first, argc, argv) != CTL_OK) {
        return CTL_USAGE;
    }
    c = ctl_redis("queue delayed", s, NULL, &code);
    if (c) {
        cJSON *doc = queues_delayed(c, o.limit, &e);

        code = finish("queue delayed", doc, &e, o.json, print_delayed);
        redisFree(c);
    }
    return code;
}

/* ------------------------------------------------------------------------------------ purge */

static int purge_queue(redisContext *c, const char *name, const struct options *o)
{
    struct err e;
    int64_t n = o->yes ? queues_purge(c, name, &e) : queues_length(c, name, &e);
    char text[TERM_NUMBER_SIZE];
    cJSON *doc;

    if (n < 0) {
        return ctl_fail_err("queue purge", &e);
    }
    if (!o->yes) {
        return ctl_fail("queue purge", CTL_USAGE,
                        "this would throw away %s messages of %s; say --yes if you mean it",
                        term_number(text, n), name);
    }
    if (!o->json) {
        printf("purged %s messages\n", term_number(text, n));
        return CTL_OK;
    }
    doc = cJSON_CreateObject();
    cJSON_AddNumberToObject(doc, "purged", (double)n);
    return ctl_print_json("queue purge", doc);
}

static int purge(const struct ctl_settings *s, int argc, char **argv)
{
    struct options o = {0};
    redisContext *c;
    int code, first = opt_parse("queue purge", PURGE_OPTS, argc, argv, &o);

    if (first < 0) {
        return CTL_USAGE;
    }
    if (argc - first != 1 || !*argv[first]) {
        return ctl_fail("queue purge", CTL_USAGE, "name one queue");
    }
    c = ctl_redis("queue purge", s, NULL, &code);
    if (c) {
        code = purge_queue(c, argv[first], &o);
        redisFree(c);
    }
    return code;
}

const struct ctl_verb CTL_QUEUE_VERBS[] = {
    {"list", list, LIST_OPTS},    {"show", show, SHOW_OPTS}, {"delayed", delayed, SHOW_OPTS},
    {"purge", purge, PURGE_OPTS}, {NULL, NULL, NULL},
};
