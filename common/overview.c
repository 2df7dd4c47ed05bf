#include "common/overview.h"

#include <stdlib.h>

#include "common/alert_store.h"
#include "common/clock.h"
#include "common/letters.h"
#include "common/queues.h"
#include "common/schedules.h"
#include "common/source_state.h"
#include "common/status.h"

/* Moves a member, when it is there. */
static void move(cJSON *to, cJSON *from, const char *name)
{
    cJSON *v = cJSON_DetachItemFromObjectCaseSensitive(from, name);

    if (v) {
        cJSON_AddItemToObject(to, name, v);
    }
}

static bool is_broken(const struct err *e)
{
    return e->cls == ERR_RETRYABLE;
}

static bool add_queues(cJSON *doc, const struct overview_of *o, redisContext *c, struct err *e)
{
    static const char *const MEMBERS[] = {"queues", "delayed", "quarantine", "dead"};
    struct queue_names names = {0};
    cJSON *list;

    queue_names_add(&names, o->task_queue);
    list = queues_list(c, &names, e);
    queue_names_fini(&names);
    for (size_t i = 0; list && i < ARRAY_LEN(MEMBERS); i++) {
        move(doc, list, MEMBERS[i]);
    }
    cJSON_Delete(list);
    return list || !is_broken(e);
}

/* ---- the timetable ---- */

static int64_t next_of(const cJSON *s)
{
    int64_t next_s = INT64_MAX;

    json_get_i64(s, "next", 0, INT64_MAX, &next_s);
    return json_has(s, "paused") ? INT64_MAX : next_s;
}

static int by_next(const void *a, const void *b)
{
    int64_t x = next_of(*(cJSON *const *)a), y = next_of(*(cJSON *const *)b);

    return (x > y) - (x < y);
}

static cJSON *short_form(cJSON *s)
{
    static const char *const MEMBERS[] = {"name", "task", "when",   "tz",
                                          "next", "last", "paused", "error"};
    cJSON *row = cJSON_CreateObject();

    for (size_t i = 0; i < ARRAY_LEN(MEMBERS); i++) {
        move(row, s, MEMBERS[i]);
    }
    return row;
}

static cJSON *sorted(cJSON *list)
{
    cJSON *rows[SCHEDULE_TABLE_MAX + SCHEDULE_BUILTINS], *table = cJSON_CreateArray(), *s;
    size_t n = 0;

    cJSON_ArrayForEach(s, list)
    {
        if (n < ARRAY_LEN(rows)) {
            rows[n++] = s;
        }
    }
    qsort(rows, n, sizeof(cJSON *), by_next);
    for (size_t i = 0; i < n && i < OVERVIEW_SCHEDULES_MAX; i++) {
        cJSON_AddItemToArray(table, short_form(rows[i]));
    }
    return table;
}

static bool add_timetable(cJSON *doc, const struct overview_of *o, redisContext *c, struct err *e)
{
    const struct schedule_defaults d = {o->task_queue, o->batch_interval_s};
    struct schedules t;
    cJSON *list = schedules_open(&t, c, o->db, &d, e) ? schedules_doc_list(&t, e) : NULL;

    if (list) {
        cJSON_AddItemToObject(doc, "timetable", sorted(list));
    }
    cJSON_Delete(list);
    return list || !is_broken(e);
}

static bool add_source(cJSON *doc, redisContext *c, struct err *e)
{
    cJSON *source = source_state(c, e);

    if (source) {
        cJSON_AddItemToObject(doc, "source", source);
    }
    return source || !is_broken(e);
}

static bool add_dead(cJSON *doc, redisContext *c, struct err *e)
{
    cJSON *newest = letters_newest(c, &LETTERS_DEAD, OVERVIEW_DEAD_MAX, e);

    if (newest) {
        cJSON_AddItemToObject(doc, "dead_letters", newest);
    }
    return newest || !is_broken(e);
}

/* What is wrong by the beats' own judgement. */
static bool add_alerts(cJSON *doc, redisContext *c, struct err *e)
{
    struct alert_store s = {.doc = NULL};
    bool ok = alert_load(c, &s, e);

    if (ok) {
        move(doc, s.doc, "alerts");
    }
    alert_store_fini(&s);
    return ok || !is_broken(e);
}

cJSON *overview_make(const struct overview_of *o, struct overview_links *links,
                     struct overview_found *found)
{
    const struct status_of of = {o->task_queue, o->batch_interval_s};
    cJSON *doc = cJSON_CreateObject();
    char iso[CLOCK_ISO_SIZE];
    redisContext *c = links->redis;
    struct err *e = &links->redis_why;
    enum status_pg pg;

    cJSON_AddStringToObject(doc, "at", clock_iso(clock_wall_us(), "Z", iso));
    found->redis = status_add_redis(doc, &of, o->redis_url, c, e) && add_queues(doc, o, c, e) &&
                   add_timetable(doc, o, c, e) && add_dead(doc, c, e) && add_source(doc, c, e) &&
                   add_alerts(doc, c, e) &&
                   (!o->conservation || status_add_conservation(doc, c, e));
    pg = status_add_pg(doc, o->database_url, links->pg, &links->pg_why);
    found->pg = pg != STATUS_PG_DOWN;
    found->schema_ok = pg == STATUS_PG_OK;
    status_judge_ranking(doc, &of);
    return doc;
}
