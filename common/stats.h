#ifndef COMMON_STATS_H
#define COMMON_STATS_H

/*
 * The eight stats that count (docs/scoring.md), in the order in which they are checked, written and
 * imported everywhere.
 */
enum stat_key {
    STAT_ATTACK,
    STAT_DAMAGE_AMP,
    STAT_CRIT_RATE,
    STAT_CRIT_DAMAGE,
    STAT_ATTACK_SPEED,
    STAT_DEFENSE,
    STAT_DAMAGE_REDUCTION,
    STAT_HP,
    STAT_COUNT
};

/* As keys of stats_payload and as columns of an import. */
extern const char *const STAT_NAMES[STAT_COUNT];

#endif
