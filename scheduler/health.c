#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "common/keys.h"
#include "scheduler/alive.h"
#include "scheduler/beat.h"
#include "scheduler/table.h"

/* An entry is renewed every 5 s; this many missing ones mean that the beat hangs or is gone. */
#define SEEN_LATELY_S (3 * ALIVE_EVERY_MS / 1000)

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
    redisReply *r = rds_command(c, e, "HVALS " KEY_BEATS);
    bool alive = false;

    if (!r) {
        return false;
    }
    for (size_t i = 0; r->type == REDIS_REPLY_ARRAY && i < r->elements && !alive; i++) {
        alive = seen_lately(r->element[i]->str, (size_t)r->element[i]->len, now_us);
    }
    freeReplyObject(r);
    return alive ||
           err_set(e, ERR_PERMANENT, "NoBeat", "no beat has been seen for %d s", SEEN_LATELY_S);
}

/* The slot after the last one is to be on its way before the one after that begins. */
static bool check_schedule(const struct table_entry *entry, int64_t now_s, struct err *e)
{
    struct plan_state st = claim_plan_state(&entry->state);
    const struct schedule *s = &entry->schedule;
    char when[SCHEDULE_WHEN_SIZE];
    int64_t first_s, second_s;

    if (st.last_s == PLAN_NONE && s->since_s == 0) {
        return err_set(e, ERR_PERMANENT, "NoSlot", "no slot of %s was ever sent", s->name);
    }
    if (!schedule_next(s, st.last_s, &first_s) || !schedule_next(s, first_s, &second_s) ||
        now_s <= second_s) {
        return true;
    }
    return err_set(e, ERR_PERMANENT, "Late",
                   "the last slot of %s began %" PRId64
                   " s ago, and two more have begun since (%s)",
                   s->name, now_s - st.last_s, schedule_when(s, when));
}

static bool check_schedules(const struct beat_config *cfg, const struct table *t, int64_t now_s,
                            struct err *e)
{
    bool found = false;

    for (size_t i = 0; i < t->count; i++) {
        if (cfg->only && strcmp(cfg->only, t->entries[i].schedule.name) != 0) {
            continue;
        }
        found = true;
        if (!check_schedule(&t->entries[i], now_s, e)) {
            return false;
        }
    }
    return found ||
           err_set(e, ERR_PERMANENT, "NoSchedule", "there is no schedule %.80s", cfg->only);
}

bool beat_check_health(const struct beat_config *cfg, struct err *e)
{
    redisContext *c = rds_connect(&cfg->redis, 2000, e);
    struct table t = {0};
    int64_t now_us;
    bool ok = c && table_load(&t, c, &cfg->defaults, true, &now_us, e) &&
              check_beats(c, now_us, e) && check_schedules(cfg, &t, now_us / 1000000, e);

    table_fini(&t);
    if (c) {
        redisFree(c);
    }
    return ok;
}
