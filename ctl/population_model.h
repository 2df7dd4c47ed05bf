#ifndef CTL_POPULATION_MODEL_H
#define CTL_POPULATION_MODEL_H

#include "common/base.h"
#include "common/stats.h"
#include "ctl/population_names.h"

/*
 * A made-up population whose class shares, item levels and stats are like those of real characters
 * (docs/data.md says which). Only + - * / on doubles and integers: the same seed gives the
 * same members on every machine.
 */
#define POPULATION_COUNT_MAX   100000000
#define POPULATION_SERVERS_MAX 10000

struct population {
    uint64_t seed, count, servers;
    struct name_maker names;
    double chance[STAT_COUNT]; /* weight of chance beside gear and class */
};

struct member {
    char server[POPULATION_NAME_SIZE];
    char name[POPULATION_NAME_SIZE]; /* nobody else of the population has it */
    const char *class_name;
    int level, item_level;
    int64_t power;
    int stats[STAT_COUNT];
    uint64_t dice; /* for whoever needs more randomness that belongs to this member */
};

void population_init(struct population *p, uint64_t seed, uint64_t count, uint64_t servers);
/* The i-th member (0 .. count - 1); each can be made alone. */
void population_member(const struct population *p, uint64_t i, struct member *m);

#endif
