#ifndef COMMON_BROKER_LUA_PARTS_H
#define COMMON_BROKER_LUA_PARTS_H

/*
 * Functions that several steps share, as Lua texts to put in front of a script.
 *
 * Counters are changed only in the step in which a hold begins or ends, so at any moment
 *   taken = done + retried + delayed + requeued + recovered + quarantined + held now
 * and in the same way for the delayed set, the dead letters and the quarantine
 * (docs/architecture.md has all four).
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

#define LUA_NOW_MS                                                                                 \
    "local function now_ms()\n"                                                                    \
    "  local t = redis.call('TIME')\n"                                                             \
    "  return t[1] * 1000 + math.floor(t[2] / 1000)\n"                                             \
    "end\n"

/*
 * push_bounded(list, entry, max, max_bytes, counters, field): newest first; the oldest go, and are
 * counted. Small entries are bounded by their number, and only a large one is worth the walk over
 * the list's nodes for its size.
 */
#define LUA_PUSH_BOUNDED                                                                           \
    "local function push_bounded(list, entry, max, max_bytes, counters, field)\n"                  \
    "  local gone = math.max(redis.call('LPUSH', list, entry) - max, 0)\n"                         \
    "  if gone > 0 then redis.call('LTRIM', list, 0, max - 1) end\n"                               \
    "  if #entry > 4096 then\n"                                                                    \
    "    local bytes = redis.call('MEMORY', 'USAGE', list, 'SAMPLES', 0)\n"                        \
    "    while bytes > tonumber(max_bytes) and redis.call('LLEN', list) > 1 do\n"                  \
    "      bytes = bytes - #redis.call('RPOP', list)\n"                                            \
    "      gone = gone + 1\n"                                                                      \
    "    end\n"                                                                                    \
    "  end\n"                                                                                      \
    "  if gone > 0 then count(counters, field, gone) end\n"                                        \
    "end\n"

/* hold(held, tag): the list and the message of a hold, nil when it is not there. */
#define LUA_HOLD                                                                                   \
    "local function hold(held, tag)\n"                                                             \
    "  local v = redis.call('HGET', held, tag)\n"                                                  \
    "  local at = v and string.find(v, '\\n', 1, true)\n"                                          \
    "  if at then return string.sub(v, 1, at - 1), string.sub(v, at + 1) end\n"                    \
    "end\n"

/*
 * kombu_tag(m): the delivery tag of a message that a kombu client can restore, what follows the
 * message in kombu's record of it, and whether it was delivered before; nil for others. Those are
 * held by us alone. The usual form is recognised by its end: reading all of it would take a quarter
 * of the step's time, and a message whose beginning is wrong leaves the record as soon as the
 * worker has looked at it.
 */
#define LUA_KOMBU_TAG                                                                                                 \
    "local USUAL_END = '\"delivery_info\": {\"exchange\": \"([%w%-_.]*)\", \"routing_key\": \"([%w%-_.]+)\"}, ' ..\n" \
    "  '\"priority\": %d+, \"body_encoding\": \"base64\", \"delivery_tag\": \"([%w%-_.]+)\"}}$'\n"                    \
    "local function kombu_tag(m)\n"                                                                                   \
    "  if #m > 65536 then return nil end\n"                                                                           \
    "  local exchange, key, tag = string.match(string.sub(m, -320), USUAL_END)\n"                                     \
    "  if tag and #tag <= 64 and string.byte(m) == 123 and string.find(m, '\"headers\": {\"', 1, true) then\n"        \
    "    return tag, ', \"' .. exchange .. '\", \"' .. key .. '\"]', false\n"                                         \
    "  end\n"                                                                                                         \
    "  local ok, v = pcall(cjson.decode, m)\n"                                                                        \
    "  local p = ok and type(v) == 'table' and type(v.headers) == 'table' and v.properties\n"                         \
    "  local d = type(p) == 'table' and p.delivery_info\n"                                                            \
    "  tag = type(d) == 'table' and p.delivery_tag\n"                                                                 \
    "  if type(tag) == 'string' and #tag <= 64 and string.find(tag, '^[%w%-_.]+$') and\n"                             \
    "      type(d.exchange) == 'string' and type(d.routing_key) == 'string' then\n"                                   \
    "    return tag, ', ' .. cjson.encode(d.exchange) .. ', ' .. cjson.encode(d.routing_key) .. ']',\n"               \
    "      d.redelivered == true\n"                                                                                   \
    "  end\n"                                                                                                         \
    "end\n"

/* unmirror(unacked, index, tag): false when the hold was in kombu's record and is not any more. */
#define LUA_UNMIRROR                                                                               \
    "local function unmirror(unacked, index, tag)\n"                                               \
    "  local delivery = string.match(tag, ':(.+)$')\n"                                             \
    "  if not delivery then return true end\n"                                                     \
    "  local was = redis.pcall('HDEL', unacked, delivery)\n"                                       \
    "  redis.pcall('ZREM', index, delivery)\n"                                                     \
    "  return was ~= 0\n"                                                                          \
    "end\n"

/*
 * living_holds(workers, prefix of worker, prefix of held): the delivery tags that living workers
 * hold. For the rare message that comes a second time.
 */
#define LUA_LIVING_HOLDS                                                                           \
    "local function living_holds(workers, worker, held)\n"                                         \
    "  local found = {}\n"                                                                         \
    "  for _, boot in ipairs(redis.call('SMEMBERS', workers)) do\n"                                \
    "    if redis.call('EXISTS', worker .. boot) == 1 then\n"                                      \
    "      for _, tag in ipairs(redis.pcall('HKEYS', held .. boot)) do\n"                          \
    "        local delivery = string.match(tag, ':(.+)$')\n"                                       \
    "        if delivery then found[delivery] = true end\n"                                        \
    "      end\n"                                                                                  \
    "    end\n"                                                                                    \
    "  end\n"                                                                                      \
    "  return found\n"                                                                             \
    "end\n"

/*
 * redelivered(m, tag): the message with kombu's two flags set, when that is possible without
 * touching any other byte of it; otherwise the message as it is.
 */
#define LUA_REDELIVERED                                                                            \
    "local function redelivered(m, tag)\n"                                                         \
    "  if not string.find(tag, ':', 1, true) or string.find(m, '\"redelivered\"', 1, true) then\n" \
    "    return m\n"                                                                               \
    "  end\n"                                                                                      \
    "  local r, n = string.gsub(m, '(\"headers\": ?{)(%s*\")', '%1\"redelivered\": true, %2')\n"   \
    "  if n ~= 1 then return m end\n"                                                              \
    "  r, n = string.gsub(r, '(\"delivery_info\": ?{)(%s*\")', '%1\"redelivered\": true, %2')\n"   \
    "  local ok, v = pcall(cjson.decode, r)\n"                                                     \
    "  if n == 1 and ok and v.headers.redelivered == true and\n"                                   \
    "      v.properties.delivery_info.redelivered == true then\n"                                  \
    "    return r\n"                                                                               \
    "  end\n"                                                                                      \
    "  return m\n"                                                                                 \
    "end\n"

/*
 * put_back_one(k, tag): the message of a hold goes to the right end of its list, and the hold
 * ends. k.held, k.unacked, k.index. Returns the message, nil when the hold was not there. When
 * kombu's record does not have it any more, a Python client has put it back, or somebody has
 * deleted the record: it goes back unless that copy can be seen. That is looked for once for a
 * list, and no further than Redis may be kept busy.
 */
#define LUA_PUT_BACK_ONE                                                                           \
    "local function waiting_tags(k, list)\n"                                                       \
    "  k.waiting = k.waiting or {}\n"                                                              \
    "  if k.waiting[list] then return k.waiting[list] end\n"                                       \
    "  local found, bytes, at = {}, 0, -1\n"                                                       \
    "  while bytes < 4194304 and at >= -1000 do\n"                                                 \
    "    local part = redis.pcall('LRANGE', list, at - 7, at)\n"                                   \
    "    if #part == 0 then break end\n"                                                           \
    "    for _, m in ipairs(part) do\n"                                                            \
    "      bytes = bytes + #m\n"                                                                   \
    "      local tags = #m <= 131072 and m or ''\n"                                                \
    "      for tag in string.gmatch(tags, '\"delivery_tag\": ?\"([%w%-_.]+)\"') do\n"              \
    "        found[tag] = true\n"                                                                  \
    "      end\n"                                                                                  \
    "    end\n"                                                                                    \
    "    at = at - 8\n"                                                                            \
    "  end\n"                                                                                      \
    "  k.waiting[list] = found\n"                                                                  \
    "  return found\n"                                                                             \
    "end\n"                                                                                        \
    "local function copy_waits(k, list, tag)\n"                                                    \
    "  local delivery = string.match(tag, ':(.+)$')\n"                                             \
    "  local base = string.match(list, '^(.-)\\006\\022') or list\n"                               \
    "  return waiting_tags(k, list)[delivery] or waiting_tags(k, base)[delivery]\n"                \
    "end\n"                                                                                        \
    "local function put_back_one(k, tag)\n"                                                        \
    "  local list, m = hold(k.held, tag)\n"                                                        \
    "  if not list then return nil end\n"                                                          \
    "  m = redelivered(m, tag)\n"                                                                  \
    "  local mirrored = not string.find(tag, ':', 1, true) or\n"                                   \
    "    redis.pcall('HEXISTS', k.unacked, string.match(tag, ':(.+)$')) ~= 0\n"                    \
    "  if mirrored or not copy_waits(k, list, tag) then redis.call('RPUSH', list, m) end\n"        \
    "  redis.call('HDEL', k.held, tag)\n"                                                          \
    "  unmirror(k.unacked, k.index, tag)\n"                                                        \
    "  return m\n"                                                                                 \
    "end\n"

/*
 * put_back(k, keep, max, each): everything that is held, except tags for which keep(tag) is true,
 * latest first, so that the order stays what it was. each(m): called with every message. Returns
 * how many holds ended. One whose list cannot be written stays, and is no reason to stop.
 */
#define LUA_PUT_BACK                                                                               \
    "local function number(tag) return tonumber(string.match(tag, '^%d+')) or 0 end\n"             \
    "local function put_back(k, keep, max, each)\n"                                                \
    "  local tags, n = {}, 0\n"                                                                    \
    "  for _, tag in ipairs(redis.call('HKEYS', k.held)) do\n"                                     \
    "    if not keep(tag) then tags[#tags + 1] = tag end\n"                                        \
    "  end\n"                                                                                      \
    "  table.sort(tags, function(a, b) return number(a) > number(b) end)\n"                        \
    "  for i = 1, math.min(#tags, max) do\n"                                                       \
    "    local ok, m = pcall(put_back_one, k, tags[i])\n"                                          \
    "    if ok and m then\n"                                                                       \
    "      each(m)\n"                                                                              \
    "      n = n + 1\n"                                                                            \
    "    elseif ok then\n"                                                                         \
    "      n = n + redis.call('HDEL', k.held, tags[i])\n"                                          \
    "    end\n"                                                                                    \
    "  end\n"                                                                                      \
    "  return n\n"                                                                                 \
    "end\n"

/* forget_recoveries(held, tag, recoveries): a recovered message is known by its bytes; what ends
 * its hold forgets the count. */
#define LUA_FORGET_RECOVERIES                                                                      \
    "local function forget_recoveries(held, tag, recoveries)\n"                                    \
    "  local _, m = hold(held, tag)\n"                                                             \
    "  if m then redis.pcall('HDEL', recoveries, redis.sha1hex(m)) end\n"                          \
    "end\n"

/* end_hold(k, tag): 1, 0 when it was not there, 2 when kombu's record had lost it. k as above, and
 * k.recoveries, or nil when that key does not exist. */
#define LUA_END_HOLD                                                                               \
    "local function end_hold(k, tag)\n"                                                            \
    "  if k.recoveries then forget_recoveries(k.held, tag, k.recoveries) end\n"                    \
    "  if redis.call('HDEL', k.held, tag) == 0 then return 0 end\n"                                \
    "  return unmirror(k.unacked, k.index, tag) and 1 or 2\n"                                      \
    "end\n"                                                                                        \
    "local function existing(key)\n"                                                               \
    "  return redis.call('EXISTS', key) == 1 and key or nil\n"                                     \
    "end\n"

/* store(key, expires, doc): never over a SUCCESS; who waits is told what is stored. What is there
 * and is no text gives way. */
#define LUA_STORE                                                                                  \
    "local function status_of(key)\n"                                                              \
    "  local old = redis.pcall('GET', key)\n"                                                      \
    "  if type(old) ~= 'string' then return nil end\n"                                             \
    "  local ok, v = pcall(cjson.decode, old)\n"                                                   \
    "  return ok and type(v) == 'table' and v.status, old\n"                                       \
    "end\n"                                                                                        \
    "local function store(key, expires, doc)\n"                                                    \
    "  if not redis.call('SET', key, doc, 'EX', expires, 'NX') then\n"                             \
    "    local status, old = status_of(key)\n"                                                     \
    "    if status == 'SUCCESS' then\n"                                                            \
    "      redis.call('PUBLISH', key, old)\n"                                                      \
    "      return\n"                                                                               \
    "    end\n"                                                                                    \
    "    redis.call('SETEX', key, expires, doc)\n"                                                 \
    "  end\n"                                                                                      \
    "  redis.call('PUBLISH', key, doc)\n"                                                          \
    "end\n"

/*
 * due(k, max, ...): how many left the set, ms until the next or -1. One at a time, and no more than
 * 16 MiB in one step: each may be as long as a message may be. What cannot be put where it says is
 * set aside. k.delayed, k.quarantine, k.counters.
 */
#define LUA_DUE                                                                                      \
    "local function due_one(k, member, now, entries_max, bytes_max)\n"                               \
    "  local ok, v = pcall(cjson.decode, member)\n"                                                  \
    "  local ours = ok and type(v) == 'table' and type(v.q) == 'string' and type(v.m) == 'string'\n" \
    "  if ours and type(redis.pcall('LPUSH', v.q, v.m)) == 'number' then\n"                          \
    "    redis.call('ZREM', k.delayed, member)\n"                                                    \
    "    count(k.counters, 'due', 1)\n"                                                              \
    "    return\n"                                                                                   \
    "  end\n"                                                                                        \
    "  push_bounded(k.quarantine, cjson.encode({at = math.floor(now / 1000), q = k.delayed,\n"       \
    "    reason = ours and 'a delayed message whose list cannot be written' or\n"                    \
    "      'a member of the delayed set that is not ours',\n"                                        \
    "    b64 = '', text = member}), entries_max, bytes_max, k.counters, 'quarantine_trimmed')\n"     \
    "  redis.call('ZREM', k.delayed, member)\n"                                                      \
    "  count(k.counters, 'quarantine_foreign', 1)\n"                                                 \
    "  if ours then count(k.counters, 'delayed_dropped', 1) end\n"                                   \
    "end\n"                                                                                          \
    "local function due(k, max, entries_max, bytes_max)\n"                                           \
    "  local now, moved, bytes = now_ms(), 0, 0\n"                                                   \
    "  while moved < max and bytes < 16777216 do\n"                                                  \
    "    local first = redis.call('ZRANGE', k.delayed, 0, 0, 'WITHSCORES')\n"                        \
    "    local member, score = first[1], tonumber(first[2])\n"                                       \
    "    if not member then return moved, -1 end\n"                                                  \
    "    if score > now then return moved, math.min(score - now, 2000000000) end\n"                  \
    "    due_one(k, member, now, tonumber(entries_max), bytes_max)\n"                                \
    "    moved, bytes = moved + 1, bytes + #member\n"                                                \
    "  end\n"                                                                                        \
    "  return moved, 0\n"                                                                            \
    "end\n"

#endif
