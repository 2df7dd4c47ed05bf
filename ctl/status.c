#include <math.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/schedule.h"
#include "ctl/status.h"

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

void status_add_i64(cJSON *obj, const char *name, int64_t v)
{
    cJSON_AddNumberToObject(obj, name, (double)v);
}

/* How old the ranking is and when the next is to be expected, as far as it is known. */
static void judge_ranking(cJSON *doc, int64_t interval_s)
{
    cJSON *ranking = json_get_obj(doc, "ranking");
    cJSON *schedule = json_get_obj(doc, "schedule");
    int64_t age_s, next_in_s;
    int64_t now_us = clock_wall_us();

    json_get_i64(schedule, "interval_s", 1, INT64_MAX, &interval_s);
    if (!json_get_i64(ranking, "age_s", INT64_MIN, INT64_MAX, &age_s)) {
        return;
    }
    /* Without Redis the wall clock has to do. */
    if (!json_get_i64(schedule, "next_in_s", 0, INT64_MAX, &next_in_s)) {
        next_in_s = (schedule_next_us(now_us, interval_s) - now_us) / 1000000;
    }
    status_add_i64(ranking, "next_in_s", next_in_s);
    cJSON_AddBoolToObject(ranking, "stale", age_s > 2 * interval_s);
}

static int gather_and_print(const struct ctl_settings *s, bool as_json)
{
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
    judge_ranking(doc, s->batch_interval_s);
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
