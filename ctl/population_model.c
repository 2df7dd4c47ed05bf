#include "ctl/population_model.h"

#include "common/stat_model.h"

#define LEVEL_CAP      45
#define AT_CAP_PERCENT 88
#define LEVEL_TAIL     40 /* the others are 45 - 0 .. 40 */
#define SERVER_TRIES   8
#define GOLDEN         UINT64_C(0x9e3779b97f4a7c15)

/* Shares in percent, and how far a class is from the others, in standard deviations. */
static const struct {
    const char *name;
    unsigned share;
    double offset[STAT_COUNT];
} CLASSES[] = {
    {"검성", 14, {.2, .1, 0, .1, .1, 0, .1, 0}},
    {"수호성", 9, {.2, .2, -.1, 0, .1, .3, .3, .5}},
    {"살성", 11, {.5, .3, .1, 0, .3, -.3, -.3, -.5}},
    {"궁성", 20, {.5, .4, .4, 0, .1, -.1, 0, -.1}},
    {"마도성", 9, {.4, .3, .4, .2, .1, -.1, -.1, -.3}},
    {"정령성", 7, {.2, .2, .1, .2, .1, 0, 0, 0}},
    {"치유성", 14, {-.9, -.5, -.5, 0, -.8, .1, .2, .4}},
    {"호법성", 11, {-.8, -.6, -.3, -.3, .3, .1, 0, .3}},
    {"권성", 5, {.3, .2, .1, 0, .1, 0, .1, .1}},
};

/* The normal distribution function at 0, 0.25, 0.5, ... */
#define PHI_STEP 0.25
static const double PHI[] = {0.5,      0.598706, 0.691462, 0.773373, 0.841345, 0.89435,
                             0.933193, 0.959941, 0.97725,  0.987776, 0.99379,  0.99702,
                             0.99865,  0.999423, 0.999767, 0.999912, 1.0};

static uint64_t roll(uint64_t *dice)
{
    *dice += GOLDEN;
    return population_mix(*dice);
}

static double roll_unit(uint64_t *dice)
{
    return (double)(roll(dice) >> 11) / 9007199254740992.0;
}

/* 0 .. n - 1; n is small against 2^32, so the bias does not show. */
static uint64_t roll_below(uint64_t *dice, uint64_t n)
{
    return ((roll(dice) >> 32) * n) >> 32;
}

/* Nearly normal, mean 0 and variance 1: twelve 16-bit numbers added up. */
static double roll_normal(uint64_t *dice)
{
    uint64_t sum = 0;

    for (int i = 0; i < 3; i++) {
        uint64_t r = roll(dice);

        sum += (r & 0xffff) + (r >> 16 & 0xffff) + (r >> 32 & 0xffff) + (r >> 48);
    }
    return (double)sum / 65536.0 - 6.0;
}

/* Newton's root: libm's would do as well, but this depends on nobody. 0 <= x <= 1. */
static double root(double x)
{
    double r = x > 0 ? 1.0 : 0.0;

    for (int i = 0; x > 0 && i < 30; i++) {
        r = (r + x / r) / 2.0;
    }
    return r;
}

static double phi(double z)
{
    double at = (z < 0 ? -z : z) / PHI_STEP;
    size_t i = (size_t)at;
    double p = 1.0;

    if (i + 1 < ARRAY_LEN(PHI)) {
        p = PHI[i] + (at - (double)i) * (PHI[i + 1] - PHI[i]);
    }
    return z < 0 ? 1.0 - p : p;
}

static size_t pick_class(uint64_t *dice)
{
    uint64_t r = roll_below(dice, 100);
    size_t k = 0;

    while (r >= CLASSES[k].share) {
        r -= CLASSES[k++].share;
    }
    return k;
}

/* Every server has somebody; beyond that some are twice as full as others. */
static uint64_t pick_server(const struct population *p, uint64_t i, uint64_t *dice)
{
    uint64_t server = i;

    if (i < p->servers) {
        return i;
    }
    for (int tries = 0; tries < SERVER_TRIES; tries++) {
        uint64_t fullness;

        server = roll_below(dice, p->servers);
        fullness = population_mix(p->seed ^ (server + 1) * GOLDEN) >> 32;
        if (roll(dice) >> 32 < UINT32_MAX / 2 + fullness / 2) {
            break;
        }
    }
    return server;
}

static int pick_level(uint64_t *dice)
{
    double u = roll_unit(dice);

    if (roll_below(dice, 100) < AT_CAP_PERCENT) {
        return LEVEL_CAP;
    }
    return LEVEL_CAP - (int)(LEVEL_TAIL * u * u);
}

/* How much of a stat's variance the differences between the classes make. */
static double class_variance(int stat)
{
    double mean = 0, square = 0;

    for (size_t k = 0; k < ARRAY_LEN(CLASSES); k++) {
        double o = CLASSES[k].offset[stat], share = CLASSES[k].share / 100.0;

        mean += share * o;
        square += share * o * o;
    }
    return square - mean * mean;
}

/*
 * A stat's place among all characters is gear, class and chance added so that the variance stays 1;
 * the stat is the real distribution's value at that place.
 */
static void fill_stats(const struct population *p, struct member *m, size_t class_index,
                       double gear, double level_factor)
{
    for (int s = 0; s < STAT_COUNT; s++) {
        double z = stat_model_gear(s) * gear + CLASSES[class_index].offset[s] +
                   p->chance[s] * roll_normal(&m->dice);

        m->stats[s] = (int)(level_factor * stat_model_stat(s, phi(z)) + 0.5);
    }
}

void population_init(struct population *p, uint64_t seed, uint64_t count, uint64_t servers)
{
    *p = (struct population){.seed = population_mix(seed + GOLDEN), .count = count};
    p->servers = servers;
    name_maker_init(&p->names, seed, count);
    for (int s = 0; s < STAT_COUNT; s++) {
        double rest = 1.0 - stat_model_gear(s) * stat_model_gear(s) - class_variance(s);

        p->chance[s] = root(rest > 0 ? rest : 0);
    }
}

void population_member(const struct population *p, uint64_t i, struct member *m)
{
    size_t class_index;
    double gear, level_factor;

    m->dice = population_mix(p->seed + population_mix(i + 1));
    class_index = pick_class(&m->dice);
    gear = roll_normal(&m->dice);
    population_server_name(pick_server(p, i, &m->dice), m->server);
    name_maker_write(&p->names, i, m->name);
    m->class_name = CLASSES[class_index].name;
    m->level = pick_level(&m->dice);
    level_factor = (double)(m->level * m->level) / (LEVEL_CAP * LEVEL_CAP);
    m->item_level = (int)(level_factor * stat_model_item_level(phi(gear)) + 0.5);
    fill_stats(p, m, class_index, gear, level_factor);
    m->power = stat_model_power(m->item_level, level_factor, roll_normal(&m->dice));
}
