#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "common/keys.h"
#include "common/schedule.h"
#include "common/text.h"
#include "scheduler/beat.h"

/* An entry is renewed every 5 s; this many missing ones mean that the beat hangs or is gone. */
#define SEEN_LATELY_S (3 * CLAIM_ALIVE_MS / 1000)

static redisReply *ask(redisContext *c, const char *command, size_t type, struct err *e)
{
    redisReply *r = rds_command(c, e, command);

    if (r && r->type != (int)type && r->type != REDIS_REPLY_NIL) {
        err_set(e, ERR_PERMANENT, "RedisError", "%s: unexpected kind of answer", command);
        freeReplyObject(r);
        return NULL;
    }
    return r;
}

static bool seen_lately(const char *entry, size_t len, int64_t now_us)
{
    struct err ignored;
    cJSON *v = json_parse(entry, len, &ignored);
    int64_t seen_s;
    bool lately = json_get_i64(v, "seen", 0, INT64_MAX, &seen_s) &&
                  now_us / 1000000 - seen_s <= SEEN_LATELY_S;

    cJSON_Delete(v);
    return lately;
}

static bool check_beats(redisContext *c, int64_t now_us, struct err *e)
{
    redisReply *r = ask(c, "HVALS " KEY_BEATS, REDIS_REPLY_ARRAY, e);
    bool alive = false;

    if (!r) {
        return false;
    }
    for (size_t i = 0; i < r->elements && !alive; i++) {
        alive = seen_lately(r->element[i]->str, (size_t)r->element[i]->len, now_us);
    }
    freeReplyObject(r);
    return alive ||
           err_set(e, ERR_PERMANENT, "NoBeat", "no beat has been seen for %d s", SEEN_LATELY_S);
}

static bool check_last(redisContext *c, const struct schedule *s, int64_t now_us, struct err *e)
{
    redisReply *r = rds_command(c, e, "HGET %s %s", KEY_BEAT_LAST, s->name);
    int64_t last_s;
    bool known;

    if (!r) {
        return false;
    }
    known = r->type == REDIS_REPLY_STRING && text_to_i64(r->str, 0, INT64_MAX / 1000000, &last_s);
    freeReplyObject(r);
    if (!known) {
        return err_set(e, ERR_PERMANENT, "NoSlot", "no slot of %s was ever sent", s->name);
    }
    if (schedule_is_late(last_s, now_us, s->interval_s)) {
        return err_set(e, ERR_PERMANENT, "Late",
                       "the last slot of %s began %" PRId64 " s ago; the interval is %" PRId64 " s",
                       s->name, now_us / 1000000 - last_s, s->interval_s);
    }
    return true;
}

bool beat_check_health(const struct beat_config *cfg, struct err *e)
{
    redisContext *c = rds_connect(&cfg->redis, 2000, e);
    int64_t now_us;
    bool ok = c && rds_time_us(c, &now_us, e) && check_beats(c, now_us, e) &&
              check_last(c, &cfg->schedule, now_us, e);

    if (c) {
        redisFree(c);
    }
    return ok;
}
