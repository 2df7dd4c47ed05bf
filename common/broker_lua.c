#include "common/broker_lua.h"

/*
 * Counters are changed only in the step in which a hold begins or ends, so at any moment
 *   taken = done + retried + delayed + requeued + recovered + quarantined + held now.
 *
 * Redis does not undo what a script did before it failed. So a message is written to where it goes
 * before it is removed from where it was: a key that holds something else, or a Redis without
 * memory, fails the step before anything is lost. take, and finish without a dead letter, begin by
 * removing, which a full Redis allows and which makes room; nothing after that can fail.
 */

/*
 * What is known of deaths is forgotten a week after the last one: another's worker may have
 * finished the message, and says nothing.
 */
#define FORGET_S "604800"

/* count(counters, field, n): never a reason to fail. */
#define LUA_COUNT                                                                                  \
    "local function count(counters, field, n)\n"                                                   \
    "  redis.pcall('HINCRBY', counters, field, n)\n"                                               \
    "end\n"

/*
 * push_bounded(list, entry, max, max_bytes): newest first; the oldest go. Small entries are bounded
 * by their number, and only a large one is worth the walk over the list's nodes for its size.
 */
#define LUA_PUSH_BOUNDED                                                                           \
    "local function push_bounded(list, entry, max, max_bytes)\n"                                   \
    "  redis.call('LPUSH', list, entry)\n"                                                         \
    "  redis.call('LTRIM', list, 0, max - 1)\n"                                                    \
    "  if #entry > 4096 then\n"                                                                    \
    "    local bytes = redis.call('MEMORY', 'USAGE', list, 'SAMPLES', 0)\n"                        \
    "    while bytes > tonumber(max_bytes) and redis.call('LLEN', list) > 1 do\n"                  \
    "      bytes = bytes - #redis.call('RPOP', list)\n"                                            \
    "    end\n"                                                                                    \
    "  end\n"                                                                                      \
    "end\n"

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
    "    if m then redis.pcall('HDEL', recoveries, redis.sha1hex(m)) end\n"                        \
    "  end\n"                                                                                      \
    "end\n"

/* store(key, expires, doc): never over a SUCCESS; who waits is told what is stored. What is there
 * and is no text gives way. */
#define LUA_STORE                                                                                  \
    "local function store(key, expires, doc)\n"                                                    \
    "  local old = redis.pcall('GET', key)\n"                                                      \
    "  if type(old) == 'string' then\n"                                                            \
    "    local ok, v = pcall(cjson.decode, old)\n"                                                 \
    "    if ok and type(v) == 'table' and v.status == 'SUCCESS' then\n"                            \
    "      redis.call('PUBLISH', key, old)\n"                                                      \
    "      return\n"                                                                               \
    "    end\n"                                                                                    \
    "  end\n"                                                                                      \
    "  redis.call('SETEX', key, expires, doc)\n"                                                   \
    "  redis.call('PUBLISH', key, doc)\n"                                                          \
    "end\n"

/*
 * reap(workers, recoveries, prefixes, max, grace_s): messages put back, dead workers. After a
 * restart of Redis every heartbeat may have run out: workers get grace_s to come back.
 */
#define LUA_REAP                                                                                   \
    "local function reap(all, recoveries, prefixes, max, grace_s)\n"                               \
    "  local messages, workers = 0, 0\n"                                                           \
    "  for _, boot in ipairs(redis.call('SMEMBERS', all)) do\n"                                    \
    "    if messages < max and redis.call('EXISTS', prefixes.worker .. boot) == 0 then\n"          \
    "      local up = string.match(redis.call('INFO', 'server'), 'uptime_in_seconds:(%d+)')\n"     \
    "      if tonumber(up or 0) < tonumber(grace_s) then return 0, 0 end\n"                        \
    "      local held, heldq = prefixes.held .. boot, prefixes.heldq .. boot\n"                    \
    "      for _, m in ipairs(redis.call('HVALS', held)) do\n"                                     \
    "        redis.pcall('HINCRBY', recoveries, redis.sha1hex(m), 1)\n"                            \
    "      end\n"                                                                                  \
    "      redis.call('EXPIRE', recoveries, " FORGET_S ")\n"                                       \
    "      messages = messages + put_back(held, heldq, '', 100000)\n"                              \
    "      workers = workers + 1\n"                                                                \
    "      redis.call('SREM', all, boot)\n"                                                        \
    "      redis.call('DEL', held, heldq)\n"                                                       \
    "    end\n"                                                                                    \
    "  end\n"                                                                                      \
    "  return messages, workers\n"                                                                 \
    "end\n"

/*
 * due(delayed, quarantine, max, ...): how many were moved, ms until the next or -1. One at a time:
 * each may be as long as a message may be. What cannot be put where it says is set aside.
 */
#define LUA_DUE                                                                                    \
    "local function due(delayed, quarantine, max, entries_max, bytes_max)\n"                       \
    "  local now, moved = now_ms(), 0\n"                                                           \
    "  while moved < max do\n"                                                                     \
    "    local first = redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')\n"                        \
    "    local member, score = first[1], tonumber(first[2])\n"                                     \
    "    if not member then return moved, -1 end\n"                                                \
    "    if score > now then return moved, math.min(score - now, 2000000000) end\n"                \
    "    local ok, v = pcall(cjson.decode, member)\n"                                              \
    "    local ours = ok and type(v) == 'table' and type(v.q) == 'string' and\n"                   \
    "      type(v.m) == 'string'\n"                                                                \
    "    if not ours or type(redis.pcall('LPUSH', v.q, v.m)) ~= 'number' then\n"                   \
    "      push_bounded(quarantine, cjson.encode({at = math.floor(now / 1000), q = delayed,\n"     \
    "        reason = ours and 'a delayed message whose list cannot be written' or\n"              \
    "          'a member of the delayed set that is not ours',\n"                                  \
    "        b64 = '', text = member}), entries_max, bytes_max)\n"                                 \
    "    end\n"                                                                                    \
    "    redis.call('ZREM', delayed, member)\n"                                                    \
    "    moved = moved + 1\n"                                                                      \
    "  end\n"                                                                                      \
    "  return moved, 0\n"                                                                          \
    "end\n"

/* KEYS workers, worker; ARGV boot, ttl_ms, info */
struct script BROKER_LUA_REGISTER = {
    .name = "register",
    .lua = "redis.call('SADD', KEYS[1], ARGV[1])\n"
           "redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[2])\n"
           "return 1\n",
};

/*
 * KEYS workers, worker, held, heldq, counters, recoveries, delayed, quarantine;
 * ARGV boot, ttl_ms, info, known tags, prefixes of worker, held, heldq; messages_max, grace_s,
 * quarantine_max, quarantine_bytes_max
 */
struct script BROKER_LUA_HEARTBEAT = {
    .name = "heartbeat",
    .lua = LUA_NOW_MS LUA_COUNT LUA_PUSH_BOUNDED LUA_PUT_BACK LUA_REAP LUA_DUE
    "if redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 0 then return {0} end\n"
    "if redis.pcall('SET', KEYS[2], ARGV[3], 'PX', ARGV[2]).err then\n"
    "  redis.call('PEXPIRE', KEYS[2], ARGV[2])\n" /* a full Redis allows that */
    "end\n"
    "local n = put_back(KEYS[3], KEYS[4], ' ' .. ARGV[4], 1000)\n"
    "if n > 0 then count(KEYS[5], 'requeued', n) end\n"
    "local prefixes = {worker = ARGV[5], held = ARGV[6], heldq = ARGV[7]}\n"
    "local messages, workers = reap(KEYS[1], KEYS[6], prefixes, tonumber(ARGV[8]), ARGV[9])\n"
    "if messages > 0 then count(KEYS[5], 'recovered', messages) end\n"
    "local moved, next_ms = due(KEYS[7], KEYS[8], tonumber(ARGV[8]), ARGV[10], ARGV[11])\n"
    "return {1, n, messages, workers, moved, next_ms}\n",
};

/* KEYS workers, worker, held, heldq, counters; ARGV boot */
struct script BROKER_LUA_UNREGISTER = {
    .name = "unregister",
    .lua = LUA_COUNT LUA_PUT_BACK
    "if redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 0 then return 0 end\n"
    "local n = put_back(KEYS[3], KEYS[4], '', 100000)\n"
    "if n > 0 then count(KEYS[5], 'requeued', n) end\n"
    "redis.call('SREM', KEYS[1], ARGV[1])\n"
    "redis.call('DEL', KEYS[2], KEYS[3], KEYS[4])\n"
    "return n\n",
};

/* KEYS workers, held, heldq, counters, recoveries, quarantine, the lists;
 * ARGV boot, tag, bytes_max, oversized prefix, quarantine_max, quarantine_bytes_max */
struct script BROKER_LUA_TAKE = {
    .name = "take",
    .lua = LUA_NOW_MS LUA_COUNT LUA_PUSH_BOUNDED
    "if redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 0 then return {-1} end\n"
    "for i = 7, #KEYS do\n"
    "  local m = redis.call('RPOP', KEYS[i])\n"
    "  if m then\n"
    "    count(KEYS[4], 'taken', 1)\n"
    "    local now = now_ms()\n"
    "    if #m > tonumber(ARGV[3]) then\n"
    "      local key = ARGV[4] .. string.format('%.0f', now) .. ':' .. ARGV[2]\n"
    "      redis.call('SETEX', key, 604800, m)\n"
    "      count(KEYS[4], 'quarantined', 1)\n"
    "      push_bounded(KEYS[6], cjson.encode({at = math.floor(now / 1000), q = KEYS[i],\n"
    "        reason = 'longer than ' .. ARGV[3] .. ' bytes', key = key, bytes = #m, b64 = ''}),\n"
    "        ARGV[5], ARGV[6])\n"
    "      return {2, key, #m}\n"
    "    end\n"
    "    redis.call('HSET', KEYS[2], ARGV[2], m)\n"
    "    redis.call('HSET', KEYS[3], ARGV[2], KEYS[i])\n"
    "    local recoveries = 0\n"
    "    if redis.call('EXISTS', KEYS[5]) == 1 then\n"
    "      local n = redis.pcall('HGET', KEYS[5], redis.sha1hex(m))\n"
    "      recoveries = type(n) == 'string' and tonumber(n) or 0\n"
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

/* end_hold(held, heldq, tag, recoveries) */
#define LUA_END_HOLD                                                                               \
    LUA_FORGET_RECOVERIES                                                                          \
    "local function end_hold(held, heldq, tag, recoveries)\n"                                      \
    "  forget_recoveries(held, tag, recoveries)\n"                                                 \
    "  redis.call('HDEL', held, tag)\n"                                                            \
    "  redis.call('HDEL', heldq, tag)\n"                                                           \
    "end\n"

/* KEYS held, heldq, counters, recoveries, losses, dead, result;
 * ARGV tag, id, doc, success, expires, dead letter, dead_max, dead_bytes_max */
struct script BROKER_LUA_FINISH = {
    .name = "finish",
    .lua = LUA_NOW_MS LUA_COUNT LUA_PUSH_BOUNDED LUA_END_HOLD LUA_STORE
    "local had = redis.call('HEXISTS', KEYS[1], ARGV[1])\n"
    "if had == 1 and ARGV[6] ~= '' then\n"
    "  local at = string.format('{\"at\":%.0f,', math.floor(now_ms() / 1000))\n"
    "  push_bounded(KEYS[6], at .. string.sub(ARGV[6], 2), ARGV[7], ARGV[8])\n"
    "  count(KEYS[3], 'dead', 1)\n"
    "end\n"
    "if had == 1 then end_hold(KEYS[1], KEYS[2], ARGV[1], KEYS[4]) end\n"
    "if ARGV[3] ~= '' and (had == 1 or ARGV[4] == '1') then\n"
    "  store(KEYS[7], ARGV[5], ARGV[3])\n"
    "end\n"
    "if had == 0 then return 0 end\n"
    "redis.pcall('HDEL', KEYS[5], ARGV[2])\n"
    "count(KEYS[3], 'done', 1)\n"
    "return 1\n",
};

/* KEYS held, heldq, counters, recoveries, delayed, result;
 * ARGV tag, nonce, message, due_ms, relative, counter, doc, expires */
struct script BROKER_LUA_POSTPONE = {
    .name = "postpone",
    .lua = LUA_NOW_MS LUA_COUNT LUA_END_HOLD LUA_STORE
    "local q = redis.call('HGET', KEYS[2], ARGV[1])\n"
    "if not q or redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end\n"
    "local due = tonumber(ARGV[4])\n"
    "if ARGV[5] == '1' then due = due + now_ms() end\n"
    "redis.call('ZADD', KEYS[5], string.format('%.0f', due),\n"
    "  cjson.encode({q = q, m = ARGV[3], n = ARGV[2]}))\n"
    "end_hold(KEYS[1], KEYS[2], ARGV[1], KEYS[4])\n"
    "count(KEYS[3], ARGV[6], 1)\n"
    "if ARGV[7] ~= '' then store(KEYS[6], ARGV[8], ARGV[7]) end\n"
    "return 1\n",
};

/* KEYS held, heldq, counters; ARGV tag */
struct script BROKER_LUA_REQUEUE = {
    .name = "requeue",
    .lua = LUA_COUNT "local m = redis.call('HGET', KEYS[1], ARGV[1])\n"
                     "local q = redis.call('HGET', KEYS[2], ARGV[1])\n"
                     "if not m or not q then return 0 end\n"
                     "redis.call('RPUSH', q, m)\n"
                     "redis.call('HDEL', KEYS[1], ARGV[1])\n"
                     "redis.call('HDEL', KEYS[2], ARGV[1])\n"
                     "count(KEYS[3], 'requeued', 1)\n"
                     "return 1\n",
};

/* KEYS held, heldq, counters, losses; ARGV tag, id, losses_max */
struct script BROKER_LUA_LOST = {
    .name = "lost",
    .lua = LUA_COUNT "local m = redis.call('HGET', KEYS[1], ARGV[1])\n"
                     "local q = redis.call('HGET', KEYS[2], ARGV[1])\n"
                     "if not m or not q then return {0, 0} end\n"
                     "local losses = redis.call('HINCRBY', KEYS[4], ARGV[2], 1)\n"
                     "redis.call('EXPIRE', KEYS[4], " FORGET_S ")\n"
                     "if losses >= tonumber(ARGV[3]) then return {losses, 0} end\n"
                     "redis.call('RPUSH', q, m)\n"
                     "redis.call('HDEL', KEYS[1], ARGV[1])\n"
                     "redis.call('HDEL', KEYS[2], ARGV[1])\n"
                     "count(KEYS[3], 'requeued', 1)\n"
                     "return {losses, 1}\n",
};

/* KEYS held, heldq, counters, recoveries, quarantine;
 * ARGV tag, reason, b64, quarantine_max, quarantine_bytes_max */
struct script BROKER_LUA_QUARANTINE = {
    .name = "quarantine",
    .lua = LUA_NOW_MS LUA_COUNT LUA_PUSH_BOUNDED LUA_END_HOLD
    "if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end\n"
    "local q = redis.call('HGET', KEYS[2], ARGV[1])\n"
    "push_bounded(KEYS[5], cjson.encode({at = math.floor(now_ms() / 1000),\n"
    "  reason = ARGV[2], q = q or '', b64 = ARGV[3]}), ARGV[4], ARGV[5])\n"
    "end_hold(KEYS[1], KEYS[2], ARGV[1], KEYS[4])\n"
    "count(KEYS[3], 'quarantined', 1)\n"
    "return 1\n",
};

/* KEYS delayed, quarantine; ARGV messages_max, quarantine_max, quarantine_bytes_max */
struct script BROKER_LUA_DUE = {
    .name = "due",
    .lua = LUA_NOW_MS LUA_PUSH_BOUNDED LUA_DUE
    "return {due(KEYS[1], KEYS[2], tonumber(ARGV[1]), ARGV[2], ARGV[3])}\n",
};
