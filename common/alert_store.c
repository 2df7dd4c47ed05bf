#include "common/alert_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/keys.h"
#include "common/script.h"

static struct script load_script = {
    .name = "alerts.load",
    .lua = "return {redis.call('HGET', KEYS[1], 'rev') or '0',\n"
           "        redis.call('HGET', KEYS[1], 'doc') or '{}', redis.call('TIME')[1]}\n",
};
/* ARGV: the rev that was read, the next one, the document */
static struct script save_script = {
    .name = "alerts.save",
    .lua = "if (redis.call('HGET', KEYS[1], 'rev') or '0') ~= ARGV[1] then return 0 end\n"
           "redis.call('HSET', KEYS[1], 'rev', ARGV[2], 'doc', ARGV[3])\n"
           "return 1\n",
};

static bool is_answer(const redisReply *r)
{
    if (r->type != REDIS_REPLY_ARRAY || r->elements != 3) {
        return false;
    }
    for (size_t i = 0; i < 3; i++) {
        if (r->element[i]->type != REDIS_REPLY_STRING) {
            return false;
        }
    }
    return true;
}

static void take_over(struct alert_store *s, const redisReply *r)
{
    struct err ignored;

    cJSON_Delete(s->doc);
    s->doc = json_parse(r->element[1]->str, (size_t)r->element[1]->len, &ignored);
    if (!cJSON_IsObject(s->doc)) {
        cJSON_Delete(s->doc);
        s->doc = cJSON_CreateObject();
    }
    snprintf(s->rev, sizeof s->rev, "%s", r->element[0]->str);
    s->now_s = strtoll(r->element[2]->str, NULL, 10);
}

bool alert_load(redisContext *c, struct alert_store *s, struct err *e)
{
    const char *args[] = {KEY_ALERTS};
    redisReply *r = script_run(c, &load_script, 1, 1, args, NULL, e);
    bool ok;

    if (!r) {
        return false;
    }
    ok = is_answer(r);
    if (ok) {
        take_over(s, r);
    }
    freeReplyObject(r);
    return ok || err_set(e, ERR_PERMANENT, "RedisError", "alerts.load gave a strange answer");
}

enum alert_saved alert_save(redisContext *c, struct alert_store *s, struct err *e)
{
    char next[24];
    char *text = json_print(s->doc);
    const char *args[] = {KEY_ALERTS, s->rev, next, text};
    enum alert_saved saved = ALERT_NOT_SAVED;
    redisReply *r;

    snprintf(next, sizeof next, "%lld", strtoll(s->rev, NULL, 10) + 1);
    if (!text) {
        err_set(e, ERR_RETRYABLE, "MemoryError", "out of memory");
        return ALERT_NOT_SAVED;
    }
    r = script_run(c, &save_script, 1, ARRAY_LEN(args), args, NULL, e);
    free(text);
    if (r) {
        saved = r->integer == 1 ? ALERT_SAVED : ALERT_OUTRUN;
        freeReplyObject(r);
    }
    if (saved == ALERT_SAVED) {
        memcpy(s->rev, next, sizeof s->rev);
    }
    return saved;
}

void alert_store_fini(struct alert_store *s)
{
    cJSON_Delete(s->doc);
    s->doc = NULL;
}
