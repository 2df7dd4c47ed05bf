/* Tasks that wait for another attempt: when, and what follows. */
#include "common/status.h"

#include <stdlib.h>
#include <string.h>

#include "common/keys.h"
#include "common/script.h"
#include "common/text.h"

/*
 * Of the next delayed messages, those whose stored result says RETRY, with its timetable. Messages
 * may be large, so they are looked through in Redis.
 * KEYS delayed; ARGV prefix of results, messages to look at, answers at most, bytes to decode
 */
static struct script retries_script = {
    .name = "status.retries",
    .lua = "local found = {}\n"
           "local next = redis.call('ZRANGE', KEYS[1], 0, ARGV[2] - 1, 'WITHSCORES')\n"
           "for i = 1, #next, 2 do\n"
           "  local ok, v = pcall(cjson.decode, #next[i] <= tonumber(ARGV[4]) and next[i] or '')\n"
           "  local id = ok and type(v) == 'table' and type(v.id) == 'string' and v.id\n"
           "  local text = id and redis.pcall('GET', ARGV[1] .. id)\n"
           "  local read, doc = pcall(cjson.decode, type(text) == 'string' and text or '')\n"
           "  if read and type(doc) == 'table' and doc.status == 'RETRY' and\n"
           "     type(doc.traceback) == 'string' then\n"
           "    found[#found + 1] = {id, doc.traceback, next[i + 1]}\n"
           "    if #found >= tonumber(ARGV[3]) then break end\n"
           "  end\n"
           "end\n"
           "return found\n",
};

static void add_retry(cJSON *list, const redisReply *r, int64_t now_us)
{
    cJSON *o;
    double due_ms;

    if (r->type != REDIS_REPLY_ARRAY || r->elements != 3) {
        return;
    }
    for (size_t i = 0; i < 3; i++) {
        const redisReply *text = r->element[i];

        if (text->type != REDIS_REPLY_STRING || !text_is_utf8(text->str, (size_t)text->len)) {
            return;
        }
    }
    due_ms = strtod(r->element[2]->str, NULL);
    o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "id", r->element[0]->str);
    cJSON_AddStringToObject(o, "timetable", r->element[1]->str);
    cJSON_AddNumberToObject(o, "in_s", (double)((int64_t)(due_ms / 1000) - now_us / 1000000));
    cJSON_AddItemToArray(list, o);
}

bool status_ask_retries(cJSON *doc, redisContext *c, int64_t now_us, struct err *e)
{
    static const char *const ARGS[] = {KEY_DELAYED, KEY_RESULT_PREFIX, "100", "3", "65536"};
    struct err ours;
    redisReply *r = script_run(c, &retries_script, 1, ARRAY_LEN(ARGS), ARGS, NULL, &ours);
    cJSON *list;

    if (!r) {
        /* A key of another kind leaves this part out; a broken connection is the caller's. */
        *e = ours;
        return ours.cls != ERR_RETRYABLE;
    }
    list = cJSON_AddArrayToObject(doc, "retries");
    for (size_t i = 0; r->type == REDIS_REPLY_ARRAY && i < r->elements; i++) {
        add_retry(list, r->element[i], now_us);
    }
    freeReplyObject(r);
    return true;
}
