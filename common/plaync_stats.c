#include "common/plaync.h"

/*
 * The formulas, in whole numbers: points and percentages are in hundredths, so a sum of points
 * times (100 % + percentages) is in millionths of a point.
 */
#define HUNDRED_PERCENT 10000
#define PERCENT_MAX     (100 * HUNDRED_PERCENT)
#define POINTS_MAX      INT64_C(1000000000000) /* ten thousand million points */

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b != 0 && a < 0);
}

static int64_t within(int64_t v, int64_t most)
{
    return v > most ? most : v < -most ? -most : v;
}

/* Points raised by percentages, rounded down as the site does. Nonsense does not overflow. */
static int64_t raise(int64_t points, int64_t percent)
{
    int64_t factor = HUNDRED_PERCENT + within(percent, PERCENT_MAX);

    return floor_div(within(points, POINTS_MAX) * factor, (int64_t)100 * HUNDRED_PERCENT);
}

/* Hundredths of a percent as tenths, the finest step that the site prints. */
static int64_t tenths(int64_t hundredths)
{
    return floor_div(hundredths + 5, 10);
}

static int64_t not_negative(int64_t v)
{
    return v > 0 ? v : 0;
}

void plaync_stats_sheet(const struct plaync_info *info, const struct plaync_sums *sums,
                        int64_t stats[STAT_COUNT])
{
    const int64_t *p = info->prints;
    int64_t s[SUM_COUNT];

    for (int i = 0; i < SUM_COUNT; i++) {
        s[i] = sums->at[i] + info->titles.at[i];
    }
    stats[STAT_ATTACK] =
        raise(s[SUM_WEAPON_FIXING_DAMAGE] + s[SUM_FIXING_DAMAGE],
              p[PRINT_STR_ATTACK] + p[PRINT_DESTRUCTION_ATTACK] + s[SUM_DAMAGE_RATIO]);
    stats[STAT_DAMAGE_AMP] = tenths(s[SUM_AMPLIFY_ALL] + s[SUM_AMPLIFY_PVE]);
    stats[STAT_CRIT_RATE] = raise(s[SUM_CRITICAL], p[PRINT_AGI_CRITICAL] + p[PRINT_DEATH_CRITICAL] +
                                                       s[SUM_CRITICAL_RATIO]);
    stats[STAT_CRIT_DAMAGE] = tenths(s[SUM_AMPLIFY_CRITICAL]);
    stats[STAT_ATTACK_SPEED] = tenths(p[PRINT_TIME_SPEED] + s[SUM_COMBAT_SPEED]);
    stats[STAT_DEFENSE] = raise(s[SUM_ARMOR_DEFENSE] + s[SUM_DEFENSE],
                                p[PRINT_JUSTICE_DEFENSE] + s[SUM_DEFENSE_RATIO]);
    stats[STAT_DAMAGE_REDUCTION] = tenths(s[SUM_DECREASE_DAMAGE] + s[SUM_DECREASE_PVE]);
    stats[STAT_HP] = raise(s[SUM_HP_MAX], p[PRINT_CON_HP] + p[PRINT_LIFE_HP] + s[SUM_HP_RATIO]);
    for (int i = 0; i < STAT_COUNT; i++) {
        stats[i] = not_negative(stats[i]);
    }
}

void plaync_stats_profile(const struct plaync_info *info, int64_t stats[STAT_COUNT])
{
    const int64_t *p = info->prints;
    const int64_t *t = info->titles.at;

    stats[STAT_ATTACK] = tenths(p[PRINT_STR_ATTACK] + p[PRINT_DESTRUCTION_ATTACK]);
    stats[STAT_DAMAGE_AMP] = tenths(t[SUM_AMPLIFY_ALL] + t[SUM_AMPLIFY_PVE]);
    stats[STAT_CRIT_RATE] = tenths(p[PRINT_AGI_CRITICAL] + p[PRINT_DEATH_CRITICAL]);
    stats[STAT_CRIT_DAMAGE] = tenths(t[SUM_AMPLIFY_CRITICAL]);
    stats[STAT_ATTACK_SPEED] = tenths(p[PRINT_TIME_SPEED] + t[SUM_COMBAT_SPEED]);
    stats[STAT_DEFENSE] = tenths(p[PRINT_JUSTICE_DEFENSE]);
    stats[STAT_DAMAGE_REDUCTION] = tenths(t[SUM_DECREASE_DAMAGE] + t[SUM_DECREASE_PVE]);
    stats[STAT_HP] = tenths(p[PRINT_CON_HP] + p[PRINT_LIFE_HP]);
    for (int i = 0; i < STAT_COUNT; i++) {
        stats[i] = not_negative(stats[i]);
    }
}

const char *plaync_class_of(int pc_id)
{
    /* Four pcIds a class: Light male and female, Dark male and female; the first is 5. */
    static const char *const CLASSES[] = {"Gladiator",    "Templar",  "Ranger", "Assassin",
                                          "Spiritmaster", "Sorcerer", "Cleric", "Chanter"};

    if (pc_id < 5 || pc_id >= 5 + 4 * (int)ARRAY_LEN(CLASSES)) {
        return NULL;
    }
    return CLASSES[(pc_id - 5) / 4];
}
