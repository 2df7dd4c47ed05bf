#include "ctl/schedule.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/json.h"
#include "common/keys.h"
#include "common/text.h"
#include "common/why_ask.h"
#include "ctl/table.h"

const char CTL_SCHEDULE_HELP[] =
    "Usage: aion2ctl schedule list   [--json]\n"
    "       aion2ctl schedule show   NAME [--json]\n"
    "       aion2ctl schedule next   [NAME] [-n N] [--json]\n"
    "       aion2ctl schedule next   --cron FIELDS [--tz ZONE] [--from TIME] [-n N]\n"
    "                                [--json]\n"
    "       aion2ctl schedule set    NAME [--task NAME]\n"
    "                                [--every TIME | --cron FIELDS [--tz ZONE]]\n"
    "                                [--args JSON] [--kwargs JSON] [--queue NAME]\n"
    "                                [--priority N] [--missed latest|skip|all]\n"
    "                                [--missed-max N]\n"
    "                                [--overlap skip|queue|cancel] [--expires TIME]\n"
    "       aion2ctl schedule remove NAME\n"
    "       aion2ctl schedule pause  NAME [--reason TEXT] [--by WHO]\n"
    "       aion2ctl schedule resume NAME\n"
    "       aion2ctl schedule run    NAME\n"
    "\n"
    "What the beats send and when. Changes are kept in Redis and noticed by every\n"
    "beat within two seconds.\n"
    "\n"
    "  list    every schedule, with its last and its next slot\n"
    "  show    everything about one, and what became of its last slots\n"
    "  next    when its next slots are; with --cron: those of any crontab (asks\n"
    "          nobody)\n"
    "  set     makes or changes one; what is not given stays as it is\n"
    "  remove  forgets it, its ledger and its state; batch and prune are built in\n"
    "          again\n"
    "  pause   skips its slots from now on, and says so in the ledger\n"
    "  resume  goes on with its next slot\n"
    "  run     sends its task now, whatever its timetable and its predecessor say;\n"
    "          prints the task's id\n"
    "\n"
    "  --every TIME     an interval: 30s, 10m, 6h, 1d. Slots are its multiples since\n"
    "                   1970\n"
    "  --cron FIELDS    \"minute hour day-of-month month day-of-week\", as Celery reads\n"
    "                   them: lists, ranges, steps, names (jan, mon); Sunday is 0.\n"
    "                   Day of month AND day of week must both match (classic cron:\n"
    "                   or)\n"
    "  --tz ZONE        time zone of the fields, like Europe/Berlin (default UTC). In\n"
    "                   spring a time that the clock leaves out fires right after the\n"
    "                   gap; in autumn a time that comes twice fires the first time.\n"
    "                   With * as hour every real hour fires\n"
    "  --missed WORD    slots whose time went by without a beat or Redis: latest (the\n"
    "                   last one is sent, the default), skip (none is), all (each is,\n"
    "                   at most --missed-max, 1 to 100)\n"
    "  --overlap WORD   while the task of the slot before waits or runs: skip (the\n"
    "                   default), queue (send all the same), cancel (revoke and\n"
    "                   terminate that one)\n"
    "  --expires TIME   a task that has not begun this long after it was sent is\n"
    "                   dropped\n"
    "  --from TIME      unix seconds to begin with (default now)\n"
    "  -n N             so many slots (--count, default 5)\n"
    "  --json           JSON, one line\n"
    "\n"
    "Examples:\n"
    "  aion2ctl schedule set report --task reports.send --cron '0 9 * * mon-fri' \\\n"
    "      --tz Asia/Seoul --missed skip\n"
    "  aion2ctl schedule next report -n 3\n"
    "  aion2ctl schedule pause batch --reason 'server move'\n"
    "\n"
    "Exit codes: 0 done, 1 there is no such schedule or it cannot be read, 64 wrong\n"
    "usage (the message names the field), 69 Redis not reachable.\n";

#define COUNT_DEFAULT 5
#define LEDGER_SHOWN  10

struct options {
    const char *cron, *tz;
    int64_t from, count;
    bool json;
};

static const struct opt LIST_OPTS[] = {
    {"json", OPT_FLAG, offsetof(struct options, json), 0, 0, NULL},
    OPT_END,
};
static const struct opt NEXT_OPTS[] = {
    {"cron", OPT_TEXT, offsetof(struct options, cron), 0, 0, NULL},
    {"tz", OPT_TEXT, offsetof(struct options, tz), 0, 0, NULL},
    {"from", OPT_I64, offsetof(struct options, from), 0, INT64_C(100000000000), NULL},
    {"count", OPT_I64, offsetof(struct options, count), 1, SCHEDULES_NEXT_MAX, NULL},
    {"json", OPT_FLAG, offsetof(struct options, json), 0, 0, NULL},
    OPT_END,
};

/* The zone of a schedule's document, "" our own. */
static const char *zone_of_doc(const cJSON *o)
{
    const char *tz = json_get_str(o, "tz");

    return tz ? tz : "";
}

/* ---- list ---- */

/* When it sends next, or why it does not. */
static void add_next(struct table *table, const cJSON *o)
{
    const cJSON *paused = json_get_obj(o, "paused");
    char time[ZONE_TEXT_SIZE];
    int64_t at_s;

    if (paused) {
        const char *reason = json_get_str(paused, "reason");

        table_addf(table, TERM_YELLOW, "paused%s%s", *reason ? ": " : "", reason);
    } else {
        table_add(table, TERM_PLAIN,
                  json_get_i64(o, "next", 0, INT64_MAX, &at_s)
                      ? zone_text(zone_of_doc(o), at_s, time)
                      : "never");
    }
}

static void add_row(struct table *table, const cJSON *o, int64_t now_s)
{
    const char *error = json_get_str(o, "error");
    char span[WHY_SPAN_SIZE];
    int64_t at_s;

    table_add(table, TERM_BOLD, json_get_str(o, "name"));
    if (error) {
        table_add(table, TERM_RED, error);
        for (int i = 0; i < 3; i++) {
            table_add(table, TERM_PLAIN, "");
        }
        return;
    }
    table_add(table, TERM_PLAIN, json_get_str(o, "when"));
    table_add(table, TERM_PLAIN, json_get_str(o, "task"));
    if (json_get_i64(o, "last", 0, INT64_MAX, &at_s)) {
        table_addf(table, TERM_PLAIN, "%s ago", why_span((double)(now_s - at_s), span));
    } else {
        table_add(table, TERM_DIM, "never");
    }
    add_next(table, o);
}

static void print_list(const cJSON *all, int64_t now_s)
{
    static const struct table_column COLUMNS[] = {{"Schedule", false, -8},
                                                  {"When", false, 10},
                                                  {"Task", false, 10},
                                                  {"Last slot", false, -9},
                                                  {"Next slot", false, -10}};
    struct table table;
    const cJSON *o;
    struct term term;

    table_init(&table, COLUMNS, ARRAY_LEN(COLUMNS));
    cJSON_ArrayForEach(o, all)
    {
        add_row(&table, o, now_s);
    }
    term_init(&term, stdout);
    table_print(&table, &term, 0);
    table_fini(&table);
}

static int list(const struct ctl_settings *s, int argc, char **argv)
{
    struct options o = {0};
    int first = opt_parse("schedule list", LIST_OPTS, argc, argv, &o), code;
    struct schedules t;
    struct err e;
    cJSON *all;

    if (first < 0) {
        return CTL_USAGE;
    }
    code = ctl_no_more("schedule list", first, argc, argv);
    if (code != CTL_OK || !schedule_call_open(&t, "schedule list", s, &code)) {
        return code;
    }
    all = schedules_doc_list(&t, &e);
    schedule_call_close(&t);
    if (!all) {
        return ctl_fail_err("schedule list", &e);
    }
    if (o.json) {
        return ctl_print_json("schedule list", all);
    }
    print_list(all, t.now_us / 1000000);
    cJSON_Delete(all);
    return CTL_OK;
}

/* ---- show ---- */

/* What became of the last slots, the newest first. */
static void print_last_slots(const cJSON *slots)
{
    const cJSON *slot;

    cJSON_ArrayForEach(slot, slots)
    {
        char clean[3 * WHY_TEXT_SIZE];

        term_clean(clean, sizeof clean, json_get_str(slot, "text"));
        puts(clean);
    }
}

#define LABEL_WIDTH 11

static void line(const struct term *term, const char *label, const char *text)
{
    term_cell(term, TERM_BOLD, LABEL_WIDTH, label);
    term_text(term, TERM_PLAIN, TERM_TEXT_SIZE, text);
    fputc('\n', term->out);
}

/* Arguments, unless there are none. */
static void json_line(const struct term *term, const char *label, const cJSON *v)
{
    char *text = v && v->child ? json_print(v) : NULL;

    if (text) {
        line(term, label, text);
    }
    free(text);
}

static void time_line(const struct term *term, const char *label, const cJSON *o,
                      const char *member)
{
    char time[ZONE_TEXT_SIZE];
    int64_t at_s;

    line(term, label,
         json_get_i64(o, member, 0, INT64_MAX, &at_s) ? zone_text(zone_of_doc(o), at_s, time)
                                                      : "never");
}

static void pause_line(const struct term *term, const cJSON *o)
{
    const cJSON *paused = json_get_obj(o, "paused");
    char text[TERM_TEXT_SIZE], time[ZONE_TEXT_SIZE];
    int64_t since_s = 0;

    if (paused) {
        const char *reason = json_get_str(paused, "reason");

        json_get_i64(paused, "since", 0, INT64_MAX, &since_s);
        snprintf(text, sizeof text, "since %s by %s%s%s", zone_text(zone_of_doc(o), since_s, time),
                 json_get_str(paused, "by"), *reason ? ": " : "", reason);
        text_make_utf8(text);
        line(term, "Paused", text);
    }
}

static int64_t number(const cJSON *o, const char *name)
{
    int64_t n = 0;

    json_get_i64(o, name, INT64_MIN, INT64_MAX, &n);
    return n;
}

static void print_one(const struct term *term, const cJSON *o)
{
    const char *missed = json_get_str(o, "missed");
    char text[TERM_TEXT_SIZE];

    line(term, "Schedule", json_get_str(o, "name"));
    line(term, "Task", json_get_str(o, "task"));
    line(term, "When", json_get_str(o, "when"));
    json_line(term, "Args", cJSON_GetObjectItemCaseSensitive(o, "args"));
    json_line(term, "Kwargs", cJSON_GetObjectItemCaseSensitive(o, "kwargs"));
    snprintf(text, sizeof text, "%s, priority %" PRId64, json_get_str(o, "queue"),
             number(o, "priority"));
    line(term, "Queue", text);
    snprintf(text, sizeof text, json_has(o, "missed_max") ? "%s, at most %" PRId64 : "%s", missed,
             number(o, "missed_max"));
    line(term, "Missed", text);
    line(term, "Overlap", json_get_str(o, "overlap"));
    if (json_has(o, "expires")) {
        snprintf(text, sizeof text, "%" PRId64 " s after it was sent", number(o, "expires"));
        line(term, "Expires", text);
    }
    pause_line(term, o);
    time_line(term, "Last slot", o, "last");
    time_line(term, "Next slot", o, "next");
}

/* The document and its last slots, for people. Takes doc. */
static int show_text(struct schedules *t, const char *name, cJSON *doc)
{
    struct schedule s;
    struct term term;
    struct err e;
    cJSON *slots = NULL;
    int code = CTL_OK;

    if (schedule_call_get(t, "schedule show", name, &s, &code)) {
        slots = why_doc_last(t, &s, LEDGER_SHOWN, &e);
        code = slots ? CTL_OK : ctl_fail_err("schedule show", &e);
        schedule_fini(&s);
    }
    if (slots) {
        term_init(&term, stdout);
        print_one(&term, doc);
        putchar('\n');
        print_last_slots(slots);
    }
    cJSON_Delete(slots);
    cJSON_Delete(doc);
    return code;
}

static int show_one(struct schedules *t, const char *name, bool json)
{
    struct err e;
    cJSON *doc;
    enum schedules_found found = schedules_doc(t, name, &doc, &e);
    int code;

    if (!doc) {
        return schedule_call_fail("schedule show", name, found, &e);
    }
    if (!json && found != SCHEDULES_BAD) {
        return show_text(t, name, doc);
    }
    code = ctl_print_json("schedule show", doc);
    return found == SCHEDULES_BAD ? CTL_FAILED : code;
}

static int show(const struct ctl_settings *s, int argc, char **argv)
{
    struct options o = {0};
    int first = opt_parse("schedule show", LIST_OPTS, argc, argv, &o), code = CTL_OK;
    struct schedules t;

    if (first < 0) {
        return CTL_USAGE;
    }
    if (first + 1 != argc) {
        return ctl_fail("schedule show", CTL_USAGE, "give the name of one schedule");
    }
    if (!schedule_call_open(&t, "schedule show", s, &code)) {
        return code;
    }
    code = show_one(&t, argv[first], o.json);
    schedule_call_close(&t);
    return code;
}

/* ---- next ---- */

static void print_slot(const cJSON *slot, int64_t now_s)
{
    int64_t at_s = number(slot, "at");
    char span[WHY_SPAN_SIZE];

    printf("%s  %" PRId64, json_get_str(slot, "text"), at_s);
    if (at_s > now_s) {
        printf("  in %s", why_span((double)(at_s - now_s), span));
    }
    putchar('\n');
}

static int print_next(const struct schedule *s, const struct options *o, int64_t now_s)
{
    cJSON *slots =
        schedules_doc_next(s, (o->from >= 0 ? o->from : now_s) - (o->from >= 0), o->count);
    cJSON *times = cJSON_CreateArray();
    const cJSON *slot;

    cJSON_ArrayForEach(slot, slots)
    {
        if (o->json) {
            cJSON_AddItemToArray(times, cJSON_CreateNumber((double)number(slot, "at")));
        } else {
            print_slot(slot, now_s);
        }
    }
    cJSON_Delete(slots);
    if (o->json) {
        return ctl_print_json("schedule next", times);
    }
    cJSON_Delete(times);
    return CTL_OK;
}

/* Any crontab, without Redis. */
static int next_of_cron(const struct options *o)
{
    cJSON *def = cJSON_CreateObject();
    const struct schedule_defaults d = {"", 1};
    struct schedule s;
    struct err e;
    int code;

    cJSON_AddStringToObject(def, "task", "any");
    cJSON_AddStringToObject(def, "cron", o->cron);
    if (o->tz) {
        cJSON_AddStringToObject(def, "tz", o->tz);
    }
    code = schedule_from_json("any", def, &d, &s, &e)
               ? print_next(&s, o, (int64_t)time(NULL))
               : ctl_fail("schedule next", CTL_USAGE, "%s", e.text);
    schedule_fini(&s);
    cJSON_Delete(def);
    return code;
}

static int next_of(const struct ctl_settings *s, const char *name, const struct options *o)
{
    struct schedule schedule;
    struct schedules t;
    int code = CTL_OK;

    if (!schedule_call_open(&t, "schedule next", s, &code)) {
        return code;
    }
    if (schedule_call_get(&t, "schedule next", name, &schedule, &code)) {
        code = print_next(&schedule, o, t.now_us / 1000000);
        schedule_fini(&schedule);
    }
    schedule_call_close(&t);
    return code;
}

static int next(const struct ctl_settings *s, int argc, char **argv)
{
    static char count[] = "--count";
    struct options o = {.from = -1, .count = COUNT_DEFAULT};
    int first;

    for (int i = 1; i < argc; i++) {
        argv[i] = strcmp(argv[i], "-n") == 0 ? count : argv[i];
    }
    first = opt_parse("schedule next", NEXT_OPTS, argc, argv, &o);
    if (first < 0) {
        return CTL_USAGE;
    }
    if (argc - first > (o.cron ? 0 : 1) || (o.tz && !o.cron)) {
        return ctl_fail("schedule next", CTL_USAGE,
                        "give the name of one schedule, or --cron and --tz");
    }
    return o.cron ? next_of_cron(&o) : next_of(s, first < argc ? argv[first] : SCHEDULE_BATCH, &o);
}

const struct ctl_verb CTL_SCHEDULE_VERBS[] = {
    {"list", list, LIST_OPTS},
    {"show", show, LIST_OPTS},
    {"next", next, NEXT_OPTS},
    {"set", schedule_cmd_set, SCHEDULE_SET_OPTS},
    {"remove", schedule_cmd_remove, SCHEDULE_NO_OPTS},
    {"pause", schedule_cmd_pause, SCHEDULE_PAUSE_OPTS},
    {"resume", schedule_cmd_resume, SCHEDULE_NO_OPTS},
    {"run", schedule_cmd_run, SCHEDULE_NO_OPTS},
    {NULL, NULL, NULL},
};
