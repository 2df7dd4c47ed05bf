#include "common/broker_lua.h"

/*
 * Counters are changed only in the step in which a hold begins or ends, so at any moment
 *   taken = done + retried + delayed + requeued + recovered + quarantined + held now.
 */

#define LUA_NOW_MS                                                                                 \
    "local function now_ms()\n"                                                                    \
    "  local t = redis.call('TIME')\n"                                                             \
    "  return t[1] * 1000 + math.floor(t[2] / 1000)\n"                                             \
    "end\n"

/*
 * put_back(held, heldq, keep): what is held, except tags found in keep, goes to the right end of
 * its list, latest first, so that the order stays what it was.
 */
#define LUA_PUT_BACK                                                                               \
    "local function put_back(held, heldq, keep, max)\n"                                            \
    "  local tags = {}\n"                                                                          \
    "  for _, tag in ipairs(redis.call('HKEYS', held)) do\n"                                       \
    "    if not string.find(keep, ' ' .. tag .. ' ', 1, true) then\n"                              \
    "      tags[#tags + 1] = tag\n"                                                                \
    "    end\n"                                                                                    \
    "  end\n"                                                                                      \
    "  table.sort(tags, function(a, b) return (tonumber(a) or 0) > (tonumber(b) or 0) end)\n"      \
    "  for i = 1, math.min(#tags, max) do\n"                                                       \
    "    local q = redis.call('HGET', heldq, tags[i])\n"                                           \
    "    if q then\n"                                                                              \
    "      redis.call('RPUSH', q, redis.call('HGET', held, tags[i]))\n"                            \
    "    end\n"                                                                                    \
    "    redis.call('HDEL', held, tags[i])\n"                                                      \
    "    redis.call('HDEL', heldq, tags[i])\n"                                                     \
    "  end\n"                                                                                      \
    "  return math.min(#tags, max), #tags > max\n"                                                 \
    "end\n"

/* A recovered message is known by its bytes: what ends its hold forgets the count. */
#define LUA_FORGET_RECOVERIES                                                                      \
    "local function forget_recoveries(held, tag, recoveries)\n"                                    \
    "  if redis.call('EXISTS', recoveries) == 1 then\n"                                            \
    "    local m = redis.call('HGET', held, tag)\n"                                                \
    "    if m then redis.call('HDEL', recoveries, redis.sha1hex(m)) end\n"                         \
    "  end\n"                                                                                      \
    "end\n"

/* store(key, expires, doc): never over a SUCCESS; who waits is told what is stored. */
#define LUA_STORE                                                                                  \
    "local function store(key, expires, doc)\n"                                                    \
    "  local old = redis.call('GET', key)\n"                                                       \
    "  if old then\n"                                                                              \
    "    local ok, v = pcall(cjson.decode, old)\n"                                                 \
    "    if ok and type(v) == 'table' and v.status == 'SUCCESS' then\n"                            \
    "      redis.call('PUBLISH', key, old)\n"                                                      \
    "      return\n"                                                                               \
    "    end\n"                                                                                    \
    "  end\n"                                                                                      \
    "  redis.call('SETEX', key, expires, doc)\n"                                                   \
    "  redis.call('PUBLISH', key, doc)\n"                                                          \
    "end\n"

/* KEYS workers, worker; ARGV boot, ttl_ms, info */
struct script BROKER_LUA_REGISTER = {
    .name = "register",
    .lua = "redis.call('SADD', KEYS[1], ARGV[1])\n"
           "redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[2])\n"
           "return 1\n",
};

/* KEYS workers, worker, held, heldq, counters; ARGV boot, ttl_ms, info, known tags */
struct script BROKER_LUA_HEARTBEAT = {
    .name = "heartbeat",
    .lua = LUA_PUT_BACK "if redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 0 then return {0} end\n"
                        "redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[2])\n"
                        "local n = put_back(KEYS[3], KEYS[4], ' ' .. ARGV[4], 1000)\n"
                        "if n > 0 then redis.call('HINCRBY', KEYS[5], 'requeued', n) end\n"
                        "return {1, n}\n",
};

/* KEYS workers, worker, held, heldq, counters; ARGV boot */
struct script BROKER_LUA_UNREGISTER = {
    .name = "unregister",
    .lua = LUA_PUT_BACK "if redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 0 then return 0 end\n"
                        "local n = put_back(KEYS[3], KEYS[4], '', 100000)\n"
                        "if n > 0 then redis.call('HINCRBY', KEYS[5], 'requeued', n) end\n"
                        "redis.call('SREM', KEYS[1], ARGV[1])\n"
                        "redis.call('DEL', KEYS[2], KEYS[3], KEYS[4])\n"
                        "return n\n",
};

/* KEYS workers, held, heldq, counters, recoveries, quarantine, the lists;
 * ARGV boot, tag, bytes_max, oversized prefix, quarantine_max */
struct script BROKER_LUA_TAKE = {
    .name = "take",
    .lua = LUA_NOW_MS
    "if redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 0 then return {-1} end\n"
    "for i = 7, #KEYS do\n"
    "  local m = redis.call('RPOP', KEYS[i])\n"
    "  if m then\n"
    "    redis.call('HINCRBY', KEYS[4], 'taken', 1)\n"
    "    local now = now_ms()\n"
    "    if #m > tonumber(ARGV[3]) then\n"
    "      local key = ARGV[4] .. string.format('%.0f', now) .. ':' .. ARGV[2]\n"
    "      redis.call('SETEX', key, 604800, m)\n"
    "      redis.call('LPUSH', KEYS[6], cjson.encode({at = math.floor(now / 1000), q = KEYS[i],\n"
    "        reason = 'longer than ' .. ARGV[3] .. ' bytes', key = key, bytes = #m, b64 = ''}))\n"
    "      redis.call('LTRIM', KEYS[6], 0, ARGV[5] - 1)\n"
    "      redis.call('HINCRBY', KEYS[4], 'quarantined', 1)\n"
    "      return {2, key, #m}\n"
    "    end\n"
    "    redis.call('HSET', KEYS[2], ARGV[2], m)\n"
    "    redis.call('HSET', KEYS[3], ARGV[2], KEYS[i])\n"
    "    local recoveries = 0\n"
    "    if redis.call('EXISTS', KEYS[5]) == 1 then\n"
    "      recoveries = tonumber(redis.call('HGET', KEYS[5], redis.sha1hex(m)) or 0)\n"
    "    end\n"
    "    return {1, KEYS[i], m, now, recoveries}\n"
    "  end\n"
    "end\n"
    "return {0}\n",
};

/* KEYS held, recoveries; ARGV tag, bytes */
struct script BROKER_LUA_ADOPT = {
    .name = "adopt",
    .lua =
        LUA_FORGET_RECOVERIES "if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end\n"
                              "forget_recoveries(KEYS[1], ARGV[1], KEYS[2])\n"
                              "redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])\n"
                              "return 1\n",
};

/* KEYS held, heldq, counters, recoveries, losses, dead, result;
 * ARGV tag, id, doc, success, expires, dead letter, dead_max */
struct script BROKER_LUA_FINISH = {
    .name = "finish",
    .lua = LUA_NOW_MS LUA_FORGET_RECOVERIES LUA_STORE
    "forget_recoveries(KEYS[1], ARGV[1], KEYS[4])\n"
    "local had = redis.call('HDEL', KEYS[1], ARGV[1])\n"
    "redis.call('HDEL', KEYS[2], ARGV[1])\n"
    "if ARGV[3] ~= '' and (had == 1 or ARGV[4] == '1') then\n"
    "  store(KEYS[7], ARGV[5], ARGV[3])\n"
    "end\n"
    "if had == 0 then return 0 end\n"
    "redis.call('HDEL', KEYS[5], ARGV[2])\n"
    "redis.call('HINCRBY', KEYS[3], 'done', 1)\n"
    "if ARGV[6] ~= '' then\n"
    "  local at = string.format('{\"at\":%.0f,', math.floor(now_ms() / 1000))\n"
    "  redis.call('LPUSH', KEYS[6], at .. string.sub(ARGV[6], 2))\n"
    "  redis.call('LTRIM', KEYS[6], 0, ARGV[7] - 1)\n"
    "  redis.call('HINCRBY', KEYS[3], 'dead', 1)\n"
    "end\n"
    "return 1\n",
};

/* KEYS held, heldq, counters, recoveries, delayed, result;
 * ARGV tag, nonce, message, due_ms, relative, counter, doc, expires */
struct script BROKER_LUA_POSTPONE = {
    .name = "postpone",
    .lua = LUA_NOW_MS LUA_FORGET_RECOVERIES LUA_STORE
    "local q = redis.call('HGET', KEYS[2], ARGV[1])\n"
    "forget_recoveries(KEYS[1], ARGV[1], KEYS[4])\n"
    "local had = redis.call('HDEL', KEYS[1], ARGV[1])\n"
    "redis.call('HDEL', KEYS[2], ARGV[1])\n"
    "if had == 0 or not q then return 0 end\n"
    "local due = tonumber(ARGV[4])\n"
    "if ARGV[5] == '1' then due = due + now_ms() end\n"
    "redis.call('ZADD', KEYS[5], string.format('%.0f', due),\n"
    "  cjson.encode({q = q, m = ARGV[3], n = ARGV[2]}))\n"
    "redis.call('HINCRBY', KEYS[3], ARGV[6], 1)\n"
    "if ARGV[7] ~= '' then store(KEYS[6], ARGV[8], ARGV[7]) end\n"
    "return 1\n",
};

/* KEYS held, heldq, counters; ARGV tag */
struct script BROKER_LUA_REQUEUE = {
    .name = "requeue",
    .lua = "local m = redis.call('HGET', KEYS[1], ARGV[1])\n"
           "local q = redis.call('HGET', KEYS[2], ARGV[1])\n"
           "if not m or not q then return 0 end\n"
           "redis.call('RPUSH', q, m)\n"
           "redis.call('HDEL', KEYS[1], ARGV[1])\n"
           "redis.call('HDEL', KEYS[2], ARGV[1])\n"
           "redis.call('HINCRBY', KEYS[3], 'requeued', 1)\n"
           "return 1\n",
};

/* KEYS held, heldq, counters, losses; ARGV tag, id, losses_max */
struct script BROKER_LUA_LOST = {
    .name = "lost",
    .lua = "local m = redis.call('HGET', KEYS[1], ARGV[1])\n"
           "local q = redis.call('HGET', KEYS[2], ARGV[1])\n"
           "if not m or not q then return {0, 0} end\n"
           "local losses = redis.call('HINCRBY', KEYS[4], ARGV[2], 1)\n"
           "if losses >= tonumber(ARGV[3]) then return {losses, 0} end\n"
           "redis.call('RPUSH', q, m)\n"
           "redis.call('HDEL', KEYS[1], ARGV[1])\n"
           "redis.call('HDEL', KEYS[2], ARGV[1])\n"
           "redis.call('HINCRBY', KEYS[3], 'requeued', 1)\n"
           "return {losses, 1}\n",
};

/* KEYS held, heldq, counters, recoveries, quarantine; ARGV tag, reason, b64, quarantine_max */
struct script BROKER_LUA_QUARANTINE = {
    .name = "quarantine",
    .lua = LUA_NOW_MS LUA_FORGET_RECOVERIES
    "local q = redis.call('HGET', KEYS[2], ARGV[1])\n"
    "forget_recoveries(KEYS[1], ARGV[1], KEYS[4])\n"
    "local had = redis.call('HDEL', KEYS[1], ARGV[1])\n"
    "redis.call('HDEL', KEYS[2], ARGV[1])\n"
    "if had == 0 then return 0 end\n"
    "redis.call('LPUSH', KEYS[5], cjson.encode({at = math.floor(now_ms() / 1000),\n"
    "  reason = ARGV[2], q = q or '', b64 = ARGV[3]}))\n"
    "redis.call('LTRIM', KEYS[5], 0, ARGV[4] - 1)\n"
    "redis.call('HINCRBY', KEYS[3], 'quarantined', 1)\n"
    "return 1\n",
};

/* KEYS delayed, quarantine; ARGV messages_max, quarantine_max */
struct script BROKER_LUA_DUE = {
    .name = "due",
    .lua = LUA_NOW_MS
    "local now = now_ms()\n"
    "local max = tonumber(ARGV[1])\n"
    "local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now),\n"
    "  'LIMIT', 0, max)\n"
    "for _, member in ipairs(due) do\n"
    "  redis.call('ZREM', KEYS[1], member)\n"
    "  local ok, v = pcall(cjson.decode, member)\n"
    "  if ok and type(v) == 'table' and type(v.q) == 'string' and type(v.m) == 'string' then\n"
    "    redis.call('LPUSH', v.q, v.m)\n"
    "  else\n"
    "    redis.call('LPUSH', KEYS[2], cjson.encode({at = math.floor(now / 1000), q = KEYS[1],\n"
    "      reason = 'a member of the delayed set that is not ours', b64 = '', text = member}))\n"
    "    redis.call('LTRIM', KEYS[2], 0, ARGV[2] - 1)\n"
    "  end\n"
    "end\n"
    "if #due == max then return {#due, 0} end\n"
    "local next = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')\n"
    "if not next[2] then return {#due, -1} end\n"
    "return {#due, math.max(0, math.min(tonumber(next[2]) - now, 2000000000))}\n",
};

/*
 * KEYS workers, counters, recoveries; ARGV prefixes of worker, held, heldq; messages_max, grace_s
 * After a restart of Redis every heartbeat may have run out: workers get grace_s to come back.
 */
struct script BROKER_LUA_REAP = {
    .name = "reap",
    .lua = LUA_PUT_BACK
    "local messages, workers, left = 0, 0, tonumber(ARGV[4])\n"
    "for _, boot in ipairs(redis.call('SMEMBERS', KEYS[1])) do\n"
    "  if left > 0 and redis.call('EXISTS', ARGV[1] .. boot) == 0 then\n"
    "    local up = string.match(redis.call('INFO', 'server'), 'uptime_in_seconds:(%d+)')\n"
    "    if tonumber(up or 0) < tonumber(ARGV[5]) then return {0, 0} end\n"
    "    local held, heldq = ARGV[2] .. boot, ARGV[3] .. boot\n"
    "    for _, m in ipairs(redis.call('HVALS', held)) do\n"
    "      redis.call('HINCRBY', KEYS[3], redis.sha1hex(m), 1)\n"
    "    end\n"
    "    local n = put_back(held, heldq, '', 100000)\n"
    "    left, messages, workers = left - n, messages + n, workers + 1\n"
    "    redis.call('SREM', KEYS[1], boot)\n"
    "    redis.call('DEL', held, heldq)\n"
    "  end\n"
    "end\n"
    "if messages > 0 then redis.call('HINCRBY', KEYS[2], 'recovered', messages) end\n"
    "return {messages, workers}\n",
};
