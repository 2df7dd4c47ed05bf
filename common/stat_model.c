#include "common/stat_model.h"

/* A distribution as its quantiles; straight lines between them. */
#define QUANTILES 7
static const double QUANTILE_AT[QUANTILES] = {0, .05, .25, .5, .75, .95, 1};

/*
 * Quartiles and 5 % / 95 % points of real level 45 characters, a little room beyond the ends.
 * gear: correlation with the item level.
 */
static const double ITEM_LEVEL[QUANTILES] = {1480, 2420, 2948, 3092, 3149, 3197, 3462};
static const struct {
    double gear;
    double quantiles[QUANTILES];
} STATS[STAT_COUNT] = {
    [STAT_ATTACK] = {.70, {876, 1579, 2486, 3434, 4387, 4544, 4959}},
    [STAT_DAMAGE_AMP] = {.60, {133, 195, 296, 345, 527, 622, 687}},
    [STAT_CRIT_RATE] = {.68, {439, 708, 830, 935, 1010, 1145, 1257}},
    [STAT_CRIT_DAMAGE] = {.41, {85, 100, 100, 184, 221, 237, 301}},
    [STAT_ATTACK_SPEED] = {.65, {187, 253, 378, 583, 619, 637, 726}},
    [STAT_DEFENSE] = {.90, {4257, 8354, 11022, 11556, 11862, 12963, 14603}},
    [STAT_DAMAGE_REDUCTION] = {.42, {128, 176, 220, 241, 300, 349, 446}},
    [STAT_HP] = {.80, {2933, 8709, 11100, 11538, 12708, 13569, 15259}},
};

static double quantile(const double *q, double p)
{
    size_t i = 0;

    while (i < QUANTILES - 2 && p > QUANTILE_AT[i + 1]) {
        i++;
    }
    return q[i] + (p - QUANTILE_AT[i]) / (QUANTILE_AT[i + 1] - QUANTILE_AT[i]) * (q[i + 1] - q[i]);
}

double stat_model_item_level(double p)
{
    return quantile(ITEM_LEVEL, p);
}

double stat_model_stat(int stat, double p)
{
    return quantile(STATS[stat].quantiles, p);
}

double stat_model_gear(int stat)
{
    return STATS[stat].gear;
}

/* Known pairs of item level and combat power at level 45 lie near this line. */
int64_t stat_model_power(int item_level, double grown, double chance)
{
    double il = item_level;
    double base = 3660.0 + 16340.0 * grown * grown;

    return (int64_t)((base + 0.0277 * il * il) * (1.0 + 0.04 * chance));
}
