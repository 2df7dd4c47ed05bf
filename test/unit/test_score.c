#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "worker/failures.h"
#include "worker/score.h"

/* A population, scored; what main() of the batch does with it. */
struct board {
    struct population p;
    struct server_average *averages;
    struct order order;
    struct walk walk;
};

static void add(struct population *p, int64_t id, const char *server, int64_t power,
                const double stats[STAT_COUNT], unsigned fractional)
{
    struct population_row row = {.id = id,
                                 .power = power,
                                 .server = server,
                                 .server_len = strlen(server),
                                 .name = "n",
                                 .name_len = 1,
                                 .class = "W",
                                 .class_len = 1,
                                 .level = 1};
    struct payload_stats s = {.fractional = fractional};
    struct err e;

    memcpy(s.value, stats, sizeof s.value);
    assert_true(population_add_scored(p, &row, &s, &e));
}

/* One whose only stat is attack. */
static void add_attack(struct population *p, int64_t id, double attack)
{
    double stats[STAT_COUNT] = {attack};

    add(p, id, "Siel", POWER_UNKNOWN, stats, 0);
}

static void score(struct board *b)
{
    b->averages = calloc(b->p.servers.count + 1, sizeof *b->averages);
    assert_non_null(b->averages);
    assert_true(score_order_by_id(&b->order, &b->p));
    assert_true(score_average(&b->p, &b->order, b->averages));
    score_everybody(&b->p, b->averages);
    assert_true(score_order_by_rank(&b->order, &b->p));
    assert_true(walk_init(&b->walk, &b->p, b->averages));
}

static void board_init(struct board *b)
{
    memset(b, 0, sizeof *b);
    population_init(&b->p);
}

static void board_fini(struct board *b)
{
    walk_fini(&b->walk);
    order_fini(&b->order);
    free(b->averages);
    population_fini(&b->p);
}

static void test_tier_names(void **state)
{
    char name[3];

    (void)state;
    for (int tier = 0; tier < SCORE_TIERS; tier++) {
        snprintf(name, sizeof name, "%c%d", "SABCD"[tier / 5], 5 - tier % 5);
        assert_string_equal(score_tier_name(tier), name);
        assert_int_equal(score_tier_parse(name, 2), tier);
    }
    assert_int_equal(score_tier_parse("S6", 2), -1);
    assert_int_equal(score_tier_parse("S", 1), -1);
}

static void test_tier_bounds(void **state)
{
    static const struct {
        int hundredths;
        const char *tier;
    } CASES[] = {{0, "S5"},    {5, "S5"},    {6, "S4"},    {12, "S3"},   {18, "S2"},   {24, "S1"},
                 {29, "S1"},   {30, "A5"},   {123, "A5"},  {124, "A4"},  {218, "A3"},  {312, "A2"},
                 {406, "A1"},  {499, "A1"},  {500, "B5"},  {900, "B4"},  {1300, "B3"}, {1700, "B2"},
                 {2100, "B1"}, {2499, "B1"}, {2500, "C5"}, {3000, "C4"}, {3500, "C3"}, {4000, "C2"},
                 {4500, "C1"}, {4999, "C1"}, {5000, "D5"}, {6000, "D4"}, {7000, "D3"}, {8000, "D2"},
                 {9000, "D1"}, {9999, "D1"}, {10000, "D1"}};

    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        assert_string_equal(score_tier_name(score_tier_of(CASES[i].hundredths)), CASES[i].tier);
    }
}

static void test_relaxed_six(void **state)
{
    static const char *const TIERS[6] = {"S1", "A4", "B2", "C1", "C4", "D2"};
    static const int PERCENTILES[6] = {0, 1667, 3333, 5000, 6667, 8333};

    (void)state;
    for (uint32_t i = 0; i < 6; i++) {
        assert_string_equal(score_tier_name(score_relaxed_tier(i, 6)), TIERS[i]);
        assert_int_equal(score_percentile(i, 6), PERCENTILES[i]);
    }
    assert_string_equal(score_tier_name(score_relaxed_tier(0, 1)), "S1");
}

/* Exhaustive where printf has to decide, against printf. */
static void test_percentile_rounds_as_printf(void **state)
{
    static const uint32_t SIZES[] = {10, 16, 64, 800, 1000, 1600, 2000, 8000, 20000, 40000};
    char want[32];
    char got[32];

    (void)state;
    for (size_t s = 0; s < sizeof SIZES / sizeof *SIZES; s++) {
        for (uint32_t i = 0; i < SIZES[s]; i++) {
            double p = (double)i / (double)SIZES[s] * 100.0;
            int hundredths = score_percentile(i, SIZES[s]);

            snprintf(want, sizeof want, "%.2f", p);
            snprintf(got, sizeof got, "%d.%02d", hundredths / 100, hundredths % 100);
            assert_string_equal(got, want);
            assert_true(hundredths / 100.0 == strtod(want, NULL));
        }
    }
}

static void test_power_score(void **state)
{
    double average[STAT_COUNT] = {300, 100, 50, 150, 100, 400, 60, 9000};
    int64_t avg[STAT_COUNT] = {300, 100, 50, 150, 100, 400, 60, 9000};
    int64_t zero[STAT_COUNT] = {0};
    double twice_attack[STAT_COUNT] = {600, 100, 50, 150, 100, 400, 60, 9000};
    double huge[STAT_COUNT] = {1e12, 1e12, 1e12, 1e12, 1e12, 1e12, 1e12, 1e12};
    int64_t one[STAT_COUNT] = {1, 1, 1, 1, 1, 1, 1, 1};

    (void)state;
    assert_int_equal(score_power(average, avg), 1000);
    assert_int_equal(score_power(twice_attack, avg), 1300);
    assert_int_equal(score_power(huge, zero), 1000);
    assert_true(score_power(huge, one) == INT64_C(1000000000000000));
}

static void test_scores_tie_to_even(void **state)
{
    double stats[STAT_COUNT] = {0};
    int64_t avg[STAT_COUNT] = {16, 0, 1, 1, 1, 1, 1, 1};

    (void)state;
    /* 1000 * (0.30 * 1/16 + 0.20): 218.75; with damage_amp alone at 1: 200 */
    stats[STAT_ATTACK] = 1;
    assert_int_equal(score_power(stats, avg), 219);
    avg[STAT_DAMAGE_AMP] = 400;
    avg[STAT_ATTACK] = 0;
    stats[STAT_ATTACK] = 0;
    stats[STAT_DAMAGE_AMP] = 1; /* 300 + 0.5 */
    assert_int_equal(score_power(stats, avg), 300);
    stats[STAT_DAMAGE_AMP] = 3; /* 300 + 1.5 */
    assert_int_equal(score_power(stats, avg), 302);
}

static void test_averages(void **state)
{
    struct board b;
    double stats[STAT_COUNT] = {1e12, 0.1};

    (void)state;
    board_init(&b);
    for (int i = 0; i < 30; i++) {
        stats[2] = i;
        add(&b.p, i, "Siel", 1, stats, 1u << STAT_DAMAGE_AMP);
    }
    stats[1] = 7;
    add(&b.p, 99, "Zikel", 1, stats, 0);
    score(&b);
    assert_int_equal(b.averages[0].sample_size, 30);
    assert_true(b.averages[0].avg[STAT_ATTACK] == INT64_C(1000000000000));
    assert_int_equal(b.averages[0].avg[STAT_DAMAGE_AMP], 0);
    assert_int_equal(b.averages[0].avg[STAT_CRIT_RATE], 14); /* 435 / 30 = 14.5 */
    assert_int_equal(b.averages[1].sample_size, 1);
    assert_int_equal(b.averages[1].avg[STAT_DAMAGE_AMP], 7);
    board_fini(&b);
}

/* Sums of doubles depend on the order; it is that of the ids, whatever the order of reading. */
static void test_fractional_sum_in_id_order(void **state)
{
    static const double VALUES[] = {1e12 - 0.5, 0.1, 0.2, 1e12 - 0.25, 0.3, 1e11 + 0.1};
    enum { N = sizeof VALUES / sizeof *VALUES };
    double sum = 0;

    (void)state;
    for (int i = 0; i < N; i++) {
        sum += VALUES[i];
    }
    for (int shift = 0; shift < N; shift++) {
        struct board b;

        board_init(&b);
        for (int i = 0; i < N; i++) {
            double stats[STAT_COUNT] = {VALUES[(i + shift) % N]};

            add(&b.p, (i + shift) % N, "Siel", 1, stats, 1u << STAT_ATTACK);
        }
        score(&b);
        assert_true(b.averages[0].avg[STAT_ATTACK] == (int64_t)(sum / N));
        board_fini(&b);
    }
}

static void test_order_of_ties(void **state)
{
    /* id, power; equal scores. Unknown power is last, then by id. */
    static const int64_t ROWS[][2] = {
        {5, POWER_UNKNOWN}, {-3, 0}, {4, 10}, {2, POWER_UNKNOWN}, {9, 10}, {1, 0}, {7, INT64_MAX}};
    static const int64_t WANTED[] = {7, 4, 9, -3, 1, 2, 5};
    double stats[STAT_COUNT] = {1};
    struct board b;

    (void)state;
    board_init(&b);
    for (size_t i = 0; i < 7; i++) {
        add(&b.p, ROWS[i][0], "Siel", ROWS[i][1], stats, 0);
    }
    score(&b);
    for (int i = 0; i < 7; i++) {
        struct placement place = walk_place(&b.walk, b.order.at[i]);

        assert_true(b.p.ranked.at[b.order.at[i]].id == WANTED[i]);
        assert_int_equal(place.rank, i + 1);
        assert_int_equal(place.server_class_rank, i + 1);
    }
    board_fini(&b);
}

static void test_equal_scores_share_the_percentile(void **state)
{
    static const double ATTACKS[10] = {10, 10, 10, 8, 8, 7, 7, 7, 7, 1};
    static const int PERCENTILES[10] = {0, 0, 0, 3000, 3000, 5000, 5000, 5000, 5000, 9000};
    static const char *const TIERS[10] = {"S5", "S5", "S5", "C4", "C4",
                                          "D5", "D5", "D5", "D5", "D1"};
    struct board b;

    (void)state;
    board_init(&b);
    for (int i = 0; i < 10; i++) {
        add_attack(&b.p, i, ATTACKS[i]);
    }
    score(&b);
    for (int i = 0; i < 10; i++) {
        struct placement place = walk_place(&b.walk, b.order.at[i]);

        assert_int_equal(place.percentile, PERCENTILES[i]);
        assert_string_equal(score_tier_name(b.p.ranked.at[b.order.at[i]].tier), TIERS[i]);
        assert_null(population_kept(&b.p, b.order.at[i]));
    }
    assert_int_equal(b.walk.servers[0].tier_count[score_tier_parse("D5", 2)], 4);
    board_fini(&b);
}

/* One that failed stands in the order by its old score and moves nobody's percentile. */
static void test_kept_entries(void **state)
{
    struct board b;
    struct kept kept = {.percentile = 12.5, .scored_at_us = 77, .stale = true};
    struct entry old;
    struct placement place;
    struct err e;

    (void)state;
    board_init(&b);
    add_attack(&b.p, 1, 100);
    add_attack(&b.p, 2, 50);
    old = b.p.ranked.at[0];
    old.id = 3;
    old.score = 1000;
    old.tier = (uint8_t)score_tier_parse("B3", 2);
    assert_true(population_add_kept(&b.p, &old, &kept, &e));
    old.id = 2; /* scored now as well: the new one counts */
    assert_true(population_add_kept(&b.p, &old, &kept, &e));
    score(&b);
    assert_int_equal(b.order.count, 3);
    place = walk_place(&b.walk, b.order.at[0]);
    assert_int_equal(b.p.ranked.at[b.order.at[0]].id, 1);
    place = walk_place(&b.walk, b.order.at[1]);
    assert_int_equal(b.p.ranked.at[b.order.at[1]].id, 3);
    assert_int_equal(place.server_rank, 2);
    assert_int_equal(place.percentile, 1250);
    assert_string_equal(score_tier_name(b.p.ranked.at[b.order.at[1]].tier), "B3");
    assert_int_equal(population_kept(&b.p, b.order.at[1])->scored_at_us, 77);
    place = walk_place(&b.walk, b.order.at[2]);
    assert_int_equal(place.server_rank, 3);
    assert_int_equal(place.percentile, 5000);
    board_fini(&b);
}

static uint64_t next_random(uint64_t *x)
{
    *x = *x * 6364136223846793005u + 1442695040888963407u;
    return *x >> 33 ^ *x << 31;
}

/* As the ranking has it. */
static bool stands_before(const struct entry *a, const struct entry *b)
{
    if (a->score != b->score) {
        return a->score > b->score;
    }
    if (a->power != b->power) {
        return a->power > b->power;
    }
    return a->level != b->level ? a->level > b->level : a->id < b->id;
}

/* Entries whose values are random in these bits, unknown powers and the greatest id among them. */
static void fill_random(struct population *p, const int bits[4], uint32_t n)
{
    double stats[STAT_COUNT] = {1};
    uint64_t x = 42;

    for (uint32_t i = 0; i < n; i++) {
        int64_t v[4];
        struct entry *entry;

        for (int k = 0; k < 4; k++) {
            v[k] = bits[k] ? (int64_t)(next_random(&x) << (64 - bits[k])) >> (64 - bits[k]) : 7;
        }
        add(p, bits[0] == 64 && i == 5 ? INT64_MAX : v[0], "Siel", i % 9 ? v[1] : POWER_UNKNOWN,
            stats, 0);
        entry = &p->ranked.at[i];
        entry->level = (int32_t)v[2];
        entry->score = v[3];
    }
}

/* Keys that fit into one number and keys that do not; ids that lie close together and far apart. */
static void test_order_matches_the_rules(void **state)
{
    enum { N = 3000 };
    /* bits of id, power, level, score */
    static const int BITS[][4] = {{12, 10, 3, 4},   {20, 20, 6, 11}, {63, 64, 32, 50},
                                  {64, 40, 0, 0},   {10, 3, 1, 2},   {40, 31, 16, 15},
                                  {64, 64, 32, 64}, {0, 0, 0, 0},    {30, 2, 2, 64}};

    (void)state;
    for (size_t c = 0; c < ARRAY_LEN(BITS); c++) {
        struct board b;
        const struct entry *at;

        board_init(&b);
        fill_random(&b.p, BITS[c], N);
        at = b.p.ranked.at;
        assert_true(score_order_by_id(&b.order, &b.p));
        assert_true(b.order.count > 0 && b.order.count <= N);
        for (uint32_t i = 1; i < b.order.count; i++) {
            assert_true(at[b.order.at[i - 1]].id < at[b.order.at[i]].id);
        }
        assert_true(score_order_by_rank(&b.order, &b.p));
        for (uint32_t i = 1; i < b.order.count; i++) {
            assert_true(stands_before(&at[b.order.at[i - 1]], &at[b.order.at[i]]));
        }
        board_fini(&b);
    }
}

/* Nobody is left out, and of a repeated id the first stays, however the order came about. */
static void test_repeated_ids(void **state)
{
    enum { N = 500 };
    static const int64_t STEPS[] = {1, 1000003, INT64_C(1) << 50};
    double stats[STAT_COUNT] = {1};

    (void)state;
    for (size_t c = 0; c < ARRAY_LEN(STEPS); c++) {
        struct board b;

        board_init(&b);
        for (uint32_t i = 0; i < 2 * N; i++) {
            add(&b.p, (int64_t)(i * 7 % N) * STEPS[c], "Siel", 1, stats, 0);
        }
        assert_true(score_order_by_id(&b.order, &b.p));
        assert_int_equal(b.order.count, N);
        for (uint32_t i = 0; i < N; i++) {
            assert_true(b.p.ranked.at[b.order.at[i]].id == i * STEPS[c]);
            assert_true(b.order.at[i] < N);
        }
        board_fini(&b);
    }
}

static bool order_with_failing_try(const int bits[4], unsigned nth)
{
    struct board b;
    bool ok;

    board_init(&b);
    fill_random(&b.p, bits, 20);
    mem_fail_at(nth);
    ok = score_order_by_id(&b.order, &b.p) && score_order_by_rank(&b.order, &b.p);
    mem_fail_at(0);
    board_fini(&b);
    return ok;
}

static void test_order_without_memory(void **state)
{
    static const struct {
        int bits[4];
        unsigned tries;
    } CASES[] = {{{5, 5, 5, 5}, 3}, {{64, 5, 5, 5}, 5}};

    (void)state;
    for (size_t c = 0; c < ARRAY_LEN(CASES); c++) {
        for (unsigned nth = 1; nth <= CASES[c].tries; nth++) {
            assert_false(order_with_failing_try(CASES[c].bits, nth));
        }
        assert_true(order_with_failing_try(CASES[c].bits, CASES[c].tries + 1));
    }
}

static void test_order_of_nobody(void **state)
{
    struct board b;

    (void)state;
    board_init(&b);
    assert_true(score_order_by_id(&b.order, &b.p) && score_order_by_rank(&b.order, &b.p));
    assert_int_equal(b.order.count, 0);
    board_fini(&b);
}

static void test_many_names_and_rollback(void **state)
{
    struct population p;
    struct population_mark mark;
    double stats[STAT_COUNT] = {1};
    char server[16];

    (void)state;
    population_init(&p);
    assert_int_equal(names_add(&p.classes, "", 0), 0);
    assert_int_equal(names_add(&p.classes, "", 0), 0);
    for (int i = 0; i < 3000; i++) {
        snprintf(server, sizeof server, "s%d", i % 1500);
        add(&p, i, server, 1, stats, 0);
    }
    assert_int_equal(p.servers.count, 1500);
    assert_int_equal(p.groups.count, 1500);
    for (int i = 0; i < 3000; i++) {
        size_t len;
        const char *name = names_get(&p.servers, population_server_of(&p, &p.ranked.at[i]), &len);

        snprintf(server, sizeof server, "s%d", i % 1500);
        assert_true(len == strlen(server) && memcmp(name, server, len) == 0);
    }
    mark = population_mark(&p);
    add(&p, 9999, "new", 1, stats, 0);
    population_rollback(&p, &mark);
    assert_int_equal(p.scored, 3000);
    assert_int_equal(names_find(&p.servers, "s7", 2), 7);
    assert_true(names_find(&p.servers, "none", 4) == NAMES_NONE);
    population_fini(&p);
}

static void test_names_are_bounded(void **state)
{
    struct names n;

    (void)state;
    names_init(&n, 2);
    assert_int_equal(names_add(&n, "a", 1), 0);
    assert_int_equal(names_add(&n, "b", 1), 1);
    assert_true(names_add(&n, "c", 1) == NAMES_NONE);
    assert_int_equal(names_add(&n, "a", 1), 0);
    names_fini(&n);
}

/* Memory that is refused at any point is an error, never a crash or a leak. */
static void test_out_of_memory(void **state)
{
    double stats[STAT_COUNT] = {1};
    struct population_row row = {.id = 1,
                                 .server = "a",
                                 .server_len = 1,
                                 .name = "n",
                                 .name_len = 1,
                                 .class = "c",
                                 .class_len = 1};
    struct payload_stats s = {.fractional = 0};
    bool done = false;

    (void)state;
    memcpy(s.value, stats, sizeof stats);
    for (unsigned nth = 1; !done && nth < 100; nth++) {
        struct population p;
        struct err e = {0};

        population_init(&p);
        mem_fail_at(nth);
        done = population_add_scored(&p, &row, &s, &e);
        mem_fail_at(0);
        assert_true(done || e.cls == ERR_RETRYABLE);
        population_fini(&p);
    }
    assert_true(done);
}

static void test_failures_keep_the_lowest_ids(void **state)
{
    struct failures f;
    struct failure one = {.stat = "hp"};

    (void)state;
    failures_init(&f);
    for (int i = 0; i < 5 * FAILURES_MAX; i++) {
        one.id = (int64_t)i * 7919 % (5 * FAILURES_MAX);
        assert_true(failures_add(&f, &one));
    }
    failures_settle(&f);
    assert_int_equal(f.count, FAILURES_MAX);
    for (int i = 0; i < FAILURES_MAX; i++) {
        assert_int_equal(f.at[i].id, i);
    }
    failures_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tier_names),
        cmocka_unit_test(test_tier_bounds),
        cmocka_unit_test(test_relaxed_six),
        cmocka_unit_test(test_percentile_rounds_as_printf),
        cmocka_unit_test(test_power_score),
        cmocka_unit_test(test_scores_tie_to_even),
        cmocka_unit_test(test_averages),
        cmocka_unit_test(test_fractional_sum_in_id_order),
        cmocka_unit_test(test_order_of_ties),
        cmocka_unit_test(test_equal_scores_share_the_percentile),
        cmocka_unit_test(test_kept_entries),
        cmocka_unit_test(test_order_matches_the_rules),
        cmocka_unit_test(test_repeated_ids),
        cmocka_unit_test(test_order_without_memory),
        cmocka_unit_test(test_order_of_nobody),
        cmocka_unit_test(test_many_names_and_rollback),
        cmocka_unit_test(test_names_are_bounded),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_failures_keep_the_lowest_ids),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
