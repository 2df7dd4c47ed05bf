/*
 * aion2ctl audit: are all messages accounted for? The counting is in common/audit.c; this prints
 * it.
 */
#include "common/audit.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "ctl/ctl.h"
#include "ctl/interrupt.h"
#include "ctl/table.h"

const char CTL_AUDIT_HELP[] =
    "Usage: aion2ctl audit [--watch TIME] [--json]\n"
    "\n"
    "Compares the counters of messages that came in and went out with the messages\n"
    "that are there, all of it read in one atomic step. Nothing is lost, and nothing\n"
    "is there twice, while every difference is 0:\n"
    "\n"
    "  holds       taken = done + retried + delayed + requeued + recovered +\n"
    "              quarantined + what workers hold now\n"
    "  delayed     delayed + retried = due + dropped + what waits for its time\n"
    "  dead        dead letters = trimmed + retried + dropped + those that are there\n"
    "  quarantine  in the same way\n"
    "\n"
    "It also says what is held under the name of a worker that nobody knows any more\n"
    "(stranded: a fault, too), which holds Celery's own record does not have (a\n"
    "Python client has put those messages back), how many steps Redis has forgotten\n"
    "(after a failover, or when the tail of its log was lost), and which members are\n"
    "not ours.\n"
    "\n"
    "  --watch TIME  again and again, with so much time between (1s to 1h), until\n"
    "                interrupted\n"
    "  --json        one JSON object on one line\n"
    "\n"
    "Examples:\n"
    "  aion2ctl audit\n"
    "  aion2ctl audit --json | jq '.identities[].difference'\n"
    "  aion2ctl audit || echo 'something is missing'\n"
    "\n"
    "Exit codes: 0 every difference is 0, 1 one is not (or something is stranded), 64\n"
    "wrong usage, 69 Redis not reachable.\n";

struct options {
    int64_t watch_s;
    bool json;
};

const struct opt CTL_AUDIT_OPTS[] = {
    {"watch", OPT_SPAN, offsetof(struct options, watch_s), 1, 3600, NULL},
    {"json", OPT_FLAG, offsetof(struct options, json), 0, 0, NULL},
    OPT_END,
};

static int64_t get(const cJSON *obj, const char *name)
{
    int64_t n = 0;

    json_get_i64(obj, name, INT64_MIN, INT64_MAX, &n);
    return n;
}

static void print_identities(const struct term *t, const cJSON *doc)
{
    static const struct table_column COLUMNS[] = {{"Messages", false, 0},
                                                  {"Came in", true, 0},
                                                  {"Went out", true, 0},
                                                  {"There now", true, 0},
                                                  {"Difference", true, 0}};
    const cJSON *one;
    struct table table;

    table_init(&table, COLUMNS, ARRAY_LEN(COLUMNS));
    cJSON_ArrayForEach(one, json_get_arr(doc, "identities"))
    {
        table_add(&table, TERM_BOLD, json_get_str(one, "name"));
        table_add_number(&table, TERM_PLAIN, get(one, "in"));
        table_add_number(&table, TERM_PLAIN, get(one, "out"));
        table_add_number(&table, TERM_PLAIN, get(one, "there"));
        if (json_has(one, "difference")) {
            table_add_number(&table, get(one, "difference") ? TERM_RED : TERM_GREEN,
                             get(one, "difference"));
        } else {
            table_add(&table, TERM_DIM, "not counted");
        }
    }
    table_print(&table, t, 0);
    table_fini(&table);
}

/* The counters behind a sum that is wrong. */
static void print_terms(const struct term *t, const cJSON *doc)
{
    char number[TERM_NUMBER_SIZE];
    const cJSON *one, *term;

    cJSON_ArrayForEach(one, json_get_arr(doc, "identities"))
    {
        if (get(one, "difference") == 0) {
            continue;
        }
        term_print(t, TERM_RED, "\n%s: ", json_get_str(one, "name"));
        cJSON_ArrayForEach(term, json_get_obj(one, "terms"))
        {
            term_print(t, TERM_PLAIN, "%s %s, ", term->string,
                       term_number(number, (int64_t)term->valuedouble));
        }
        term_print(t, TERM_PLAIN, "there now %s\n", term_number(number, get(one, "there")));
    }
}

/* Whatever is worth a word beside the sums. */
static void print_notes(const struct term *t, const cJSON *doc)
{
    const cJSON *held = json_get_obj(doc, "held"), *foreign = json_get_obj(doc, "foreign");
    const cJSON *unacked = json_get_obj(doc, "unacked");
    const struct {
        int64_t n;
        enum term_colour colour;
        const char *text;
    } NOTES[] = {
        {get(held, "stranded"), TERM_RED,
         "held under boot ids that no worker is registered with: nobody puts these back"},
        {get(doc, "redis_lost"), TERM_YELLOW,
         "steps that Redis had confirmed and does not know any more (failover, lost log)"},
        {get(held, "mirror_missing"), TERM_YELLOW,
         "held messages that Celery's record (unacked) has lost: a Python client put them back"},
        {get(held, "unindexed"), TERM_YELLOW, "held messages that unacked_index does not have"},
        {get(unacked, "others"), TERM_DIM,
         "entries of unacked that are not ours: what Python workers hold, or held"},
        {get(foreign, "held"), TERM_YELLOW, "fields among the held messages that are not ours"},
        {get(foreign, "delayed"), TERM_YELLOW, "members of the delayed set that are not ours"},
        {get(foreign, "dead"), TERM_YELLOW, "entries of the dead letters that are not ours"},
        {get(foreign, "quarantine"), TERM_YELLOW, "entries of the quarantine that are not ours"},
    };
    char number[TERM_NUMBER_SIZE];

    term_print(t, TERM_PLAIN, "\n");
    for (size_t i = 0; i < ARRAY_LEN(NOTES); i++) {
        if (NOTES[i].n != 0) {
            term_cell(t, NOTES[i].colour, -9, term_number(number, NOTES[i].n));
            term_print(t, TERM_PLAIN, "  %s\n", NOTES[i].text);
        }
    }
}

static void print_workers(const struct term *t, const cJSON *doc)
{
    const cJSON *w;
    int silent = 0, n = 0;

    cJSON_ArrayForEach(w, json_get_arr(doc, "workers"))
    {
        n++;
        silent += !json_get_bool(w, "alive", false);
    }
    term_print(t, TERM_DIM, "%d worker%s", n, n == 1 ? "" : "s");
    if (silent > 0) {
        term_print(t, TERM_YELLOW, ", %d of them silent", silent);
    }
    term_print(t, TERM_PLAIN, "   ");
    term_print(t, json_get_bool(doc, "ok", false) ? TERM_GREEN : TERM_RED, "%s",
               json_get_bool(doc, "ok", false) ? "everything is accounted for"
                                               : "SOMETHING IS NOT ACCOUNTED FOR");
    term_print(t, TERM_PLAIN, "\n");
}

static void print(const struct term *t, const cJSON *doc)
{
    print_identities(t, doc);
    print_terms(t, doc);
    print_notes(t, doc);
    print_workers(t, doc);
}

/* Audits once. CTL_OK or CTL_FAILED as the sums are; CTL_UNAVAILABLE. */
static int audit_once(redisContext *c, const struct options *o, const struct term *t)
{
    struct err e;
    cJSON *doc = audit_run(c, true, &e);
    int code;

    if (!doc) {
        return ctl_fail_err("audit", &e) == CTL_UNAVAILABLE ? CTL_UNAVAILABLE : CTL_FAILED;
    }
    code = json_get_bool(doc, "ok", false) ? CTL_OK : CTL_FAILED;
    if (o->json) {
        return ctl_print_json("audit", doc) == CTL_OK ? code : CTL_FAILED;
    }
    if (o->watch_s > 0 && isatty(fileno(t->out))) {
        fputs("\033[H\033[2J", t->out);
    }
    print(t, doc);
    cJSON_Delete(doc);
    return code;
}

/* Until interrupted: the code of the last one that could be made. */
static int watch(redisContext *c, const struct options *o, const struct term *t)
{
    const volatile sig_atomic_t *stop = interrupt_watch();
    int code = audit_once(c, o, t);

    while (!*stop && code != CTL_UNAVAILABLE) {
        struct timespec pause = {.tv_sec = o->watch_s};

        fflush(t->out);
        if (nanosleep(&pause, NULL) == 0 && !*stop) {
            code = audit_once(c, o, t);
        }
    }
    return code;
}

int ctl_audit(const struct ctl_settings *s, int argc, char **argv)
{
    struct options o = {0};
    int code, first = opt_parse("audit", CTL_AUDIT_OPTS, argc, argv, &o);
    redisContext *c;
    struct term t;

    if (first < 0 || ctl_no_more("audit", first, argc, argv) != CTL_OK) {
        return CTL_USAGE;
    }
    c = ctl_redis("audit", s, NULL, &code);
    if (!c) {
        return code;
    }
    term_init(&t, stdout);
    code = o.watch_s > 0 ? watch(c, &o, &t) : audit_once(c, &o, &t);
    redisFree(c);
    return code;
}
