#include "scheduler/alive.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/host.h"
#include "common/keys.h"
#include "common/log.h"
#include "common/script.h"
#include "common/text.h"

/*
 * ARGV[2] is the entry without its end, which holds the time. Entries of others are looked at only
 * for that time; one without it is not ours and goes away as well. When the last beat is gone
 * without a goodbye, so is the key after a while.
 */
static struct script alive_script = {
    .name = "beat.alive",
    .lua = "local boot, entry, gone_s = ARGV[1], ARGV[2], tonumber(ARGV[3])\n"
           "local gap_s, periods_max = tonumber(ARGV[4]), tonumber(ARGV[5])\n"
           "local t = redis.call('TIME')\n"
           "local now = tonumber(t[1])\n"
           "redis.call('HSET', KEYS[1], boot, entry .. ',\"seen\":' .. t[1] .. '}')\n"
           "local all = redis.call('HGETALL', KEYS[1])\n"
           "for i = 1, #all, 2 do\n"
           "  local seen = tonumber(string.match(all[i + 1], '\"seen\":(%d+)}$'))\n"
           "  if not seen or seen + gone_s < now then redis.call('HDEL', KEYS[1], all[i]) end\n"
           "end\n"
           "redis.call('EXPIRE', KEYS[1], gone_s)\n"
           "local period = '{\"from\":%s,\"to\":%s}'\n"
           "local head = redis.pcall('LINDEX', KEYS[2], 0)\n"
           "local from, to\n"
           "if type(head) == 'string' then\n"
           "  from, to = string.match(head, '^{\"from\":(%d+),\"to\":(%d+)}$')\n"
           "end\n"
           "if to and now >= tonumber(to) and now <= tonumber(to) + gap_s then\n"
           "  redis.pcall('LSET', KEYS[2], 0, string.format(period, from, t[1]))\n"
           "else\n"
           "  redis.pcall('LPUSH', KEYS[2], string.format(period, t[1], t[1]))\n"
           "  redis.pcall('LTRIM', KEYS[2], 0, periods_max - 1)\n"
           "end\n"
           "return t[1] .. string.format('%06d', t[2])\n"};

bool alive_renew(redisContext *c, const struct alive *a, int64_t *now_us, struct err *e)
{
    char host[HOST_NAME_SIZE], gone_s[12], gap_s[12], periods_max[12];
    const char *args[] = {KEY_BEATS, KEY_BEAT_PERIODS, a->boot, NULL, gone_s, gap_s, periods_max};
    struct buf entry;
    redisReply *r;
    bool ok;

    host_name(host);
    snprintf(gone_s, sizeof gone_s, "%d", ALIVE_GONE_S);
    snprintf(gap_s, sizeof gap_s, "%d", ALIVE_GAP_S);
    snprintf(periods_max, sizeof periods_max, "%d", ALIVE_PERIODS_MAX);
    buf_init(&entry, 4 * KIB);
    buf_addstr(&entry, "{\"host\":");
    buf_add_json(&entry, host, strlen(host));
    buf_addf(&entry,
             ",\"pid\":%d,\"version\":\"" AION2RANK_VERSION "\",\"interval\":%" PRId64
             ",\"schedules\":%zu",
             (int)getpid(), a->interval_s, a->schedules);
    args[3] = entry.data;
    if (entry.failed) {
        return err_set(e, ERR_RETRYABLE, "MemoryError", "out of memory");
    }
    r = script_run(c, &alive_script, 2, ARRAY_LEN(args), args, NULL, e);
    buf_fini(&entry);
    if (!r) {
        return false;
    }
    ok = (r->type == REDIS_REPLY_STRING && text_to_i64(r->str, 0, INT64_MAX, now_us)) ||
         err_set(e, ERR_PERMANENT, "RedisError", "the script beat.alive gave a strange answer");
    freeReplyObject(r);
    return ok;
}

void alive_goodbye(redisContext *c, const char *boot)
{
    struct err e;
    redisReply *r = rds_command(c, &e, "HDEL %s %s", KEY_BEATS, boot);

    if (r) {
        freeReplyObject(r);
    }
}

static void note(redisContext *c, const char *entry)
{
    struct err e;
    redisReply *r = rds_command(c, &e, "LPUSH %s %s", KEY_BEAT_NOTES, entry);

    if (r) {
        freeReplyObject(r);
        r = rds_command(c, &e, "LTRIM %s 0 %d", KEY_BEAT_NOTES, ALIVE_NOTES_MAX - 1);
    }
    if (r) {
        freeReplyObject(r);
    } else {
        log_warn("beat.not_noted", "note=%s error=%s", LOGQ(entry), LOGQ(e.text));
    }
}

static double seconds(int64_t us)
{
    return (double)us / 1e6;
}

void alive_note_outage(redisContext *c, int64_t from_us, int64_t to_us)
{
    char entry[160];

    snprintf(entry, sizeof entry, "{\"what\":\"redis\",\"from\":%.3f,\"to\":%.3f,\"pid\":%d}",
             seconds(from_us), seconds(to_us), (int)getpid());
    note(c, entry);
}

void alive_note_step(redisContext *c, int64_t now_us, int64_t step_us)
{
    char entry[160];

    snprintf(entry, sizeof entry, "{\"what\":\"clock\",\"at\":%.3f,\"step\":%.3f,\"pid\":%d}",
             seconds(now_us), seconds(step_us), (int)getpid());
    note(c, entry);
}
