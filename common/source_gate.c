#include "common/source_gate.h"

#include "common/keys.h"

/* ---- the rules, in C ---- */

/* 60 s, 120 s, ... for the n-th time, n from 1. */
static int64_t rest_ms(int64_t n)
{
    int64_t ms = GATE_REST_MS;

    for (int64_t i = 1; i < n && ms < GATE_REST_MAX_MS; i++) {
        ms *= 2;
    }
    return ms < GATE_REST_MAX_MS ? ms : GATE_REST_MAX_MS;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

struct gate_answer gate_local_ask(struct gate_local *g, const struct gate_pace *pace,
                                  int64_t now_ms)
{
    int64_t moment = later(g->next_ms, now_ms);

    if (g->rest_until_ms > now_ms) {
        return (struct gate_answer){GATE_RESTING, g->rest_until_ms - now_ms};
    }
    if (moment - now_ms > pace->patience_ms) {
        return (struct gate_answer){GATE_CROWDED, moment - now_ms};
    }
    g->next_ms = moment + pace->interval_ms;
    return (struct gate_answer){GATE_GO, moment - now_ms};
}

void gate_local_tell(struct gate_local *g, const struct gate_report *report, int64_t now_ms)
{
    int64_t rest = 0;

    if (report->result == GATE_OK) {
        g->failures = 0;
        return;
    }
    g->failures++;
    if (report->result == GATE_BUSY) {
        rest = later(rest_ms(g->failures), report->retry_after_ms);
        rest = rest < GATE_RETRY_MAX_MS ? rest : GATE_RETRY_MAX_MS;
    } else if (g->failures >= GATE_FAILURES_OPEN) {
        rest = rest_ms(g->failures - GATE_FAILURES_OPEN + 1);
    }
    g->rest_until_ms = later(g->rest_until_ms, now_ms + rest);
}

/* ---- the same in Redis, by its clock ---- */

#define LUA_GATE                                                                                   \
    "local t = redis.call('TIME')\n"                                                               \
    "local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"                                          \
    "local function get(field)\n"                                                                  \
    "  return tonumber(redis.call('HGET', KEYS[1], field) or '0') or 0\n"                          \
    "end\n"                                                                                        \
    "local function set(field, v)\n"                                                               \
    "  redis.call('HSET', KEYS[1], field, string.format('%.0f', v))\n"                             \
    "end\n"

/* KEYS source; ARGV interval_ms, patience_ms */
static struct script ask_script = {
    .name = "source.ask",
    .lua = LUA_GATE "local rest, moment = get('rest_until_ms'), math.max(get('next_ms'), now)\n"
                    /* Redis' clock went back by more than any wait: what was reserved is void. */
                    "if moment - now > 86400000 then moment = now end\n"
                    "if rest > now then return {2, rest - now} end\n"
                    "if moment - now > tonumber(ARGV[2]) then return {1, moment - now} end\n"
                    "set('next_ms', moment + ARGV[1])\n"
                    "redis.call('HINCRBY', KEYS[1], 'asked', 1)\n"
                    "return {0, moment - now}\n",
};

/* KEYS source; ARGV result, retry_after_ms, rest_ms, rest_max_ms, retry_max_ms, failures_open */
static struct script tell_script = {
    .name = "source.tell",
    .lua = LUA_GATE
    "local result = ARGV[1]\n"
    "redis.call('HINCRBY', KEYS[1], result, 1)\n"
    "set('last_' .. result .. '_ms', now)\n"
    "if result == 'ok' then set('failures', 0) return 1 end\n"
    "local failures = redis.call('HINCRBY', KEYS[1], 'failures', 1)\n"
    "local function rest_ms(n)\n"
    "  return math.min(ARGV[3] * 2 ^ math.min(math.max(n - 1, 0), 20), tonumber(ARGV[4]))\n"
    "end\n"
    "local rest = 0\n"
    "if result == 'busy' then\n"
    "  rest = math.min(math.max(rest_ms(failures), tonumber(ARGV[2])), tonumber(ARGV[5]))\n"
    "elseif failures >= tonumber(ARGV[6]) then\n"
    "  rest = rest_ms(failures - ARGV[6] + 1)\n"
    "end\n"
    "if rest > 0 then\n"
    "  set('rest_until_ms', math.max(get('rest_until_ms'), now + rest))\n"
    "  redis.call('HSET', KEYS[1], 'rest_reason', result)\n"
    "end\n"
    "return 1\n",
};

struct script *const SOURCE_SCRIPTS[] = {&ask_script, &tell_script};
const size_t SOURCE_SCRIPT_COUNT = ARRAY_LEN(SOURCE_SCRIPTS);

void gate_ask(struct command *c, const struct gate_pace *pace)
{
    command_begin(c, &ask_script);
    command_key(c, KEY_SOURCE);
    command_i64(c, pace->interval_ms);
    command_i64(c, pace->patience_ms);
}

bool gate_read(const redisReply *r, struct gate_answer *a)
{
    if (!r || r->type != REDIS_REPLY_ARRAY || r->elements != 2 ||
        r->element[0]->type != REDIS_REPLY_INTEGER || r->element[1]->type != REDIS_REPLY_INTEGER ||
        r->element[0]->integer < GATE_GO || r->element[0]->integer > GATE_RESTING) {
        return false;
    }
    a->verdict = (enum gate_verdict)r->element[0]->integer;
    a->wait_ms = r->element[1]->integer;
    return true;
}

void gate_tell(struct command *c, const struct gate_report *report)
{
    static const char *const RESULTS[] = {
        [GATE_OK] = "ok", [GATE_BUSY] = "busy", [GATE_FAILED] = "failed"};

    command_begin(c, &tell_script);
    command_key(c, KEY_SOURCE);
    command_arg(c, RESULTS[report->result]);
    command_i64(c, report->retry_after_ms);
    command_i64(c, GATE_REST_MS);
    command_i64(c, GATE_REST_MAX_MS);
    command_i64(c, GATE_RETRY_MAX_MS);
    command_i64(c, GATE_FAILURES_OPEN);
}
