/* When a failed attempt is repeated. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "worker/retry.h"

static void test_delays_double_and_end_at_a_day(void **state)
{
    (void)state;
    assert_int_equal(retry_delay_s(60, 0), 60);
    assert_int_equal(retry_delay_s(60, 1), 120);
    assert_int_equal(retry_delay_s(60, 2), 240);
    assert_int_equal(retry_delay_s(0, 2), 0);
    assert_int_equal(retry_delay_s(3600, 1000), 86400);
}

static void test_only_what_may_pass_by_itself_is_repeated(void **state)
{
    (void)state;
    assert_true(retry_wanted(ERR_RETRYABLE, 0, 3));
    assert_true(retry_wanted(ERR_RETRYABLE, 2, 3));
    assert_false(retry_wanted(ERR_RETRYABLE, 3, 3));
    assert_false(retry_wanted(ERR_PERMANENT, 0, 3));
    assert_false(retry_wanted(ERR_CANCELLED, 0, 3));
}

static void test_the_plan_names_every_retry(void **state)
{
    char plan[RETRY_PLAN_SIZE];

    (void)state;
    assert_string_equal(
        retry_plan(plan, &(struct retry_times){60, 0, 3, 0, 0}),
        "attempt 1 of 4 failed; next at 1970-01-01T00:01:00.000000Z (60 s), then 120 s, 240 s");
    assert_string_equal(retry_plan(plan, &(struct retry_times){60, 2, 3, 0, 0}),
                        "attempt 3 of 4 failed; next at 1970-01-01T00:04:00.000000Z (240 s)");
    assert_string_equal(retry_plan_json(plan, &(struct retry_times){60, 0, 3, 0, 0}),
                        "{\"attempt\":1,\"attempts\":4,\"next_at\":"
                        "\"1970-01-01T00:01:00.000000Z\",\"waits_s\":[60,120,240]}");
    /* Somebody knows that the next one makes no sense so soon. */
    assert_string_equal(
        retry_plan(plan, &(struct retry_times){60, 0, 3, 0, 90}),
        "attempt 1 of 4 failed; next at 1970-01-01T00:01:30.000000Z (90 s), then 120 s, 240 s");
    assert_int_equal(retry_next_s(&(struct retry_times){60, 1, 3, 0, 90}), 120);
    assert_int_equal(retry_next_s(&(struct retry_times){60, 1, 3, 0, INT64_MAX}), 86400);
    /* Fits, however many. */
    retry_plan(plan, &(struct retry_times){3600, 0, 1000, INT64_C(253402300799000000), 0});
    retry_plan_json(plan, &(struct retry_times){3600, 0, 1000, INT64_C(253402300799000000), 0});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_delays_double_and_end_at_a_day),
        cmocka_unit_test(test_only_what_may_pass_by_itself_is_repeated),
        cmocka_unit_test(test_the_plan_names_every_retry),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
