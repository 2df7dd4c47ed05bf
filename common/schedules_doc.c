#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/keys.h"
#include "common/schedules.h"
#include "common/text.h"

static void add_i64(cJSON *o, const char *name, int64_t n)
{
    cJSON_AddNumberToObject(o, name, (double)n);
}

static void add_timetable(cJSON *o, const struct schedule *s)
{
    char when[SCHEDULE_WHEN_SIZE];

    if (s->every_s > 0) {
        add_i64(o, "every", s->every_s);
    } else {
        cJSON_AddStringToObject(o, "cron", s->cron_text);
        cJSON_AddStringToObject(o, "tz", s->zone);
    }
    cJSON_AddStringToObject(o, "when", schedule_when(s, when));
}

static void add_pause(cJSON *o, const struct schedule_pause *p)
{
    cJSON *pause = cJSON_AddObjectToObject(o, "paused");

    cJSON_AddStringToObject(pause, "reason", p->reason);
    cJSON_AddStringToObject(pause, "by", p->by);
    add_i64(pause, "since", p->since_s);
}

/* The document about one that can be read. last_s: -1 for none. */
static cJSON *describe(const struct schedule *s, bool stored, int64_t now_s, int64_t last_s)
{
    cJSON *o = cJSON_CreateObject();
    int64_t next_s;

    cJSON_AddStringToObject(o, "name", s->name);
    cJSON_AddStringToObject(o, "task", s->task);
    add_timetable(o, s);
    cJSON_AddStringToObject(o, "queue", s->queue);
    add_i64(o, "priority", s->priority);
    cJSON_AddItemToObject(o, "args",
                          s->args ? cJSON_Duplicate(s->args, true) : cJSON_CreateArray());
    cJSON_AddItemToObject(o, "kwargs",
                          s->kwargs ? cJSON_Duplicate(s->kwargs, true) : cJSON_CreateObject());
    cJSON_AddStringToObject(o, "missed", schedule_missed_name(s->missed));
    if (s->missed == SCHEDULE_ALL) {
        add_i64(o, "missed_max", s->missed_max);
    }
    cJSON_AddStringToObject(o, "overlap", schedule_overlap_name(s->overlap));
    if (s->expires_s > 0) {
        add_i64(o, "expires", s->expires_s);
    }
    if (s->pause.on) {
        add_pause(o, &s->pause);
    }
    cJSON_AddBoolToObject(o, "stored", stored);
    if (schedule_next(s, now_s, &next_s)) {
        add_i64(o, "next", next_s);
    }
    if (last_s >= 0) {
        add_i64(o, "last", last_s);
    }
    return o;
}

static cJSON *describe_bad(const char *name, const char *text, const struct err *e)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddStringToObject(o, "name", name);
    cJSON_AddStringToObject(o, "error", e->text);
    cJSON_AddStringToObject(o, "text", text_is_utf8(text, strlen(text)) ? text : "(not UTF-8)");
    return o;
}

enum schedules_found schedules_doc(struct schedules *t, const char *name, cJSON **doc,
                                   struct err *e)
{
    struct schedule s;
    char *text = NULL;
    enum schedules_found found = schedules_get(t, name, &s, &text, e);
    int64_t last_s = -1;

    *doc = NULL;
    if (found == SCHEDULES_BAD) {
        *doc = describe_bad(name, text, e);
    } else if (found == SCHEDULES_STORED || found == SCHEDULES_BUILTIN) {
        struct err broken;

        /* A key of another type only leaves the last slot out. */
        if (!schedules_last(t, name, &last_s, &broken) && broken.cls == ERR_RETRYABLE) {
            *e = broken;
            found = SCHEDULES_ERROR;
        } else {
            *doc = describe(&s, found == SCHEDULES_STORED, t->now_us / 1000000, last_s);
        }
    }
    free(text);
    schedule_fini(&s);
    return found;
}

/* ---- all of them ---- */

/* The value beside a name in a reply to HGETALL, -1: there is none. */
static int64_t last_of(const redisReply *lasts, const char *name)
{
    int64_t last_s = -1;

    for (size_t i = 0; lasts && i + 1 < lasts->elements; i += 2) {
        if (strcmp(lasts->element[i]->str, name) == 0) {
            (void)!text_to_i64(lasts->element[i + 1]->str, 0, INT64_MAX / 1000000, &last_s);
            break;
        }
    }
    return last_s;
}

static cJSON *describe_stored(const struct schedules *t, const char *name, const redisReply *text,
                              int64_t last_s)
{
    struct schedule s;
    struct err e;
    cJSON *o;

    if (!schedule_parse(name, text->str, (size_t)text->len, &t->d, &s, &e)) {
        return describe_bad(name, text->str, &e);
    }
    o = describe(&s, true, t->now_us / 1000000, last_s);
    schedule_fini(&s);
    return o;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(json_get_str(*(cJSON *const *)a, "name"),
                  json_get_str(*(cJSON *const *)b, "name"));
}

/* All as items of one array; stored, lasts: replies to HGETALL, empty when they are none. */
static cJSON *describe_all(const struct schedules *t, const redisReply *stored,
                           const redisReply *lasts)
{
    cJSON *all = cJSON_CreateArray(), *items[SCHEDULE_TABLE_MAX + SCHEDULE_BUILTINS];
    bool has[SCHEDULE_BUILTINS] = {false};
    struct schedule s;
    size_t n = 0;

    for (size_t i = 0; i + 1 < stored->elements && n < SCHEDULE_TABLE_MAX; i += 2) {
        const redisReply *name = stored->element[i];

        if (text_is_utf8(name->str, (size_t)name->len)) {
            items[n++] =
                describe_stored(t, name->str, stored->element[i + 1], last_of(lasts, name->str));
        }
        for (size_t b = 0; schedule_builtin(b, &t->d, &s); b++) {
            has[b] = has[b] || strcmp(s.name, name->str) == 0;
        }
    }
    for (size_t b = 0; schedule_builtin(b, &t->d, &s); b++) {
        if (!has[b]) {
            items[n++] = describe(&s, false, t->now_us / 1000000, last_of(lasts, s.name));
        }
    }
    qsort(items, n, sizeof(cJSON *), compare_names);
    for (size_t i = 0; i < n; i++) {
        cJSON_AddItemToArray(all, items[i]);
    }
    return all;
}

cJSON *schedules_doc_list(struct schedules *t, struct err *e)
{
    redisReply *stored = rds_command(t->c, e, "HGETALL " KEY_SCHEDULES), *lasts = NULL;
    struct err broken = {.cls = ERR_NONE};
    cJSON *all = NULL;

    if (stored) {
        lasts = rds_command(t->c, &broken, "HGETALL " KEY_BEAT_LAST);
    }
    if (stored && !lasts && broken.cls == ERR_RETRYABLE) {
        *e = broken;
    } else if (stored) {
        all = describe_all(t, stored, lasts);
    }
    freeReplyObject(stored);
    freeReplyObject(lasts);
    return all;
}

/* ---- the slots to come ---- */

cJSON *schedules_doc_next(const struct schedule *s, int64_t after_s, int64_t count)
{
    cJSON *all = cJSON_CreateArray();

    count = count < SCHEDULES_NEXT_MAX ? count : SCHEDULES_NEXT_MAX;
    for (int64_t i = 0; i < count && schedule_next(s, after_s, &after_s); i++) {
        char text[ZONE_TEXT_SIZE];
        cJSON *slot = cJSON_CreateObject();

        add_i64(slot, "at", after_s);
        cJSON_AddStringToObject(slot, "text", zone_text(schedules_zone(s), after_s, text));
        cJSON_AddItemToArray(all, slot);
    }
    return all;
}
