#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/quota.h"

static void check(struct quota_answer a, bool allowed, int64_t remaining, int64_t reset_ms)
{
    assert_int_equal(a.allowed, allowed);
    assert_int_equal(a.remaining, remaining);
    assert_int_equal(a.reset_ms, reset_ms);
}

static void test_a_window_slides(void **state)
{
    struct quota_table *t = quota_table_new(3);

    (void)state;
    check(quota_take(t, "a", 1000), true, 2, 60000);
    check(quota_take(t, "a", 11000), true, 1, 50000);
    check(quota_take(t, "a", 21000), true, 0, 40000);
    check(quota_take(t, "a", 21001), false, 0, 39999);
    check(quota_take(t, "b", 21001), true, 2, 60000); /* another client */
    check(quota_take(t, "a", 60999), false, 0, 1);
    /* Exactly when it was told to come back, and what was refused did not count. */
    check(quota_take(t, "a", 61000), true, 0, 10000);
    check(quota_take(t, "a", 70999), false, 0, 1);
    check(quota_take(t, "a", 71000), true, 0, 10000);
    check(quota_take(t, "a", 1000000), true, 2, 60000);
    quota_table_free(t);
}

/* Whatever the times: never more than the limit within 60 s, and what is told comes true. */
static void test_never_more_than_the_limit(void **state)
{
    struct quota_table *t = quota_table_new(5);
    int64_t taken[4000], now = 0;
    unsigned seed = 7;
    int n = 0;

    (void)state;
    for (int i = 0; i < 4000; i++) {
        struct quota_answer a;
        int recent = 0;

        now += (int64_t)(seed = seed * 1103515245 + 12345) % 20000;
        for (int k = n - 1; k >= 0 && taken[k] > now - QUOTA_WINDOW_MS; k--) {
            recent++;
        }
        a = quota_take(t, "x", now);
        assert_int_equal(a.allowed, recent < 5);
        assert_int_equal(a.remaining, recent < 5 ? 4 - recent : 0);
        if (a.allowed) {
            taken[n++] = now;
        }
        assert_true(a.reset_ms > 0 && a.reset_ms <= QUOTA_WINDOW_MS);
    }
    assert_true(n > 100);
    quota_table_free(t);
}

static void test_the_table_is_bounded(void **state)
{
    struct quota_table *t = quota_table_new(QUOTA_LIMIT_MAX);
    char name[32];

    (void)state;
    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "10.0.%d.%d", i / 256, i % 256);
        assert_true(quota_take(t, name, 1000 + i).allowed);
        assert_true(quota_take(t, "often", 1000 + i).allowed == (i < QUOTA_LIMIT_MAX));
    }
    assert_int_equal(quota_table_clients(t), QUOTA_TIMES_MAX / QUOTA_LIMIT_MAX);
    quota_table_free(t);
    t = quota_table_new(1);
    for (int i = 0; i < QUOTA_CLIENTS + 100; i++) {
        snprintf(name, sizeof name, "%d", i);
        assert_true(quota_take(t, name, 5).allowed);
    }
    assert_int_equal(quota_table_clients(t), QUOTA_CLIENTS);
    assert_true(quota_take(t, "0", 6).allowed); /* forgotten */
    assert_false(quota_take(t, "4195", 6).allowed);
    quota_table_free(t);
    quota_table_free(NULL);
}

static void test_replies(void **state)
{
    redisReply number[3] = {{.type = REDIS_REPLY_INTEGER, .integer = 1},
                            {.type = REDIS_REPLY_INTEGER, .integer = 4},
                            {.type = REDIS_REPLY_INTEGER, .integer = 777}};
    redisReply *elements[] = {&number[0], &number[1], &number[2]};
    redisReply r = {.type = REDIS_REPLY_ARRAY, .elements = 3, .element = elements};
    struct quota_answer a;

    (void)state;
    assert_true(quota_read(&r, 10, &a));
    check(a, true, 6, 777);
    number[0].integer = 0;
    number[1].integer = 12; /* the limit was higher before */
    assert_true(quota_read(&r, 10, &a));
    check(a, false, 0, 777);
    number[2].type = REDIS_REPLY_NIL;
    assert_false(quota_read(&r, 10, &a));
    r.elements = 2;
    assert_false(quota_read(&r, 10, &a));
    assert_false(quota_read(&number[0], 10, &a));
    assert_false(quota_read(NULL, 10, &a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_window_slides),
        cmocka_unit_test(test_never_more_than_the_limit),
        cmocka_unit_test(test_the_table_is_bounded),
        cmocka_unit_test(test_replies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
