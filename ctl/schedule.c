#include "ctl/schedule.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "ctl/table.h"
#include "ctl/why.h"

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
#define COUNT_MAX     10000
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
    {"count", OPT_I64, offsetof(struct options, count), 1, COUNT_MAX, NULL},
    {"json", OPT_FLAG, offsetof(struct options, json), 0, 0, NULL},
    OPT_END,
};

/* ---- list ---- */

/* The document about one schedule: its definition as it is in effect. */
static cJSON *describe(const struct schedules *t, const struct schedule *s, bool stored)
{
    cJSON *o = cJSON_CreateObject();
    int64_t next_s;

    cJSON_AddStringToObject(o, "name", s->name);
    cJSON_AddStringToObject(o, "task", s->task);
    if (s->every_s > 0) {
        cJSON_AddNumberToObject(o, "every", (double)s->every_s);
    } else {
        cJSON_AddStringToObject(o, "cron", s->cron_text);
        cJSON_AddStringToObject(o, "tz", s->zone);
    }
    cJSON_AddStringToObject(o, "queue", s->queue);
    cJSON_AddNumberToObject(o, "priority", s->priority);
    cJSON_AddItemToObject(o, "args",
                          s->args ? cJSON_Duplicate(s->args, true) : cJSON_CreateArray());
    cJSON_AddItemToObject(o, "kwargs",
                          s->kwargs ? cJSON_Duplicate(s->kwargs, true) : cJSON_CreateObject());
    cJSON_AddStringToObject(o, "missed", schedule_missed_name(s->missed));
    if (s->missed == SCHEDULE_ALL) {
        cJSON_AddNumberToObject(o, "missed_max", s->missed_max);
    }
    cJSON_AddStringToObject(o, "overlap", schedule_overlap_name(s->overlap));
    if (s->expires_s > 0) {
        cJSON_AddNumberToObject(o, "expires", (double)s->expires_s);
    }
    if (s->pause.on) {
        cJSON *pause = cJSON_AddObjectToObject(o, "paused");

        cJSON_AddStringToObject(pause, "reason", s->pause.reason);
        cJSON_AddStringToObject(pause, "by", s->pause.by);
        cJSON_AddNumberToObject(pause, "since", (double)s->pause.since_s);
    }
    cJSON_AddBoolToObject(o, "stored", stored);
    if (schedule_next(s, t->now_us / 1000000, &next_s)) {
        cJSON_AddNumberToObject(o, "next", (double)next_s);
    }
    return o;
}

/* One schedule's document; one that cannot be read has "error". NULL and *e: Redis failed. */
static cJSON *look(struct schedules *t, const char *name, struct schedule *s, struct err *e)
{
    char *text = NULL;
    enum schedules_found found = schedules_get(t, name, s, &text, e);
    cJSON *o = NULL;
    int64_t last_s;

    if (found == SCHEDULES_STORED || found == SCHEDULES_BUILTIN) {
        o = describe(t, s, found == SCHEDULES_STORED);
        if (schedules_last(t, name, &last_s, e) && last_s >= 0) {
            cJSON_AddNumberToObject(o, "last", (double)last_s);
        }
    } else if (found == SCHEDULES_BAD) {
        o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "name", name);
        cJSON_AddStringToObject(o, "error", e->text);
        cJSON_AddStringToObject(o, "text", text);
    }
    free(text);
    return o;
}

/* When it sends next, or why it does not. */
static void add_next(struct table *table, const cJSON *o, const struct schedule *s)
{
    char time[ZONE_TEXT_SIZE];
    int64_t at_s;

    if (s->pause.on) {
        table_addf(table, TERM_YELLOW, "paused%s%s", s->pause.reason[0] ? ": " : "",
                   s->pause.reason);
    } else {
        table_add(table, TERM_PLAIN,
                  json_get_i64(o, "next", 0, INT64_MAX, &at_s)
                      ? zone_text(schedules_zone(s), at_s, time)
                      : "never");
    }
}

static void add_row(struct table *table, const cJSON *o, const struct schedule *s, int64_t now_s)
{
    char text[SCHEDULE_WHEN_SIZE], span[WHY_SPAN_SIZE];
    const char *error = json_get_str(o, "error");
    int64_t at_s;

    table_add(table, TERM_BOLD, json_get_str(o, "name"));
    if (error) {
        table_add(table, TERM_RED, error);
        for (int i = 0; i < 3; i++) {
            table_add(table, TERM_PLAIN, "");
        }
        return;
    }
    table_add(table, TERM_PLAIN, schedule_when(s, text));
    table_add(table, TERM_PLAIN, s->task);
    if (json_get_i64(o, "last", 0, INT64_MAX, &at_s)) {
        table_addf(table, TERM_PLAIN, "%s ago", why_span((double)(now_s - at_s), span));
    } else {
        table_add(table, TERM_DIM, "never");
    }
    add_next(table, o, s);
}

static int list_all(struct schedules *t, const cJSON *names, bool json)
{
    static const struct table_column COLUMNS[] = {{"Schedule", false, -8},
                                                  {"When", false, 10},
                                                  {"Task", false, 10},
                                                  {"Last slot", false, -9},
                                                  {"Next slot", false, -10}};
    cJSON *all = cJSON_CreateArray();
    struct table table;
    const cJSON *name;
    struct term term;
    struct err e;
    int code = CTL_OK;

    table_init(&table, COLUMNS, ARRAY_LEN(COLUMNS));
    cJSON_ArrayForEach(name, names)
    {
        struct schedule s;
        cJSON *o = look(t, name->valuestring, &s, &e);

        if (!o) {
            code = ctl_fail_err(t->command, &e);
            break;
        }
        add_row(&table, o, &s, t->now_us / 1000000);
        cJSON_AddItemToArray(all, o);
        schedule_fini(&s);
    }
    if (code == CTL_OK && json) {
        code = ctl_print_json(t->command, all);
        all = NULL;
    } else if (code == CTL_OK) {
        term_init(&term, stdout);
        table_print(&table, &term, 0);
    }
    cJSON_Delete(all);
    table_fini(&table);
    return code;
}

static int list(const struct ctl_settings *s, int argc, char **argv)
{
    struct options o = {0};
    int first = opt_parse("schedule list", LIST_OPTS, argc, argv, &o), code;
    struct schedules t;
    cJSON *names;
    struct err e;

    if (first < 0) {
        return CTL_USAGE;
    }
    code = ctl_no_more("schedule list", first, argc, argv);
    if (code != CTL_OK || !schedules_open(&t, "schedule list", s, &code)) {
        return code;
    }
    names = schedules_names(&t, &e);
    code = names ? list_all(&t, names, o.json) : ctl_fail_err(t.command, &e);
    cJSON_Delete(names);
    schedules_close(&t);
    return code;
}

/* ---- show ---- */

/* What became of the last slots, the newest first. */
static void print_last_slots(const struct why_facts *f)
{
    int64_t slot_s = f->last_s;
    struct why w;

    for (int i = 0; i < LEDGER_SHOWN && slot_s >= 0; i++) {
        char clean[3 * WHY_TEXT_SIZE];

        why_tell(f, slot_s, &w);
        if (w.slot_s < 0 || (w.verdict == WHY_UNKNOWN && i > 0)) {
            break;
        }
        term_clean(clean, sizeof clean, w.text);
        puts(clean);
        slot_s = w.slot_s - 1;
    }
}

#define LABEL_WIDTH 11

static void line(const struct term *term, const char *label, const char *text)
{
    term_cell(term, TERM_BOLD, LABEL_WIDTH, label);
    term_text(term, TERM_PLAIN, TERM_TEXT_SIZE, text);
    fputc('\n', term->out);
}

static void json_line(const struct term *term, const char *label, const cJSON *v)
{
    char *text = v ? json_print(v) : NULL;

    if (text) {
        line(term, label, text);
    }
    free(text);
}

static void time_line(const struct term *term, const char *label, const struct schedule *s,
                      const cJSON *o, const char *member)
{
    char time[ZONE_TEXT_SIZE];
    int64_t at_s;

    line(term, label,
         json_get_i64(o, member, 0, INT64_MAX, &at_s) ? zone_text(schedules_zone(s), at_s, time)
                                                      : "never");
}

static void pause_line(const struct term *term, const struct schedule *s)
{
    char text[TERM_TEXT_SIZE], time[ZONE_TEXT_SIZE];

    if (s->pause.on) {
        snprintf(text, sizeof text, "since %s by %s%s%s",
                 zone_text(schedules_zone(s), s->pause.since_s, time), s->pause.by,
                 s->pause.reason[0] ? ": " : "", s->pause.reason);
        text_make_utf8(text);
        line(term, "Paused", text);
    }
}

static void print_one(const struct term *term, const struct schedule *s, const cJSON *o)
{
    char when[SCHEDULE_WHEN_SIZE], text[TERM_TEXT_SIZE];

    line(term, "Schedule", s->name);
    line(term, "Task", s->task);
    line(term, "When", schedule_when(s, when));
    json_line(term, "Args", s->args);
    json_line(term, "Kwargs", s->kwargs);
    snprintf(text, sizeof text, "%s, priority %d", s->queue, s->priority);
    line(term, "Queue", text);
    snprintf(text, sizeof text, s->missed == SCHEDULE_ALL ? "%s, at most %d" : "%s",
             schedule_missed_name(s->missed), s->missed_max);
    line(term, "Missed", text);
    line(term, "Overlap", schedule_overlap_name(s->overlap));
    if (s->expires_s > 0) {
        snprintf(text, sizeof text, "%" PRId64 " s after it was sent", s->expires_s);
        line(term, "Expires", text);
    }
    pause_line(term, s);
    time_line(term, "Last slot", s, o, "last");
    time_line(term, "Next slot", s, o, "next");
}

static int show_one(struct schedules *t, const char *name, bool json)
{
    struct schedule s;
    struct why_read r = {.ledger = NULL};
    struct err e = {.cls = ERR_NONE};
    cJSON *o = look(t, name, &s, &e);
    int code = CTL_OK;

    if (!o) {
        code = e.cls == ERR_NONE ? schedules_fail(t, name, SCHEDULES_NONE, &e)
                                 : ctl_fail_err(t->command, &e);
    } else if (json || json_has(o, "error")) {
        code = json_has(o, "error") ? CTL_FAILED : CTL_OK;
        if (ctl_print_json(t->command, o) != CTL_OK) {
            code = CTL_FAILED;
        }
        o = NULL;
    } else if (!why_gather(t, &s, &r, &e)) {
        code = ctl_fail_err(t->command, &e);
    } else {
        struct term term;

        term_init(&term, stdout);
        print_one(&term, &s, o);
        putchar('\n');
        print_last_slots(&r.facts);
    }
    why_fini(&r);
    cJSON_Delete(o);
    schedule_fini(&s);
    return code;
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
    if (!schedules_open(&t, "schedule show", s, &code)) {
        return code;
    }
    code = show_one(&t, argv[first], o.json);
    schedules_close(&t);
    return code;
}

/* ---- next ---- */

static void print_slot(const struct schedule *s, int64_t slot_s, int64_t now_s)
{
    char time[ZONE_TEXT_SIZE], span[WHY_SPAN_SIZE];

    printf("%s  %" PRId64, zone_text(schedules_zone(s), slot_s, time), slot_s);
    if (slot_s > now_s) {
        printf("  in %s", why_span((double)(slot_s - now_s), span));
    }
    putchar('\n');
}

void schedule_print_short(const struct schedule *s, int64_t now_s)
{
    char when[SCHEDULE_WHEN_SIZE], time[ZONE_TEXT_SIZE];
    int64_t next_s;

    printf("%s: %s %s%s", s->name, s->task, schedule_when(s, when), s->pause.on ? ", paused" : "");
    if (schedule_next(s, now_s, &next_s)) {
        printf(", next slot %s", zone_text(schedules_zone(s), next_s, time));
    }
    putchar('\n');
}

static int print_next(const struct schedule *s, const struct options *o, int64_t now_s)
{
    cJSON *all = o->json ? cJSON_CreateArray() : NULL;
    int64_t at_s = (o->from >= 0 ? o->from : now_s) - (o->from >= 0);

    for (int64_t i = 0; i < o->count && schedule_next(s, at_s, &at_s); i++) {
        if (all) {
            cJSON_AddItemToArray(all, cJSON_CreateNumber((double)at_s));
        } else {
            print_slot(s, at_s, now_s);
        }
    }
    return all ? ctl_print_json("schedule next", all) : CTL_OK;
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
    enum schedules_found found;
    struct schedule schedule;
    struct schedules t;
    struct err e;
    char *text;
    int code = CTL_OK;

    if (!schedules_open(&t, "schedule next", s, &code)) {
        return code;
    }
    found = schedules_get(&t, name, &schedule, &text, &e);
    code = found == SCHEDULES_STORED || found == SCHEDULES_BUILTIN
               ? print_next(&schedule, o, t.now_us / 1000000)
               : schedules_fail(&t, name, found, &e);
    free(text);
    schedule_fini(&schedule);
    schedules_close(&t);
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
    return o.cron ? next_of_cron(&o) : next_of(s, first < argc ? argv[first] : "batch", &o);
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
