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

/*
 * KEYS a list; ARGV how many of its newest; replies each as JSON without its message, which "bytes"
 * stands for. What is long, or no JSON, is not looked into.
 */
struct script LETTERS_LUA_NEWEST = {
    .name = "letters_newest",
    .lua = "local reply = {}\n"
           "for i = 0, tonumber(ARGV[1]) - 1 do\n"
           "  local m = redis.call('LINDEX', KEYS[1], i)\n"
           "  if not m then break end\n"
           "  local ok, v = pcall(cjson.decode, #m <= 65536 and m or '')\n"
           "  if not ok or type(v) ~= 'table' then v = {} end\n"
           "  if not v.bytes then\n"
           "    local b, t = v.b64, v.text\n"
           "    v.bytes = type(t) == 'string' and #t or\n"
           "      type(b) == 'string' and math.floor(#b / 4) * 3 - #string.match(b, '=*$') or #m\n"
           "  end\n"
           "  v.b64, v.text = nil, nil\n"
           "  local done, text = pcall(cjson.encode, v)\n"
           "  reply[#reply + 1] = done and text or '{}'\n"
           "end\n"
           "return reply\n",
};
