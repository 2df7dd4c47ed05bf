#include "common/revocation.h"

#include <stdlib.h>
#include <string.h>

#include "common/keys.h"
#include "common/script.h"
#include "common/text.h"

#define STR_(x) #x
#define STR(x)  STR_(x)

/* KEYS revoked; ARGV ids */
static struct script LUA_REVOKE = {
    .name = "revoke",
    .lua = "local now = redis.call('TIME')[1]\n"
           "for _, id in ipairs(ARGV) do redis.call('ZADD', KEYS[1], now, id) end\n"
           "redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - " STR(
               REVOCATION_KEEP_S) ")\n"
                                  "redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -" STR(
                                      REVOCATION_MAX) " - 1)\n"
                                                      "return #ARGV\n",
};

bool revocation_note(redisContext *c, const char *const *ids, int n, struct err *e)
{
    const char *args[REVOCATION_ONCE_MAX + 1] = {KEY_REVOKED};
    redisReply *r;

    if (n > REVOCATION_ONCE_MAX) {
        return err_set(e, ERR_PERMANENT, "ValueError", "more than %d tasks at once",
                       REVOCATION_ONCE_MAX);
    }
    memcpy(args + 1, ids, (size_t)n * sizeof *ids);
    r = script_run(c, &LUA_REVOKE, 1, n + 1, args, NULL, e);
    freeReplyObject(r);
    return r != NULL;
}

bool revocation_id_ok(const char *id)
{
    size_t len = strlen(id);

    return len > 0 && len <= REVOCATION_ID_MAX && text_is_utf8(id, len) &&
           !text_has_control(id, len);
}

/* {"task_id": [...], "terminate": ..., "signal": ...}; the caller frees. */
static char *arguments(const struct revocation *r)
{
    cJSON *obj = cJSON_CreateObject();
    char *text;

    cJSON_AddItemToObject(obj, "task_id", cJSON_CreateStringArray(r->ids, r->n));
    cJSON_AddBoolToObject(obj, "terminate", r->terminate);
    cJSON_AddStringToObject(obj, "signal", r->signal ? r->signal : "SIGTERM");
    text = json_print(obj);
    cJSON_Delete(obj);
    return text;
}

cJSON *revocation_run(redisContext *c, int db, const struct revocation *r, struct err *e)
{
    struct nodes_question q = {
        .db = db, .method = "revoke", .timeout_ms = r->timeout_ms, .stop = r->stop};
    struct nodes_answers a = {.by_node = NULL};
    char *text = arguments(r);
    cJSON *doc = NULL;

    q.arguments = text ? text : "{}";
    if (revocation_note(c, r->ids, r->n, e) && nodes_ask(c, &q, &a, e)) {
        doc = cJSON_CreateObject();
        cJSON_AddItemToObject(doc, "revoked", cJSON_CreateStringArray(r->ids, r->n));
        cJSON_AddItemToObject(doc, "nodes", a.by_node);
        a.by_node = NULL;
    }
    nodes_answers_fini(&a);
    free(text);
    return doc;
}
