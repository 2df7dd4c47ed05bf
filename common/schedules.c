#include "common/schedules.h"

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

bool schedules_open(struct schedules *t, redisContext *c, int db, const struct schedule_defaults *d,
                    struct err *e)
{
    redisReply *beats;

    *t = (struct schedules){.c = c, .db = db, .d = *d};
    if (!rds_time_us(c, &t->now_us, e)) {
        return false;
    }
    beats = rds_command(c, e, "HVALS " KEY_BEATS);
    for (size_t i = 0; beats && beats->type == REDIS_REPLY_ARRAY && i < beats->elements; i++) {
        read_beat(t, beats->element[i]);
    }
    freeReplyObject(beats);
    return true;
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

static struct script change_script = {
    .name = "schedules.change",
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
