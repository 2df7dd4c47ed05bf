#include "worker/score.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/power.h"

/* Of each stat of a server the one that counts. */
struct sums {
    unsigned __int128 exact[STAT_COUNT];
    double rounded[STAT_COUNT];
};

static void add_stats(struct sums *sums, const double stats[STAT_COUNT], unsigned fractional)
{
    for (int s = 0; s < STAT_COUNT; s++) {
        if (fractional >> s & 1) {
            sums->rounded[s] += stats[s];
        } else {
            sums->exact[s] += (uint64_t)(int64_t)stats[s]; /* signed: one instruction */
        }
    }
}

static int64_t average_of(const struct sums *sums, int stat, bool fractional, uint32_t n)
{
    if (fractional) {
        return (int64_t)floor(sums->rounded[stat] / (double)n);
    }
    return (int64_t)(sums->exact[stat] / n);
}

bool score_average(const struct population *p, const struct order *by_id,
                   struct server_average *out)
{
    uint32_t servers = p->servers.count;
    struct sums *sums = mem_try_array(servers, sizeof *sums);

    if (!sums) {
        return false;
    }
    memset(out, 0, servers * sizeof *out);
    for (uint32_t i = 0; i < by_id->count; i++) {
        uint32_t number = by_id->at[i];
        uint32_t ahead = by_id->at[score_ahead(i, by_id->count)];

        if (number < p->scored) {
            uint32_t server = population_server_of(p, &p->ranked.at[number]);

            __builtin_prefetch(&p->ranked.at[ahead]);
            __builtin_prefetch(p->stats[ahead < p->scored ? ahead : number]);
            add_stats(&sums[server], p->stats[number], p->fractional[server]);
            out[server].sample_size++;
        }
    }
    for (uint32_t server = 0; server < servers; server++) {
        for (int s = 0; s < STAT_COUNT && out[server].sample_size > 0; s++) {
            out[server].avg[s] = average_of(&sums[server], s, p->fractional[server] >> s & 1,
                                            out[server].sample_size);
        }
    }
    free(sums);
    return true;
}

int64_t score_power(const double stats[STAT_COUNT], const int64_t avg[STAT_COUNT])
{
    struct power p;

    power_of(stats, avg, &p);
    return p.score;
}

void score_everybody(struct population *p, const struct server_average *averages)
{
    for (uint32_t i = 0; i < p->scored; i++) {
        struct entry *entry = &p->ranked.at[i];
        uint32_t ahead = score_ahead(i, p->scored);

        __builtin_prefetch(&p->ranked.at[ahead], 1);
        __builtin_prefetch(p->stats[ahead]);
        entry->score = score_power(p->stats[i], averages[population_server_of(p, entry)].avg);
    }
}

const char *score_tier_name(int tier)
{
    static const char NAMES[SCORE_TIERS][3] = {"S5", "S4", "S3", "S2", "S1", "A5", "A4", "A3", "A2",
                                               "A1", "B5", "B4", "B3", "B2", "B1", "C5", "C4", "C3",
                                               "C2", "C1", "D5", "D4", "D3", "D2", "D1"};

    MUST(tier >= 0 && tier < SCORE_TIERS);
    return NAMES[tier];
}

int score_tier_parse(const char *name, size_t len)
{
    for (int tier = 0; tier < SCORE_TIERS; tier++) {
        if (len == 2 && memcmp(score_tier_name(tier), name, 2) == 0) {
            return tier;
        }
    }
    return -1;
}

/*
 * p rounded to hundredths as printf("%.2f") does, which looks at the exact value of the double.
 * p * 100.0 is off by less than 1e-11 here, so only near a half printf has to decide.
 */
static int round_hundredths(double p)
{
    double scaled = p * 100.0;
    double below = floor(scaled);
    char text[32];
    long whole;
    long cents;

    if (fabs(scaled - below - 0.5) > 1e-6) {
        return (int)(scaled - below > 0.5 ? below + 1.0 : below);
    }
    snprintf(text, sizeof text, "%.2f", p);
    whole = strtol(text, NULL, 10);
    cents = strtol(strchr(text, '.') + 1, NULL, 10);
    return (int)(whole * 100 + cents);
}

int score_percentile(uint32_t higher, uint32_t n)
{
    return round_hundredths((double)higher / (double)n * 100.0);
}

int score_tier_of(int percentile_hundredths)
{
    /* Where each tier ends, in hundredths of a percent. */
    static const int ENDS[SCORE_TIERS] = {6,    12,   18,   24,   30,   124,  218,  312,  406,
                                          500,  900,  1300, 1700, 2100, 2500, 3000, 3500, 4000,
                                          4500, 5000, 6000, 7000, 8000, 9000, 10001};
    int tier = 0;

    while (percentile_hundredths >= ENDS[tier]) {
        tier++;
    }
    return tier;
}

int score_relaxed_tier(uint32_t i, uint32_t n)
{
    double p = (double)i / (double)n * 100.0;
    int letter = p < 5 ? 0 : p < 25 ? 1 : p < 50 ? 2 : p < 75 ? 3 : 4;
    int number = (int)floor(fmod(p, 25.0) / 25.0 * 5.0) + 1;

    number = number > 5 ? 5 : number;
    return letter * 5 + 5 - number;
}

bool walk_init(struct walk *w, struct population *p, const struct server_average *averages)
{
    *w = (struct walk){.p = p,
                       .averages = averages,
                       .servers = mem_try_array(p->servers.count, sizeof *w->servers),
                       .class_ranked = mem_try_array(p->classes.count, sizeof *w->class_ranked),
                       .group_ranked = mem_try_array(p->groups.count, sizeof *w->group_ranked)};
    if (w->servers && w->class_ranked && w->group_ranked) {
        return true;
    }
    walk_fini(w);
    return false;
}

void walk_fini(struct walk *w)
{
    free(w->servers);
    free(w->class_ranked);
    free(w->group_ranked);
    memset(w, 0, sizeof *w);
}

/*
 * Percentile and tier of the next scored character of a server of n. In ranking order those with a
 * strictly higher score are all who came before the first of the same score.
 */
static void rate(struct server_walk *s, int64_t score, uint32_t n)
{
    if (n < SCORE_MIN_SAMPLE) {
        s->percentile = score_percentile(s->scored, n);
        s->tier = score_relaxed_tier(s->scored, n);
    } else if (s->scored == 0 || score != s->last_score) {
        s->percentile = score_percentile(s->scored, n);
        s->tier = score_tier_of(s->percentile);
    }
    s->last_score = score;
    s->scored++;
    s->tier_count[s->tier]++;
    s->tier_min[s->tier] = score;
}

struct placement walk_place(struct walk *w, uint32_t number)
{
    struct population *p = w->p;
    struct entry *entry = &p->ranked.at[number];
    const struct kept *kept = population_kept(p, number);
    const struct group *group = population_group(p, entry->group);
    struct server_walk *s = &w->servers[group->server];
    struct placement place = {.rank = (int32_t)++w->ranked,
                              .server_rank = (int32_t)++s->ranked,
                              .class_rank = (int32_t)++w->class_ranked[group->class],
                              .server_class_rank = (int32_t)++w->group_ranked[entry->group]};

    if (kept) {
        place.percentile = (int16_t)rint(kept->percentile * 100.0);
    } else {
        rate(s, entry->score, w->averages[group->server].sample_size);
        entry->tier = (uint8_t)s->tier;
        place.percentile = (int16_t)s->percentile;
    }
    return place;
}
