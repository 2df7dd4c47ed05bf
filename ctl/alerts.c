#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/alert.h"
#include "common/alert_store.h"
#include "common/clock.h"
#include "ctl/ctl.h"
#include "ctl/interrupt.h"
#include "ctl/table.h"

const char CTL_ALERTS_HELP[] =
    "Usage: aion2ctl alerts [list] [--json]\n"
    "       aion2ctl alerts test [--wait TIME]\n"
    "\n"
    "Beats tell people when a batch failed for good, the ranking is too old, tasks\n"
    "end as dead letters, messages are not accounted for, or the source of characters\n"
    "is not asked: by webhook (ALERT_WEBHOOK_URL) and mail (ALERT_SMTP_URL). What is\n"
    "over is told as well; nothing is told twice.\n"
    "\n"
    "  list  what is wrong now, and which letters wait to be delivered\n"
    "  test  writes a letter that says nothing is wrong, and waits until a beat has\n"
    "        delivered it over every channel\n"
    "\n"
    "  --wait TIME  at most so long (default 60s)\n"
    "  --json       one JSON object\n"
    "\n"
    "Examples:\n"
    "  aion2ctl alerts\n"
    "  aion2ctl alerts test && echo 'somebody will hear of it'\n"
    "\n"
    "Exit codes: 0 nothing is wrong (test: delivered), 1 something is, 2 not\n"
    "delivered in time, 64 wrong usage, 69 Redis not reachable.\n";

struct options {
    bool json;
    int64_t wait_s;
};

static const struct opt LIST_OPTS[] = {
    {"json", OPT_FLAG, offsetof(struct options, json), 0, 0, NULL},
    OPT_END,
};
static const struct opt TEST_OPTS[] = {
    {"wait", OPT_SPAN, offsetof(struct options, wait_s), 1, 3600, NULL},
    OPT_END,
};

#define LOOK_EVERY_US 200000

static int64_t get(const cJSON *obj, const char *name)
{
    int64_t n = 0;

    json_get_i64(obj, name, INT64_MIN, INT64_MAX, &n);
    return n;
}

/* -------------------------------------------------------------------------------------- list */

static void print_alerts(const struct term *t, const struct alert_store *s)
{
    static const struct table_column COLUMNS[] = {
        {"Alert", false, 0}, {"For", true, 0}, {"What", false, 20}};
    const cJSON *alert;
    char span[TERM_NUMBER_SIZE];
    struct table table;

    table_init(&table, COLUMNS, ARRAY_LEN(COLUMNS));
    cJSON_ArrayForEach(alert, json_get_obj(s->doc, "alerts"))
    {
        table_add(&table, TERM_RED, alert->string);
        table_add(&table, TERM_PLAIN, term_duration(span, s->now_s - get(alert, "since")));
        table_add(&table, TERM_PLAIN, json_get_str(alert, "text"));
    }
    table_print(&table, t, 0);
    table_fini(&table);
}

static void print_letters(const struct term *t, const struct alert_store *s)
{
    static const struct table_column COLUMNS[] = {{"Letter", true, 0},
                                                  {"Kind", false, 0},
                                                  {"To", false, 0},
                                                  {"Tries", true, 0},
                                                  {"Next try in", true, 0}};
    const cJSON *letter, *left;
    char span[TERM_NUMBER_SIZE];
    struct table table;

    table_init(&table, COLUMNS, ARRAY_LEN(COLUMNS));
    cJSON_ArrayForEach(letter, json_get_arr(s->doc, "outbox"))
    {
        cJSON_ArrayForEach(left, json_get_arr(letter, "left"))
        {
            int64_t wait_s = get(left, "next") - s->now_s;

            table_add_number(&table, TERM_BOLD, get(letter, "id"));
            table_add(&table, TERM_PLAIN, json_get_str(letter, "kind"));
            table_add(&table, TERM_PLAIN, json_get_str(left, "to"));
            table_add_number(&table, TERM_PLAIN, get(left, "tries"));
            table_add(&table, TERM_PLAIN, term_duration(span, wait_s > 0 ? wait_s : 0));
        }
    }
    table_print(&table, t, 0);
    table_fini(&table);
}

/* Without "serial" and the like, which mean nothing to people. */
static cJSON *shown(const struct alert_store *s)
{
    static const char *const MEMBERS[] = {"checked", "alerts", "outbox"};
    cJSON *doc = cJSON_CreateObject();

    cJSON_AddNumberToObject(doc, "at", (double)s->now_s);
    for (size_t i = 0; i < ARRAY_LEN(MEMBERS); i++) {
        cJSON *v = cJSON_DetachItemFromObjectCaseSensitive(s->doc, MEMBERS[i]);

        cJSON_AddItemToObject(doc, MEMBERS[i],
                              v        ? v
                              : i == 0 ? cJSON_CreateNull()
                              : i == 1 ? cJSON_CreateObject()
                                       : cJSON_CreateArray());
    }
    return doc;
}

static int print(const struct options *o, const struct alert_store *s)
{
    int wrong = cJSON_GetArraySize(json_get_obj(s->doc, "alerts"));
    struct term t;

    if (o->json) {
        int code = ctl_print_json("alerts", shown(s));

        return code == CTL_OK && wrong > 0 ? CTL_FAILED : code;
    }
    term_init(&t, stdout);
    if (!json_has(s->doc, "checked")) {
        term_print(&t, TERM_YELLOW, "No beat looks after alerts: none has a channel set up.\n");
    } else if (wrong == 0) {
        term_print(&t, TERM_GREEN, "Nothing is wrong");
        term_print(&t, TERM_PLAIN, " (looked %" PRId64 " s ago).\n",
                   s->now_s - get(s->doc, "checked"));
    }
    print_alerts(&t, s);
    print_letters(&t, s);
    return wrong > 0 ? CTL_FAILED : CTL_OK;
}

static int list(const struct ctl_settings *s, int argc, char **argv)
{
    struct options o = {0};
    struct alert_store store = {.doc = NULL};
    int code, first = opt_parse("alerts", LIST_OPTS, argc, argv, &o);
    redisContext *c;
    struct err e;

    if (first < 0 || ctl_no_more("alerts", first, argc, argv) != CTL_OK) {
        return CTL_USAGE;
    }
    c = ctl_redis("alerts", s, NULL, &code);
    if (c) {
        code = alert_load(c, &store, &e) ? print(&o, &store) : ctl_fail_err("alerts", &e);
        redisFree(c);
    }
    alert_store_fini(&store);
    return code;
}

/* -------------------------------------------------------------------------------------- test */

/* The number of the letter; -1 and *e when Redis fails. */
static int64_t write_test(redisContext *c, struct alert_store *s, struct err *e)
{
    static const struct alert_policy PEOPLE = {.to = {[ALERT_WEBHOOK] = true, [ALERT_MAIL] = true}};
    enum alert_saved saved;

    do {
        if (!alert_load(c, s, e)) {
            return -1;
        }
        alert_test(s->doc, &PEOPLE, s->now_s);
        saved = alert_save(c, s, e);
    } while (saved == ALERT_OUTRUN);
    return saved == ALERT_SAVED ? get(s->doc, "serial") : -1;
}

static bool is_there(const struct alert_store *s, int64_t id)
{
    const cJSON *letter;

    cJSON_ArrayForEach(letter, json_get_arr(s->doc, "outbox"))
    {
        if (get(letter, "id") == id) {
            return true;
        }
    }
    return false;
}

static int await(redisContext *c, struct alert_store *s, int64_t id, int64_t wait_s)
{
    const volatile sig_atomic_t *stop = interrupt_watch();
    int64_t until_ms = clock_mono_ms() + wait_s * 1000;
    struct err e;

    while (!*stop && clock_mono_ms() < until_ms) {
        if (!alert_load(c, s, &e)) {
            return ctl_fail_err("alerts", &e);
        }
        if (!is_there(s, id)) {
            return CTL_OK;
        }
        usleep(LOOK_EVERY_US);
    }
    return *stop ? CTL_INTERRUPTED
                 : ctl_fail("alerts", CTL_TIMEOUT,
                            "the letter was not delivered within %" PRId64
                            " s; aion2ctl alerts shows where it waits, the logs of the beats why",
                            wait_s);
}

static int test(const struct ctl_settings *s, int argc, char **argv)
{
    struct options o = {.wait_s = 60};
    struct alert_store store = {.doc = NULL};
    int code, first = opt_parse("alerts", TEST_OPTS, argc, argv, &o);
    redisContext *c;
    struct err e;
    int64_t id;

    if (first < 0 || ctl_no_more("alerts", first, argc, argv) != CTL_OK) {
        return CTL_USAGE;
    }
    c = ctl_redis("alerts", s, NULL, &code);
    if (!c) {
        return code;
    }
    id = write_test(c, &store, &e);
    code = id < 0 ? ctl_fail_err("alerts", &e) : await(c, &store, id, o.wait_s);
    if (code == CTL_OK) {
        puts("delivered");
    }
    redisFree(c);
    alert_store_fini(&store);
    return code;
}

const struct ctl_verb CTL_ALERTS_VERBS[] = {
    {"list", list, LIST_OPTS}, {"test", test, TEST_OPTS}, {NULL, NULL, NULL}};
