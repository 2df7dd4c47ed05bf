#include "common/power.h"

#include <math.h>

const double POWER_WEIGHTS[STAT_COUNT] = {
    [STAT_ATTACK] = 0.30,
    [STAT_DAMAGE_AMP] = 0.20,
    [STAT_CRIT_RATE] = 0.30 / 2.0,
    [STAT_CRIT_DAMAGE] = 0.30 / 2.0,
    [STAT_ATTACK_SPEED] = 0.10,
    [STAT_DEFENSE] = 0.10 / 3.0,
    [STAT_DAMAGE_REDUCTION] = 0.10 / 3.0,
    [STAT_HP] = 0.10 / 3.0,
};

void power_of(const double stats[STAT_COUNT], const int64_t avg[STAT_COUNT], struct power *out)
{
    double *ratio = out->ratio;
    double crit, survive, value;

    for (int s = 0; s < STAT_COUNT; s++) {
        ratio[s] = avg[s] == 0 ? 1.0 : stats[s] / (double)avg[s];
    }
    /* In this order: the rules ask for the same bits everywhere. */
    crit = (ratio[STAT_CRIT_RATE] + ratio[STAT_CRIT_DAMAGE]) / 2.0;
    survive = (ratio[STAT_DEFENSE] + ratio[STAT_DAMAGE_REDUCTION] + ratio[STAT_HP]) / 3.0;
    value = 0.30 * ratio[STAT_ATTACK] + 0.20 * ratio[STAT_DAMAGE_AMP] + 0.30 * crit +
            0.10 * ratio[STAT_ATTACK_SPEED] + 0.10 * survive;
    out->points = 1000.0 * value;
    out->score = (int64_t)rint(out->points); /* rounds ties to even: nobody changes the mode */
}
