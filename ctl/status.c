#include "ctl/status.h"

#include "common/clock.h"
#include "common/pg.h"
#include "common/status.h"

const char CTL_STATUS_HELP[] =
    "Usage: aion2ctl status [--json]\n"
    "\n"
    "Shows on one screen: whether Redis and PostgreSQL answer, the ranking that is\n"
    "live and how old it is, beats and slots, what waits in the queue, workers and\n"
    "what they run, the last batches. It only reads.\n"
    "\n"
    "  --json  the same as one JSON object on one line, for programs\n"
    "\n"
    "Examples:\n"
    "  aion2ctl status\n"
    "  aion2ctl status --json | jq .queue\n"
    "  watch -c -n 2 aion2ctl status\n"
    "\n"
    "A ranking older than two intervals is called stale. The interval is the one that\n"
    "the beats say, without a beat BATCH_INTERVAL. Colours are used on a terminal\n"
    "only, and not when NO_COLOR is set.\n"
    "\n"
    "Exit codes: 0 everything could be read, 1 the database needs aion2ctl migrate,\n"
    "64 wrong usage, 69 Redis or PostgreSQL is not reachable (the rest is shown).\n";

bool status_ask_redis(cJSON *doc, const struct ctl_settings *s)
{
    const struct status_of of = {s->task_queue, s->batch_interval_s};
    struct rds_addr addr;
    redisContext *c = NULL;
    struct err e;
    bool ok;

    if (rds_parse_url(s->redis_url, &addr, &e)) {
        c = rds_connect(&addr, STATUS_TIMEOUT_MS, &e);
    }
    ok = status_add_redis(doc, &of, s->redis_url, c, &e);
    if (ok && !status_add_conservation(doc, c, &e)) {
        ok = false;
    }
    if (c) {
        redisFree(c);
    }
    return ok;
}

PGconn *status_connect_pg(const struct ctl_settings *s, struct err *e)
{
    PGconn *c = pg_connect(s->database_url, "aion2ctl", e);

    if (c && !pg_run(c, "SET statement_timeout = '3s'", e)) {
        PQfinish(c);
        c = NULL;
    }
    return c;
}

enum ctl_exit status_ask_pg(cJSON *doc, const struct ctl_settings *s)
{
    static const enum ctl_exit CODES[] = {[STATUS_PG_OK] = CTL_OK,
                                          [STATUS_PG_DOWN] = CTL_UNAVAILABLE,
                                          [STATUS_PG_REFUSED] = CTL_FAILED};
    struct err e = {.cls = ERR_NONE};
    PGconn *c = status_connect_pg(s, &e);
    enum status_pg found = status_add_pg(doc, s->database_url, c, &e);

    PQfinish(c);
    return CODES[found];
}

static int gather_and_print(const struct ctl_settings *s, bool as_json)
{
    const struct status_of of = {s->task_queue, s->batch_interval_s};
    cJSON *doc = cJSON_CreateObject();
    char iso[CLOCK_ISO_SIZE];
    int code, printed = CTL_OK;
    bool redis;
    struct term t;

    cJSON_AddStringToObject(doc, "at", clock_iso(clock_wall_us(), "Z", iso));
    redis = status_ask_redis(doc, s);
    code = status_ask_pg(doc, s);
    if (!redis) {
        code = CTL_UNAVAILABLE;
    }
    status_judge_ranking(doc, &of);
    if (as_json) {
        printed = ctl_print_json("status", doc);
    } else {
        term_init(&t, stdout);
        status_print(doc, &t);
        cJSON_Delete(doc);
    }
    return printed == CTL_OK ? code : printed;
}

struct options {
    bool json;
};

const struct opt CTL_STATUS_OPTS[] = {
    {"json", OPT_FLAG, offsetof(struct options, json), 0, 0, NULL},
    OPT_END,
};

int ctl_status(const struct ctl_settings *s, int argc, char **argv)
{
    struct options o = {0};
    int first = opt_parse("status", CTL_STATUS_OPTS, argc, argv, &o);

    if (first < 0 || ctl_no_more("status", first, argc, argv) != CTL_OK) {
        return CTL_USAGE;
    }
    return gather_and_print(s, o.json);
}
