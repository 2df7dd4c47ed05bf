#include <stdlib.h>
#include <string.h>

#include "ctl/table.h"
#include "ctl/top.h"

/*
 * The panes: each a table whose first title names it. A pane adds at most `max` rows and says how
 * many there would be.
 */
#define ROWS_UNLIMITED 1000

static int64_t get(const cJSON *obj, const char *name, int64_t fallback)
{
    json_get_i64(obj, name, INT64_MIN, INT64_MAX, &fallback);
    return fallback;
}

static void add_duration(struct table *t, const cJSON *obj, const char *name)
{
    char text[TERM_NUMBER_SIZE];

    if (json_has(obj, name)) {
        table_add(t, TERM_CYAN, term_duration(text, get(obj, name, 0)));
    } else {
        table_add(t, TERM_DIM, "-");
    }
}

/* Now, in unix seconds by Redis' clock; 0: not known. */
static int64_t now_of(const cJSON *doc)
{
    const cJSON *schedule = json_get_obj(doc, "schedule");

    return get(json_get_obj(doc, "source"), "at",
               get(schedule, "next_slot", 0) - get(schedule, "next_in_s", 0));
}

/* ---- 1: what runs ---- */

/* "45% scoring", as far as a task says. */
static void add_progress(struct table *t, const cJSON *progress)
{
    const char *phase = json_get_str(progress, "phase");
    int64_t done = get(progress, "done", -1), of = get(progress, "of", 0);

    if (!phase) {
        table_add(t, TERM_DIM, "");
    } else if (of > 0 && done >= 0) {
        table_addf(t, TERM_GREEN, "%d%% %s", (int)(100.0 * (double)done / (double)of), phase);
    } else {
        table_add(t, TERM_GREEN, phase);
    }
}

static int fill_running(struct table *t, const cJSON *doc, int max)
{
    const cJSON *w, *task;
    int n = 0;

    cJSON_ArrayForEach(w, json_get_arr(doc, "workers"))
    {
        cJSON_ArrayForEach(task, json_get_arr(w, "running"))
        {
            if (n++ >= max) {
                continue;
            }
            table_add(t, TERM_BOLD, json_get_str(task, "task"));
            add_duration(t, task, "for_s");
            add_progress(t, json_get_obj(task, "progress"));
            table_add(t, TERM_PLAIN, json_get_str(w, "name"));
            table_add(t, TERM_DIM, json_get_str(task, "id"));
        }
    }
    return n;
}

/* ---- 2: queues ---- */

static void add_change(struct table *t, const cJSON *queue)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(queue, "change");

    if (cJSON_IsNumber(v)) {
        table_addf(t, v->valuedouble > 0 ? TERM_YELLOW : TERM_PLAIN, "%+.1f", v->valuedouble);
    } else {
        table_add(t, TERM_DIM, "-");
    }
}

static void add_queue(struct table *t, const cJSON *queue)
{
    const char *next = NULL;
    const cJSON *list;

    table_add(t, TERM_BOLD, json_get_str(queue, "name"));
    table_add_number(t, get(queue, "ready", 0) ? TERM_CYAN : TERM_PLAIN, get(queue, "ready", 0));
    add_change(t, queue);
    add_duration(t, queue, "oldest_s");
    cJSON_ArrayForEach(list, json_get_arr(queue, "lists"))
    {
        int64_t n = get(list, "length", -1);

        if (n < 0) {
            table_add(t, TERM_RED, "no list");
        } else {
            table_add_number(t, n ? TERM_PLAIN : TERM_DIM, n);
        }
        next = next ? next : json_get_str(list, "task");
    }
    table_add(t, TERM_DIM, next);
}

static int fill_queues(struct table *t, const cJSON *doc, int max)
{
    const cJSON *queue;
    int n = 0;

    cJSON_ArrayForEach(queue, json_get_arr(doc, "queues"))
    {
        if (n++ < max) {
            add_queue(t, queue);
        }
    }
    return n;
}

/* ---- 3: workers ---- */

static void add_worker(struct table *t, const cJSON *w)
{
    const char *name = json_get_str(w, "name");
    bool alive = json_get_bool(w, "alive", false);
    int64_t longest = -1;
    const cJSON *task;
    char text[TERM_NUMBER_SIZE];

    cJSON_ArrayForEach(task, json_get_arr(w, "running"))
    {
        longest = get(task, "for_s", 0) > longest ? get(task, "for_s", 0) : longest;
    }
    table_add(t, alive ? TERM_BOLD : TERM_RED, name ? name : json_get_str(w, "boot"));
    table_addf(t, TERM_PLAIN, "%" PRId64, get(w, "pid", 0));
    table_addf(t, TERM_PLAIN, "%d of %" PRId64, cJSON_GetArraySize(json_get_arr(w, "running")),
               get(w, "children", 0));
    table_add_number(t, TERM_PLAIN, get(w, "held", 0));
    table_add(t, TERM_CYAN, longest >= 0 ? term_duration(text, longest) : "");
    table_add(t, alive ? TERM_YELLOW : TERM_RED,
              !alive                                ? "silent"
              : json_get_bool(w, "stopping", false) ? "stopping"
                                                    : "");
}

static int fill_workers(struct table *t, const cJSON *doc, int max)
{
    const cJSON *w;
    int n = 0;

    cJSON_ArrayForEach(w, json_get_arr(doc, "workers"))
    {
        if (n++ < max) {
            add_worker(t, w);
        }
    }
    return n;
}

/* ---- 4: schedules ---- */

static void add_next(struct table *t, const cJSON *s, int64_t now_s)
{
    const cJSON *paused = json_get_obj(s, "paused");
    char text[TERM_NUMBER_SIZE];

    if (json_get_str(s, "error")) {
        table_add(t, TERM_RED, json_get_str(s, "error"));
    } else if (paused) {
        table_addf(t, TERM_YELLOW, "paused: %s", json_get_str(paused, "reason"));
    } else if (json_has(s, "next")) {
        table_addf(t, TERM_PLAIN, "in %s", term_duration(text, get(s, "next", 0) - now_s));
    } else {
        table_add(t, TERM_DIM, "never");
    }
}

static int fill_schedules(struct table *t, const cJSON *doc, int max)
{
    int64_t now_s = now_of(doc);
    char text[TERM_NUMBER_SIZE];
    const cJSON *s;
    int n = 0;

    cJSON_ArrayForEach(s, json_get_arr(doc, "timetable"))
    {
        if (n++ >= max) {
            continue;
        }
        table_add(t, TERM_BOLD, json_get_str(s, "name"));
        table_add(t, TERM_PLAIN, json_get_str(s, "when"));
        if (json_has(s, "last")) {
            table_addf(t, TERM_PLAIN, "%s ago", term_duration(text, now_s - get(s, "last", 0)));
        } else {
            table_add(t, TERM_DIM, "-");
        }
        add_next(t, s, now_s);
    }
    return n;
}

/* ---- 5: batches ---- */

static enum term_colour state_colour(const char *state)
{
    static const struct {
        const char *state;
        enum term_colour colour;
    } COLOURS[] = {{"success", TERM_GREEN}, {"failed", TERM_RED}, {"running", TERM_CYAN}};

    for (size_t i = 0; state && i < ARRAY_LEN(COLOURS); i++) {
        if (strcmp(state, COLOURS[i].state) == 0) {
            return COLOURS[i].colour;
        }
    }
    return TERM_YELLOW;
}

static void add_run(struct table *t, const cJSON *run)
{
    const char *at = json_get_str(run, "started_at"), *state = json_get_str(run, "state");
    const cJSON *took = cJSON_GetObjectItemCaseSensitive(run, "took_s");

    table_addf(t, TERM_BOLD, "%" PRId64, get(run, "id", 0));
    table_addf(t, TERM_PLAIN, "%.8s", at && strlen(at) > 19 ? at + 11 : "-");
    table_addf(t, TERM_PLAIN, "%.2f s", cJSON_IsNumber(took) ? took->valuedouble : 0.0);
    table_add(t, state_colour(state), state);
    table_add_number(t, TERM_PLAIN, get(run, "processed", 0));
    table_add_number(t, get(run, "failed", 0) ? TERM_YELLOW : TERM_PLAIN, get(run, "failed", 0));
    table_add_number(t, get(run, "attempt", 1) > 1 ? TERM_YELLOW : TERM_PLAIN,
                     get(run, "attempt", 1));
    table_add(t, TERM_RED, json_get_str(run, "error"));
}

static int fill_runs(struct table *t, const cJSON *doc, int max)
{
    const cJSON *run;
    int n = 0;

    cJSON_ArrayForEach(run, json_get_arr(doc, "runs"))
    {
        if (n++ < max) {
            add_run(t, run);
        }
    }
    return n;
}

/* ---- 6: dead letters ---- */

static int fill_dead(struct table *t, const cJSON *doc, int max)
{
    int64_t now_s = now_of(doc);
    char text[TERM_NUMBER_SIZE];
    const cJSON *d;
    int n = 0;

    cJSON_ArrayForEach(d, json_get_arr(doc, "dead_letters"))
    {
        if (n++ >= max) {
            continue;
        }
        table_add(t, TERM_BOLD, json_get_str(d, "task"));
        table_add(t, TERM_CYAN,
                  json_has(d, "at") ? term_duration(text, now_s - get(d, "at", now_s)) : "-");
        table_add_number(t, TERM_PLAIN, get(d, "retries", 0));
        table_add(t, TERM_RED, json_get_str(d, "reason"));
        table_add(t, TERM_DIM, json_get_str(d, "id"));
    }
    return n;
}

/* ---- the table of panes ---- */

static const struct table_column RUNNING[] = {{"1 Running", false, 12},
                                              {"For", true, 0},
                                              {"Progress", false, 8},
                                              {"Worker", false, 10},
                                              {"Id", false, -8}};
static const struct table_column QUEUES[] = {
    {"2 Queue", false, 10}, {"Waiting", true, 0}, {"Change/s", true, 0},
    {"Oldest", true, 0},    {"Prio 0", true, 0},  {"Prio 3", true, 0},
    {"Prio 6", true, 0},    {"Prio 9", true, 0},  {"Next", false, 4}};
static const struct table_column WORKERS[] = {{"3 Worker", false, 12}, {"Pid", true, 0},
                                              {"Busy", true, 0},       {"Holds", true, 0},
                                              {"Longest", true, 0},    {"", false, 0}};
static const struct table_column SCHEDULES[] = {{"4 Schedule", false, 10},
                                                {"When", false, 12},
                                                {"Last slot", true, 0},
                                                {"Next slot", false, 10}};
static const struct table_column RUNS[] = {
    {"5 Batch", false, 0},  {"Started", false, 0}, {"Took", true, 0}, {"State", false, 0},
    {"Processed", true, 0}, {"Failed", true, 0},   {"Try", true, 0},  {"Error", false, 2}};
static const struct table_column DEAD[] = {{"6 Dead letter", false, 10},
                                           {"Age", true, 0},
                                           {"Tries", true, 0},
                                           {"Error", false, 10},
                                           {"Id", false, -8}};

static const struct pane {
    const struct table_column *columns;
    int n;
    int (*fill)(struct table *t, const cJSON *doc, int max);
    const char *none;
} PANES[TOP_PANES] = {
    {RUNNING, ARRAY_LEN(RUNNING), fill_running, "nothing"},
    {QUEUES, ARRAY_LEN(QUEUES), fill_queues, "none"},
    {WORKERS, ARRAY_LEN(WORKERS), fill_workers, "none"},
    {SCHEDULES, ARRAY_LEN(SCHEDULES), fill_schedules, "none"},
    {RUNS, ARRAY_LEN(RUNS), fill_runs, "none yet"},
    {DEAD, ARRAY_LEN(DEAD), fill_dead, "none"},
};

static int count_rows(const cJSON *doc, const struct pane *p)
{
    struct table table;
    int n;

    table_init(&table, p->columns, p->n);
    n = p->fill(&table, doc, 0);
    table_fini(&table);
    return n;
}

/* A pane is its title and so many rows; what is not shown of it is told in the title. */
static void print_pane(const struct term *t, const cJSON *doc, const struct pane *p, int rows)
{
    struct table_column columns[TABLE_COLUMNS_MAX];
    int total = count_rows(doc, p);
    struct table table;
    char title[64];

    snprintf(title, sizeof title, rows < total ? "%s, %d of %d" : "%s", p->columns[0].title, rows,
             total);
    memcpy(columns, p->columns, (size_t)p->n * sizeof *columns);
    columns[0].title = title;
    columns[0].shrinks =
        (int)strlen(title) > columns[0].shrinks ? (int)strlen(title) : columns[0].shrinks;
    table_init(&table, columns, p->n);
    table.titles = TERM_CYAN;
    p->fill(&table, doc, rows);
    if (table.count > 0) {
        table_print(&table, t, 0);
    } else {
        term_print(t, TERM_CYAN, "%s", title);
        term_print(t, TERM_DIM, "  %s", total > 0 ? "" : p->none);
        term_print(t, TERM_PLAIN, "\n");
    }
    table_fini(&table);
}

/*
 * One line each for title and first row, then the rest in turn, so that a long list takes what the
 * others do not need. Returns how many lines are left.
 */
static int share_lines(const int wants[TOP_PANES], int left, int rows[TOP_PANES])
{
    bool more = true;

    left -= TOP_PANES;
    for (int i = 0; i < TOP_PANES; i++) {
        rows[i] = 0;
    }
    while (left > 0 && more) {
        more = false;
        for (int i = 0; i < TOP_PANES && left > 0; i++) {
            if (rows[i] < wants[i]) {
                rows[i]++;
                left--;
                more = true;
            }
        }
    }
    return left;
}

static void print_all(const struct term *t, const cJSON *doc, int left)
{
    int wants[TOP_PANES], rows[TOP_PANES];

    for (int i = 0; i < TOP_PANES; i++) {
        wants[i] = count_rows(doc, &PANES[i]);
        rows[i] = wants[i];
    }
    left = left > 0 ? share_lines(wants, left, rows) : TOP_PANES;
    for (int i = 0; i < TOP_PANES; i++) {
        if (left >= TOP_PANES) { /* room for all of them to stand apart */
            fputc('\n', t->out);
        }
        print_pane(t, doc, &PANES[i], rows[i]);
    }
    for (left -= left >= TOP_PANES ? TOP_PANES : 0; left > 0; left--) {
        fputc('\n', t->out);
    }
}

void top_print_panes(const struct term *t, const cJSON *doc, const struct top_view *v, int left)
{
    const struct pane *p = v->pane > 0 ? &PANES[v->pane - 1] : NULL;
    int rows;

    if (!p) {
        print_all(t, doc, left);
        return;
    }
    fputc('\n', t->out);
    rows = left > 2 ? left - 2 : left > 0 ? 1 : ROWS_UNLIMITED;
    print_pane(t, doc, p, rows);
    for (rows -= count_rows(doc, p); left > 0 && rows > 0; rows--) {
        fputc('\n', t->out);
    }
}
