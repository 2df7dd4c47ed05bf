#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/keys.h"
#include "common/mem.h"
#include "common/script.h"
#include "common/text.h"
#include "worker/prune.h"

#define DAY_S           INT64_C(86400)
#define ENTRIES_AT_ONCE "200" /* and BYTES_AT_ONCE: others wait for us meanwhile */
#define BYTES_AT_ONCE   "1048576"
#define KEYS_MAX        10000 /* oversized messages that one run looks at */
#define SCAN_COUNT      "1000"

/*
 * Takes entries off the old end and counts them, in one step. An entry that nobody can read counts
 * as old. A message kept aside for one (quarantine of oversized ones) goes with it.
 * KEYS list, counters; ARGV counter, keep_count, keep_s
 */
static struct script TRIM = {
    .name = "prune",
    .lua = "local keep, age = tonumber(ARGV[2]), tonumber(ARGV[3])\n"
           "local oldest = tonumber(redis.call('TIME')[1]) - age\n"
           "local gone, bytes = 0, 0\n"
           "while gone < " ENTRIES_AT_ONCE " and bytes < " BYTES_AT_ONCE " do\n"
           "  local text = redis.call('LINDEX', KEYS[1], -1)\n"
           "  if not text then break end\n"
           "  local ok, entry = pcall(cjson.decode, text)\n"
           "  entry = ok and type(entry) == 'table' and entry or {}\n"
           "  local old = age > 0 and (tonumber(entry.at) or 0) < oldest\n"
           "  local many = keep > 0 and redis.call('LLEN', KEYS[1]) > keep\n"
           "  if not old and not many then break end\n"
           "  redis.call('RPOP', KEYS[1])\n"
           "  if type(entry.key) == 'string' and\n"
           "    string.find(entry.key, '" KEY_OVERSIZED "', 1, true) == 1 then\n"
           "    redis.call('UNLINK', entry.key)\n"
           "  end\n"
           "  gone, bytes = gone + 1, bytes + #text\n"
           "end\n"
           "if gone > 0 then redis.call('HINCRBY', KEYS[2], ARGV[1], gone) end\n"
           "return gone\n",
};

static int64_t trim_some(struct prune *p, const char *list, const char *counter,
                         const struct prune_keep *keep, struct err *e)
{
    char count[24], age[24];
    const char *args[] = {list, KEY_COUNTERS, counter, count, age};
    redisContext *c = prune_redis(p, e);
    redisReply *r;
    int64_t gone;

    snprintf(count, sizeof count, "%" PRId64, keep->count);
    snprintf(age, sizeof age, "%" PRId64, keep->days * DAY_S);
    r = c ? script_run(c, &TRIM, 2, ARRAY_LEN(args), args, NULL, e) : NULL;
    gone = r && r->type == REDIS_REPLY_INTEGER ? r->integer : -1;
    freeReplyObject(r);
    return gone;
}

static bool trim(struct prune *p, const char *list, const char *counter,
                 const struct prune_keep *keep, int64_t *gone, struct err *e)
{
    int64_t some = 1;

    while (some > 0) {
        if (task_cancelled(p->req, e)) {
            return false;
        }
        some = trim_some(p, list, counter, keep, e);
        *gone += some > 0 ? some : 0;
    }
    return some == 0;
}

bool prune_dead(struct prune *p, const struct prune_keep *keep, int64_t *gone, struct err *e)
{
    return trim(p, KEY_DEAD, "dead_trimmed", keep, gone, e);
}

bool prune_quarantine(struct prune *p, const struct prune_keep *keep, int64_t *gone, struct err *e)
{
    return trim(p, KEY_QUARANTINE, "quarantine_trimmed", keep, gone, e);
}

/* ---- messages too long for the quarantine, a key each; its name says since when ---- */

struct oversized {
    int64_t ms[KEYS_MAX];
    int count;
};

/* aion2:oversized:<ms>:<tag>; -1: not one of ours. */
static int64_t since_ms(const char *key)
{
    const char *digits = key + strlen(KEY_OVERSIZED);
    const char *end = strchr(digits, ':');
    int64_t ms;

    return end && text_n_to_i64(digits, (size_t)(end - digits), 0, INT64_MAX, &ms) ? ms : -1;
}

/* Calls take for every such key that one pass of SCAN finds. */
static bool each_oversized(struct prune *p,
                           bool (*take)(struct prune *p, void *ctx, const char *key, struct err *e),
                           void *ctx, struct err *e)
{
    redisContext *c = prune_redis(p, e);
    char cursor[24] = "0";
    bool ok = c != NULL;

    do {
        redisReply *r;

        if (!ok || task_cancelled(p->req, e)) {
            return false;
        }
        r = rds_command(c, e, "SCAN %s MATCH " KEY_OVERSIZED "* COUNT " SCAN_COUNT, cursor);
        ok = r && r->type == REDIS_REPLY_ARRAY && r->elements == 2 &&
             text_copy(cursor, sizeof cursor, r->element[0]->str);
        for (size_t i = 0; ok && i < r->element[1]->elements; i++) {
            const char *key = r->element[1]->element[i]->str;

            ok = since_ms(key) < 0 || take(p, ctx, key, e);
        }
        freeReplyObject(r);
    } while (ok && strcmp(cursor, "0") != 0);
    return ok;
}

static bool note_age(UNUSED struct prune *p, void *ctx, const char *key, UNUSED struct err *e)
{
    struct oversized *o = ctx;

    if (o->count < KEYS_MAX) {
        o->ms[o->count++] = since_ms(key);
    }
    return true;
}

static int newest_first(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;

    return (*x < *y) - (*x > *y);
}

struct removal {
    int64_t before_ms;
    int64_t *gone;
};

static bool remove_old(struct prune *p, void *ctx, const char *key, struct err *e)
{
    struct removal *rm = ctx;
    redisReply *r;

    if (since_ms(key) >= rm->before_ms) {
        return true;
    }
    r = rds_command(p->redis, e, "UNLINK %s", key);
    *rm->gone += r && r->type == REDIS_REPLY_INTEGER ? r->integer : 0;
    freeReplyObject(r);
    return r != NULL;
}

bool prune_oversized(struct prune *p, const struct prune_keep *keep, int64_t *gone, struct err *e)
{
    struct oversized *o = mem_try_array(1, sizeof *o);
    struct removal rm = {.gone = gone};
    redisContext *c = prune_redis(p, e);
    int64_t now_us = 0;
    bool ok = c && rds_time_us(c, &now_us, e);

    if (ok && !o) {
        ok = err_set(e, ERR_RETRYABLE, "MemoryError", "out of memory");
    }
    ok = ok && each_oversized(p, note_age, o, e);
    if (ok && keep->days > 0) {
        rm.before_ms = now_us / 1000 - keep->days * DAY_S * 1000;
    }
    if (ok && keep->count > 0 && o->count > keep->count) {
        qsort(o->ms, (size_t)o->count, sizeof *o->ms, newest_first);
        rm.before_ms =
            o->ms[keep->count - 1] > rm.before_ms ? o->ms[keep->count - 1] : rm.before_ms;
    }
    free(o);
    return ok && (rm.before_ms == 0 || each_oversized(p, remove_old, &rm, e));
}
