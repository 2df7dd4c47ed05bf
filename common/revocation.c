#include "common/revocation.h"

#include <string.h>

#include "common/keys.h"
#include "common/script.h"

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
