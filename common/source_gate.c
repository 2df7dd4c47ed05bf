#include "common/source_gate.h"

#include <string.h>

#include "common/keys.h"
#include "common/text.h"

/* ---- the rules, in C ---- */

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* 60 s, 120 s, ... for the n-th rest in a row, n from 1. */
static int64_t rest_ms(int64_t n)
{
    int64_t ms = GATE_REST_MS;

    for (int64_t i = 1; i < n && ms < GATE_REST_MAX_MS; i++) {
        ms *= 2;
    }
    return earlier(ms, GATE_REST_MAX_MS);
}

static struct gate_answer resting(const struct gate_local *g, int64_t now_ms)
{
    return (struct gate_answer){GATE_RESTING, g->rest_until_ms - now_ms};
}

struct gate_answer gate_local_ask(struct gate_local *g, const struct gate_pace *pace,
                                  int64_t now_ms)
{
    int64_t moment = later(g->next_ms, now_ms);

    if (g->rest_until_ms > now_ms) {
        return resting(g, now_ms);
    }
    if (moment - now_ms > pace->patience_ms) {
        return (struct gate_answer){GATE_CROWDED, moment - now_ms};
    }
    g->next_ms = moment + pace->interval_ms;
    return (struct gate_answer){GATE_GO, moment - now_ms};
}

struct gate_answer gate_local_start(struct gate_local *g, const struct gate_pace *pace,
                                    const char *id, int64_t now_ms)
{
    if (g->rest_until_ms > now_ms) {
        return resting(g, now_ms);
    }
    if (g->flight_until_ms > now_ms) {
        return (struct gate_answer){GATE_WAIT, GATE_POLL_MS};
    }
    if (g->has_started && g->started_ms + pace->interval_ms > now_ms) {
        return (struct gate_answer){GATE_WAIT, g->started_ms + pace->interval_ms - now_ms};
    }
    g->has_started = true;
    g->started_ms = now_ms;
    g->flight_until_ms = now_ms + pace->lease_ms;
    text_copy(g->flight_id, sizeof g->flight_id, id);
    g->next_ms = later(g->next_ms, now_ms + pace->interval_ms);
    return (struct gate_answer){GATE_GO, 0};
}

static void count_failure(struct gate_local *g, const struct gate_report *report, int64_t now_ms)
{
    int64_t rest;

    g->failures++;
    if (report->result == GATE_FAILED && g->failures < GATE_FAILURES_OPEN) {
        return;
    }
    g->rests++;
    rest = later(rest_ms(g->rests), report->retry_after_ms);
    g->rest_until_ms = later(g->rest_until_ms, now_ms + earlier(rest, GATE_RETRY_MAX_MS));
}

int64_t gate_local_tell(struct gate_local *g, const struct gate_report *report, const char *id,
                        int64_t now_ms)
{
    if (strcmp(g->flight_id, id) == 0) {
        g->flight_until_ms = 0;
        g->flight_id[0] = '\0';
    }
    if (report->result == GATE_OK) {
        g->failures = g->rests = 0;
    } else if (report->result != GATE_GIVEN_UP) {
        count_failure(g, report, now_ms);
    }
    return later(g->rest_until_ms - now_ms, 0);
}

/* ---- the same in Redis, by its clock ---- */

/*
 * A clock that was set back leaves moments far ahead behind it; those further away than any can
 * be are void.
 */
#define LUA_GATE                                                                                   \
    "local t = redis.call('TIME')\n"                                                               \
    "local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"                                          \
    "local function get(field)\n"                                                                  \
    "  return tonumber(redis.call('HGET', KEYS[1], field) or '0') or 0\n"                          \
    "end\n"                                                                                        \
    "local function set(field, v)\n"                                                               \
    "  redis.call('HSET', KEYS[1], field, string.format('%.0f', v))\n"                             \
    "end\n"                                                                                        \
    "local function ahead(field, most)\n"                                                          \
    "  local ms = get(field) - now\n"                                                              \
    "  if ms <= 0 or ms > most then return 0 end\n"                                                \
    "  return ms\n"                                                                                \
    "end\n"

/* KEYS source; ARGV retry_max_ms, interval_ms, patience_ms, patience_max_ms */
struct script GATE_LUA_ASK = {
    .name = "source.ask",
    .lua = LUA_GATE "local rest = ahead('rest_until_ms', tonumber(ARGV[1]))\n"
                    "if rest > 0 then return {2, rest} end\n"
                    "local wait = ahead('next_ms', ARGV[4] + ARGV[2])\n"
                    "if wait > tonumber(ARGV[3]) then return {1, wait} end\n"
                    "set('next_ms', now + wait + ARGV[2])\n"
                    "return {0, wait}\n",
};

/* KEYS source; ARGV retry_max_ms, interval_ms, id, lease_ms, poll_ms, patience_max_ms */
struct script GATE_LUA_START = {
    .name = "source.start",
    .lua = LUA_GATE
    "local rest = ahead('rest_until_ms', tonumber(ARGV[1]))\n"
    "if rest > 0 then return {2, rest} end\n"
    "if ahead('flight_until_ms', tonumber(ARGV[4])) > 0 then\n"
    "  return {3, tonumber(ARGV[5])}\n"
    "end\n"
    "local since = now - get('started_ms')\n"
    "if since >= 0 and since < tonumber(ARGV[2]) then return {3, ARGV[2] - since} end\n"
    "set('started_ms', now)\n"
    "set('flight_until_ms', now + ARGV[4])\n"
    "redis.call('HSET', KEYS[1], 'flight_id', ARGV[3])\n"
    "set('next_ms', now + math.max(ahead('next_ms', ARGV[6] + ARGV[2]), tonumber(ARGV[2])))\n"
    "redis.call('HINCRBY', KEYS[1], 'asked', 1)\n"
    "return {0, 0}\n",
};

/* KEYS source; ARGV retry_max_ms, id, result, retry_after_ms, rest_ms, rest_max_ms, failures_open
 */
struct script GATE_LUA_TELL = {
    .name = "source.tell",
    .lua = LUA_GATE
    "local id, result = ARGV[2], ARGV[3]\n"
    "if redis.call('HGET', KEYS[1], 'flight_id') == id then\n"
    "  redis.call('HDEL', KEYS[1], 'flight_id', 'flight_until_ms')\n"
    "end\n"
    "redis.call('HINCRBY', KEYS[1], result, 1)\n"
    "set('last_' .. result .. '_ms', now)\n"
    "local function fail()\n"
    "  local failures = redis.call('HINCRBY', KEYS[1], 'failures', 1)\n"
    "  if result == 'failed' and failures < tonumber(ARGV[7]) then return end\n"
    "  local n = redis.call('HINCRBY', KEYS[1], 'rests', 1)\n"
    "  local rest = math.min(ARGV[5] * 2 ^ math.min(n - 1, 20), tonumber(ARGV[6]))\n"
    "  rest = math.min(math.max(rest, tonumber(ARGV[4])), tonumber(ARGV[1]))\n"
    "  set('rest_until_ms', now + math.max(ahead('rest_until_ms', tonumber(ARGV[1])), rest))\n"
    "  redis.call('HSET', KEYS[1], 'rest_reason', result)\n"
    "end\n"
    "if result == 'ok' then\n"
    "  redis.call('HDEL', KEYS[1], 'failures', 'rests')\n"
    "elseif result ~= 'given_up' then\n"
    "  fail()\n"
    "end\n"
    "return ahead('rest_until_ms', tonumber(ARGV[1]))\n",
};

void gate_ask(struct command *c, const struct gate_pace *pace)
{
    command_begin(c, &GATE_LUA_ASK);
    command_key(c, KEY_SOURCE);
    command_i64(c, GATE_RETRY_MAX_MS);
    command_i64(c, pace->interval_ms);
    command_i64(c, pace->patience_ms);
    command_i64(c, GATE_PATIENCE_MAX_MS);
}

void gate_start(struct command *c, const struct gate_pace *pace, const char *id)
{
    command_begin(c, &GATE_LUA_START);
    command_key(c, KEY_SOURCE);
    command_i64(c, GATE_RETRY_MAX_MS);
    command_i64(c, pace->interval_ms);
    command_arg(c, id);
    command_i64(c, pace->lease_ms);
    command_i64(c, GATE_POLL_MS);
    command_i64(c, GATE_PATIENCE_MAX_MS);
}

bool gate_read(const redisReply *r, struct gate_answer *a)
{
    if (!r || r->type != REDIS_REPLY_ARRAY || r->elements != 2 ||
        r->element[0]->type != REDIS_REPLY_INTEGER || r->element[1]->type != REDIS_REPLY_INTEGER ||
        r->element[0]->integer < GATE_GO || r->element[0]->integer > GATE_WAIT) {
        return false;
    }
    a->verdict = (enum gate_verdict)r->element[0]->integer;
    a->wait_ms = r->element[1]->integer;
    return true;
}

void gate_tell(struct command *c, const struct gate_report *report, const char *id)
{
    static const char *const RESULTS[] = {[GATE_OK] = "ok",
                                          [GATE_BUSY] = "busy",
                                          [GATE_FAILED] = "failed",
                                          [GATE_GIVEN_UP] = "given_up"};

    command_begin(c, &GATE_LUA_TELL);
    command_key(c, KEY_SOURCE);
    command_i64(c, GATE_RETRY_MAX_MS);
    command_arg(c, id);
    command_arg(c, RESULTS[report->result]);
    command_i64(c, report->retry_after_ms);
    command_i64(c, GATE_REST_MS);
    command_i64(c, GATE_REST_MAX_MS);
    command_i64(c, GATE_FAILURES_OPEN);
}
