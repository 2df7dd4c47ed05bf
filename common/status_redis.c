#include "common/status.h"

#include <stdlib.h>
#include <string.h>

#include "common/broker.h"
#include "common/clock.h"
#include "common/conf.h"
#include "common/keys.h"
#include "common/msg.h"
#include "common/schedule.h"
#include "common/text.h"

/*
 * Two round trips. The first asks everything whose key is known (PROBES, then the lists of the
 * queue); the second asks for each registered worker. A reply of an unexpected kind is skipped:
 * one broken key does not hide the rest.
 */
struct view {
    cJSON *doc;
    cJSON *queue; /* doc.queue */
    const struct status_of *settings;
    redisReply *workers; /* SMEMBERS, owned */
    int64_t now_us;      /* Redis' clock */
    int64_t interval_s;  /* what a beat that is alive says, else our own setting */
};

struct probe {
    const char *command;
    int type; /* of the reply */
    void (*read)(const struct probe *p, const redisReply *r, struct view *v);
    const char *name; /* of the member that read_count fills in */
};

/* Whole numbers up to here are exact in JSON's doubles: 2^53. */
#define EXACT_MAX INT64_C(9007199254740992)
/* A beat renews its entry every 5 s. */
#define BEAT_SILENT_S 15

static void add_i64(cJSON *o, const char *name, int64_t n)
{
    cJSON_AddNumberToObject(o, name, (double)n);
}

static bool is_text(const redisReply *r)
{
    return r->type == REDIS_REPLY_STRING && text_is_utf8(r->str, (size_t)r->len);
}

static void read_time(const struct probe *p, const redisReply *r, struct view *v)
{
    (void)p;
    if (!rds_read_time(r, &v->now_us)) {
        v->now_us = 0;
    }
}

static void read_info(const struct probe *p, const redisReply *r, struct view *v)
{
    static const char FIELD[] = "redis_version:";
    const char *at = strstr(r->str, FIELD);
    char version[32] = "";

    (void)p;
    if (at) {
        at += strlen(FIELD);
        snprintf(version, sizeof version, "%.*s", (int)strcspn(at, "\r\n"), at);
    }
    cJSON_AddStringToObject(json_get_obj(v->doc, "redis"), "version", version);
}

static void read_count(const struct probe *p, const redisReply *r, struct view *v)
{
    add_i64(v->queue, p->name, r->integer);
}

static void read_next_delayed(const struct probe *p, const redisReply *r, struct view *v)
{
    double due_ms =
        r->elements == 2 && is_text(r->element[1]) ? strtod(r->element[1]->str, NULL) : -1;

    if (due_ms >= 0 && due_ms < EXACT_MAX) {
        add_i64(v->queue, p->name, (int64_t)(due_ms / 1000) - v->now_us / 1000000);
    }
}

static void read_counters(const struct probe *p, const redisReply *r, struct view *v)
{
    cJSON *counters = cJSON_AddObjectToObject(v->doc, p->name);
    int64_t n;

    for (size_t i = 0; i + 1 < r->elements; i += 2) {
        if (is_text(r->element[i]) && is_text(r->element[i + 1]) &&
            text_to_i64(r->element[i + 1]->str, -EXACT_MAX, EXACT_MAX, &n)) {
            add_i64(counters, r->element[i]->str, n);
        }
    }
}

static void read_beats(const struct probe *p, const redisReply *r, struct view *v)
{
    cJSON *beats = cJSON_AddArrayToObject(v->doc, p->name);
    struct err ignored;
    int64_t seen_s;

    for (size_t i = 0; i + 1 < r->elements && i < 2 * STATUS_BEATS_MAX; i += 2) {
        const redisReply *entry = r->element[i + 1];
        cJSON *beat = entry->type == REDIS_REPLY_STRING && is_text(r->element[i])
                          ? json_parse(entry->str, (size_t)entry->len, &ignored)
                          : NULL;

        if (!json_get_i64(beat, "seen", 0, INT64_MAX, &seen_s)) {
            cJSON_Delete(beat);
            continue;
        }
        cJSON_AddStringToObject(beat, "boot", r->element[i]->str);
        seen_s = v->now_us / 1000000 - seen_s;
        add_i64(beat, "seen_ago_s", seen_s);
        cJSON_AddBoolToObject(beat, "alive", seen_s <= BEAT_SILENT_S);
        if (seen_s <= BEAT_SILENT_S) {
            json_get_i64(beat, "interval", 1, 86400, &v->interval_s);
        }
        cJSON_AddItemToArray(beats, beat);
    }
}

/* The newest entry of the ledger. */
static void read_ledger(const struct probe *p, const redisReply *r, struct view *v)
{
    struct err ignored;
    cJSON *entry = r->elements == 1 && r->element[0]->type == REDIS_REPLY_STRING
                       ? json_parse(r->element[0]->str, (size_t)r->element[0]->len, &ignored)
                       : NULL;

    if (entry) {
        cJSON_AddItemToObject(json_get_obj(v->doc, "schedule"), p->name, entry);
    }
}

static void read_last_slot(const struct probe *p, const redisReply *r, struct view *v)
{
    cJSON *schedule = json_get_obj(v->doc, "schedule");
    int64_t last_s;

    if (text_to_i64(r->str, 0, INT64_MAX / 1000000, &last_s)) {
        add_i64(schedule, p->name, last_s);
        cJSON_AddBoolToObject(schedule, "late", schedule_is_late(last_s, v->now_us, v->interval_s));
    }
}

static const struct probe PROBES[] = {
    {"TIME", REDIS_REPLY_ARRAY, read_time, NULL}, /* first: others need it */
    {"INFO server", REDIS_REPLY_STRING, read_info, NULL},
    {"ZCARD " KEY_DELAYED, REDIS_REPLY_INTEGER, read_count, "delayed"},
    {"ZRANGE " KEY_DELAYED " 0 0 WITHSCORES", REDIS_REPLY_ARRAY, read_next_delayed,
     "delayed_next_in_s"},
    {"LLEN " KEY_QUARANTINE, REDIS_REPLY_INTEGER, read_count, "quarantine"},
    {"LLEN " KEY_DEAD, REDIS_REPLY_INTEGER, read_count, "dead"},
    {"HGETALL " KEY_COUNTERS, REDIS_REPLY_ARRAY, read_counters, "counters"},
    {"HGETALL " KEY_BEATS, REDIS_REPLY_ARRAY, read_beats, "beats"},
    {"HGET " KEY_BEAT_LAST " " SCHEDULE_BATCH, REDIS_REPLY_STRING, read_last_slot, "last_slot"},
    {"LRANGE " KEY_LEDGER_PREFIX SCHEDULE_BATCH " 0 0", REDIS_REPLY_ARRAY, read_ledger,
     "last_sent"},
};

/* The next reply of the pipeline; NULL and *e when the connection broke. */
static redisReply *next_reply(redisContext *c, struct err *e)
{
    void *any = NULL;

    if (redisGetReply(c, &any) != REDIS_OK) {
        err_set(e, ERR_RETRYABLE, "ConnectionError", "Redis: %s", c->errstr);
        return NULL;
    }
    return any;
}

static bool read_probes(redisContext *c, struct view *v, struct err *e)
{
    for (size_t i = 0; i < ARRAY_LEN(PROBES); i++) {
        redisReply *r = next_reply(c, e);

        if (!r) {
            return false;
        }
        if (r->type == REDIS_REPLY_ERROR && i == 0) { /* NOAUTH, LOADING: nothing will work */
            rds_error_reply(r->str, e);
            freeReplyObject(r);
            return false;
        }
        if (r->type == PROBES[i].type) {
            PROBES[i].read(&PROBES[i], r, v);
        }
        freeReplyObject(r);
    }
    return true;
}

static bool read_lists(redisContext *c, struct view *v, struct err *e)
{
    cJSON *ready = cJSON_AddArrayToObject(v->queue, "ready_by_priority");
    int64_t total = 0;

    for (int step = 0; step < KEY_PRIORITY_STEPS; step++) {
        redisReply *r = next_reply(c, e);
        cJSON *one = cJSON_CreateObject();

        cJSON_AddItemToArray(ready, one);
        if (!r) {
            return false;
        }
        add_i64(one, "priority", step * 3);
        add_i64(one, "length", r->type == REDIS_REPLY_INTEGER ? r->integer : 0);
        total += r->type == REDIS_REPLY_INTEGER ? r->integer : 0;
        freeReplyObject(r);
    }
    add_i64(v->queue, "ready", total);
    return true;
}

static bool first_round(redisContext *c, struct view *v, struct err *e)
{
    for (size_t i = 0; i < ARRAY_LEN(PROBES); i++) {
        redisAppendCommand(c, PROBES[i].command);
    }
    for (int step = 0; step < KEY_PRIORITY_STEPS; step++) {
        char list[BROKER_LIST_SIZE];

        MUST(msg_list_name(list, sizeof list, v->settings->task_queue, step * 3));
        redisAppendCommand(c, "LLEN %s", list);
    }
    redisAppendCommand(c, "SMEMBERS " KEY_WORKERS);
    if (!read_probes(c, v, e) || !read_lists(c, v, e)) {
        return false;
    }
    v->workers = next_reply(c, e);
    return v->workers != NULL;
}

/* How long each running task has been at it. */
static void add_durations(cJSON *worker, int64_t now_s)
{
    cJSON *task;
    int64_t since_s;

    cJSON_ArrayForEach(task, json_get_arr(worker, "running"))
    {
        if (json_get_i64(task, "since", 0, INT64_MAX, &since_s)) {
            add_i64(task, "for_s", now_s > since_s ? now_s - since_s : 0);
        }
    }
}

cJSON *status_worker(const redisReply *boot, const redisReply *heartbeat, int64_t held,
                     int64_t now_s)
{
    struct err ignored;
    cJSON *w = heartbeat->type == REDIS_REPLY_STRING
                   ? json_parse(heartbeat->str, (size_t)heartbeat->len, &ignored)
                   : NULL;
    bool alive = cJSON_IsObject(w);

    if (!alive) {
        cJSON_Delete(w);
        w = cJSON_CreateObject();
    }
    cJSON_DeleteItemFromObjectCaseSensitive(w, "boot");
    cJSON_AddStringToObject(w, "boot", boot->str);
    cJSON_AddBoolToObject(w, "alive", alive);
    add_durations(w, now_s);
    add_i64(w, "held", held);
    return w;
}

static bool second_round(redisContext *c, struct view *v, struct err *e)
{
    const redisReply *boots = v->workers;
    size_t n = boots->type == REDIS_REPLY_ARRAY ? boots->elements : 0;
    cJSON *workers = cJSON_AddArrayToObject(v->doc, "workers");
    int64_t held = 0;

    n = n < STATUS_WORKERS_MAX ? n : STATUS_WORKERS_MAX;
    for (size_t i = 0; i < n; i++) {
        const redisReply *boot = boots->element[i];

        redisAppendCommand(c, "GET " KEY_WORKER_PREFIX "%b", boot->str, (size_t)boot->len);
        redisAppendCommand(c, "HLEN " KEY_HELD_PREFIX "%b", boot->str, (size_t)boot->len);
    }
    for (size_t i = 0; i < n; i++) {
        redisReply *heartbeat = next_reply(c, e);
        redisReply *count = heartbeat ? next_reply(c, e) : NULL;
        int64_t own = count && count->type == REDIS_REPLY_INTEGER ? count->integer : 0;

        if (count && is_text(boots->element[i])) {
            cJSON_AddItemToArray(
                workers, status_worker(boots->element[i], heartbeat, own, v->now_us / 1000000));
            held += own;
        }
        freeReplyObject(heartbeat);
        freeReplyObject(count);
        if (!count) {
            return false;
        }
    }
    add_i64(v->queue, "held", held);
    return true;
}

static void add_schedule(struct view *v)
{
    int64_t next_us = schedule_next_us(v->now_us, v->interval_s);
    cJSON *schedule = json_get_obj(v->doc, "schedule");

    add_i64(schedule, "interval_s", v->interval_s);
    add_i64(schedule, "next_slot", next_us / 1000000);
    add_i64(schedule, "next_in_s", (next_us - v->now_us + 999999) / 1000000);
}

static bool ask_everything(redisContext *c, struct view *v, struct err *e)
{
    bool ok = first_round(c, v, e) && second_round(c, v, e);

    if (ok) {
        add_schedule(v);
        ok = status_ask_jobs(v->doc, c, v->settings, e) &&
             status_ask_retries(v->doc, c, v->now_us, e);
    }
    freeReplyObject(v->workers);
    return ok;
}

bool status_add_redis(cJSON *doc, const struct status_of *s, const char *url, redisContext *c,
                      struct err *e)
{
    static const char *const MINE[] = {"workers",  "beats",     "schedule",     "queue",
                                       "counters", "schedules", "other_queues", "retries"};
    struct view v = {.doc = doc, .settings = s, .interval_s = s->batch_interval_s};
    cJSON *redis = cJSON_AddObjectToObject(doc, "redis");
    cJSON *schedule = cJSON_AddObjectToObject(doc, "schedule");
    bool ok;

    v.queue = cJSON_AddObjectToObject(doc, "queue");
    cJSON_AddStringToObject(v.queue, "name", s->task_queue);
    cJSON_AddStringToObject(schedule, "name", SCHEDULE_BATCH);
    cJSON_AddStringToObject(redis, "url", conf_mask_url(url));
    ok = c && ask_everything(c, &v, e);
    cJSON_AddBoolToObject(redis, "reachable", ok);
    if (!ok) {
        cJSON_AddStringToObject(redis, "error", e->text);
        for (size_t i = 0; i < ARRAY_LEN(MINE); i++) { /* half an answer would mislead */
            cJSON_DeleteItemFromObjectCaseSensitive(doc, MINE[i]);
        }
    }
    return ok;
}

/* ---- how old the ranking is ---- */

void status_judge_ranking(cJSON *doc, const struct status_of *s)
{
    cJSON *ranking = json_get_obj(doc, "ranking"), *schedule = json_get_obj(doc, "schedule");
    int64_t age_s, next_in_s, gap_s = s->batch_interval_s, now_us = clock_wall_us();

    if (!json_get_i64(schedule, "gap_s", 1, INT64_MAX, &gap_s)) {
        json_get_i64(schedule, "interval_s", 1, INT64_MAX, &gap_s);
    }
    if (!json_get_i64(ranking, "age_s", INT64_MIN, INT64_MAX, &age_s)) {
        return;
    }
    /* Without Redis the wall clock has to do. */
    if (!json_get_i64(schedule, "next_in_s", 0, INT64_MAX, &next_in_s)) {
        next_in_s = (schedule_next_us(now_us, gap_s) - now_us) / 1000000;
    }
    add_i64(ranking, "next_in_s", next_in_s);
    cJSON_AddBoolToObject(ranking, "stale", age_s > 2 * gap_s);
}
