#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "ctl/population_model.h"

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void test_names_never_repeat(void **state UNUSED)
{
    static const uint64_t COUNTS[] = {1, 128, 129, 4096, 16384, 16385, 40000};

    for (size_t k = 0; k < ARRAY_LEN(COUNTS); k++) {
        size_t n = COUNTS[k];
        char(*names)[POPULATION_NAME_SIZE] = calloc(n, sizeof *names);
        struct name_maker maker;

        assert_non_null(names);
        name_maker_init(&maker, 42 + k, n);
        for (size_t i = 0; i < n; i++) {
            name_maker_write(&maker, i, names[i]);
        }
        qsort(names, n, sizeof *names, by_name);
        for (size_t i = 1; i < n; i++) {
            assert_string_not_equal(names[i - 1], names[i]);
        }
        free(names);
    }
}

static void test_a_member_can_be_made_alone(void **state UNUSED)
{
    struct population p;
    struct member a, b;

    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    population_init(&p, 1, 1000, 5);
    population_member(&p, 7, &a);
    population_member(&p, 999, &b);
    population_member(&p, 7, &b);
    assert_string_equal(a.name, b.name);
    assert_string_equal(a.server, b.server);
    assert_memory_equal(a.stats, b.stats, sizeof a.stats);
    assert_int_equal(a.power, b.power);
}

static void test_members_are_plausible(void **state UNUSED)
{
    struct population p;
    struct member m;
    unsigned at_cap = 0;

    population_init(&p, 9, 5000, 3);
    for (uint64_t i = 0; i < p.count; i++) {
        population_member(&p, i, &m);
        assert_in_range(m.level, 5, 45);
        assert_true(m.power > 0 && m.power < 600000);
        for (int s = 0; s < STAT_COUNT; s++) {
            assert_in_range(m.stats[s], 0, 20000);
        }
        at_cap += m.level == 45;
    }
    assert_in_range(at_cap, 4300, 4700);
}

static void test_servers(void **state UNUSED)
{
    char name[POPULATION_NAME_SIZE];

    population_server_name(0, name);
    assert_string_equal(name, "시엘");
    population_server_name(41, name);
    assert_string_equal(name, "이스할겐");
    population_server_name(42, name);
    assert_string_equal(name, "서버43");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_never_repeat),
        cmocka_unit_test(test_a_member_can_be_made_alone),
        cmocka_unit_test(test_members_are_plausible),
        cmocka_unit_test(test_servers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
