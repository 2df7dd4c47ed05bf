#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "common/schedule.h"

#define S INT64_C(1000000) /* microseconds in a second */

static void slots_begin_at_multiples_of_the_interval(void **state)
{
    static const struct {
        int64_t now_us, interval_s, slot_s, next_us;
    } CASES[] = {
        {0, 600, 0, 600 * S},
        {1, 600, 0, 600 * S},
        {600 * S - 1, 600, 0, 600 * S},
        {600 * S, 600, 600, 1200 * S}, /* the boundary belongs to the slot it begins */
        {600 * S + 1, 600, 600, 1200 * S},
        {1700000123456789, 600, 1699999800, 1700000400 * S},
        {1700000123456789, 1, 1700000123, 1700000124 * S},
        {1700000123456789, 7, 1700000120, 1700000127 * S}, /* need not divide an hour */
        {1700000123456789, 86400, 1699920000, 1700006400 * S},
        {-1, 600, -600, 0},
        {-600 * S, 600, -600, 0},
        {-600 * S - 1, 600, -1200, -600 * S},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        assert_int_equal(schedule_slot_s(CASES[i].now_us, CASES[i].interval_s), CASES[i].slot_s);
        assert_int_equal(schedule_next_us(CASES[i].now_us, CASES[i].interval_s), CASES[i].next_us);
    }
}

static void missed_counts_the_slots_in_between(void **state)
{
    static const struct {
        int64_t last_s, slot_s, interval_s, missed;
    } CASES[] = {
        {0, 600, 600, 0},    {0, 1200, 600, 1},
        {0, 6000, 600, 9},   {100, 101, 1, 0},
        {100, 105, 1, 4},    {600, 600, 600, 0}, /* nothing between */
        {1200, 600, 600, 0},                     /* the clock went back */
        {300, 600, 600, 0},                      /* was 300 s: 300 is no slot of 600 */
        {900, 1800, 600, 1},                     /* 1200 lies between */
        {600, 900, 300, 0},                      /* was 600 s, is 300 s now */
        {599, 1200, 600, 1}, {INT64_C(-600), 600, 600, 1},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        assert_int_equal(schedule_missed(CASES[i].last_s, CASES[i].slot_s, CASES[i].interval_s),
                         CASES[i].missed);
    }
}

static void late_is_after_two_intervals(void **state)
{
    (void)state;
    assert_false(schedule_is_late(600, 600 * S, 600));
    assert_false(schedule_is_late(600, 1800 * S, 600));
    assert_false(schedule_is_late(600, 1801 * S - 1, 600));
    assert_true(schedule_is_late(600, 1801 * S, 600));
    assert_false(schedule_is_late(5000, 1801 * S, 600)); /* in the future is not late */
}

static void ids_depend_on_schedule_and_slot_only(void **state)
{
    char a[UUID_SIZE], b[UUID_SIZE];

    (void)state;
    schedule_task_id("batch", 600, a);
    schedule_task_id("batch", 600, b);
    assert_string_equal(a, b);
    uuid_from_name("batch:600", b);
    assert_string_equal(a, b);
    schedule_task_id("batch", 1200, b);
    assert_string_not_equal(a, b);
    schedule_task_id("other", 600, b);
    assert_string_not_equal(a, b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_begin_at_multiples_of_the_interval),
        cmocka_unit_test(missed_counts_the_slots_in_between),
        cmocka_unit_test(late_is_after_two_intervals),
        cmocka_unit_test(ids_depend_on_schedule_and_slot_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
