/*
 * The parts of the status that other documents have in full: schedules, other queues, conservation.
 */
#include "common/status.h"

#include <string.h>

#include "common/audit.h"
#include "common/keys.h"
#include "common/queues.h"
#include "common/schedule.h"
#include "common/text.h"

static void add_i64(cJSON *o, const char *name, int64_t n)
{
    cJSON_AddNumberToObject(o, name, (double)n);
}

/* ------------------------------------------------------------------------------- schedules */

/* {"name", "reason"?, "by"?} when the definition says that it is paused, else NULL. */
static cJSON *paused_entry(const redisReply *name, const redisReply *def)
{
    struct err ignored;
    cJSON *v = json_parse(def->str, (size_t)def->len, &ignored), *entry = NULL;
    const cJSON *paused = json_get_obj(v, "paused");

    if (paused && text_is_utf8(name->str, (size_t)name->len)) {
        const char *reason = json_get_str(paused, "reason"), *by = json_get_str(paused, "by");

        entry = cJSON_CreateObject();
        cJSON_AddStringToObject(entry, "name", name->str);
        cJSON_AddStringToObject(entry, "reason", reason ? reason : "");
        cJSON_AddStringToObject(entry, "by", by ? by : "");
    }
    cJSON_Delete(v);
    return entry;
}

/* How long may pass between two slots about now: the longer of the last and the next wait. */
static void add_gap(cJSON *schedule, const struct schedule *s, int64_t now_s, int64_t next_s)
{
    int64_t prev_s, before_s, gap_s = s->every_s;

    if (s->every_s == 0 && schedule_prev(s, now_s, &prev_s)) {
        gap_s = next_s - prev_s;
        if (schedule_prev(s, prev_s - 1, &before_s) && prev_s - before_s > gap_s) {
            gap_s = prev_s - before_s;
        }
    }
    if (gap_s > 0) {
        add_i64(schedule, "gap_s", gap_s);
    }
}

/*
 * The batch has a timetable of its own: its slots are not those of the interval. Late: a whole slot
 * went by, and the one before it was not sent either.
 */
static void apply_timetable(cJSON *schedule, const struct schedule *s, int64_t now_s)
{
    static const char *const REPLACED[] = {"next_slot", "next_in_s", "late", "interval_s"};
    int64_t next_s, prev_s, before_s, last_s = -1;
    char when[SCHEDULE_WHEN_SIZE];

    for (size_t i = 0; i < ARRAY_LEN(REPLACED); i++) {
        cJSON_DeleteItemFromObjectCaseSensitive(schedule, REPLACED[i]);
    }
    cJSON_AddStringToObject(schedule, "when", schedule_when(s, when));
    if (s->every_s > 0) {
        add_i64(schedule, "interval_s", s->every_s);
    }
    if (schedule_next(s, now_s, &next_s)) {
        add_i64(schedule, "next_slot", next_s);
        add_i64(schedule, "next_in_s", next_s - now_s);
        add_gap(schedule, s, now_s, next_s);
    }
    if (json_get_i64(schedule, "last_slot", 0, INT64_MAX, &last_s)) {
        cJSON_AddBoolToObject(schedule, "late",
                              !s->pause.on && schedule_prev(s, now_s, &prev_s) &&
                                  schedule_prev(s, prev_s - 1, &before_s) && last_s < before_s &&
                                  s->since_s <= before_s);
    }
    if (s->pause.on) {
        cJSON_AddStringToObject(schedule, "paused", s->pause.reason);
    }
}

static void read_batch(cJSON *doc, const struct status_of *s, const redisReply *def)
{
    cJSON *schedule = json_get_obj(doc, "schedule");
    int64_t next_slot = 0, next_in_s = 0, interval_s = s->batch_interval_s;
    struct schedule_defaults d = {.queue = s->task_queue};
    struct schedule batch;
    struct err ignored;

    json_get_i64(schedule, "next_slot", 0, INT64_MAX, &next_slot);
    json_get_i64(schedule, "next_in_s", 0, INT64_MAX, &next_in_s);
    json_get_i64(schedule, "interval_s", 1, INT64_MAX, &interval_s);
    d.batch_interval_s = interval_s;
    if (schedule_parse(SCHEDULE_BATCH, def->str, (size_t)def->len, &d, &batch, &ignored)) {
        apply_timetable(schedule, &batch, next_slot - next_in_s);
        schedule_fini(&batch);
    }
}

static bool add_schedules(cJSON *doc, redisContext *c, const struct status_of *s, struct err *e)
{
    redisReply *r = rds_command(c, e, "HGETALL " KEY_SCHEDULES);
    cJSON *schedules, *paused;
    size_t n;

    if (!r) {
        return e->cls != ERR_RETRYABLE; /* a key of another type: the rest is shown */
    }
    n = r->type == REDIS_REPLY_ARRAY ? r->elements : 0;
    schedules = cJSON_AddObjectToObject(doc, "schedules");
    add_i64(schedules, "stored", (int64_t)(n / 2));
    paused = cJSON_AddArrayToObject(schedules, "paused");
    for (size_t i = 0; i + 1 < n && i < 2 * SCHEDULE_TABLE_MAX; i += 2) {
        const redisReply *name = r->element[i], *def = r->element[i + 1];
        cJSON *entry = paused_entry(name, def);

        if (entry) {
            cJSON_AddItemToArray(paused, entry);
        }
        if (strcmp(name->str, SCHEDULE_BATCH) == 0) {
            read_batch(doc, s, def);
        }
    }
    freeReplyObject(r);
    return true;
}

/* ---------------------------------------------------------------------------- other queues */

/* "queues": those beside TASK_QUEUE in which something waits, or from which a worker takes. */
static bool add_queues(cJSON *doc, redisContext *c, const struct status_of *s, struct err *e)
{
    struct queue_names names = {0};
    cJSON *found, *queue, *others;

    queue_names_add(&names, s->task_queue);
    found = queues_list(c, &names, e);
    queue_names_fini(&names);
    if (!found) {
        return e->cls != ERR_RETRYABLE;
    }
    others = cJSON_AddArrayToObject(doc, "other_queues");
    cJSON_ArrayForEach(queue, json_get_arr(found, "queues"))
    {
        const char *name = json_get_str(queue, "name");
        int64_t ready = 0;

        if (strcmp(name, s->task_queue) != 0) {
            cJSON *one = cJSON_CreateObject();

            json_get_i64(queue, "ready", 0, INT64_MAX, &ready);
            cJSON_AddStringToObject(one, "name", name);
            add_i64(one, "ready", ready);
            cJSON_AddItemToArray(others, one);
        }
    }
    cJSON_Delete(found);
    return true;
}

/* ----------------------------------------------------------------------------- conservation */

bool status_add_conservation(cJSON *doc, redisContext *c, struct err *e)
{
    cJSON *audit = audit_run(c, false, e), *conservation, *differences;
    const cJSON *one;
    int64_t lost = 0;

    if (!audit) {
        return e->cls != ERR_RETRYABLE;
    }
    conservation = cJSON_AddObjectToObject(doc, "conservation");
    cJSON_AddBoolToObject(conservation, "ok", json_get_bool(audit, "ok", false));
    differences = cJSON_AddObjectToObject(conservation, "differences");
    cJSON_ArrayForEach(one, json_get_arr(audit, "identities"))
    {
        cJSON_AddItemToObject(
            differences, json_get_str(one, "name"),
            cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(one, "difference"), false));
    }
    json_get_i64(audit, "redis_lost", 0, INT64_MAX, &lost);
    add_i64(conservation, "redis_lost", lost);
    cJSON_Delete(audit);
    return true;
}

bool status_ask_jobs(cJSON *doc, redisContext *c, const struct status_of *s, struct err *e)
{
    return add_schedules(doc, c, s, e) && add_queues(doc, c, s, e);
}
