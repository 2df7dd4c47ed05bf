#ifndef COMMON_POWER_H
#define COMMON_POWER_H

#include "common/base.h"
#include "common/stats.h"

/* The formula of docs/scoring.md: the batch scores with it, the api explains by it. */
#define POWER_RULES_VERSION 1

/* What each stat counts for in all; their sum is 1. */
extern const double POWER_WEIGHTS[STAT_COUNT];

struct power {
    double ratio[STAT_COUNT]; /* to the average of the server; 1 where that is 0 */
    double points;            /* 1000 * value, before it is rounded */
    int64_t score;
};
void power_of(const double stats[STAT_COUNT], const int64_t avg[STAT_COUNT], struct power *out);

#endif
