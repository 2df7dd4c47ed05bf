#ifndef WORKER_SCORE_H
#define WORKER_SCORE_H

#include "worker/population.h"

/*
 * The rules of docs/scoring.md, without any input or output: averages, scores, order, and then one
 * walk in that order that gives every entry its ranks, percentile and tier.
 */
#define SCORE_MIN_SAMPLE 10
#define SCORE_TIERS      25

/*
 * The arrays are far larger than any cache. Whoever goes through them prefetches what a later step
 * needs, so that memory answers meanwhile: which step that is at step i of n. (No function may do
 * the prefetching: compilers take one that does nothing else for one without effect.)
 */
static inline uint32_t score_ahead(uint32_t i, uint32_t n)
{
    return n - i > 16 ? i + 16 : i;
}

/* Entry numbers in an order. */
struct order {
    uint32_t *at;
    uint32_t count;
};
void order_fini(struct order *o);
/*
 * Every entry by id; of the same id twice only the first in the population stays. Linear. False
 * when memory is out; order_fini is right then as well.
 */
bool score_order_by_id(struct order *o, const struct population *p) MUST_CHECK;
/* From the order by id to ranking order; false as above. */
bool score_order_by_rank(struct order *o, const struct population *p) MUST_CHECK;

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

/* What the walk gives an entry besides its tier; small, for it is written in random order. */
struct placement {
    int32_t rank, server_rank, class_rank, server_class_rank;
    int16_t percentile; /* in hundredths */
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
/* Call once per entry, in ranking order. Notes the tier in the entry. */
struct placement walk_place(struct walk *w, uint32_t number);

#endif
