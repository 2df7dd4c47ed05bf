/*
 * aion2ctl inspect: asks every worker, ours and Celery's, over pidbox. One table of methods; what a
 * node answers becomes rows of a table.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/nodes.h"
#include "ctl/ctl.h"
#include "ctl/interrupt.h"
#include "ctl/table.h"

const char CTL_INSPECT_HELP[] =
    "Usage: aion2ctl inspect [METHOD] [--timeout TIME] [--node NAME] [--json]\n"
    "\n"
    "Asks all workers, ours and Celery's, what they are doing.\n"
    "\n"
    "  ping        who is there (the default)\n"
    "  active      what runs now, since when, in which process\n"
    "  reserved    taken, but not yet begun\n"
    "  scheduled   waiting for its time\n"
    "  revoked     ids of tasks that will not be run\n"
    "  registered  names of the tasks that they know\n"
    "  stats       processes, uptime, tasks done, memory\n"
    "  queues      where they take from\n"
    "  conf        their settings\n"
    "  report      a text about program and machine\n"
    "\n"
    "  --timeout TIME  wait so long for answers (default 1s, at most 60s); when\n"
    "                  everybody who listens has answered, no longer\n"
    "  --node NAME     ask only this one\n"
    "  --json          one JSON object: the answer of each node under its name\n"
    "\n"
    "Examples:\n"
    "  aion2ctl inspect\n"
    "  aion2ctl inspect active --node aion2@web1\n"
    "  aion2ctl inspect stats --json | jq 'map_values(.total)'\n"
    "\n"
    "Exit codes: 0 answered, 1 a node answered with an error, 64 wrong usage, 69\n"
    "Redis is not reachable or nobody answered, 130 interrupted.\n";

struct options {
    int64_t timeout_s;
    const char *node;
    bool json;
};

static const struct opt OPTS[] = {
    {"timeout", OPT_SPAN, offsetof(struct options, timeout_s), 1, 60, NULL},
    {"node", OPT_TEXT, offsetof(struct options, node), 0, 0, NULL},
    {"json", OPT_FLAG, offsetof(struct options, json), 0, 0, NULL},
    OPT_END,
};

/* What a node answered, on its way into the table. */
struct answer {
    struct table *table;
    const char *node;
    int64_t now_us;
};

static const char *text_of(const cJSON *obj, const char *key)
{
    const char *text = json_get_str(obj, key);

    return text ? text : "";
}

/* A task's arguments as JSON, or as the text that the node makes of them. */
static void add_arguments(struct table *t, const cJSON *task)
{
    const cJSON *args = cJSON_GetObjectItemCaseSensitive(task, "args");
    const cJSON *kwargs = cJSON_GetObjectItemCaseSensitive(task, "kwargs");
    char *args_text = json_print(args), *kwargs_text = json_print(kwargs);

    table_addf(t, TERM_DIM, "%.250s %.250s",
               cJSON_IsString(args) ? args->valuestring
               : args_text          ? args_text
                                    : "",
               cJSON_IsString(kwargs) ? kwargs->valuestring
               : kwargs_text          ? kwargs_text
                                      : "");
    free(args_text);
    free(kwargs_text);
}

static void add_count(struct table *t, const cJSON *obj, const char *key)
{
    int64_t n;

    if (json_get_i64(obj, key, 0, INT64_MAX, &n)) {
        table_addf(t, TERM_PLAIN, "%" PRId64, n);
    } else {
        table_add(t, TERM_DIM, "-");
    }
}

/* ------------------------------------------------------------------ one row an item or a node */

static void row_ping(const struct answer *a, const cJSON *v)
{
    table_add(a->table, TERM_BOLD, a->node);
    table_add(a->table, TERM_GREEN, text_of(v, "ok"));
}

static void row_task(const struct answer *a, const cJSON *v)
{
    const cJSON *since = cJSON_GetObjectItemCaseSensitive(v, "time_start");
    char text[TERM_NUMBER_SIZE];

    table_add(a->table, TERM_BOLD, a->node);
    table_add(a->table, TERM_PLAIN, text_of(v, "name"));
    table_add(a->table, TERM_DIM, text_of(v, "id"));
    if (cJSON_IsNumber(since) && since->valuedouble > 0 && since->valuedouble < 1e11) {
        table_add(a->table, TERM_CYAN,
                  term_duration(text, a->now_us / 1000000 - (int64_t)since->valuedouble));
    } else {
        table_add(a->table, TERM_DIM, "-");
    }
    add_count(a->table, v, "worker_pid");
    add_arguments(a->table, v);
}

static void row_scheduled(const struct answer *a, const cJSON *v)
{
    const cJSON *task = json_get_obj(v, "request");
    const char *eta = text_of(v, "eta");
    char text[TERM_NUMBER_SIZE];
    int64_t due_us;

    table_add(a->table, TERM_BOLD, a->node);
    table_addf(a->table, TERM_PLAIN, "%.19s", eta);
    if (clock_parse_iso(eta, &due_us)) {
        table_add(a->table, TERM_CYAN, term_duration(text, (due_us - a->now_us) / 1000000));
    } else {
        table_add(a->table, TERM_DIM, "-");
    }
    table_add(a->table, TERM_PLAIN, text_of(task, "name"));
    table_add(a->table, TERM_DIM, text_of(task, "id"));
}

static void row_text(const struct answer *a, const cJSON *v)
{
    table_add(a->table, TERM_BOLD, a->node);
    table_add(a->table, TERM_PLAIN, cJSON_GetStringValue(v));
}

static void row_queue(const struct answer *a, const cJSON *v)
{
    table_add(a->table, TERM_BOLD, a->node);
    table_add(a->table, TERM_PLAIN, text_of(v, "name"));
    table_add(a->table, TERM_DIM, text_of(json_get_obj(v, "exchange"), "name"));
    table_add(a->table, TERM_DIM, text_of(v, "routing_key"));
}

static void row_stats(const struct answer *a, const cJSON *v)
{
    const cJSON *pool = json_get_obj(v, "pool"), *one;
    char text[TERM_NUMBER_SIZE];
    int64_t tasks = 0, n = 0;

    cJSON_ArrayForEach(one, json_get_obj(v, "total"))
    {
        tasks +=
            cJSON_IsNumber(one) && fabs(one->valuedouble) < 1e15 ? (int64_t)one->valuedouble : 0;
    }
    table_add(a->table, TERM_BOLD, a->node);
    add_count(a->table, v, "pid");
    json_get_i64(v, "uptime", 0, INT64_MAX, &n);
    table_add(a->table, TERM_PLAIN, term_duration(text, n));
    add_count(a->table, pool, "max-concurrency");
    add_count(a->table, v, "prefetch_count");
    table_add_number(a->table, TERM_PLAIN, tasks);
    n = 0;
    json_get_i64(json_get_obj(v, "rusage"), "maxrss", 0, INT64_MAX / 1024, &n);
    table_add(a->table, TERM_PLAIN, term_bytes(text, n * 1024));
}

/* ---------------------------------------------------------------------------------- methods */

static const struct table_column PING_COLUMNS[] = {{"Node", false, 0}, {"Answer", false, 10}};
static const struct table_column TASK_COLUMNS[] = {
    {"Node", false, 10}, {"Task", false, 12}, {"Id", false, -8},
    {"For", true, 0},    {"Pid", true, 0},    {"Arguments", false, 2},
};
static const struct table_column SCHEDULED_COLUMNS[] = {
    {"Node", false, 12}, {"Due (UTC)", false, 0}, {"In", true, 0},
    {"Task", false, 12}, {"Id", false, -8},
};
static const struct table_column ID_COLUMNS[] = {{"Node", false, 12}, {"Id", false, -20}};
static const struct table_column NAME_COLUMNS[] = {{"Node", false, 12}, {"Task", false, 20}};
static const struct table_column QUEUE_COLUMNS[] = {
    {"Node", false, 12}, {"Queue", false, 16}, {"Exchange", false, 8}, {"Routing key", false, 11}};
static const struct table_column STATS_COLUMNS[] = {
    {"Node", false, 12},   {"Pid", true, 0},   {"Up", true, 0},    {"Children", true, 0},
    {"Prefetch", true, 0}, {"Tasks", true, 0}, {"Memory", true, 0}};

static const struct method {
    const char *verb;
    const char *method; /* of pidbox */
    const char *arguments;
    const struct table_column *columns; /* NULL: print_tree */
    int n;
    void (*row)(const struct answer *a, const cJSON *v);
    const char *none; /* said when no node has any; NULL: each node is a row */
} METHODS[] = {
    {"ping", "ping", "{}", PING_COLUMNS, ARRAY_LEN(PING_COLUMNS), row_ping, NULL},
    {"active", "active", "{\"safe\": false}", TASK_COLUMNS, ARRAY_LEN(TASK_COLUMNS), row_task,
     "nothing runs"},
    {"reserved", "reserved", "{}", TASK_COLUMNS, ARRAY_LEN(TASK_COLUMNS), row_task,
     "nothing is reserved"},
    {"scheduled", "scheduled", "{}", SCHEDULED_COLUMNS, ARRAY_LEN(SCHEDULED_COLUMNS), row_scheduled,
     "nothing waits for its time"},
    {"revoked", "revoked", "{}", ID_COLUMNS, ARRAY_LEN(ID_COLUMNS), row_text, "nothing is revoked"},
    {"registered", "registered", "{\"taskinfoitems\": []}", NAME_COLUMNS, ARRAY_LEN(NAME_COLUMNS),
     row_text, "no tasks"},
    {"stats", "stats", "{}", STATS_COLUMNS, ARRAY_LEN(STATS_COLUMNS), row_stats, NULL},
    {"queues", "active_queues", "{}", QUEUE_COLUMNS, ARRAY_LEN(QUEUE_COLUMNS), row_queue,
     "no queues"},
    {"conf", "conf", "{\"with_defaults\": false}", NULL, 0, NULL, NULL},
    {"report", "report", "{}", NULL, 0, NULL, NULL},
};

static const struct method *find_method(const char *verb)
{
    for (size_t i = 0; i < ARRAY_LEN(METHODS); i++) {
        if (strcmp(METHODS[i].verb, verb) == 0) {
            return &METHODS[i];
        }
    }
    MUST(!"a verb of the table");
}

/* --------------------------------------------------------------------------------- printing */

/* {"error": text}: what a node says that could not do it; NULL otherwise. */
static const char *error_of(const cJSON *v)
{
    return json_get_str(v, "error");
}

static bool has_error(const cJSON *by_node)
{
    const cJSON *v;

    cJSON_ArrayForEach(v, by_node)
    {
        if (error_of(v)) {
            return true;
        }
    }
    return false;
}

static void print_errors(const struct term *t, const cJSON *by_node)
{
    const cJSON *v;

    cJSON_ArrayForEach(v, by_node)
    {
        if (error_of(v)) {
            term_text(t, TERM_BOLD, TERM_TEXT_SIZE, v->string);
            term_print(t, TERM_PLAIN, "  ");
            term_text(t, TERM_RED, TERM_TEXT_SIZE, error_of(v));
            term_print(t, TERM_PLAIN, "\n");
        }
    }
}

/* "name: value" a line; text that has lines is shown as it is. */
static void print_tree(const struct term *t, const cJSON *by_node)
{
    const cJSON *v, *member;

    cJSON_ArrayForEach(v, by_node)
    {
        term_text(t, TERM_BOLD, TERM_TEXT_SIZE, v->string);
        term_print(t, TERM_PLAIN, "\n");
        cJSON_ArrayForEach(member, v)
        {
            char *text = cJSON_IsString(member) ? NULL : json_print(member);

            if (cJSON_IsString(member) && strcmp(member->string, "ok") == 0) {
                term_lines(t, TERM_PLAIN, 2, 1000, member->valuestring);
                continue;
            }
            term_print(t, TERM_PLAIN, "  ");
            term_text(t, TERM_CYAN, TERM_TEXT_SIZE, member->string);
            term_print(t, TERM_PLAIN, ": ");
            term_text(t, TERM_PLAIN, TERM_TEXT_SIZE, text ? text : member->valuestring);
            term_print(t, TERM_PLAIN, "\n");
            free(text);
        }
    }
}

static void add_rows(const struct method *m, struct answer *a, const cJSON *v)
{
    const cJSON *item;

    if (!m->none) {
        m->row(a, v);
        return;
    }
    if (!cJSON_IsArray(v)) {
        return;
    }
    cJSON_ArrayForEach(item, v)
    {
        m->row(a, item);
    }
}

static void print_rows(const struct term *t, const struct method *m, const cJSON *by_node)
{
    struct answer a = {.now_us = clock_wall_us()};
    struct table table;
    const cJSON *v;

    table_init(&table, m->columns, m->n);
    a.table = &table;
    cJSON_ArrayForEach(v, by_node)
    {
        if (!error_of(v)) {
            a.node = v->string;
            add_rows(m, &a, v);
        }
    }
    if (table.count > 0) {
        table_print(&table, t, 0);
    } else if (m->none) {
        term_print(t, TERM_DIM, "%s", m->none);
        term_print(t, TERM_PLAIN, "\n");
    }
    table_fini(&table);
}

static void print_answers(const struct method *m, const struct nodes_answers *a)
{
    int nodes = cJSON_GetArraySize(a->by_node);
    struct term t;

    term_init(&t, stdout);
    if (m->columns) {
        print_rows(&t, m, a->by_node);
        print_errors(&t, a->by_node);
    } else {
        print_tree(&t, a->by_node);
    }
    term_print(&t, TERM_DIM, "%d node%s answered", nodes, nodes == 1 ? "" : "s");
    if (nodes < a->listeners) {
        term_print(&t, TERM_YELLOW, " of %" PRId64 " that listen", a->listeners);
    }
    term_print(&t, TERM_PLAIN, "\n");
}

static int show(const char *command, const struct method *m, const struct options *o,
                struct nodes_answers *a)
{
    cJSON *doc = a->by_node;
    int code;

    if (a->stopped) {
        return ctl_fail(command, CTL_INTERRUPTED, "interrupted");
    }
    if (!doc->child && a->listeners == 0) {
        return ctl_fail(command, CTL_UNAVAILABLE, "no worker listens on this Redis");
    }
    if (!doc->child) {
        return ctl_fail(command, CTL_UNAVAILABLE,
                        "nobody answered within %" PRId64 " s%s; try a longer --timeout",
                        o->timeout_s, o->node ? " (is the name of the node right?)" : "");
    }
    code = has_error(doc) ? CTL_FAILED : CTL_OK;
    if (!o->json) {
        print_answers(m, a);
        return code;
    }
    a->by_node = NULL;
    return ctl_print_json(command, doc) == CTL_OK ? code : CTL_FAILED;
}

/* argv[0] is "inspect METHOD". */
static int inspect(const struct ctl_settings *s, int argc, char **argv)
{
    const struct method *m = find_method(strchr(argv[0], ' ') + 1);
    struct options o = {.timeout_s = 1};
    struct nodes_question q = {.method = m->method, .arguments = m->arguments};
    struct nodes_answers a;
    struct rds_addr addr;
    struct err e;
    redisContext *c;
    char command[32];
    int first, code;

    snprintf(command, sizeof command, "inspect %s", m->verb);
    first = opt_parse(command, OPTS, argc, argv, &o);
    if (first < 0 || ctl_no_more(command, first, argc, argv) != CTL_OK) {
        return CTL_USAGE;
    }
    c = ctl_redis(command, s, &addr, &code);
    if (!c) {
        return code;
    }
    q.db = addr.db;
    q.node = o.node;
    q.timeout_ms = o.timeout_s * 1000;
    q.stop = interrupt_watch();
    code = nodes_ask(c, &q, &a, &e) ? show(command, m, &o, &a) : ctl_fail_err(command, &e);
    nodes_answers_fini(&a);
    redisFree(c);
    return code;
}

const struct ctl_verb CTL_INSPECT_VERBS[] = {
    {"ping", inspect, OPTS},      {"active", inspect, OPTS},  {"reserved", inspect, OPTS},
    {"scheduled", inspect, OPTS}, {"revoked", inspect, OPTS}, {"registered", inspect, OPTS},
    {"stats", inspect, OPTS},     {"queues", inspect, OPTS},  {"conf", inspect, OPTS},
    {"report", inspect, OPTS},    {NULL, NULL, NULL},
};
