/* Rate limits as Celery's tools write them. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "worker/rate.h"

static void test_rates(void **state)
{
    static const struct {
        const char *text;
        double per_s;
    } CASES[] = {{"10/s", 10},   {"10", 10}, {"30/m", 0.5}, {"7200/h", 2},
                 {"0.5/s", 0.5}, {"0", 0},   {"0/m", 0},    {"", 0}};
    struct err e;

    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        double v = -1;

        assert_true(rate_parse(CASES[i].text, &v, &e));
        assert_true(v == CASES[i].per_s);
    }
}

static void test_what_is_no_rate(void **state)
{
    static const char *const TEXTS[] = {
        "x",    "/m",  "10/", "10/d",  "10/ms",
        "-1/s", "1e9", "nan", "inf",   "1.2.3",
        ".",    " 1",  "1 ",  "10/s/", "111111111111111111111111111"};

    (void)state;
    for (size_t i = 0; i < sizeof TEXTS / sizeof TEXTS[0]; i++) {
        struct err e = {0};
        double v;

        if (rate_parse(TEXTS[i], &v, &e)) {
            fail_msg("accepted: %s", TEXTS[i]);
        }
        assert_true(e.text[0] != '\0');
    }
    {
        struct err e = {0};
        double v;

        assert_false(rate_parse("x/m", &v, &e));
        assert_string_equal(e.text, "ValueError(\"could not convert string to float: 'x'\")");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rates),
        cmocka_unit_test(test_what_is_no_rate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
