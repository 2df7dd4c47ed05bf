#include <string.h>

#include "common/json.h"
#include "common/text.h"
#include "ctl/status.h"

#define WORKERS_SHOWN 8
#define RUNNING_SHOWN 8
#define LABEL_WIDTH   12
#define SECOND_WIDTH  10

static int64_t get(const cJSON *obj, const char *key, int64_t fallback)
{
    int64_t v = fallback;

    json_get_i64(obj, key, INT64_MIN, INT64_MAX, &v);
    return v;
}

static void label(const struct term *t, const char *text)
{
    term_cell(t, TERM_BOLD, LABEL_WIDTH, text);
}

/* The name and a number, in colour when it is not 0. */
static void count(const struct term *t, const char *name, int64_t n, enum term_colour if_some)
{
    char number[TERM_NUMBER_SIZE];

    term_print(t, TERM_PLAIN, "%s", name);
    term_print(t, n > 0 ? if_some : TERM_PLAIN, "%s", term_number(number, n));
}

/* "07:10:00" of "2026-11-23T07:10:00.000000Z". */
static const char *clock_part(const char *iso, char out[9])
{
    snprintf(out, 9, "%.8s", iso && strlen(iso) > 19 ? iso + 11 : "-");
    return out;
}

static void print_head(const struct term *t, const cJSON *doc)
{
    const char *at = json_get_str(doc, "at");

    term_cell(t, TERM_BOLD, TERM_COLUMNS - 23, "aion2rank");
    term_print(t, TERM_DIM, "%.10s %.8s UTC", at, at + 11);
    term_print(t, TERM_PLAIN, "\n\n");
}

static void print_store(const struct term *t, const cJSON *doc, const char *title, const char *key)
{
    const cJSON *store = json_get_obj(doc, key);
    const char *error = json_get_str(store, "error");

    label(t, title);
    if (json_get_bool(store, "reachable", false)) {
        term_cell(t, TERM_GREEN, SECOND_WIDTH, json_get_str(store, "version"));
    } else {
        term_cell(t, TERM_RED, SECOND_WIDTH, "DOWN");
    }
    term_text(t, TERM_DIM, TERM_COLUMNS - LABEL_WIDTH - SECOND_WIDTH, json_get_str(store, "url"));
    term_print(t, TERM_PLAIN, "\n");
    if (error) {
        term_wrap(t, TERM_RED, LABEL_WIDTH, 3, error);
    }
}

static void print_ranking(const struct term *t, const cJSON *doc)
{
    const cJSON *ranking = json_get_obj(doc, "ranking");
    bool stale = json_get_bool(ranking, "stale", false);
    char text[TERM_NUMBER_SIZE];

    label(t, "Ranking");
    if (!ranking) {
        term_print(t, TERM_DIM, "%s", json_get_arr(doc, "runs") ? "none yet" : "not known");
        term_print(t, TERM_PLAIN, "\n");
        return;
    }
    term_print(t, TERM_PLAIN, "run %" PRId64, get(ranking, "run_id", 0));
    term_print(t, TERM_PLAIN, "   %s entries", term_number(text, get(ranking, "entries", 0)));
    term_print(t, TERM_PLAIN, "   age ");
    term_print(t, stale ? TERM_RED : TERM_GREEN, "%s%s",
               term_duration(text, get(ranking, "age_s", 0)), stale ? " STALE" : "");
    term_print(t, TERM_PLAIN, "   next in %s\n", term_duration(text, get(ranking, "next_in_s", 0)));
}

/* "host:pid host:pid ..." as far as it fits. */
static void print_beat_names(const struct term *t, const cJSON *beats)
{
    char names[TERM_TEXT_SIZE] = "";
    size_t n = 0;
    const cJSON *beat;

    cJSON_ArrayForEach(beat, beats)
    {
        const char *host = json_get_str(beat, "host");

        if (json_get_bool(beat, "alive", false) && n < sizeof names - 1) {
            int len = snprintf(names + n, sizeof names - n, "%s%s:%" PRId64, n ? "  " : "",
                               host ? host : "?", get(beat, "pid", 0));
            n += len > 0 ? (size_t)len : 0;
        }
    }
    term_text(t, TERM_DIM, TERM_COLUMNS - LABEL_WIDTH - SECOND_WIDTH, names);
}

static int count_alive(const cJSON *beats)
{
    const cJSON *beat;
    int n = 0;

    cJSON_ArrayForEach(beat, beats)
    {
        n += json_get_bool(beat, "alive", false);
    }
    return n;
}

/* "every 10:00", or the timetable that was set for the batch. */
static void print_when(const struct term *t, const cJSON *schedule)
{
    char text[TERM_NUMBER_SIZE];

    if (json_has(schedule, "interval_s")) {
        term_print(t, TERM_PLAIN, "every %s", term_duration(text, get(schedule, "interval_s", 0)));
    } else {
        term_text(t, TERM_PLAIN, 24, json_get_str(schedule, "when"));
    }
}

static void print_paused(const struct term *t, const cJSON *schedules)
{
    const cJSON *one;

    cJSON_ArrayForEach(one, json_get_arr(schedules, "paused"))
    {
        const char *reason = json_get_str(one, "reason");

        term_print(t, TERM_PLAIN, "%*s", LABEL_WIDTH, "");
        term_text(t, TERM_BOLD, 30, json_get_str(one, "name"));
        term_print(t, TERM_YELLOW, " PAUSED");
        term_print(t, TERM_PLAIN, "%s", *reason ? ": " : "");
        term_text(t, TERM_PLAIN, 28, reason);
        term_print(t, TERM_PLAIN, "\n");
    }
}

static void print_schedule(const struct term *t, const cJSON *doc)
{
    const cJSON *schedule = json_get_obj(doc, "schedule"), *beats = json_get_arr(doc, "beats");
    int64_t last_s = get(schedule, "last_slot", -1), now_s;
    bool late = json_get_bool(schedule, "late", false);
    int alive = count_alive(beats);
    char text[TERM_NUMBER_SIZE];

    if (!schedule) {
        return;
    }
    now_s = get(schedule, "next_slot", 0) - get(schedule, "next_in_s", 0);
    label(t, "Beats");
    if (alive > 0) {
        term_cell(t, TERM_GREEN, SECOND_WIDTH, term_number(text, alive));
        print_beat_names(t, beats);
    } else {
        term_print(t, TERM_RED, "NONE");
    }
    term_print(t, TERM_PLAIN, "\n%*s", LABEL_WIDTH, "");
    print_when(t, schedule);
    term_print(t, TERM_PLAIN, "   last slot ");
    if (last_s < 0) {
        term_print(t, TERM_YELLOW, "none");
    } else {
        term_print(t, late ? TERM_RED : TERM_GREEN, "%s ago%s", term_duration(text, now_s - last_s),
                   late ? " LATE" : "");
    }
    term_print(t, TERM_PLAIN, "   next slot in %s\n",
               term_duration(text, get(schedule, "next_in_s", 0)));
    print_paused(t, json_get_obj(doc, "schedules"));
}

/* Which lists hold something. */
static void print_ready(const struct term *t, const cJSON *queue)
{
    const cJSON *step;
    bool first = true;
    char text[TERM_NUMBER_SIZE];

    cJSON_ArrayForEach(step, json_get_arr(queue, "ready_by_priority"))
    {
        int64_t n = get(step, "length", 0);

        if (n > 0) {
            term_print(t, TERM_PLAIN, "%*spriority %" PRId64 ": %s", first ? LABEL_WIDTH : 3, "",
                       get(step, "priority", 0), term_number(text, n));
            first = false;
        }
    }
    term_print(t, TERM_PLAIN, "%s", first ? "" : "\n");
}

static void print_queue(const struct term *t, const cJSON *doc)
{
    const cJSON *queue = json_get_obj(doc, "queue");
    int64_t delayed = get(queue, "delayed", 0), next_s = get(queue, "delayed_next_in_s", 0);
    char text[TERM_NUMBER_SIZE];

    if (!queue) {
        return;
    }
    label(t, "Queue");
    term_cell(t, TERM_DIM, SECOND_WIDTH, json_get_str(queue, "name"));
    count(t, "ready ", get(queue, "ready", 0), TERM_CYAN);
    count(t, "   held ", get(queue, "held", 0), TERM_CYAN);
    count(t, "   delayed ", delayed, TERM_CYAN);
    if (delayed > 0) {
        term_print(t, TERM_PLAIN, " (next %s%s)", next_s > 0 ? "in " : "due now",
                   next_s > 0 ? term_duration(text, next_s) : "");
    }
    term_print(t, TERM_PLAIN, "\n");
    print_ready(t, queue);
    term_print(t, TERM_PLAIN, "%*s", LABEL_WIDTH, "");
    count(t, "quarantine ", get(queue, "quarantine", 0), TERM_YELLOW);
    count(t, "   dead ", get(queue, "dead", 0), TERM_RED);
    term_print(t, TERM_PLAIN, "\n");
}

/* "attempt 1 of 4 failed, then 120 s, 240 s": a timetable without the moment of the next attempt.
 */
static void short_timetable(const char *timetable, char *out, size_t cap)
{
    size_t failed = strcspn(timetable, ";");
    const char *rest = strchr(timetable, ')');

    snprintf(out, cap, "%.*s%s", (int)failed, timetable, rest ? rest + 1 : "");
}

/* Who waits for another attempt. */
static void print_retries(const struct term *t, const cJSON *doc)
{
    const cJSON *retry;

    cJSON_ArrayForEach(retry, json_get_arr(doc, "retries"))
    {
        char number[TERM_NUMBER_SIZE], timetable[128];
        const char *told = json_get_str(retry, "timetable");
        int64_t in_s = get(retry, "in_s", 0);

        short_timetable(told ? told : "", timetable, sizeof timetable);
        label(t, "Retry");
        term_cell(t, TERM_YELLOW, SECOND_WIDTH, in_s > 0 ? term_duration(number, in_s) : "due now");
        term_cell(t, TERM_PLAIN, TERM_COLUMNS - LABEL_WIDTH - SECOND_WIDTH - 1,
                  json_get_str(retry, "id"));
        term_print(t, TERM_PLAIN, "\n%*s", LABEL_WIDTH, "");
        term_cell(t, TERM_DIM, TERM_COLUMNS - LABEL_WIDTH - 1, timetable);
        term_print(t, TERM_PLAIN, "\n");
    }
}

/* Other queues, as far as they fit on a line. */
static void print_other_queues(const struct term *t, const cJSON *doc)
{
    char names[TERM_TEXT_SIZE] = "", number[TERM_NUMBER_SIZE];
    const cJSON *queue;
    size_t n = 0;

    cJSON_ArrayForEach(queue, json_get_arr(doc, "other_queues"))
    {
        if (n < sizeof names - 1) {
            int len =
                snprintf(names + n, sizeof names - n, "%s%.60s %s", n ? "   " : "also ",
                         json_get_str(queue, "name"), term_number(number, get(queue, "ready", 0)));

            n += len > 0 ? (size_t)len : 0;
        }
    }
    if (n > 0) {
        text_make_utf8(names); /* it may have been cut within a character */
        term_print(t, TERM_PLAIN, "%*s", LABEL_WIDTH, "");
        term_text(t, TERM_PLAIN, TERM_COLUMNS - LABEL_WIDTH, names);
        term_print(t, TERM_PLAIN, "\n");
    }
}

/* Whether every message is accounted for. */
static void print_conservation(const struct term *t, const cJSON *doc)
{
    const cJSON *conservation = json_get_obj(doc, "conservation"), *one;
    int64_t lost = get(conservation, "redis_lost", 0);
    bool ok = json_get_bool(conservation, "ok", true);

    if (!conservation) {
        return;
    }
    label(t, "Messages");
    term_print(t, ok ? TERM_GREEN : TERM_RED, "%s",
               ok ? "all accounted for" : "NOT ALL ACCOUNTED FOR");
    cJSON_ArrayForEach(one, json_get_obj(conservation, "differences"))
    {
        if (cJSON_IsNumber(one) && one->valuedouble != 0) {
            term_print(t, TERM_RED, "  %s %+.0f", one->string, one->valuedouble);
        }
    }
    if (lost > 0) {
        term_print(t, TERM_YELLOW, "   Redis forgot %" PRId64 " steps", lost);
    }
    term_print(t, TERM_PLAIN, "\n");
}

/* "taken 12   done 11 ..." in lines of at most TERM_COLUMNS. */
static void print_counters(const struct term *t, const cJSON *doc)
{
    const cJSON *counters = json_get_obj(doc, "counters"), *one;
    int used = LABEL_WIDTH;

    if (!counters) {
        return;
    }
    label(t, "Counters");
    if (!counters->child) {
        term_print(t, TERM_DIM, "all 0");
    }
    cJSON_ArrayForEach(one, counters)
    {
        char number[TERM_NUMBER_SIZE], name[TERM_TEXT_SIZE];
        int width = term_fit(name, one->string, 40);

        width += 1 + (int)strlen(term_number(number, (int64_t)one->valuedouble));
        if (used > LABEL_WIDTH && used + 3 + width > TERM_COLUMNS) {
            term_print(t, TERM_PLAIN, "\n%*s", LABEL_WIDTH, "");
            used = LABEL_WIDTH;
        }
        term_print(t, TERM_PLAIN, "%s%s %s", used > LABEL_WIDTH ? "   " : "", name, number);
        used += width + (used > LABEL_WIDTH ? 3 : 0);
    }
    term_print(t, TERM_PLAIN, "\n");
}

/* ------------------------------------------------------------------------------ workers */

static void print_running(const struct term *t, const cJSON *running)
{
    const cJSON *task;
    int shown = 0;

    cJSON_ArrayForEach(task, running)
    {
        char text[TERM_NUMBER_SIZE];

        if (shown++ == RUNNING_SHOWN) {
            term_print(t, TERM_DIM, "    and %d more\n",
                       cJSON_GetArraySize(running) - RUNNING_SHOWN);
            return;
        }
        term_print(t, TERM_PLAIN, "    ");
        term_cell(t, TERM_CYAN, -9, term_duration(text, get(task, "for_s", 0)));
        term_print(t, TERM_PLAIN, "  ");
        term_cell(t, TERM_PLAIN, 44, json_get_str(task, "task"));
        term_print(t, TERM_PLAIN, "  ");
        term_text(t, TERM_DIM, 19, json_get_str(task, "id"));
        term_print(t, TERM_PLAIN, "\n");
    }
}

static void print_worker(const struct term *t, const cJSON *w)
{
    const cJSON *running = json_get_arr(w, "running");
    bool alive = json_get_bool(w, "alive", false);
    const char *name = json_get_str(w, "name");

    term_print(t, TERM_PLAIN, "  ");
    term_cell(t, alive ? TERM_GREEN : TERM_RED, 26, name ? name : json_get_str(w, "boot"));
    if (alive) {
        term_print(t, TERM_PLAIN, "  pid %-8" PRId64, get(w, "pid", 0));
        term_print(t, TERM_PLAIN, "  %d of %" PRId64 " children busy", cJSON_GetArraySize(running),
                   get(w, "children", 0));
        if (json_get_bool(w, "stopping", false)) {
            term_print(t, TERM_YELLOW, "  stopping");
        }
    } else {
        term_print(t, TERM_RED, "  silent; holds %" PRId64, get(w, "held", 0));
    }
    term_print(t, TERM_PLAIN, "\n");
    print_running(t, running);
}

static void print_workers(const struct term *t, const cJSON *doc)
{
    const cJSON *workers = json_get_arr(doc, "workers"), *w;
    int n = cJSON_GetArraySize(workers), shown = 0;
    char text[TERM_NUMBER_SIZE];

    if (!workers) {
        return;
    }
    term_print(t, TERM_PLAIN, "\n");
    label(t, "Workers");
    term_print(t, n ? TERM_GREEN : TERM_RED, "%s", n ? term_number(text, n) : "NONE");
    term_print(t, TERM_PLAIN, "\n");
    cJSON_ArrayForEach(w, workers)
    {
        if (shown++ == WORKERS_SHOWN) {
            term_print(t, TERM_DIM, "  and %d more\n", n - WORKERS_SHOWN);
            return;
        }
        print_worker(t, w);
    }
}

/* --------------------------------------------------------------------------------- runs */

static enum term_colour state_colour(const char *state)
{
    static const struct {
        const char *state;
        enum term_colour colour;
    } COLOURS[] = {{"success", TERM_GREEN},
                   {"failed", TERM_RED},
                   {"running", TERM_CYAN},
                   {"skipped", TERM_YELLOW},
                   {"no_data", TERM_YELLOW}};

    for (size_t i = 0; state && i < ARRAY_LEN(COLOURS); i++) {
        if (strcmp(state, COLOURS[i].state) == 0) {
            return COLOURS[i].colour;
        }
    }
    return TERM_PLAIN;
}

/* "2.35 s", from 100 s on "1:40". */
static const char *took(const cJSON *run, char text[TERM_NUMBER_SIZE])
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(run, "took_s");
    double s = cJSON_IsNumber(v) ? v->valuedouble : 0.0;

    if (s >= 100) {
        return term_duration(text, (int64_t)s);
    }
    snprintf(text, TERM_NUMBER_SIZE, "%.2f s", s);
    return text;
}

static void print_run(const struct term *t, const cJSON *run)
{
    const char *state = json_get_str(run, "state"), *error = json_get_str(run, "error");
    int64_t failed = get(run, "failed", 0);
    char text[TERM_NUMBER_SIZE];

    term_cell(t, TERM_PLAIN, -8, term_number(text, get(run, "id", 0)));
    term_print(t, TERM_PLAIN, "  ");
    term_cell(t, TERM_PLAIN, 10, clock_part(json_get_str(run, "started_at"), text));
    term_cell(t, TERM_PLAIN, -9, took(run, text));
    term_print(t, TERM_PLAIN, "  ");
    term_cell(t, state_colour(state), 8, state);
    term_cell(t, TERM_PLAIN, -12, term_number(text, get(run, "processed", 0)));
    term_cell(t, failed ? TERM_YELLOW : TERM_PLAIN, -10, term_number(text, failed));
    term_cell(t, TERM_PLAIN, -9, term_number(text, get(run, "servers", 0)));
    term_cell(t, get(run, "attempt", 1) > 1 ? TERM_YELLOW : TERM_PLAIN, -9,
              term_number(text, get(run, "attempt", 1)));
    term_print(t, TERM_PLAIN, "\n");
    if (error) {
        term_wrap(t, TERM_RED, 10, 2, error);
    }
}

static void print_runs(const struct term *t, const cJSON *doc)
{
    const cJSON *runs = json_get_arr(doc, "runs"), *run;

    if (!runs) {
        return;
    }
    term_print(t, TERM_PLAIN, "\n");
    label(t, "Batches");
    if (cJSON_GetArraySize(runs) == 0) {
        term_print(t, TERM_DIM, "none yet\n");
        return;
    }
    term_print(t, TERM_PLAIN, "the last %d\n", cJSON_GetArraySize(runs));
    term_print(t, TERM_DIM, "%8s  %-10s%9s  %-8s%12s%10s%9s%9s", "run", "started", "took", "state",
               "processed", "failed", "servers", "attempt");
    term_print(t, TERM_PLAIN, "\n");
    cJSON_ArrayForEach(run, runs)
    {
        print_run(t, run);
    }
}

void status_print(const cJSON *doc, const struct term *t)
{
    print_head(t, doc);
    print_store(t, doc, "Redis", "redis");
    print_store(t, doc, "PostgreSQL", "postgresql");
    term_print(t, TERM_PLAIN, "\n");
    print_ranking(t, doc);
    print_schedule(t, doc);
    print_queue(t, doc);
    print_retries(t, doc);
    print_other_queues(t, doc);
    print_conservation(t, doc);
    print_counters(t, doc);
    print_workers(t, doc);
    print_runs(t, doc);
}
