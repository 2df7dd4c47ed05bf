#include <string.h>

#include "common/json.h"
#include "ctl/batch.h"
#include "ctl/table.h"

static int64_t whole(const cJSON *obj, const char *name)
{
    int64_t v = 0;

    json_get_i64(obj, name, INT64_MIN, INT64_MAX, &v);
    return v;
}

static double number(const cJSON *obj, const char *name)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(obj, name);

    return cJSON_IsNumber(v) ? v->valuedouble : 0;
}

static enum term_colour colour_of(const char *state)
{
    static const struct {
        const char *state;
        enum term_colour colour;
    } COLOURS[] = {{"success", TERM_GREEN}, {"running", TERM_CYAN}, {"failed", TERM_RED}};

    for (size_t i = 0; i < ARRAY_LEN(COLOURS); i++) {
        if (strcmp(COLOURS[i].state, state) == 0) {
            return COLOURS[i].colour;
        }
    }
    return TERM_YELLOW;
}

void batch_print_list(const cJSON *doc)
{
    static const struct table_column COLUMNS[] = {
        {"Run", true, 0},    {"Began", false, 0},    {"Took", true, 0},
        {"State", false, 0}, {"Processed", true, 0}, {"Failed", true, 0},
        {"Tries", true, 0},  {"Worker", false, 8},   {"Error", false, 10}};
    const cJSON *one;
    struct table table;
    struct term t;

    term_init(&t, stdout);
    table_init(&table, COLUMNS, ARRAY_LEN(COLUMNS));
    cJSON_ArrayForEach(one, json_get_arr(doc, "items"))
    {
        const char *state = json_get_str(one, "state");

        table_addf(&table, TERM_BOLD, "%" PRId64, whole(one, "id"));
        table_addf(&table, TERM_DIM, "%.19sZ", json_get_str(one, "started_at"));
        table_addf(&table, TERM_CYAN, "%.3f s", number(one, "seconds"));
        table_add(&table, colour_of(state), state);
        table_add_number(&table, TERM_PLAIN, whole(one, "processed"));
        table_add_number(&table, whole(one, "failed") ? TERM_YELLOW : TERM_PLAIN,
                         whole(one, "failed"));
        table_add_number(&table, TERM_PLAIN, whole(one, "attempt"));
        table_add(&table, TERM_PLAIN, json_get_str(one, "worker"));
        table_add(&table, TERM_RED, json_get_str(one, "error"));
    }
    if (table.count == 0) {
        term_print(&t, TERM_PLAIN, "no runs\n");
    }
    table_print(&table, &t, 0);
    table_fini(&table);
}

static void print_line(const struct term *t, const char *name, const char *text)
{
    if (text && *text) {
        term_cell(t, TERM_DIM, 12, name);
        term_text(t, TERM_PLAIN, 0, text);
        putchar('\n');
    }
}

static void print_progress(const struct term *t, const cJSON *p)
{
    char text[160];

    if (!p) {
        return;
    }
    snprintf(text, sizeof text, "%s for %.1f s", json_get_str(p, "phase"),
             number(p, "phase_seconds"));
    print_line(t, "phase", text);
    if (json_has(p, "share")) {
        snprintf(text, sizeof text, "%.0f %%, about %.1f s to go, until %s (by the last %d runs)",
                 number(p, "share") * 100, number(p, "seconds_left"),
                 json_get_str(p, "estimated_end_at"), (int)whole(p, "from_runs"));
        print_line(t, "progress", text);
    }
}

static void print_phases(const struct term *t, const cJSON *phases)
{
    static const struct table_column COLUMNS[] = {{"Phase", false, 0}, {"Seconds", true, 0}};
    const cJSON *one;
    struct table table;

    table_init(&table, COLUMNS, ARRAY_LEN(COLUMNS));
    cJSON_ArrayForEach(one, phases)
    {
        table_add(&table, TERM_PLAIN, json_get_str(one, "name"));
        table_addf(&table, TERM_CYAN, "%.3f", number(one, "seconds"));
    }
    if (table.count > 0) {
        putchar('\n');
    }
    table_print(&table, t, 0);
    table_fini(&table);
}

static void print_groups(const struct term *t, const cJSON *failures)
{
    static const struct table_column COLUMNS[] = {
        {"Failed", true, 0}, {"Stat", false, 0}, {"Reason", false, 20}, {"For example", false, 12}};
    const cJSON *one;
    struct table table;

    table_init(&table, COLUMNS, ARRAY_LEN(COLUMNS));
    cJSON_ArrayForEach(one, json_get_arr(failures, "groups"))
    {
        const cJSON *example = cJSON_GetArrayItem(json_get_arr(one, "examples"), 0);
        const char *name = json_get_str(example, "name");

        table_add_number(&table, TERM_YELLOW, whole(one, "count"));
        table_add(&table, TERM_PLAIN, json_get_str(one, "stat"));
        table_add(&table, TERM_PLAIN, json_get_str(one, "reason"));
        table_addf(&table, TERM_DIM, "%s%s%s", json_get_str(example, "server"), name ? " " : "",
                   name ? name : "");
    }
    if (table.count > 0) {
        putchar('\n');
    }
    table_print(&table, t, 0);
    table_fini(&table);
}

static void print_requested(const struct term *t, const cJSON *q)
{
    char text[300];
    const char *reason = json_get_str(q, "reason");

    if (q) {
        snprintf(text, sizeof text, "%s at %.19sZ%s%s", json_get_str(q, "by"),
                 json_get_str(q, "at"), reason ? ": " : "", reason ? reason : "");
        print_line(t, "asked for by", text);
    }
}

static void print_begun(const struct term *t, const cJSON *doc)
{
    char text[200];

    snprintf(text, sizeof text, "%.19sZ, %.3f s, attempt %d on %s", json_get_str(doc, "started_at"),
             number(doc, "seconds"), (int)whole(doc, "attempt"), json_get_str(doc, "worker"));
    print_line(t, "began", text);
    snprintf(text, sizeof text,
             "%" PRId64 " processed, %" PRId64 " failed, %" PRId64 " on the board, %" PRId64
             " servers",
             whole(doc, "processed"), whole(doc, "failed"), whole(doc, "entries"),
             whole(doc, "servers"));
    print_line(t, "characters", text);
    print_line(t, "error", json_get_str(doc, "error"));
    print_progress(t, json_get_obj(doc, "progress"));
    print_phases(t, json_get_arr(doc, "phases"));
    print_groups(t, json_get_obj(doc, "failures_by_reason"));
}

void batch_print_one(const cJSON *doc)
{
    const char *state = json_get_str(doc, "state");
    struct term t;

    term_init(&t, stdout);
    if (json_has(doc, "id")) {
        term_print(&t, TERM_BOLD, "run %" PRId64 " ", whole(doc, "id"));
    }
    term_print(&t, colour_of(state), "%s\n", state);
    print_line(&t, "task", json_get_str(doc, "task_id"));
    print_requested(&t, json_get_obj(doc, "requested"));
    if (json_has(doc, "id")) {
        print_begun(&t, doc);
    }
}

void batch_print_failures(const cJSON *doc)
{
    static const struct table_column COLUMNS[] = {{"Seq", true, 0},
                                                  {"Server", false, 8},
                                                  {"Name", false, 8},
                                                  {"Stat", false, 0},
                                                  {"Reason", false, 20}};
    const cJSON *one;
    struct table table;
    struct term t;

    term_init(&t, stdout);
    table_init(&table, COLUMNS, ARRAY_LEN(COLUMNS));
    cJSON_ArrayForEach(one, json_get_arr(doc, "items"))
    {
        const char *name = json_get_str(one, "name");

        table_addf(&table, TERM_DIM, "%" PRId64, whole(one, "seq"));
        table_add(&table, TERM_PLAIN, json_get_str(one, "server"));
        table_add(&table, TERM_BOLD, name ? name : "(the whole server)");
        table_add(&table, TERM_PLAIN, json_get_str(one, "stat"));
        table_add(&table, TERM_PLAIN, json_get_str(one, "reason"));
    }
    table_print(&table, &t, 0);
    term_print(&t, TERM_PLAIN, "%" PRId64 " failed\n", whole(doc, "total"));
    table_fini(&table);
}

void batch_print_started(const cJSON *doc)
{
    puts(json_get_str(doc, "task_id"));
}

void batch_print_cancelled(const cJSON *doc)
{
    struct term t;

    term_init(&t, stdout);
    term_print(&t, TERM_PLAIN, "run %" PRId64 " is cancelled (it was %s); ", whole(doc, "id"),
               json_get_str(doc, "was"));
    if (json_get_bool(doc, "told", false)) {
        term_print(&t, TERM_PLAIN, "told to %d workers\n",
                   cJSON_GetArraySize(json_get_arr(doc, "workers")));
    } else {
        term_print(&t, TERM_YELLOW, "Redis is away, so a worker that is at it goes on in vain\n");
    }
}
