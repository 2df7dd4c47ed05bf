#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/source_parts.h"
#include "common/stat_model.h"
#include "common/text.h"

/*
 * Characters made up from server and name: the same each time, stats as those of real characters at
 * the level cap. The beginning of a name makes it do what a real source does on bad days.
 */
#define LEVEL_CAP      45
#define AT_CAP_PERCENT 88
#define LEVEL_TAIL     40 /* the others are 45 - 0 .. 40 */
#define SLOW_MS        1000
#define REST_MS        60000
#define CROWD_MS       5000

static const struct bad_day {
    const char *prefix;
    struct source_reply reply;
} BAD_DAYS[] = {
    {"NotFound", {SOURCE_NOT_FOUND, NULL, 0, "the source knows no such character"}},
    {"Resting", {SOURCE_RESTING, NULL, REST_MS, "the source asked for a rest"}},
    {"Crowded", {SOURCE_CROWDED, NULL, CROWD_MS, "too many requests wait for the source"}},
    {"Unavailable", {SOURCE_UNAVAILABLE, NULL, 0, "the source answered with status 500"}},
};

static const char *const CLASSES[] = {"Gladiator",    "Templar",  "Ranger", "Assassin",
                                      "Spiritmaster", "Sorcerer", "Cleric", "Chanter"};

/* ---- dice ---- */

/* splitmix64 */
static uint64_t roll(uint64_t *dice)
{
    uint64_t z = *dice += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static double roll_unit(uint64_t *dice)
{
    return (double)(roll(dice) >> 11) / 9007199254740992.0;
}

static uint64_t dice_of(const struct source_job *j)
{
    return text_hash(j->server, strlen(j->server) + 1) ^ 31 * text_hash(j->name, strlen(j->name));
}

/* ---- a person ---- */

static int pick_level(uint64_t *dice)
{
    double u = roll_unit(dice);

    return roll_unit(dice) * 100 < AT_CAP_PERCENT ? LEVEL_CAP
                                                  : LEVEL_CAP - (int)(LEVEL_TAIL * u * u);
}

static void make_up(const struct source_job *j, struct source_person *p)
{
    uint64_t dice = dice_of(j);
    int64_t stats[STAT_COUNT];
    double gear = roll_unit(&dice), grown;

    *p = (struct source_person){.mode = SOURCE_MODE_SHEET};
    memcpy(p->server, j->server, sizeof p->server);
    memcpy(p->name, j->name, sizeof p->name);
    snprintf(p->source_id, sizeof p->source_id, "dummy-%016" PRIx64, dice);
    text_copy(p->cls, sizeof p->cls, CLASSES[roll(&dice) % ARRAY_LEN(CLASSES)]);
    p->level = pick_level(&dice);
    grown = (double)(p->level * p->level) / (LEVEL_CAP * LEVEL_CAP);
    p->item_level = (int64_t)(grown * stat_model_item_level(gear) + 0.5);
    for (int s = 0; s < STAT_COUNT; s++) {
        double of_gear = stat_model_gear(s);
        double place = of_gear * gear + (1 - of_gear) * roll_unit(&dice);

        stats[s] = (int64_t)(grown * stat_model_stat(s, place) + 0.5);
    }
    p->power = stat_model_power((int)p->item_level, grown, 2 * roll_unit(&dice) - 1);
    p->stats_payload = source_stats_json(stats, p->mode);
    p->raw_payload = mem_strdup("{\"source\":\"dummy\"}");
}

static void answer(struct source_job *j)
{
    struct source_person p;

    for (size_t i = 0; i < ARRAY_LEN(BAD_DAYS); i++) {
        if (strncmp(j->name, BAD_DAYS[i].prefix, strlen(BAD_DAYS[i].prefix)) == 0) {
            source_job_end(j, &BAD_DAYS[i].reply);
            return;
        }
    }
    make_up(j, &p);
    source_job_end(j, &(struct source_reply){.outcome = SOURCE_FOUND, .person = &p, .reason = ""});
    free(p.stats_payload);
    free(p.raw_payload);
}

static void begin(struct source_job *j)
{
    if (strncmp(j->name, "Slow", 4) == 0) {
        source_job_after(j, SLOW_MS, answer);
    } else {
        answer(j);
    }
}

static void late(struct source_job *j)
{
    source_job_end(j, &SOURCE_TOO_LATE);
}

static void stop(UNUSED struct source_job *j)
{
}

const struct source_adapter SOURCE_DUMMY = {.name = "dummy",
                                            .any_server = true,
                                            .lookup = begin,
                                            .sheet = begin,
                                            .late = late,
                                            .stop = stop};
