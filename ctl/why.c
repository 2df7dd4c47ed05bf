#include "ctl/why.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/keys.h"
#include "common/text.h"
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

/* ---- the time ---- */

/* "12:10" or "12:10:30": today in that zone. */
static bool read_clock(const char *text, const char *zone, int64_t now_s, int64_t *at_s)
{
    int hour = -1, minute = -1, second = 0, end = 0;
    struct tm tm;

    if (sscanf(text, "%2d:%2d%n", &hour, &minute, &end) != 2) {
        return false;
    }
    if (text[end] == ':') {
        int more = 0;

        if (sscanf(text + end, ":%2d%n", &second, &more) != 1) {
            return false;
        }
        end += more;
    }
    if (text[end] != '\0' || strpbrk(text, "+- ") || hour < 0 || hour > 23 || minute < 0 ||
        minute > 59 || second < 0 || second > 59) {
        return false;
    }
    zone_local(zone, now_s, &tm);
    tm.tm_hour = hour;
    tm.tm_min = minute;
    tm.tm_sec = second;
    *at_s = zone_to_unix(zone, &tm);
    return true;
}

/* ISO 8601; seconds may be left out, and without an offset it is local time. */
static bool read_iso(const char *text, const char *zone, int64_t *at_s)
{
    char full[64];
    int64_t us;
    time_t wall;
    struct tm tm;
    bool offset;

    if (strlen(text) < 16 || strlen(text) > 40) {
        return false;
    }
    snprintf(full, sizeof full, "%.16s%s%s", text, text[16] == ':' ? "" : ":00", text + 16);
    if (!clock_parse_iso(full, &us)) {
        return false;
    }
    offset = strpbrk(text + 16, "Z+-") != NULL;
    wall = (time_t)(us / 1000000);
    MUST(gmtime_r(&wall, &tm));
    *at_s = offset ? wall : zone_to_unix(zone, &tm);
    return true;
}

static bool read_time(const char *text, const char *zone, int64_t now_s, int64_t *at_s)
{
    return text_to_i64(text, 10000, INT64_C(253402300799), at_s) ||
           read_clock(text, zone, now_s, at_s) || read_iso(text, zone, at_s);
}

/* ---- what is known ---- */

/* The elements of a list that are JSON objects. */
static cJSON *read_list(struct schedules *t, const char *key, struct err *e)
{
    redisReply *r = rds_command(t->c, e, "LRANGE %s 0 -1", key);
    cJSON *all;

    if (!r) {
        return e->cls == ERR_PERMANENT ? cJSON_CreateArray() : NULL;
    }
    all = cJSON_CreateArray();
    for (size_t i = 0; r->type == REDIS_REPLY_ARRAY && i < r->elements; i++) {
        struct err ignored;
        cJSON *v = json_parse(r->element[i]->str, (size_t)r->element[i]->len, &ignored);

        if (!cJSON_IsObject(v) || !cJSON_AddItemToArray(all, v)) {
            cJSON_Delete(v);
        }
    }
    freeReplyObject(r);
    return all;
}

bool why_gather(struct schedules *t, const struct schedule *s, struct why_read *r, struct err *e)
{
    char ledger[sizeof KEY_LEDGER_PREFIX + SCHEDULE_NAME_SIZE];

    *r = (struct why_read){.facts = {.schedule = s,
                                     .zone = schedules_zone(s),
                                     .now_s = t->now_us / 1000000,
                                     .beats = t->beats}};
    snprintf(ledger, sizeof ledger, KEY_LEDGER_PREFIX "%s", s->name);
    r->ledger = read_list(t, ledger, e);
    r->notes = r->ledger ? read_list(t, KEY_BEAT_NOTES, e) : NULL;
    r->periods = r->notes ? read_list(t, KEY_BEAT_PERIODS, e) : NULL;
    r->facts.ledger = r->ledger;
    r->facts.notes = r->notes;
    r->facts.periods = r->periods;
    return r->periods && schedules_last(t, s->name, &r->facts.last_s, e);
}

void why_fini(struct why_read *r)
{
    cJSON_Delete(r->ledger);
    cJSON_Delete(r->notes);
    cJSON_Delete(r->periods);
    *r = (struct why_read){0};
}

/* ---- the command ---- */

static int print(const struct why *w, const char *name, bool json)
{
    char clean[3 * WHY_TEXT_SIZE];
    cJSON *doc;

    if (!json) {
        term_clean(clean, sizeof clean, w->text);
        puts(clean);
        return CTL_OK;
    }
    doc = cJSON_CreateObject();
    cJSON_AddStringToObject(doc, "schedule", name);
    if (w->slot_s >= 0) {
        cJSON_AddNumberToObject(doc, "slot", (double)w->slot_s);
    }
    cJSON_AddStringToObject(doc, "verdict", why_verdict_name(w->verdict));
    if (w->id[0]) {
        cJSON_AddStringToObject(doc, "id", w->id);
    }
    cJSON_AddStringToObject(doc, "text", w->text);
    return ctl_print_json("why", doc);
}

static int tell(struct schedules *t, const struct schedule *s, const char *time, bool json)
{
    struct why_read r;
    struct why w;
    struct err e;
    int64_t at_s;
    int code;

    if (!read_time(time, schedules_zone(s), t->now_us / 1000000, &at_s)) {
        return ctl_fail("why", CTL_USAGE,
                        "\"%.60s\" is no time; expected 12:10, 2026-11-23T12:10 or unix seconds",
                        time);
    }
    if (why_gather(t, s, &r, &e)) {
        why_tell(&r.facts, at_s, &w);
        code = print(&w, s->name, json);
    } else {
        code = ctl_fail_err("why", &e);
    }
    why_fini(&r);
    return code;
}

int ctl_why(const struct ctl_settings *s, int argc, char **argv)
{
    struct options o = {.schedule = SCHEDULE_BATCH};
    int first = opt_parse("why", CTL_WHY_OPTS, argc, argv, &o);
    enum schedules_found found;
    struct schedule schedule;
    struct schedules t;
    struct err e;
    char *text;
    int code = CTL_OK;

    if (first < 0) {
        return CTL_USAGE;
    }
    if (first + 1 != argc) {
        return ctl_fail("why", CTL_USAGE, "give one time; see aion2ctl why --help");
    }
    if (!schedules_open(&t, "why", s, &code)) {
        return code;
    }
    found = schedules_get(&t, o.schedule, &schedule, &text, &e);
    code = found == SCHEDULES_STORED || found == SCHEDULES_BUILTIN
               ? tell(&t, &schedule, argv[first], o.json)
               : schedules_fail(&t, o.schedule, found, &e);
    free(text);
    schedule_fini(&schedule);
    schedules_close(&t);
    return code;
}
