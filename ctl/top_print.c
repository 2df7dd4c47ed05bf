#include <stdlib.h>
#include <string.h>

#include "ctl/top.h"

/* The head of the screen: is it all up, how old is the ranking, what flows, what waits. */
#define HEAD_LINES  5
#define LABEL_WIDTH 10

static int64_t get(const cJSON *obj, const char *name, int64_t fallback)
{
    json_get_i64(obj, name, INT64_MIN, INT64_MAX, &fallback);
    return fallback;
}

static void label(const struct term *t, const char *text)
{
    term_cell(t, TERM_BOLD, LABEL_WIDTH, text);
}

static void store(const struct term *t, const cJSON *doc, const char *title, const char *key)
{
    const cJSON *s = json_get_obj(doc, key);
    bool up = json_get_bool(s, "reachable", false);

    term_print(t, TERM_PLAIN, "  %s ", title);
    term_text(t, up ? TERM_GREEN : TERM_RED, 12, up ? json_get_str(s, "version") : "DOWN");
}

static void print_title(const struct term *t, const cJSON *doc, const struct top_view *v)
{
    const char *at = json_get_str(doc, "at");

    term_print(t, TERM_BOLD, "aion2rank");
    term_print(t, TERM_DIM, "  %.10s %.8s UTC", at, at + 11);
    store(t, doc, "Redis", "redis");
    store(t, doc, "PostgreSQL", "postgresql");
    if (v->live) {
        term_print(t, v->halted ? TERM_YELLOW : TERM_DIM, v->halted ? "  halted" : "  every %g s",
                   v->interval_s);
    }
    term_print(t, TERM_PLAIN, "\n");
}

static void print_ranking(const struct term *t, const cJSON *doc)
{
    const cJSON *r = json_get_obj(doc, "ranking");
    bool stale = json_get_bool(r, "stale", false);
    char text[TERM_NUMBER_SIZE];

    label(t, "Ranking");
    if (!r) {
        term_print(t, TERM_DIM, "%s", json_get_arr(doc, "runs") ? "none yet" : "not known");
        term_print(t, TERM_PLAIN, "\n");
        return;
    }
    term_print(t, TERM_PLAIN, "age ");
    term_print(t, stale ? TERM_RED : TERM_GREEN, "%s%s", term_duration(text, get(r, "age_s", 0)),
               stale ? " STALE" : "");
    term_print(t, TERM_PLAIN, "  next in %s", term_duration(text, get(r, "next_in_s", 0)));
    term_print(t, TERM_PLAIN, "  run %" PRId64, get(r, "run_id", 0));
    term_print(t, TERM_PLAIN, "  %s entries\n", term_number(text, get(r, "entries", 0)));
}

/* "taken 12.3/s" */
static void rate(const struct term *t, const cJSON *rates, const char *name, enum term_colour some)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(rates, name);

    if (cJSON_IsNumber(v)) {
        term_print(t, TERM_PLAIN, "%s ", name);
        term_print(t, v->valuedouble > 0 ? some : TERM_DIM, "%.1f", v->valuedouble);
        term_print(t, TERM_PLAIN, "/s  ");
    }
}

static void print_flow(const struct term *t, const cJSON *doc)
{
    const cJSON *sums = json_get_obj(doc, "conservation"), *rates = json_get_obj(doc, "rates");
    const cJSON *one;

    label(t, "Messages");
    rate(t, rates, "taken", TERM_CYAN);
    rate(t, rates, "done", TERM_CYAN);
    rate(t, rates, "retried", TERM_YELLOW);
    rate(t, rates, "dead", TERM_RED);
    if (sums) {
        bool ok = json_get_bool(sums, "ok", false);

        term_print(t, ok ? TERM_GREEN : TERM_RED, "%s",
                   ok ? "all accounted for" : "NOT ALL ACCOUNTED FOR");
    }
    cJSON_ArrayForEach(one, json_get_obj(sums, "differences"))
    {
        if (cJSON_IsNumber(one) && one->valuedouble != 0) {
            term_print(t, TERM_RED, " %s %+.0f", one->string, one->valuedouble);
        }
    }
    term_print(t, TERM_PLAIN, "\n");
}

static void count(const struct term *t, const char *name, int64_t n, enum term_colour some)
{
    char text[TERM_NUMBER_SIZE];

    term_print(t, TERM_PLAIN, "%s ", name);
    term_print(t, n > 0 ? some : TERM_DIM, "%s", n < 0 ? "?" : term_number(text, n));
    term_print(t, TERM_PLAIN, "  ");
}

static void print_waiting(const struct term *t, const cJSON *doc)
{
    const cJSON *delayed = json_get_obj(doc, "delayed"), *queue;
    char text[TERM_NUMBER_SIZE];
    int64_t ready = 0, next_s;

    label(t, "Waiting");
    if (!json_get_arr(doc, "queues")) {
        term_print(t, TERM_DIM, "not known");
        term_print(t, TERM_PLAIN, "\n");
        return;
    }
    cJSON_ArrayForEach(queue, json_get_arr(doc, "queues"))
    {
        ready += get(queue, "ready", 0);
    }
    count(t, "ready", ready, TERM_CYAN);
    count(t, "held", get(json_get_obj(doc, "queue"), "held", -1), TERM_CYAN);
    count(t, "delayed", get(delayed, "count", -1), TERM_CYAN);
    if (json_get_i64(delayed, "next_in_s", INT64_MIN, INT64_MAX, &next_s)) {
        term_print(t, TERM_DIM, "(next in %s)  ", term_duration(text, next_s > 0 ? next_s : 0));
    }
    count(t, "quarantine", get(doc, "quarantine", -1), TERM_YELLOW);
    count(t, "dead", get(doc, "dead", -1), TERM_RED);
    term_print(t, TERM_PLAIN, "\n");
}

static int count_alive(const cJSON *all)
{
    const cJSON *one;
    int n = 0;

    cJSON_ArrayForEach(one, all)
    {
        n += json_get_bool(one, "alive", false);
    }
    return n;
}

static void print_source(const struct term *t, const cJSON *doc)
{
    const cJSON *s = json_get_obj(doc, "source");
    const char *state = json_get_str(s, "state");
    char text[TERM_NUMBER_SIZE];

    if (!state || strcmp(state, "unused") == 0) {
        return;
    }
    term_print(t, TERM_PLAIN, "Source ");
    term_text(t, strcmp(state, "working") == 0 ? TERM_GREEN : TERM_RED, 10, state);
    if (json_has(s, "rest_s")) {
        term_print(t, TERM_PLAIN, " for %s", term_duration(text, get(s, "rest_s", 0)));
    } else if (json_has(s, "last_ok")) {
        term_print(t, TERM_DIM, " %s ago",
                   term_duration(text, get(s, "at", 0) - get(s, "last_ok", 0)));
    }
}

static void print_who(const struct term *t, const cJSON *doc)
{
    const cJSON *workers = json_get_arr(doc, "workers"), *w;
    int beats = count_alive(json_get_arr(doc, "beats")), alive = count_alive(workers);
    int64_t busy = 0, children = 0;

    cJSON_ArrayForEach(w, workers)
    {
        busy += cJSON_GetArraySize(json_get_arr(w, "running"));
        children += get(w, "children", 0);
    }
    label(t, "Beats");
    if (!workers) {
        term_print(t, TERM_DIM, "not known");
    } else {
        term_print(t, beats ? TERM_GREEN : TERM_RED, beats ? "%d" : "NONE", beats);
        term_print(t, TERM_PLAIN, "  Workers ");
        term_print(t, alive ? TERM_GREEN : TERM_RED, alive ? "%d" : "NONE", alive);
        term_print(t, TERM_PLAIN, "  %" PRId64 " of %" PRId64 " children busy  ", busy, children);
    }
    print_source(t, doc);
    term_print(t, TERM_PLAIN, "\n");
}

/* What keeps the rest from being known: it takes the place of the lines that it explains. */
static int print_errors(const struct term *t, const cJSON *doc)
{
    static const char *const STORES[] = {"redis", "postgresql"};
    int lines = 0;

    for (size_t i = 0; i < ARRAY_LEN(STORES); i++) {
        const char *error = json_get_str(json_get_obj(doc, STORES[i]), "error");

        if (error) {
            term_text(t, TERM_RED, t->width > 0 ? t->width : TERM_TEXT_SIZE, error);
            term_print(t, TERM_PLAIN, "\n");
            lines++;
        }
    }
    return lines;
}

static void print_keys(const struct term *t, const struct top_view *v)
{
    term_print(t, TERM_DIM,
               v->pane == 0 ? "q quit   1-6 one of them   space now   h halt   + - speed"
                            : "q quit   0 all   1-6 another   space now   h halt   + - speed");
}

void top_print(const struct term *t, const cJSON *doc, const struct top_view *v)
{
    int used = HEAD_LINES + v->live;

    print_title(t, doc, v);
    used += print_errors(t, doc);
    print_ranking(t, doc);
    print_flow(t, doc);
    print_waiting(t, doc);
    print_who(t, doc);
    top_print_panes(t, doc, v, v->rows > used ? v->rows - used : v->rows > 0 ? 1 : 0);
    if (v->live) {
        print_keys(t, v);
    }
}
