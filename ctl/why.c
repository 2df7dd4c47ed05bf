#include <stdio.h>
#include <stdlib.h>

#include "common/json.h"
#include "common/keys.h"
#include "common/why_ask.h"
#include "ctl/schedule.h"
#include "ctl/term.h"

const char CTL_WHY_HELP[] =
    "Usage: aion2ctl why TIME [--schedule NAME] [--json]\n"
    "\n"
    "Says in one sentence what became of the slot at that time, or of the last one\n"
    "before it: sent on time, late, caught up, skipped (paused, its predecessor still\n"
    "ran), not sent because no beat ran or Redis was down, or when it is due.\n"
    "\n"
    "  TIME             12:10 or 12:10:30 (today), 2026-11-23T12:10, with or without\n"
    "                   seconds and an offset like +09:00, or unix seconds\n"
    "  --schedule NAME  which schedule (default batch)\n"
    "  --json           one line of JSON: schedule, slot, verdict, id, text\n"
    "\n"
    "Times without an offset are those of the schedule's time zone; a schedule that\n"
    "has none (an interval) goes by the zone of this terminal (TZ). Verdicts: sent,\n"
    "skipped, missed, waiting, future, unknown, no-slot.\n"
    "\n"
    "Examples:\n"
    "  aion2ctl why 12:10\n"
    "  aion2ctl why 2026-11-23T04:20Z --schedule prune\n"
    "\n"
    "Exit codes: 0 it is said, 1 there is no such schedule, 64 wrong usage, 69 Redis\n"
    "not reachable (then nobody can say).\n";

struct options {
    const char *schedule;
    bool json;
};

const struct opt CTL_WHY_OPTS[] = {
    {"schedule", OPT_TEXT, offsetof(struct options, schedule), 0, 0, NULL},
    {"json", OPT_FLAG, offsetof(struct options, json), 0, 0, NULL},
    OPT_END,
};

static int print(cJSON *doc, bool json)
{
    char clean[3 * WHY_TEXT_SIZE];

    if (json) {
        return ctl_print_json("why", doc);
    }
    term_clean(clean, sizeof clean, json_get_str(doc, "text"));
    puts(clean);
    cJSON_Delete(doc);
    return CTL_OK;
}

static int tell(struct schedules *t, const struct schedule *s, const char *time, bool json)
{
    struct err e;
    int64_t at_s;
    cJSON *doc;

    if (!why_read_time(time, schedules_zone(s), t->now_us / 1000000, &at_s)) {
        return ctl_fail("why", CTL_USAGE,
                        "\"%.60s\" is no time; expected 12:10, 2026-11-23T12:10 or unix seconds",
                        time);
    }
    doc = why_doc(t, s, at_s, &e);
    return doc ? print(doc, json) : ctl_fail_err("why", &e);
}

int ctl_why(const struct ctl_settings *s, int argc, char **argv)
{
    struct options o = {.schedule = SCHEDULE_BATCH};
    int first = opt_parse("why", CTL_WHY_OPTS, argc, argv, &o);
    struct schedule schedule;
    struct schedules t;
    int code = CTL_OK;

    if (first < 0) {
        return CTL_USAGE;
    }
    if (first + 1 != argc) {
        return ctl_fail("why", CTL_USAGE, "give one time; see aion2ctl why --help");
    }
    if (!schedule_call_open(&t, "why", s, &code)) {
        return code;
    }
    if (schedule_call_get(&t, "why", o.schedule, &schedule, &code)) {
        code = tell(&t, &schedule, argv[first], o.json);
        schedule_fini(&schedule);
    }
    schedule_call_close(&t);
    return code;
}
