#include "common/letters_lua.h"

#include "common/broker_lua_parts.h"

/*
 * KEYS entries, counters, list, losses, recoveries, result; ARGV entry, message, counter, id
 * (empty: the losses and the result are none of ours)
 */
struct script LETTERS_LUA_PUT_BACK = {
    .name = "letter_put_back",
    .lua = LUA_COUNT
    "if not redis.call('LPOS', KEYS[1], ARGV[1], 'RANK', -1) then return 0 end\n"
    "redis.call('LPUSH', KEYS[3], ARGV[2])\n"
    "redis.call('LREM', KEYS[1], -1, ARGV[1])\n"
    "count(KEYS[2], ARGV[3], 1)\n"
    "redis.pcall('HDEL', KEYS[5], redis.sha1hex(ARGV[2]))\n"
    "if ARGV[4] == '' then return 1 end\n"
    "redis.pcall('HDEL', KEYS[4], ARGV[4])\n"
    "local doc = redis.pcall('GET', KEYS[6])\n"
    "local ok, v = pcall(cjson.decode, type(doc) == 'string' and doc or '')\n"
    "if ok and type(v) == 'table' and v.status == 'FAILURE' then redis.pcall('DEL', KEYS[6]) end\n"
    "return 1\n",
};

/* KEYS entries, counters, the key of an oversized message (any name without one);
 * ARGV entry, counter, 1 if there is such a key */
struct script LETTERS_LUA_DROP = {
    .name = "letter_drop",
    .lua = LUA_COUNT "if redis.call('LREM', KEYS[1], -1, ARGV[1]) == 0 then return 0 end\n"
                     "count(KEYS[2], ARGV[2], 1)\n"
                     "if ARGV[3] == '1' then redis.pcall('DEL', KEYS[3]) end\n"
                     "return 1\n",
};
