#include <stdlib.h>
#include <string.h>

#include "api/admin/route.h"
#include "common/schedules_edit.h"
#include "common/why_ask.h"

/* Schedules: what is sent when, why a slot was or was not, and changing them. */

#define NEXT_MAX 100
#define LAST_MAX 100

static const struct query_param NAME[] = {
    {"name", QUERY_TEXT, 0, SCHEDULE_NAME_SIZE - 1, 0, "name of a schedule"},
};

static bool open_table(struct admin_call *c, struct schedules *t)
{
    const struct api_settings *s = c->env->settings;
    const struct schedule_defaults d = {s->task_queue, s->batch_interval_s};
    struct err e;

    if (schedules_open(t, c->redis, c->env->redis.db, &d, &e)) {
        return true;
    }
    admin_fail(c, &e);
    return false;
}

static void fail_missing(struct admin_call *c)
{
    admin_problem(c, 404, NULL, "There is no schedule of that name.");
}

/* One that can be read, for schedule_fini; false: the call is answered. */
static bool get_schedule(struct admin_call *c, struct schedules *t, struct schedule *s)
{
    struct err e;
    char *text;
    enum schedules_found found = schedules_get(t, c->ids[0].text, s, &text, &e);

    free(text);
    if (found == SCHEDULES_STORED || found == SCHEDULES_BUILTIN) {
        return true;
    }
    schedule_fini(s);
    if (found == SCHEDULES_NONE) {
        fail_missing(c);
    } else if (found == SCHEDULES_BAD) {
        admin_problem(c, 409, NULL, "This schedule cannot be read: %s.", e.text);
    } else {
        admin_fail(c, &e);
    }
    return false;
}

/* ---- looking ---- */

static void list_schedules(struct admin_call *c)
{
    struct schedules t;
    struct err e;
    cJSON *list, *doc;

    if (!open_table(c, &t)) {
        return;
    }
    list = schedules_doc_list(&t, &e);
    if (!list) {
        admin_fail(c, &e);
        return;
    }
    doc = cJSON_CreateObject();
    cJSON_AddNumberToObject(doc, "at", (double)(t.now_us / 1000000));
    cJSON_AddNumberToObject(doc, "beats", t.beats);
    cJSON_AddItemToObject(doc, "items", list);
    admin_reply(c, 200, doc);
}

static const struct query_param SHOW_PARAMS[] = {
    {"next", QUERY_INT, 0, NEXT_MAX, 5, "how many of the slots to come"},
    {"last", QUERY_INT, 0, LAST_MAX, 5, "how many of the last slots"},
};

/* The slots to come and the last ones, into the document. */
static bool add_slots(struct admin_call *c, struct schedules *t, cJSON *doc, struct err *e)
{
    struct schedule s;
    cJSON *last;

    if (!get_schedule(c, t, &s)) {
        return false;
    }
    cJSON_AddItemToObject(doc, "next_slots",
                          schedules_doc_next(&s, t->now_us / 1000000, c->values[0].number));
    last = why_doc_last(t, &s, (int)c->values[1].number, e);
    if (last) {
        cJSON_AddItemToObject(doc, "last_slots", last);
    } else {
        admin_fail(c, e);
    }
    schedule_fini(&s);
    return last != NULL;
}

static void show_schedule(struct admin_call *c)
{
    enum schedules_found found;
    struct schedules t;
    struct err e;
    cJSON *doc;

    if (!open_table(c, &t)) {
        return;
    }
    found = schedules_doc(&t, c->ids[0].text, &doc, &e);
    if (found == SCHEDULES_NONE) {
        fail_missing(c);
    } else if (!doc) {
        admin_fail(c, &e);
    } else if (found == SCHEDULES_BAD) {
        admin_reply(c, 200, doc);
    } else if (add_slots(c, &t, doc, &e)) {
        admin_reply(c, 200, doc);
    } else {
        cJSON_Delete(doc);
    }
}

static const struct query_param WHY_PARAMS[] = {
    {"slot", QUERY_TEXT, 0, 40, 0,
     "when: 12:10 (today, in the schedule's time zone), 2026-11-23T12:10Z or unix seconds; the "
     "slot at that time, or the last one before it"},
};

static void why(struct admin_call *c)
{
    struct schedules t;
    struct schedule s;
    int64_t at_s;
    struct err e;

    if (!open_table(c, &t) || !get_schedule(c, &t, &s)) {
        return;
    }
    if (why_read_time(c->values[0].text, schedules_zone(&s), t.now_us / 1000000, &at_s)) {
        admin_document(c, why_doc(&t, &s, at_s, &e), &e);
    } else {
        admin_problem(c, 400, "slot",
                      "slot must be a time: 12:10, 2026-11-23T12:10Z or unix seconds.");
    }
    schedule_fini(&s);
}

/* ---- changing ---- */

typedef enum schedules_end (*edit_fn)(struct schedules *t, const struct schedules_edit *ed,
                                      struct schedules_edited *d, struct err *e);

/* The refusal that an end other than DONE and SAME is. */
static void refuse(struct admin_call *c, enum schedules_end end, const struct err *e)
{
    switch (end) {
    case SCHEDULES_MISSING:
        fail_missing(c);
        return;
    case SCHEDULES_INVALID:
        admin_problem(c, 422, NULL, "This schedule cannot be: %s.", e->text);
        return;
    case SCHEDULES_FULL:
        admin_problem(c, 409, NULL, "There are %d schedules already, which is the most.",
                      SCHEDULE_TABLE_MAX);
        return;
    case SCHEDULES_BUSY:
        admin_problem(c, 409, NULL, "Others keep changing this schedule; nothing was done.");
        return;
    default:
        admin_fail(c, e);
    }
}

static void edit(struct admin_call *c, edit_fn fn, const struct schedules_edit *how)
{
    struct schedules_edited d = {NULL, NULL};
    struct schedules_edit ed = *how;
    enum schedules_end end;
    struct schedules t;
    struct err e;

    ed.name = c->ids[0].text;
    ed.by = c->who->name;
    admin_target(c, "schedule %s", ed.name);
    if (!open_table(c, &t)) {
        return;
    }
    end = fn(&t, &ed, &d, &e);
    if (end == SCHEDULES_DONE || end == SCHEDULES_SAME) {
        cJSON *doc = cJSON_CreateObject();

        cJSON_AddStringToObject(doc, "name", ed.name);
        cJSON_AddBoolToObject(doc, "changed", end == SCHEDULES_DONE);
        cJSON_AddItemToObject(doc, "schedule",
                              d.after    ? cJSON_Duplicate(d.after, true)
                              : d.before ? cJSON_Duplicate(d.before, true)
                                         : cJSON_CreateNull());
        admin_reply(c, 200, doc);
        c->before = d.before;
        c->after = d.after;
        d = (struct schedules_edited){NULL, NULL};
    } else {
        refuse(c, end, &e);
    }
    schedules_edited_fini(&d);
}

static const struct admin_field SET_BODY[] = {
    {"task", ADMIN_TEXT, false, 1, 255, NULL, "name of the task"},
    {"every", ADMIN_INT, false, 1, SCHEDULE_EVERY_MAX_S, NULL, "an interval in seconds"},
    {"cron", ADMIN_TEXT, false, 1, CRON_TEXT_SIZE - 1, NULL,
     "minute, hour, day of month, month and day of week, in place of an interval"},
    {"tz", ADMIN_TEXT, false, 1, ZONE_NAME_SIZE - 1, NULL, "time zone of cron, as Asia/Seoul"},
    {"args", ADMIN_ARRAY, false, 0, 0, NULL, "arguments of the task"},
    {"kwargs", ADMIN_OBJECT, false, 0, 0, NULL, "named arguments"},
    {"queue", ADMIN_TEXT, false, 1, BROKER_QUEUE_MAX, NULL, "where it is sent"},
    {"priority", ADMIN_INT, false, 0, 9, NULL, "0 is the most urgent"},
    {"missed", ADMIN_TEXT, false, 0, 0, "latest|skip|all",
     "what becomes of slots whose time went by unsent"},
    {"missed_max", ADMIN_INT, false, 1, SCHEDULE_MISSED_MAX, NULL, "with all: at most so many"},
    {"overlap", ADMIN_TEXT, false, 0, 0, "skip|queue|cancel",
     "what becomes of a slot while the task of the one before runs"},
    {"expires", ADMIN_INT, false, 1, SCHEDULE_EVERY_MAX_S, NULL,
     "seconds after which the task is not begun any more"},
};

static void set_schedule(struct admin_call *c)
{
    edit(c, schedules_set, &(struct schedules_edit){.members = c->body});
}

static void remove_schedule(struct admin_call *c)
{
    edit(c, schedules_remove, &(struct schedules_edit){.name = NULL});
}

static const struct admin_field PAUSE_BODY[] = {
    {"reason", ADMIN_TEXT, true, 1, 100, NULL, "why; the log of its slots says it"},
};

static void pause_schedule(struct admin_call *c)
{
    edit(c, schedules_pause, &(struct schedules_edit){.reason = json_get_str(c->body, "reason")});
}

static void resume_schedule(struct admin_call *c)
{
    edit(c, schedules_resume, &(struct schedules_edit){.name = NULL});
}

static void run_schedule(struct admin_call *c)
{
    const struct schedules_edit ed = {.name = c->ids[0].text, .by = c->who->name};
    enum schedules_end end;
    struct schedules t;
    char id[UUID_SIZE];
    struct err e;
    cJSON *doc;

    admin_target(c, "schedule %s", ed.name);
    if (!open_table(c, &t)) {
        return;
    }
    end = schedules_run(&t, &ed, id, &e);
    if (end != SCHEDULES_DONE) {
        refuse(c, end, &e);
        return;
    }
    doc = cJSON_CreateObject();
    cJSON_AddStringToObject(doc, "name", ed.name);
    cJSON_AddStringToObject(doc, "task_id", id);
    c->after = cJSON_Duplicate(doc, true);
    admin_reply(c, 202, doc);
}

static const struct admin_route ROWS[] = {
    {.method = EVHTTP_REQ_GET,
     .path = "/admin/schedules",
     .scope = TOKEN_READ,
     .needs = ADMIN_REDIS,
     .fn = list_schedules,
     .id = "schedules",
     .summary = "Every schedule with its last and its next slot.",
     .schema = "Schedules"},
    {.method = EVHTTP_REQ_GET,
     .path = "/admin/schedules/{name}",
     .scope = TOKEN_READ,
     .needs = ADMIN_REDIS,
     .fn = show_schedule,
     .ids = NAME,
     .params = SHOW_PARAMS,
     .param_count = ARRAY_LEN(SHOW_PARAMS),
     .id = "schedule",
     .summary =
         "One schedule: its definition, the slots to come, and what became of the last ones.",
     .schema = "ScheduleInFull"},
    {.method = EVHTTP_REQ_GET,
     .path = "/admin/schedules/{name}/why",
     .scope = TOKEN_READ,
     .needs = ADMIN_REDIS,
     .fn = why,
     .ids = NAME,
     .params = WHY_PARAMS,
     .param_count = ARRAY_LEN(WHY_PARAMS),
     .id = "scheduleWhy",
     .summary = "What became of a slot, in one sentence.",
     .schema = "Slot"},
    {.method = EVHTTP_REQ_POST,
     .path = "/admin/schedules/{name}",
     .scope = TOKEN_ADMIN,
     .needs = ADMIN_REDIS,
     .fn = set_schedule,
     .ids = NAME,
     .body = SET_BODY,
     .body_count = ARRAY_LEN(SET_BODY),
     .action = "schedule.set",
     .id = "setSchedule",
     .summary = "Makes a schedule or changes one; what is not given stays as it is.",
     .schema = "ScheduleChanged"},
    {.method = EVHTTP_REQ_POST,
     .path = "/admin/schedules/{name}/pause",
     .scope = TOKEN_OPERATE,
     .needs = ADMIN_REDIS,
     .fn = pause_schedule,
     .ids = NAME,
     .body = PAUSE_BODY,
     .body_count = ARRAY_LEN(PAUSE_BODY),
     .action = "schedule.pause",
     .id = "pauseSchedule",
     .summary = "Skips its slots from now on, and says why in its log.",
     .schema = "ScheduleChanged"},
    {.method = EVHTTP_REQ_POST,
     .path = "/admin/schedules/{name}/resume",
     .scope = TOKEN_OPERATE,
     .needs = ADMIN_REDIS,
     .fn = resume_schedule,
     .ids = NAME,
     .action = "schedule.resume",
     .id = "resumeSchedule",
     .summary = "Goes on with its next slot; changed is false when it was not paused.",
     .schema = "ScheduleChanged"},
    {.method = EVHTTP_REQ_POST,
     .path = "/admin/schedules/{name}/run",
     .scope = TOKEN_OPERATE,
     .needs = ADMIN_REDIS,
     .fn = run_schedule,
     .ids = NAME,
     .action = "schedule.run",
     .id = "runSchedule",
     .summary = "Sends its task now, whatever its timetable and its predecessor say.",
     .schema = "ScheduleRun",
     .status = 202},
    {.method = EVHTTP_REQ_POST,
     .path = "/admin/schedules/{name}/remove",
     .scope = TOKEN_ADMIN,
     .needs = ADMIN_REDIS,
     .fn = remove_schedule,
     .ids = NAME,
     .action = "schedule.remove",
     .id = "removeSchedule",
     .summary = "Forgets it with its log; batch and prune are built in again.",
     .schema = "ScheduleChanged"},
};
const struct admin_routes ADMIN_ROUTES_SCHEDULES = {ROWS, ARRAY_LEN(ROWS)};
