#ifndef WORKER_SCORE_H
#define WORKER_SCORE_H

#include "worker/population.h"

/*
 * The rules of docs/scoring.md, without any input or output: averages, scores, order, and then one
 * walk in that order that gives every entry its ranks, percentile and tier.
 */
#define SCORE_RULES_VERSION 1
#define SCORE_MIN_SAMPLE    10
#define SCORE_TIERS         25

/* Entry numbers in an order, made by stable passes from the least to the most important key. */
struct order {
    uint32_t *at;
    uint32_t count;
    uint32_t *spare; /* as many as at */
    uint64_t *keys;  /* by entry number */
};
/* False when memory is out. */
bool order_init(struct order *o, uint32_t count) MUST_CHECK;
void order_fini(struct order *o);
/* Stable and ascending by keys; linear: a pass for each byte in which the keys differ. */
void order_by_keys(struct order *o);

/* Every entry by id; of the same id twice only the first in the population stays. */
void score_order_by_id(struct order *o, const struct population *p);
/* From the order by id to ranking order. */
void score_order_by_rank(struct order *o, const struct population *p);

struct server_average {
    int64_t avg[STAT_COUNT];
    uint32_t sample_size;
};

/*
 * floor(sum / n) of every stat, into out[p->servers.count]. by_id has every entry, id ascending;
 * those not scored in this run are passed over. False when memory is out.
 */
bool score_average(const struct population *p, const struct order *by_id,
                   struct server_average *out) MUST_CHECK;

/* round(1000 * value) of one character. */
int64_t score_power(const double stats[STAT_COUNT], const int64_t avg[STAT_COUNT]);
/* Sets the score of every scored entry. */
void score_everybody(struct population *p, const struct server_average *averages);

/* Percentiles in hundredths, 0..10000. */
int score_percentile(uint32_t higher, uint32_t n);
int score_tier_of(int percentile_hundredths);
/* The relaxed rule, for place i of n. */
int score_relaxed_tier(uint32_t i, uint32_t n);
/* "S5".."D1" */
const char *score_tier_name(int tier);
/* -1 when there is no such tier. */
int score_tier_parse(const char *name, size_t len);

struct placement {
    int32_t rank, server_rank, class_rank, server_class_rank;
    double percentile;
    int tier;
    const struct kept *kept; /* NULL when scored in this run */
};

/* Counters of one server during the walk. */
struct server_walk {
    int64_t last_score;
    uint32_t ranked;
    uint32_t scored; /* of them scored in this run */
    int percentile;  /* of last_score */
    int tier;
    uint32_t tier_count[SCORE_TIERS];
    int64_t tier_min[SCORE_TIERS]; /* lowest score so far */
};

struct walk {
    struct population *p;
    const struct server_average *averages;
    struct server_walk *servers;
    uint32_t *class_ranked;
    uint32_t *group_ranked;
    uint32_t ranked;
};
/* False when memory is out. */
bool walk_init(struct walk *w, struct population *p,
               const struct server_average *averages) MUST_CHECK;
void walk_fini(struct walk *w);
/* Call once per entry, in ranking order. Also notes the tier in the entry. */
struct placement walk_place(struct walk *w, uint32_t number);

#endif
