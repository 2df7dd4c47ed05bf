#include "common/broker_lua.h"
#include "common/broker_lua_parts.h"

/* A worker's life and its taking; broker_lua_end.c has what ends a hold. */

/*
 * upgrade(counters, ...): fields that a database from before them does not have begin with what
 * makes the sums right.
 */
#define LUA_UPGRADE                                                                                            \
    "local function upgrade(counters, field, plus, minus, left)\n"                                             \
    "  if redis.pcall('HEXISTS', counters, field) ~= 0 then return end\n"                                      \
    "  local n = -left\n"                                                                                      \
    "  for _, name in ipairs(plus) do n = n + (tonumber(redis.call('HGET', counters, name) or 0) or 0) end\n"  \
    "  for _, name in ipairs(minus) do n = n - (tonumber(redis.call('HGET', counters, name) or 0) or 0) end\n" \
    "  redis.call('HSET', counters, field, string.format('%.0f', n))\n"                                        \
    "end\n"                                                                                                    \
    "local function size(command, key)\n"                                                                      \
    "  local n = redis.pcall(command, key)\n"                                                                  \
    "  return type(n) == 'number' and n or 0\n"                                                                \
    "end\n"

/* KEYS workers, worker, boot, counters, delayed, dead, quarantine; ARGV boot, ttl_ms, info */
struct script BROKER_LUA_REGISTER = {
    .name = "register",
    .lua = LUA_UPGRADE
    "redis.call('SADD', KEYS[1], ARGV[1])\n"
    "redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[2])\n"
    "redis.call('HINCRBY', KEYS[3], 'taken', 0)\n"
    "redis.call('EXPIRE', KEYS[3], 86400)\n"
    "upgrade(KEYS[4], 'due', {'delayed', 'retried'}, {'delayed_dropped'}, size('ZCARD', KEYS[5]))\n"
    "upgrade(KEYS[4], 'dead_trimmed', {'dead'}, {'dead_retried', 'dead_dropped'}, size('LLEN', KEYS[6]))\n"
    "upgrade(KEYS[4], 'quarantine_trimmed', {'quarantined', 'quarantine_foreign'},\n"
    "  {'quarantine_replayed', 'quarantine_dropped'}, size('LLEN', KEYS[7]))\n"
    "return 1\n",
};

/*
 * reap(k, max, grace_s): messages put back, dead workers. After a restart of Redis every heartbeat
 * may have run out: workers get grace_s to come back. The same when our own last heartbeat is long
 * ago: Redis stood still, or its clock has jumped, and the others' may have run out like ours. When
 * the clock has gone back, a heartbeat would seem to last for hours: it is cut. A message that a
 * Python client has put back and that a living worker of ours holds by now is not put back again.
 */
#define LUA_REAP                                                                                      \
    "local function uptime_s()\n"                                                                     \
    "  return tonumber(string.match(redis.call('INFO', 'server'), 'uptime_in_seconds:(%d+)') or 0)\n" \
    "end\n"                                                                                           \
    "local function read_old_form(held, lists)\n"                                                     \
    "  for _, tag in ipairs(redis.call('HKEYS', lists)) do\n"                                         \
    "    local list, m = redis.call('HGET', lists, tag), redis.call('HGET', held, tag)\n"             \
    "    if m then redis.call('HSET', held, tag, list .. '\\n' .. m) end\n"                           \
    "  end\n"                                                                                         \
    "  redis.call('DEL', lists)\n"                                                                    \
    "end\n"                                                                                           \
    "local function reap_one(k, boot)\n"                                                              \
    "  local dead = {held = k.held_prefix .. boot, unacked = k.unacked, index = k.index}\n"           \
    "  read_old_form(dead.held, 'aion2:heldq:' .. boot)\n"                                            \
    "  local living = living_holds(k.workers, k.worker_prefix, k.held_prefix)\n"                      \
    "  local n = 0\n"                                                                                 \
    "  for _, tag in ipairs(redis.call('HKEYS', dead.held)) do\n"                                     \
    "    if living[string.match(tag, ':(.+)$') or ''] then\n"                                         \
    "      n = n + redis.call('HDEL', dead.held, tag)\n"                                              \
    "    end\n"                                                                                       \
    "  end\n"                                                                                         \
    "  n = n + put_back(dead, function() return false end, 100000, function(m)\n"                     \
    "    redis.pcall('HINCRBY', k.recoveries, redis.sha1hex(m), 1)\n"                                 \
    "  end)\n"                                                                                        \
    "  redis.call('EXPIRE', k.recoveries, " FORGET_S ")\n"                                            \
    "  if redis.call('EXISTS', dead.held) == 0 then redis.call('SREM', k.workers, boot) end\n"        \
    "  return n\n"                                                                                    \
    "end\n"                                                                                           \
    "local function is_alive(k, boot)\n"                                                              \
    "  local left = redis.call('PTTL', k.worker_prefix .. boot)\n"                                    \
    "  if left == -1 or left > k.ttl_ms then\n"                                                       \
    "    redis.call('PEXPIRE', k.worker_prefix .. boot, k.ttl_ms)\n"                                  \
    "  end\n"                                                                                         \
    "  return left ~= -2\n"                                                                           \
    "end\n"                                                                                           \
    "local function was_away(k, grace_ms)\n"                                                          \
    "  local now, v = now_ms(), redis.call('HMGET', k.boot, 'seen', 'patient')\n"                     \
    "  local seen, patient = tonumber(v[1] or '') or now, tonumber(v[2] or '') or 0\n"                \
    "  if now - seen > grace_ms / 2 then\n"                                                           \
    "    patient = now + grace_ms\n"                                                                  \
    "    redis.call('HSET', k.boot, 'patient', patient)\n"                                            \
    "  end\n"                                                                                         \
    "  redis.call('HSET', k.boot, 'seen', now)\n"                                                     \
    "  return now < patient and patient <= now + grace_ms\n"                                          \
    "end\n"                                                                                           \
    "local function reap(k, max, grace_s)\n"                                                          \
    "  local messages, workers = 0, 0\n"                                                              \
    "  if was_away(k, grace_s * 1000) then return 0, 0 end\n"                                         \
    "  for _, boot in ipairs(redis.call('SMEMBERS', k.workers)) do\n"                                 \
    "    if messages < max and not is_alive(k, boot) then\n"                                          \
    "      if uptime_s() < grace_s then return 0, 0 end\n"                                            \
    "      local n = reap_one(k, boot)\n"                                                             \
    "      if n > 0 then count(k.counters, 'recovered', n) end\n"                                     \
    "      messages, workers = messages + n, workers + 1\n"                                           \
    "    end\n"                                                                                       \
    "  end\n"                                                                                         \
    "  return messages, workers\n"                                                                    \
    "end\n"

/* lost_steps(k, taken, ended): of what the worker has been told, how much Redis does not know; and
 * what it knows. */
#define LUA_LOST_STEPS                                                                             \
    "local function lost_steps(k, taken, ended)\n"                                                 \
    "  local known = redis.call('HMGET', k.boot, 'taken', 'ended')\n"                              \
    "  local t, e = tonumber(known[1] or 0), tonumber(known[2] or 0)\n"                            \
    "  local lost = math.max(taken - t, 0) + math.max(ended - e, 0)\n"                             \
    "  if lost > 0 then\n"                                                                         \
    "    count(k.counters, 'redis_lost', lost)\n"                                                  \
    "    t, e = math.max(t, taken), math.max(e, ended)\n"                                          \
    "    redis.call('HSET', k.boot, 'taken', t, 'ended', e)\n"                                     \
    "  end\n"                                                                                      \
    "  redis.call('EXPIRE', k.boot, 86400)\n"                                                      \
    "  return lost, t, e\n"                                                                        \
    "end\n"

/* known_numbers(text): a function that tells whether a tag is among "7 9-24 ". */
#define LUA_KNOWN                                                                                  \
    "local function known_numbers(text)\n"                                                         \
    "  local single, ranges = {}, {}\n"                                                            \
    "  for a, b in string.gmatch(text, '(%d+)%-?(%d*) ') do\n"                                     \
    "    if b == '' then\n"                                                                        \
    "      single[tonumber(a)] = true\n"                                                           \
    "    else\n"                                                                                   \
    "      ranges[#ranges + 1] = {tonumber(a), tonumber(b)}\n"                                     \
    "    end\n"                                                                                    \
    "  end\n"                                                                                      \
    "  return function(tag)\n"                                                                     \
    "    local n = number(tag)\n"                                                                  \
    "    if single[n] then return true end\n"                                                      \
    "    for _, r in ipairs(ranges) do\n"                                                          \
    "      if n >= r[1] and n <= r[2] then return true end\n"                                      \
    "    end\n"                                                                                    \
    "    return false\n"                                                                           \
    "  end\n"                                                                                      \
    "end\n"

#define LUA_RENEW                                                                                  \
    "local function renew(k)\n"                                                                    \
    "  local now = string.format('%.3f', now_ms() / 1000)\n"                                       \
    "  for _, tag in ipairs(redis.call('HKEYS', k.held)) do\n"                                     \
    "    local delivery = string.match(tag, ':(.+)$')\n"                                           \
    "    if delivery then redis.pcall('ZADD', k.index, 'XX', now, delivery) end\n"                 \
    "  end\n"                                                                                      \
    "end\n"

/*
 * KEYS workers, worker, held, counters, boot, recoveries, delayed, quarantine, unacked,
 * unacked_index; ARGV boot, ttl_ms, info, known, taken, ended, prefixes of worker and held,
 * messages_max, grace_s, quarantine_max, quarantine_bytes_max
 */
struct script BROKER_LUA_HEARTBEAT = {
    .name = "heartbeat",
    .lua =
        LUA_NOW_MS LUA_COUNT LUA_PUSH_BOUNDED LUA_HOLD LUA_UNMIRROR LUA_LIVING_HOLDS LUA_REDELIVERED
            LUA_PUT_BACK_ONE LUA_PUT_BACK LUA_REAP LUA_LOST_STEPS LUA_KNOWN LUA_RENEW LUA_DUE
    "local k = {workers = KEYS[1], held = KEYS[3], counters = KEYS[4], boot = KEYS[5],\n"
    "  recoveries = KEYS[6], delayed = KEYS[7], quarantine = KEYS[8], unacked = KEYS[9],\n"
    "  index = KEYS[10], worker_prefix = ARGV[7], held_prefix = ARGV[8], ttl_ms = tonumber(ARGV[2])}\n"
    "local lost, taken, ended = lost_steps(k, tonumber(ARGV[5]), tonumber(ARGV[6]))\n"
    "if redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 0 then\n"
    "  return {0, 0, 0, 0, 0, -1, lost, taken, ended}\n"
    "end\n"
    "if redis.pcall('SET', KEYS[2], ARGV[3], 'PX', ARGV[2]).err then\n"
    "  redis.call('PEXPIRE', KEYS[2], ARGV[2])\n"
    "end\n"
    "local n = put_back(k, known_numbers(ARGV[4]), 1000, function() end)\n"
    "if n > 0 then count(k.counters, 'requeued', n) end\n"
    "renew(k)\n"
    "local messages, workers = reap(k, tonumber(ARGV[9]), tonumber(ARGV[10]))\n"
    "local moved, next_ms = due(k, tonumber(ARGV[9]), ARGV[11], ARGV[12])\n"
    "return {1, n, messages, workers, moved, next_ms, lost, taken, ended}\n",
};

/* KEYS workers, worker, held, counters, boot, unacked, unacked_index; ARGV boot */
struct script BROKER_LUA_UNREGISTER = {
    .name = "unregister",
    .lua = LUA_COUNT LUA_HOLD LUA_UNMIRROR LUA_REDELIVERED LUA_PUT_BACK_ONE LUA_PUT_BACK
    "if redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 0 then return 0 end\n"
    "local k = {held = KEYS[3], unacked = KEYS[6], index = KEYS[7]}\n"
    "local n = put_back(k, function() return false end, 100000, function() end)\n"
    "if n > 0 then count(KEYS[4], 'requeued', n) end\n"
    "redis.call('DEL', KEYS[2])\n"
    "if redis.call('EXISTS', KEYS[3]) == 1 then return n end\n"
    "redis.call('SREM', KEYS[1], ARGV[1])\n"
    "redis.call('DEL', KEYS[5])\n"
    "return n\n",
};

/* is_copy(k, tag, m, rest): put back by a Python client, although a living worker of ours has it
 * (then kombu's record gets it again) or has done it. */
#define LUA_IS_COPY                                                                                \
    "local function is_copy(k, tag, m, rest)\n"                                                    \
    "  if redis.call('DEL', k.restored_prefix .. tag) == 1 then return true end\n"                 \
    "  k.living = k.living or living_holds(k.workers, k.worker_prefix, k.held_prefix)\n"           \
    "  if not k.living[tag] then return false end\n"                                               \
    "  redis.pcall('HSETNX', k.unacked, tag, '[' .. m .. rest)\n"                                  \
    "  redis.pcall('ZADD', k.index, k.now_s, tag)\n"                                               \
    "  return true\n"                                                                              \
    "end\n"

/*
 * take_all(k, list, messages, n): holds the first n under the next numbers and adds them to the
 * reply. Nothing in between can fail.
 */
#define LUA_TAKE_ALL                                                                                 \
    "local function set_aside(k, list, m)\n"                                                         \
    "  local key = k.oversized_prefix .. string.format('%.0f', k.now) .. ':' .. k.number\n"          \
    "  redis.call('SETEX', key, 604800, m)\n"                                                        \
    "  count(k.counters, 'quarantined', 1)\n"                                                        \
    "  push_bounded(k.quarantine, cjson.encode({at = math.floor(k.now / 1000), q = list,\n"          \
    "    reason = 'longer than ' .. k.message_max .. ' bytes', key = key, bytes = #m, b64 = ''}),\n" \
    "    k.quarantine_max, k.quarantine_bytes_max, k.counters, 'quarantine_trimmed')\n"              \
    "end\n"                                                                                          \
    "local function take_one(k, list, m, holds, scores)\n"                                           \
    "  local tag = string.format('%.0f', k.number)\n"                                                \
    "  local delivery, rest, again = kombu_tag(m)\n"                                                 \
    "  if again and is_copy(k, delivery, m, rest) then\n"                                            \
    "    k.copies = k.copies + 1\n"                                                                  \
    "    count(k.counters, 'taken', -1)\n"                                                           \
    "    return\n"                                                                                   \
    "  end\n"                                                                                        \
    "  if delivery and redis.pcall('HSETNX', k.unacked, delivery, '[' .. m .. rest) == 1 then\n"     \
    "    scores[#scores + 1] = k.now_s\n"                                                            \
    "    scores[#scores + 1] = delivery\n"                                                           \
    "    tag = tag .. ':' .. delivery\n"                                                             \
    "    if k.living then k.living[delivery] = true end\n"                                           \
    "  end\n"                                                                                        \
    "  holds[#holds + 1] = tag\n"                                                                    \
    "  holds[#holds + 1] = list .. '\\n' .. m\n"                                                     \
    "  local n = k.recoveries and redis.pcall('HGET', k.recoveries, redis.sha1hex(m))\n"             \
    "  local r, at = k.reply, #k.reply\n"                                                            \
    "  r[at + 1], r[at + 2], r[at + 3] = tag, list, m\n"                                             \
    "  r[at + 4] = type(n) == 'string' and tonumber(n) or 0\n"                                       \
    "  k.number = k.number + 1\n"                                                                    \
    "end\n"                                                                                          \
    "local function take_all(k, list, messages, n)\n"                                                \
    "  local holds, scores = {}, {}\n"                                                               \
    "  for i = 1, n do\n"                                                                            \
    "    local m = messages[i]\n"                                                                    \
    "    if #m > k.message_max then\n"                                                               \
    "      pcall(set_aside, k, list, m)\n"                                                           \
    "      k.oversized = k.oversized + 1\n"                                                          \
    "      k.number = k.number + 1\n"                                                                \
    "    else\n"                                                                                     \
    "      take_one(k, list, m, holds, scores)\n"                                                    \
    "    end\n"                                                                                      \
    "  end\n"                                                                                        \
    "  if #holds > 0 then redis.call('HSET', k.held, unpack(holds)) end\n"                           \
    "  if #scores > 0 then redis.pcall('ZADD', k.index, unpack(scores)) end\n"                       \
    "end\n"

/*
 * Pops more and more at once while messages are small: what is over the limit of bytes has to go
 * back, and copying large ones to and fro keeps Redis busy.
 * KEYS workers, held, counters, boot, recoveries, quarantine, unacked, unacked_index, the lists;
 * ARGV boot, first, count, reply_bytes_max, message_bytes_max, prefixes of oversized, restored,
 * worker and held; quarantine_max, quarantine_bytes_max
 */
struct script BROKER_LUA_TAKE = {
    .name = "take",
    .lua = LUA_NOW_MS LUA_COUNT LUA_PUSH_BOUNDED LUA_KOMBU_TAG LUA_LIVING_HOLDS LUA_IS_COPY
        LUA_TAKE_ALL
    "if redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 0 then return {-1} end\n"
    "local k = {workers = KEYS[1], held = KEYS[2], counters = KEYS[3], quarantine = KEYS[6],\n"
    "  unacked = KEYS[7], index = KEYS[8], number = tonumber(ARGV[2]), message_max = tonumber(ARGV[5]),\n"
    "  oversized_prefix = ARGV[6], restored_prefix = ARGV[7], worker_prefix = ARGV[8],\n"
    "  held_prefix = ARGV[9], quarantine_max = tonumber(ARGV[10]), quarantine_bytes_max = ARGV[11],\n"
    "  now = now_ms(), oversized = 0, copies = 0, reply = {1, 0, 0, 0}}\n"
    "k.now_s = string.format('%.3f', k.now / 1000)\n"
    "if redis.call('EXISTS', KEYS[5]) == 1 then k.recoveries = KEYS[5] end\n"
    "local left, bytes, taken = tonumber(ARGV[3]), tonumber(ARGV[4]), 0\n"
    "local refused\n"
    "for i = 9, #KEYS do\n"
    "  local chunk = 1\n"
    "  while left > 0 and bytes > 0 do\n"
    "    local got = redis.pcall('RPOP', KEYS[i], math.min(left, chunk))\n"
    "    refused = refused or got and got.err and got\n"
    "    if not got or got.err then break end\n"
    "    local n = 0\n"
    "    chunk = math.min(2 * chunk, 64)\n"
    "    for _, m in ipairs(got) do chunk = #m < 65536 and chunk or 1 end\n"
    "    while n < #got and bytes > 0 do\n"
    "      n = n + 1\n"
    "      bytes = bytes - #got[n]\n"
    "    end\n"
    "    for j = #got, n + 1, -1 do redis.call('RPUSH', KEYS[i], got[j]) end\n"
    "    count(k.counters, 'taken', n)\n"
    "    take_all(k, KEYS[i], got, n)\n"
    "    left, taken = left - n, taken + n\n"
    "  end\n"
    "end\n"
    "if taken == 0 then return refused or {0} end\n"
    "count(KEYS[4], 'taken', taken - k.copies)\n"
    "local r = k.reply\n"
    "r[2], r[3], r[4] = k.now, k.oversized, k.copies\n"
    "return r\n",
};
