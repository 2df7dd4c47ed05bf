#ifndef COMMON_STAT_MODEL_H
#define COMMON_STAT_MODEL_H

#include "common/base.h"
#include "common/stats.h"

/*
 * What real characters at the level cap are like, for made-up ones: distributions of item level and
 * of the eight stats, as values at a place p from 0 (the least) to 1 (the greatest). Only + - * /
 * on doubles: the same numbers on every machine.
 */
double stat_model_item_level(double p);
double stat_model_stat(int stat, double p);
/* How closely a stat goes with the item level: a correlation, 0 to 1. */
double stat_model_gear(int stat);

/*
 * Combat power. grown: (level / cap)^2; chance: how far it is off, in standard deviations.
 */
int64_t stat_model_power(int item_level, double grown, double chance);

#endif
