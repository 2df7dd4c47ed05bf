#include "ctl/schedules.h"

#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/keys.h"
#include "common/script.h"
#include "common/text.h"

/* A beat renews its entry every 5 s. */
#define BEAT_SILENT_S 15

static void read_beat(struct schedules *t, const redisReply *entry)
{
    struct err ignored;
    cJSON *v = entry->type == REDIS_REPLY_STRING
                   ? json_parse(entry->str, (size_t)entry->len, &ignored)
                   : NULL;
    int64_t seen_s;

    if (json_get_i64(v, "seen", 0, INT64_MAX, &seen_s) &&
        t->now_us / 1000000 - seen_s <= BEAT_SILENT_S) {
        t->beats++;
        json_get_i64(v, "interval", 1, 86400, &t->d.batch_interval_s);
    }
    cJSON_Delete(v);
}

bool schedules_open(struct schedules *t, const char *command, const struct ctl_settings *s,
                    int *code)
{
    redisReply *beats;
    struct err e;

    *t = (struct schedules){.command = command, .d = {s->task_queue, s->batch_interval_s}};
    t->c = ctl_redis(command, s, &t->addr, code);
    if (!t->c) {
        return false;
    }
    if (!rds_time_us(t->c, &t->now_us, &e)) {
        *code = ctl_fail_err(command, &e);
        schedules_close(t);
        return false;
    }
    beats = rds_command(t->c, &e, "HVALS " KEY_BEATS);
    for (size_t i = 0; beats && beats->type == REDIS_REPLY_ARRAY && i < beats->elements; i++) {
        read_beat(t, beats->element[i]);
    }
    freeReplyObject(beats);
    return true;
}

void schedules_close(struct schedules *t)
{
    if (t->c) {
        redisFree(t->c);
    }
    t->c = NULL;
}

static enum schedules_found builtin(const struct schedules *t, const char *name, struct schedule *s)
{
    for (size_t i = 0; schedule_builtin(i, &t->d, s); i++) {
        if (strcmp(s->name, name) == 0) {
            return SCHEDULES_BUILTIN;
        }
    }
    *s = (struct schedule){0};
    return SCHEDULES_NONE;
}

enum schedules_found schedules_get(struct schedules *t, const char *name, struct schedule *s,
                                   char **text, struct err *e)
{
    enum schedules_found found = SCHEDULES_STORED;
    redisReply *r;

    *s = (struct schedule){0};
    *text = NULL;
    r = rds_command(t->c, e, "HGET " KEY_SCHEDULES " %s", name);
    if (!r) {
        return SCHEDULES_ERROR;
    }
    *text = strdup(r->type == REDIS_REPLY_STRING ? r->str : "");
    if (!*text) {
        err_set(e, ERR_RETRYABLE, "MemoryError", "out of memory");
        found = SCHEDULES_ERROR;
    } else if (r->type != REDIS_REPLY_STRING) {
        found = builtin(t, name, s);
    } else if (!schedule_parse(name, r->str, (size_t)r->len, &t->d, s, e)) {
        found = SCHEDULES_BAD;
    }
    freeReplyObject(r);
    return found;
}

bool schedules_last(struct schedules *t, const char *name, int64_t *last_s, struct err *e)
{
    redisReply *r = rds_command(t->c, e, "HGET " KEY_BEAT_LAST " %s", name);

    *last_s = -1;
    if (!r) {
        return false;
    }
    if (r->type == REDIS_REPLY_STRING) {
        (void)!text_to_i64(r->str, 0, INT64_MAX / 1000000, last_s);
    }
    freeReplyObject(r);
    return true;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

cJSON *schedules_names(struct schedules *t, struct err *e)
{
    redisReply *r = rds_command(t->c, e, "HKEYS " KEY_SCHEDULES);
    const char *names[SCHEDULE_TABLE_MAX + SCHEDULE_BUILTINS];
    struct schedule builtins[SCHEDULE_BUILTINS];
    size_t n = 0;
    cJSON *all;

    if (!r) {
        return NULL;
    }
    for (size_t i = 0; r->type == REDIS_REPLY_ARRAY && i < r->elements; i++) {
        if (n < SCHEDULE_TABLE_MAX && text_is_utf8(r->element[i]->str, r->element[i]->len)) {
            names[n++] = r->element[i]->str;
        }
    }
    for (size_t i = 0, stored = n; i < SCHEDULE_BUILTINS; i++) {
        size_t at = 0;

        MUST(schedule_builtin(i, &t->d, &builtins[i]));
        while (at < stored && strcmp(names[at], builtins[i].name) != 0) {
            at++;
        }
        if (at == stored) {
            names[n++] = builtins[i].name;
        }
    }
    qsort(names, n, sizeof *names, compare_names);
    all = cJSON_CreateStringArray(names, (int)n);
    freeReplyObject(r);
    if (!all) {
        err_set(e, ERR_RETRYABLE, "MemoryError", "out of memory");
    }
    return all;
}

static struct script change_script = {
    .name = "ctl.schedule",
    .lua = "local name, was, is, note = ARGV[1], ARGV[2], ARGV[3], ARGV[4]\n"
           "local old = redis.call('HGET', KEYS[1], name) or ''\n"
           "if old ~= was then return 0 end\n"
           "if is == '' then redis.call('HDEL', KEYS[1], name)\n"
           "elseif old == '' and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[6]) then return -1\n"
           "else redis.call('HSET', KEYS[1], name, is) end\n"
           "redis.call('INCR', KEYS[2])\n"
           "if note ~= '' then\n"
           "  redis.pcall('LPUSH', KEYS[3], note)\n"
           "  redis.pcall('LTRIM', KEYS[3], 0, 999)\n"
           "end\n"
           "if ARGV[5] == '1' then\n"
           "  for i = 4, 7 do redis.pcall('HDEL', KEYS[i], name) end\n"
           "  redis.call('DEL', KEYS[8])\n"
           "end\n"
           "return 1\n"};

int schedules_change(struct schedules *t, const struct schedules_change *ch, struct err *e)
{
    char ledger[sizeof KEY_LEDGER_PREFIX + SCHEDULE_NAME_SIZE], most[12];
    const char *args[] = {KEY_SCHEDULES,
                          KEY_SCHEDULES_REV,
                          KEY_BEAT_NOTES,
                          KEY_BEAT_LAST,
                          KEY_BEAT_GAP,
                          KEY_BEAT_SENT,
                          KEY_BEAT_MESSAGE,
                          ledger,
                          ch->name,
                          ch->was,
                          ch->is,
                          ch->note ? ch->note : "",
                          ch->forget ? "1" : "0",
                          most};
    redisReply *r;
    int result;

    snprintf(ledger, sizeof ledger, KEY_LEDGER_PREFIX "%s", ch->name);
    snprintf(most, sizeof most, "%d", SCHEDULE_TABLE_MAX);
    r = script_run(t->c, &change_script, 8, ARRAY_LEN(args), args, NULL, e);
    if (!r) {
        return -2;
    }
    result = r->type == REDIS_REPLY_INTEGER ? (int)r->integer : 0;
    freeReplyObject(r);
    return result;
}

const char *schedules_zone(const struct schedule *s)
{
    return s->every_s > 0 ? "" : s->zone;
}

int schedules_fail(const struct schedules *t, const char *name, enum schedules_found found,
                   const struct err *e)
{
    switch (found) {
    case SCHEDULES_NONE:
        return ctl_fail(t->command, CTL_FAILED,
                        "there is no schedule \"%.80s\"; see aion2ctl schedule list", name);
    case SCHEDULES_BAD:
        return ctl_fail(t->command, CTL_FAILED, "the schedule \"%.80s\" cannot be read: %s", name,
                        e->text);
    default:
        return ctl_fail_err(t->command, e);
    }
}
