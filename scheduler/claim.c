#include "scheduler/claim.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/host.h"
#include "common/keys.h"
#include "common/script.h"
#include "common/text.h"

/*
 * KEYS: last slots, ledger, queue, counters. The message was made for `slot`; when that is not the
 * slot by Redis' clock, the beat has to make another one. Numbers stay below 2^53, so Lua's doubles
 * are exact. All answers are text.
 *
 * `known` is what this beat remembers of the last slot. It counts when Redis has lost its own or is
 * behind (a replica that took over). It never counts when it lies in the future: after a reset
 * Redis is right and the beat is not.
 *
 * The push comes first: when it is what fails (the list's key holds something else), the slot is
 * not claimed.
 */
static struct script claim_script = {
    .name = "beat.claim",
    .lua =
        "local name, slot_text, id, message = ARGV[1], ARGV[2], ARGV[3], ARGV[4]\n"
        "local slot, interval, known = tonumber(slot_text), tonumber(ARGV[5]), tonumber(ARGV[6])\n"
        "local ahead_max, ledger_max = tonumber(ARGV[7]), tonumber(ARGV[8])\n"
        "local t = redis.call('TIME')\n"
        "local now, us = tonumber(t[1]), string.format('%06d', t[2])\n"
        "local last = tonumber(redis.call('HGET', KEYS[1], name))\n"
        "local function answer(verdict, missed)\n"
        "  return {verdict, string.format('%.0f', last or -1),\n"
        "          string.format('%.0f', missed or 0), t[1] .. us}\n"
        "end\n"
        "if slot ~= now - now % interval then return answer('moved') end\n"
        "if known >= 0 and known <= slot and (not last or known > last) then last = known end\n"
        "if not last or last > now + ahead_max then\n"
        "  redis.call('HSET', KEYS[1], name, slot_text)\n"
        "  return answer(last and 'reset' or 'noted')\n"
        "end\n"
        "if slot <= last then return answer('not-due') end\n"
        "local missed = math.max(0, slot / interval - math.floor(last / interval) - 1)\n"
        "redis.call('LPUSH', KEYS[3], message)\n"
        "redis.call('HSET', KEYS[1], name, slot_text)\n"
        "redis.call('LPUSH', KEYS[2], string.format(\n"
        "  '{\"slot\":%s,\"sent_at\":%s.%s,\"id\":\"%s\",\"missed\":%.0f}',\n"
        "  slot_text, t[1], us, id, missed))\n"
        "redis.call('LTRIM', KEYS[2], 0, ledger_max - 1)\n"
        "redis.call('HINCRBY', KEYS[4], 'sent:' .. name, 1)\n"
        "return answer('sent', missed)\n"};

static const struct {
    const char *word;
    enum claim_verdict verdict;
} VERDICTS[] = {{"sent", CLAIM_SENT},
                {"not-due", CLAIM_NOT_DUE},
                {"noted", CLAIM_NOTED},
                {"reset", CLAIM_RESET},
                {"moved", CLAIM_MOVED}};

static bool number(const redisReply *r, int64_t *out)
{
    return r->type == REDIS_REPLY_STRING && text_to_i64(r->str, -1, INT64_MAX, out);
}

static bool read_answer(const redisReply *r, struct claim_answer *out, struct err *e)
{
    if (r->type == REDIS_REPLY_ARRAY && r->elements == 4 &&
        r->element[0]->type == REDIS_REPLY_STRING && number(r->element[1], &out->last_s) &&
        number(r->element[2], &out->missed) && number(r->element[3], &out->now_us)) {
        for (size_t i = 0; i < ARRAY_LEN(VERDICTS); i++) {
            if (strcmp(r->element[0]->str, VERDICTS[i].word) == 0) {
                out->verdict = VERDICTS[i].verdict;
                return true;
            }
        }
    }
    return err_set(e, ERR_PERMANENT, "RedisError", "the script beat.claim gave a strange answer");
}

bool claim_slot(redisContext *c, const struct schedule *s, const struct claim_request *req,
                struct claim_answer *out, struct err *e)
{
    char ledger[128], slot[24], interval[24], known[24], ahead_max[12], ledger_max[12];
    const char *args[] = {KEY_BEAT_LAST, ledger, req->queue,   KEY_COUNTERS,
                          s->name,       slot,   req->task_id, req->message,
                          interval,      known,  ahead_max,    ledger_max};
    size_t lens[ARRAY_LEN(args)];
    redisReply *r;
    bool ok;

    snprintf(ledger, sizeof ledger, KEY_LEDGER_PREFIX "%s", s->name);
    snprintf(slot, sizeof slot, "%" PRId64, req->slot_s);
    snprintf(interval, sizeof interval, "%" PRId64, s->interval_s);
    snprintf(known, sizeof known, "%" PRId64, req->known_s);
    snprintf(ahead_max, sizeof ahead_max, "%d", CLAIM_AHEAD_MAX_S);
    snprintf(ledger_max, sizeof ledger_max, "%d", CLAIM_LEDGER_MAX);
    for (size_t i = 0; i < ARRAY_LEN(args); i++) {
        lens[i] = args[i] == req->message ? req->message_len : strlen(args[i]);
    }
    r = script_run(c, &claim_script, 4, ARRAY_LEN(args), args, lens, e);
    if (!r) {
        return false;
    }
    ok = read_answer(r, out, e);
    freeReplyObject(r);
    return ok;
}

/*
 * ARGV[2] is the entry without its end, which holds the time. Entries of others are looked at only
 * for that time; one without it is not ours and goes away as well. When the last beat is gone
 * without a goodbye, so is the key after a while.
 */
static struct script alive_script = {
    .name = "beat.alive",
    .lua = "local boot, entry, gone_s = ARGV[1], ARGV[2], tonumber(ARGV[3])\n"
           "local t = redis.call('TIME')\n"
           "local now = tonumber(t[1])\n"
           "redis.call('HSET', KEYS[1], boot, entry .. ',\"seen\":' .. t[1] .. '}')\n"
           "local all = redis.call('HGETALL', KEYS[1])\n"
           "for i = 1, #all, 2 do\n"
           "  local seen = tonumber(string.match(all[i + 1], '\"seen\":(%d+)}$'))\n"
           "  if not seen or seen + gone_s < now then redis.call('HDEL', KEYS[1], all[i]) end\n"
           "end\n"
           "redis.call('EXPIRE', KEYS[1], gone_s)\n"
           "return t[1] .. string.format('%06d', t[2])\n"};

bool claim_alive(redisContext *c, const char *boot, int64_t interval_s, int64_t *now_us,
                 struct err *e)
{
    char host[HOST_NAME_SIZE], gone_s[12];
    const char *args[] = {KEY_BEATS, boot, NULL, gone_s};
    struct buf entry;
    redisReply *r;
    bool ok;

    host_name(host);
    snprintf(gone_s, sizeof gone_s, "%d", CLAIM_GONE_S);
    buf_init(&entry, 4 * KIB);
    buf_addstr(&entry, "{\"host\":");
    buf_add_json(&entry, host, strlen(host));
    buf_addf(&entry, ",\"pid\":%d,\"interval\":%" PRId64, (int)getpid(), interval_s);
    args[2] = entry.data;
    if (entry.failed) {
        return err_set(e, ERR_RETRYABLE, "MemoryError", "out of memory");
    }
    r = script_run(c, &alive_script, 1, ARRAY_LEN(args), args, NULL, e);
    buf_fini(&entry);
    if (!r) {
        return false;
    }
    ok = number(r, now_us) ||
         err_set(e, ERR_PERMANENT, "RedisError", "the script beat.alive gave a strange answer");
    freeReplyObject(r);
    return ok;
}

void claim_goodbye(redisContext *c, const char *boot)
{
    struct err e;
    redisReply *r = rds_command(c, &e, "HDEL %s %s", KEY_BEATS, boot);

    if (r) {
        freeReplyObject(r);
    }
}
