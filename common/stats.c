#include "common/stats.h"

const char *const STAT_NAMES[STAT_COUNT] = {
    [STAT_ATTACK] = "attack",
    [STAT_DAMAGE_AMP] = "damage_amp",
    [STAT_CRIT_RATE] = "crit_rate",
    [STAT_CRIT_DAMAGE] = "crit_damage",
    [STAT_ATTACK_SPEED] = "attack_speed",
    [STAT_DEFENSE] = "defense",
    [STAT_DAMAGE_REDUCTION] = "damage_reduction",
    [STAT_HP] = "hp",
};
