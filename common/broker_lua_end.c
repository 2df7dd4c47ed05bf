#include "common/broker_lua.h"
#include "common/broker_lua_parts.h"
#include "common/keys.h"

/* What happens to a hold, and what ends it; broker_lua.c has how it begins. */

/* KEYS held, recoveries; ARGV tag, bytes */
struct script BROKER_LUA_ADOPT = {
    .name = "adopt",
    .lua = LUA_HOLD LUA_FORGET_RECOVERIES
    "local list = hold(KEYS[1], ARGV[1])\n"
    "if not list then return 0 end\n"
    "if redis.call('EXISTS', KEYS[2]) == 1 then forget_recoveries(KEYS[1], ARGV[1], KEYS[2]) end\n"
    "redis.call('HSET', KEYS[1], ARGV[1], list .. '\\n' .. ARGV[2])\n"
    "return 1\n",
};

/* KEYS held, result; ARGV tag, doc, expires */
struct script BROKER_LUA_STARTED = {
    .name = "started",
    .lua = LUA_STORE
    "if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end\n"
    "local status = status_of(KEYS[2])\n"
    "if status == 'SUCCESS' or status == 'FAILURE' or status == 'REVOKED' then return 0 end\n"
    "store(KEYS[2], ARGV[3], ARGV[2])\n"
    "return 1\n",
};

/* KEYS held, claim; ARGV boot, tag, prefix of held */
struct script BROKER_LUA_SINGLE = {
    .name = "single",
    .lua = "if redis.call('HEXISTS', KEYS[1], ARGV[2]) == 0 then return -1 end\n"
           "local mine = ARGV[1] .. ' ' .. ARGV[2]\n"
           "local claim = redis.pcall('GET', KEYS[2])\n"
           "if type(claim) == 'string' and claim ~= mine then\n"
           "  local boot, tag = string.match(claim, '^(%S+) (%S+)$')\n"
           "  if boot and redis.call('HEXISTS', ARGV[3] .. boot, tag) == 1 then return 0 end\n"
           "end\n"
           "redis.call('SETEX', KEYS[2], " FORGET_S ", mine)\n"
           "return 1\n",
};

/*
 * bury(k, letter, list): into the dead letters, with the list it came from (a name that may not be
 * UTF-8 would spoil the JSON). follow(k, end, args, first): what an end brings with it. A message
 * that cannot be pushed where it says is set aside, so that one wrong list does not repeat the
 * others.
 */
#define LUA_FOLLOW                                                                                 \
    "local function bury(k, letter, list)\n"                                                       \
    "  local at = string.format('{\"at\":%.0f,', math.floor(now_ms() / 1000))\n"                   \
    "  if list and not string.find(list, '[\\128-\\255]') then\n"                                  \
    "    at = at .. '\"q\":' .. cjson.encode(list) .. ','\n"                                       \
    "  end\n"                                                                                      \
    "  push_bounded(k.dead, at .. string.sub(letter, 2), k.dead_max, k.bytes_max, k.counters,\n"   \
    "    'dead_trimmed')\n"                                                                        \
    "  count(k.counters, 'dead', 1)\n"                                                             \
    "end\n"                                                                                        \
    "local function push(k, list, m)\n"                                                            \
    "  if type(redis.pcall('LPUSH', list, m)) ~= 'number' then\n"                                  \
    "    push_bounded(k.quarantine, cjson.encode({at = math.floor(now_ms() / 1000), q = list,\n"   \
    "      reason = 'a message that follows a task, whose list cannot be written', b64 = '',\n"    \
    "      text = m}), k.quarantine_max, k.bytes_max, k.counters, 'quarantine_trimmed')\n"         \
    "    count(k.counters, 'quarantine_foreign', 1)\n"                                             \
    "  end\n"                                                                                      \
    "  count(k.counters, 'sent', 1)\n"                                                             \
    "end\n"                                                                                        \
    "local function chord_is_open(k, group, expires)\n"                                            \
    "  if group == '' then return true end\n"                                                      \
    "  local key = k.group_prefix .. group\n"                                                      \
    "  if k.open[group] == nil then\n"                                                             \
    "    k.open[group] = redis.call('EXISTS', key .. '.j') == 1\n"                                 \
    "    redis.call('DEL', key .. '.j', key .. '.t', key .. '.s')\n"                               \
    "    redis.call('SETEX', '" KEY_CHORD_PREFIX "' .. group, expires, 1)\n"                       \
    "  end\n"                                                                                      \
    "  return k.open[group]\n"                                                                     \
    "end\n"                                                                                        \
    "local function follow(k, x, args, first)\n"                                                   \
    "  for i = first, first + 4 * (x.follows - 1), 4 do\n"                                         \
    "    local kind, key, bytes = args[i], args[i + 1], args[i + 2]\n"                             \
    "    if not chord_is_open(k, args[i + 3], x.expires) then\n"                                   \
    "      -- somebody else has ended it\n"                                                        \
    "    elseif kind == 'push' then\n"                                                             \
    "      push(k, key, bytes)\n"                                                                  \
    "    elseif kind == 'store' then\n"                                                            \
    "      store(key, x.expires, bytes)\n"                                                         \
    "    else\n"                                                                                   \
    "      redis.call('SETEX', key, x.expires, bytes)\n"                                           \
    "    end\n"                                                                                    \
    "  end\n"                                                                                      \
    "end\n"

/*
 * begin_end(k, end, args, first follow): what comes before the result, and the end of the hold.
 * unmirror_all(k, ends): takes them out of kombu's record, marks those that were not there any
 * more. store_end(k, end): the result.
 */
#define LUA_FINISH_PARTS                                                                           \
    "local function begin_end(k, x, args, first)\n"                                                \
    "  if (x.letter ~= '' or x.follows > 0) and redis.call('HEXISTS', k.held, x.tag) == 1 then\n"  \
    "    if x.letter ~= '' then bury(k, x.letter, (hold(k.held, x.tag))) end\n"                    \
    "    follow(k, x, args, first)\n"                                                              \
    "  end\n"                                                                                      \
    "  if k.recoveries then forget_recoveries(k.held, x.tag, k.recoveries) end\n"                  \
    "  x.had = redis.call('HDEL', k.held, x.tag)\n"                                                \
    "  if x.had == 1 then\n"                                                                       \
    "    k.ended = k.ended + 1\n"                                                                  \
    "    x.delivery = string.match(x.tag, ':(.+)$')\n"                                             \
    "    k.deliveries[#k.deliveries + 1] = x.delivery\n"                                           \
    "  end\n"                                                                                      \
    "end\n"                                                                                        \
    "local function unmirror_all(k, ends)\n"                                                       \
    "  local d = k.deliveries\n"                                                                   \
    "  if #d == 0 then return end\n"                                                               \
    "  if redis.pcall('ZREM', k.index, unpack(d)) == #d then\n"                                    \
    "    redis.pcall('HDEL', k.unacked, unpack(d))\n"                                              \
    "    return\n"                                                                                 \
    "  end\n"                                                                                      \
    "  for _, x in ipairs(ends) do\n"                                                              \
    "    if x.delivery and redis.pcall('HDEL', k.unacked, x.delivery) == 0 then x.had = 2 end\n"   \
    "  end\n"                                                                                      \
    "end\n"                                                                                        \
    "local function store_end(k, x)\n"                                                             \
    "  if x.doc ~= '' and (x.had ~= 0 or x.success) then store(x.key, x.expires, x.doc) end\n"     \
    "  if x.had ~= 0 and k.losses then redis.pcall('HDEL', k.losses, x.id) end\n"                  \
    "  if x.had == 2 and x.success then\n"                                                         \
    "    redis.call('SETEX', k.restored_prefix .. x.delivery, 86400, x.id)\n"                      \
    "  end\n"                                                                                      \
    "  return x.had\n"                                                                             \
    "end\n"

/*
 * KEYS held, counters, boot, recoveries, losses, dead, quarantine, unacked, unacked_index, results;
 * ARGV dead_max, quarantine_max, bytes_max, prefixes of restored and groups, and for each result:
 * tag, id, doc, expires, success, dead letter, number of follows and for each of them: kind, key,
 * bytes, guard
 */
struct script BROKER_LUA_FINISH = {
    .name = "finish",
    .lua = LUA_NOW_MS LUA_COUNT LUA_PUSH_BOUNDED LUA_HOLD LUA_UNMIRROR LUA_FORGET_RECOVERIES
        LUA_END_HOLD LUA_STORE LUA_FOLLOW LUA_FINISH_PARTS
    "local k = {held = KEYS[1], counters = KEYS[2], recoveries = existing(KEYS[4]),\n"
    "  losses = existing(KEYS[5]), dead = KEYS[6], quarantine = KEYS[7], unacked = KEYS[8],\n"
    "  index = KEYS[9], dead_max = tonumber(ARGV[1]), quarantine_max = tonumber(ARGV[2]),\n"
    "  bytes_max = ARGV[3], restored_prefix = ARGV[4], group_prefix = ARGV[5], open = {},\n"
    "  deliveries = {}, ended = 0}\n"
    "local reply, ends, a = {}, {}, 6\n"
    "for i = 10, #KEYS do\n"
    "  local x = {key = KEYS[i], tag = ARGV[a], id = ARGV[a + 1], doc = ARGV[a + 2],\n"
    "    expires = ARGV[a + 3], success = ARGV[a + 4] == '1', letter = ARGV[a + 5],\n"
    "    follows = tonumber(ARGV[a + 6])}\n"
    "  begin_end(k, x, ARGV, a + 7)\n"
    "  ends[#ends + 1] = x\n"
    "  a = a + 7 + 4 * x.follows\n"
    "end\n"
    "unmirror_all(k, ends)\n"
    "for i, x in ipairs(ends) do reply[i] = store_end(k, x) end\n"
    "if k.ended > 0 then\n"
    "  count(k.counters, 'done', k.ended)\n"
    "  count(KEYS[3], 'ended', k.ended)\n"
    "end\n"
    "return reply\n",
};

/*
 * KEYS held, counters, boot, recoveries, unacked, unacked_index, delayed, result;
 * ARGV tag, nonce, id, message, due_ms, relative, counter, doc, expires
 */
struct script BROKER_LUA_POSTPONE = {
    .name = "postpone",
    .lua = LUA_NOW_MS LUA_COUNT LUA_HOLD LUA_UNMIRROR LUA_FORGET_RECOVERIES LUA_END_HOLD LUA_STORE
    "local list = hold(KEYS[1], ARGV[1])\n"
    "if not list then return 0 end\n"
    "local due = tonumber(ARGV[5])\n"
    "if ARGV[6] == '1' then due = due + now_ms() end\n"
    "redis.call('ZADD', KEYS[7], string.format('%.0f', due),\n"
    "  cjson.encode({q = list, m = ARGV[4], n = ARGV[2], id = ARGV[3]}))\n"
    "end_hold({held = KEYS[1], unacked = KEYS[5], index = KEYS[6], recoveries = existing(KEYS[4])},\n"
    "  ARGV[1])\n"
    "count(KEYS[2], ARGV[7], 1)\n"
    "count(KEYS[3], 'ended', 1)\n"
    "if ARGV[8] ~= '' then store(KEYS[8], ARGV[9], ARGV[8]) end\n"
    "local first = redis.call('ZRANGE', KEYS[7], 0, 0, 'WITHSCORES')\n"
    "return {1, math.max(0, math.min(tonumber(first[2]) - now_ms(), 2000000000))}\n",
};

/* KEYS held, counters, boot, unacked, unacked_index; ARGV tag */
struct script BROKER_LUA_REQUEUE = {
    .name = "requeue",
    .lua = LUA_COUNT LUA_HOLD LUA_UNMIRROR LUA_REDELIVERED LUA_PUT_BACK_ONE
    "local k = {held = KEYS[1], unacked = KEYS[4], index = KEYS[5]}\n"
    "if not put_back_one(k, ARGV[1]) then return 0 end\n"
    "count(KEYS[2], 'requeued', 1)\n"
    "count(KEYS[3], 'ended', 1)\n"
    "return 1\n",
};

/* KEYS held, counters, boot, unacked, unacked_index, losses; ARGV tag, id, losses_max */
struct script BROKER_LUA_LOST = {
    .name = "lost",
    .lua = LUA_COUNT LUA_HOLD LUA_UNMIRROR LUA_REDELIVERED LUA_PUT_BACK_ONE
    "local k = {held = KEYS[1], unacked = KEYS[4], index = KEYS[5]}\n"
    "if redis.call('HEXISTS', k.held, ARGV[1]) == 0 then return {0, 0} end\n"
    "local losses = redis.call('HINCRBY', KEYS[6], ARGV[2], 1)\n"
    "redis.call('EXPIRE', KEYS[6], " FORGET_S ")\n"
    "if losses >= tonumber(ARGV[3]) then return {losses, 0} end\n"
    "put_back_one(k, ARGV[1])\n"
    "count(KEYS[2], 'requeued', 1)\n"
    "count(KEYS[3], 'ended', 1)\n"
    "return {losses, 1}\n",
};

/*
 * KEYS held, counters, boot, recoveries, unacked, unacked_index, quarantine;
 * ARGV tag, reason, b64, quarantine_max, quarantine_bytes_max
 */
struct script BROKER_LUA_QUARANTINE = {
    .name = "quarantine",
    .lua = LUA_NOW_MS LUA_COUNT LUA_PUSH_BOUNDED LUA_HOLD LUA_UNMIRROR LUA_FORGET_RECOVERIES
        LUA_END_HOLD
    "local list = hold(KEYS[1], ARGV[1])\n"
    "if not list then return 0 end\n"
    "push_bounded(KEYS[7], cjson.encode({at = math.floor(now_ms() / 1000), reason = ARGV[2], q = list,\n"
    "  b64 = ARGV[3]}), tonumber(ARGV[4]), ARGV[5], KEYS[2], 'quarantine_trimmed')\n"
    "end_hold({held = KEYS[1], unacked = KEYS[5], index = KEYS[6], recoveries = existing(KEYS[4])},\n"
    "  ARGV[1])\n"
    "count(KEYS[2], 'quarantined', 1)\n"
    "count(KEYS[3], 'ended', 1)\n"
    "return 1\n",
};

/*
 * A task that ran again may have another result: it counts once, with the last one. Asked again, it
 * was there before: when it is not there any more, somebody has ended the chord meanwhile.
 * KEYS .j, .s, .t of the group, the saved group, the mark of its end;
 * ARGV score, member, how a member of this task begins, expires, parts_max, bytes_max, again
 */
struct script BROKER_LUA_CHORD_PART = {
    .name = "chord_part",
    .lua = "local function text(key)\n"
           "  local v = redis.pcall('GET', key)\n"
           "  return type(v) == 'string' and v\n"
           "end\n"
           "if redis.call('EXISTS', KEYS[5]) == 1 then return {-2, false, false, false} end\n"
           "if ARGV[7] == '1' and type(redis.pcall('ZSCORE', KEYS[1], ARGV[2])) ~= 'string' then\n"
           "  return {-2, false, false, false}\n"
           "end\n"
           "local parts = redis.pcall('ZADD', KEYS[1], ARGV[1], ARGV[2])\n"
           "if type(parts) ~= 'number' then return {-1, false, false, false} end\n"
           "for _, m in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[1], ARGV[1],\n"
           "  'LIMIT', 0, 1000)) do\n"
           "  if m ~= ARGV[2] and string.sub(m, 1, #ARGV[3]) == ARGV[3] then\n"
           "    redis.call('ZREM', KEYS[1], m)\n"
           "  end\n"
           "end\n"
           "for i = 1, 3 do redis.call('EXPIRE', KEYS[i], ARGV[4]) end\n"
           "parts = redis.call('ZCARD', KEYS[1])\n"
           "local size, more = text(KEYS[2]), text(KEYS[3])\n"
           "if not tonumber(size) or parts < tonumber(size) + (tonumber(more or 0) or 0) then\n"
           "  return {parts, size, more, false}\n"
           "end\n"
           "if parts > tonumber(ARGV[5]) then return {parts, size, more, false, 0} end\n"
           "local members, bytes = redis.call('ZRANGE', KEYS[1], 0, -1), 0\n"
           "for _, m in ipairs(members) do bytes = bytes + #m end\n"
           "if bytes > tonumber(ARGV[6]) then return {parts, size, more, false, 0} end\n"
           "return {parts, size, more, text(KEYS[4]), members}\n",
};

/* KEYS delayed, quarantine, counters; ARGV messages_max, quarantine_max, quarantine_bytes_max */
struct script BROKER_LUA_DUE = {
    .name = "due",
    .lua = LUA_NOW_MS LUA_COUNT LUA_PUSH_BOUNDED LUA_DUE
    "local k = {delayed = KEYS[1], quarantine = KEYS[2], counters = KEYS[3]}\n"
    "return {due(k, tonumber(ARGV[1]), ARGV[2], ARGV[3])}\n",
};
