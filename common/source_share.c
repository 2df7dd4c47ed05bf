#include "common/source_share.h"

#include <stdio.h>

#include "common/keys.h"

/* The lookup's key holds "L<id>" while it is carried out, then "R<answer>". */

/* KEYS lookup, gone; ARGV id, lease_ms */
struct script SHARE_LUA_CLAIM = {
    .name = "source.claim",
    .lua = "local gone = redis.call('GET', KEYS[2])\n"
           "if gone then return {3, gone} end\n"
           "local v = redis.call('GET', KEYS[1])\n"
           "if not v or v == 'L' .. ARGV[1] then\n"
           "  redis.call('SET', KEYS[1], 'L' .. ARGV[1], 'PX', ARGV[2])\n"
           "  return {0, ''}\n"
           "end\n"
           "if string.sub(v, 1, 1) == 'R' then return {2, string.sub(v, 2)} end\n"
           "return {1, ''}\n",
};

/* KEYS lookup, gone; ARGV id, answer, answer_ms, gone_ms (0: not to be remembered) */
struct script SHARE_LUA_PUBLISH = {
    .name = "source.publish",
    .lua = "if redis.call('GET', KEYS[1]) ~= 'L' .. ARGV[1] then return 0 end\n"
           "if ARGV[4] ~= '0' then\n"
           "  redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[4])\n"
           "  redis.call('DEL', KEYS[1])\n"
           "elseif ARGV[2] == '' then\n"
           "  redis.call('DEL', KEYS[1])\n"
           "else\n"
           "  redis.call('SET', KEYS[1], 'R' .. ARGV[2], 'PX', ARGV[3])\n"
           "end\n"
           "return 1\n",
};

static void begin(struct command *c, struct script *script, const struct share *s)
{
    char rest[KIB];

    command_begin(c, script);
    if (snprintf(rest, sizeof rest, "%s:%s:%s", s->region, s->server, s->name) >=
        (int)sizeof rest) {
        c->failed = true;
    }
    command_key2(c, KEY_SOURCE_LOOKUP_PREFIX, rest);
    command_key2(c, KEY_SOURCE_GONE_PREFIX, rest);
    command_arg(c, s->id);
}

void share_claim(struct command *c, const struct share *s)
{
    begin(c, &SHARE_LUA_CLAIM, s);
    command_i64(c, SHARE_LEASE_MS);
}

enum share_claim share_read(const redisReply *r, const char **answer)
{
    *answer = NULL;
    if (!r || r->type != REDIS_REPLY_ARRAY || r->elements != 2 ||
        r->element[0]->type != REDIS_REPLY_INTEGER || r->element[1]->type != REDIS_REPLY_STRING ||
        r->element[0]->integer < SHARE_MINE || r->element[0]->integer > SHARE_GONE) {
        return SHARE_MINE;
    }
    *answer = r->element[1]->str;
    return (enum share_claim)r->element[0]->integer;
}

void share_publish(struct command *c, const struct share *s, const char *answer, bool gone)
{
    begin(c, &SHARE_LUA_PUBLISH, s);
    command_arg(c, answer);
    command_i64(c, SHARE_ANSWER_MS);
    command_i64(c, gone ? SHARE_GONE_MS : 0);
}
