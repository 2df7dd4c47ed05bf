#include <string.h>

#include "common/runs.h"
#include "common/uuid.h"
#include "ctl/batch.h"
#include "ctl/note.h"

const char CTL_BATCH_HELP[] =
    "Usage: aion2ctl batch [list] [--state STATE] [--limit N] [--before ID] [--json]\n"
    "       aion2ctl batch show RUN [--json]\n"
    "       aion2ctl batch failures RUN [--limit N] [--after SEQ] [--json]\n"
    "       aion2ctl batch start [--reason TEXT] [--json]\n"
    "       aion2ctl batch cancel RUN [--json]\n"
    "\n"
    "Runs of the scoring batch. RUN is its number, or the id of its task.\n"
    "\n"
    "  list      the newest first\n"
    "  show      one in full: phases, failures by their reason, averages; while it\n"
    "            runs, how far it is and when it will probably end\n"
    "  failures  the characters that failed, and why\n"
    "  start     asks for one now and prints the id of its task; with a note of who\n"
    "            wanted it (aion2ctl call batch sends one without)\n"
    "  cancel    ends one that waits or runs. It publishes nothing: the ranking that\n"
    "            is served stays\n"
    "\n"
    "  --state STATE  running, success, no_data, skipped, failed or cancelled\n"
    "  --limit N      show so many (default 20; failures: 100)\n"
    "  --before ID    go on after this run\n"
    "  --after SEQ    go on after this failure\n"
    "  --reason TEXT  why, for the record\n"
    "  --json         one line of JSON\n"
    "\n"
    "Examples:\n"
    "  aion2ctl batch list --state failed\n"
    "  aion2ctl batch show 1742\n"
    "  aion2ctl batch start --reason 'after the import'\n"
    "\n"
    "Exit codes: 0 done, 1 there is no such run, or it has ended already, 64 wrong\n"
    "usage, 69 PostgreSQL or Redis not reachable.\n";

struct options {
    const char *state, *reason;
    int64_t limit, before, after;
    bool json;
};

static const struct opt LIST_OPTS[] = {
    {"state", OPT_TEXT, offsetof(struct options, state), 0, 0, RUNS_STATES},
    {"limit", OPT_I64, offsetof(struct options, limit), 1, RUNS_PAGE_MAX, NULL},
    {"before", OPT_I64, offsetof(struct options, before), 1, INT64_MAX, NULL},
    {"json", OPT_FLAG, offsetof(struct options, json), 0, 0, NULL},
    OPT_END,
};
static const struct opt FAILURES_OPTS[] = {
    {"limit", OPT_I64, offsetof(struct options, limit), 1, RUNS_FAILURES_MAX, NULL},
    {"after", OPT_I64, offsetof(struct options, after), 0, INT32_MAX, NULL},
    {"json", OPT_FLAG, offsetof(struct options, json), 0, 0, NULL},
    OPT_END,
};
static const struct opt START_OPTS[] = {
    {"reason", OPT_TEXT, offsetof(struct options, reason), 0, 0, NULL},
    {"json", OPT_FLAG, offsetof(struct options, json), 0, 0, NULL},
    OPT_END,
};
static const struct opt JSON_OPTS[] = {
    {"json", OPT_FLAG, offsetof(struct options, json), 0, 0, NULL},
    OPT_END,
};

/* The end of a command: takes doc; NULL: *e says why. print: for people. */
static int finish(cJSON *doc, const struct err *e, bool json, void (*print)(const cJSON *doc))
{
    if (!doc) {
        return ctl_fail_err("batch", e);
    }
    if (json) {
        return ctl_print_json("batch", doc);
    }
    print(doc);
    cJSON_Delete(doc);
    return CTL_OK;
}

/* The RUN that is named; NULL: it has said what is wrong. */
static const char *take_run(const struct opt *opts, int argc, char **argv, struct options *o)
{
    int first = opt_parse("batch", opts, argc, argv, o);

    if (first >= 0 && argc - first != 1) {
        ctl_fail("batch", CTL_USAGE, "name one run, by its number or the id of its task");
        return NULL;
    }
    return first < 0 ? NULL : argv[first];
}

static int list(const struct ctl_settings *s, int argc, char **argv)
{
    struct options o = {.state = "", .limit = 20};
    int code, first = opt_parse("batch", LIST_OPTS, argc, argv, &o);
    struct runs_filter f;
    struct err e;
    PGconn *c;
    cJSON *doc;

    if (first < 0 || ctl_no_more("batch", first, argc, argv) != CTL_OK) {
        return CTL_USAGE;
    }
    c = ctl_pg("batch", s, &code);
    if (!c) {
        return code;
    }
    f = (struct runs_filter){o.before, o.limit, o.state};
    doc = runs_list(c, &f, &e);
    PQfinish(c);
    return finish(doc, &e, o.json, batch_print_list);
}

/* Redis only adds how far a run is: without it the rest is shown. */
static void add_progress(cJSON *doc, PGconn *c, const struct ctl_settings *s)
{
    struct rds_addr addr;
    struct err e;
    redisContext *r = NULL;

    if (strcmp(json_get_str(doc, "state"), "running") != 0) {
        return;
    }
    if (!rds_parse_url(s->redis_url, &addr, &e) || !(r = rds_connect(&addr, 3000, &e)) ||
        !runs_add_progress(doc, c, r, &e)) {
        ctl_fail("batch", CTL_OK, "how far it is cannot be said: %s", e.text);
    }
    if (r) {
        redisFree(r);
    }
}

static int show(const struct ctl_settings *s, int argc, char **argv)
{
    struct options o = {0};
    const char *run = take_run(JSON_OPTS, argc, argv, &o);
    struct err e;
    int code;
    PGconn *c;
    cJSON *doc;

    if (!run) {
        return CTL_USAGE;
    }
    c = ctl_pg("batch", s, &code);
    if (!c) {
        return code;
    }
    doc = runs_show(c, run, &e);
    if (doc) {
        add_progress(doc, c, s);
    }
    PQfinish(c);
    return finish(doc, &e, o.json, batch_print_one);
}

static int failures(const struct ctl_settings *s, int argc, char **argv)
{
    struct options o = {.limit = 100};
    const char *run = take_run(FAILURES_OPTS, argc, argv, &o);
    struct err e;
    int code;
    PGconn *c;
    cJSON *doc;

    if (!run) {
        return CTL_USAGE;
    }
    c = ctl_pg("batch", s, &code);
    if (!c) {
        return code;
    }
    doc = runs_failures(c, run, o.after, o.limit, &e);
    PQfinish(c);
    return finish(doc, &e, o.json, batch_print_failures);
}

/* ---- changes ---- */

struct change_of {
    const struct ctl_settings *settings;
    const struct options *o;
    struct note *note;
    const char *run;    /* of cancel */
    bool without_redis; /* it is of use, too */
    int db;
};

static cJSON *do_start(const struct change_of *ch, PGconn *pg, redisContext *redis, struct err *e)
{
    char id[UUID_SIZE];
    const struct runs_start start = {.task_id = id,
                                     .queue = ch->settings->task_queue,
                                     .by = ch->note->principal,
                                     .reason = ch->o->reason};

    uuid_random(id);
    note_target(ch->note, "batch %s", id);
    return runs_start(pg, redis, ch->db, &start, e);
}

static cJSON *do_cancel(const struct change_of *ch, PGconn *pg, redisContext *redis, struct err *e)
{
    const struct runs_cancel k = {.run = ch->run, .by = ch->note->principal};

    note_target(ch->note, "batch %s", ch->run);
    return runs_cancel(pg, redis, ch->db, &k, e);
}

/* Both connections, the note in the log of changes around `make`, and the answer. */
static int change(struct change_of *ch,
                  cJSON *(*make)(const struct change_of *ch, PGconn *pg, redisContext *redis,
                                 struct err *e),
                  void (*print)(const cJSON *doc))
{
    struct rds_addr addr;
    struct err e = {0};
    int code = CTL_UNAVAILABLE;
    redisContext *redis = ctl_redis("batch", ch->settings, &addr, &code);
    PGconn *pg = redis || (ch->without_redis && code == CTL_UNAVAILABLE)
                     ? ctl_pg("batch", ch->settings, &code)
                     : NULL;
    cJSON *doc = NULL;

    if (pg && note_begin(ch->note, pg, &e)) {
        ch->db = redis ? addr.db : 0;
        doc = make(ch, pg, redis, &e);
        ch->note->after = doc;
        note_end(ch->note, pg, doc ? NULL : &e);
    }
    if (pg) {
        code = finish(doc, &e, ch->o->json, print);
    }
    PQfinish(pg);
    if (redis) {
        redisFree(redis);
    }
    return code;
}

static int start(const struct ctl_settings *s, int argc, char **argv)
{
    struct note note = {.command = "batch", .action = "batch.start"};
    struct options o = {0};
    struct change_of ch = {.settings = s, .o = &o, .note = &note};
    int first = opt_parse("batch", START_OPTS, argc, argv, &o);

    if (first < 0 || ctl_no_more("batch", first, argc, argv) != CTL_OK) {
        return CTL_USAGE;
    }
    return change(&ch, do_start, batch_print_started);
}

static int cancel(const struct ctl_settings *s, int argc, char **argv)
{
    struct note note = {.command = "batch", .action = "batch.cancel"};
    struct options o = {0};
    struct change_of ch = {.settings = s, .o = &o, .note = &note, .without_redis = true};

    ch.run = take_run(JSON_OPTS, argc, argv, &o);
    return ch.run ? change(&ch, do_cancel, batch_print_cancelled) : CTL_USAGE;
}

const struct ctl_verb CTL_BATCH_VERBS[] = {
    {"list", list, LIST_OPTS},
    {"show", show, JSON_OPTS},
    {"failures", failures, FAILURES_OPTS},
    {"start", start, START_OPTS},
    {"cancel", cancel, JSON_OPTS},
    {NULL, NULL, NULL},
};
