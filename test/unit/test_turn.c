/* Who has a job: the child that begins it or the supervisor that takes it back, never both. */

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "worker/turn.h"

static void test_jobs_are_begun_in_order(void **state)
{
    turn_word turn = 0;

    (void)state;
    assert_int_equal(turn_begun(&turn), 0);
    assert_true(turn_begin(&turn, 1));
    assert_true(turn_begin(&turn, 2));
    assert_int_equal(turn_begun(&turn), 2);
}

static void test_what_was_taken_back_is_not_begun(void **state)
{
    turn_word turn = 0;

    (void)state;
    assert_true(turn_begin(&turn, 1));
    assert_int_equal(turn_take_back(&turn, 3), 1);
    assert_false(turn_begin(&turn, 2));
    assert_false(turn_begin(&turn, 3));
    assert_int_equal(turn_begun(&turn), 1);
    assert_true(turn_begin(&turn, 4)); /* sent after that */
    assert_int_equal(turn_take_back(&turn, 4), 4);
}

enum { JOBS = 200000 };
static turn_word shared;
static _Atomic uint32_t sent;
static unsigned char begun[JOBS + 1];

/* Begins each job that has been sent, as a child does. */
static void *child(void *arg)
{
    (void)arg;
    for (uint32_t seq = 1; seq <= JOBS; seq++) {
        while (atomic_load(&sent) < seq) {
        }
        begun[seq] = turn_begin(&shared, seq);
    }
    return NULL;
}

static void test_both_agree_in_a_race(void **state)
{
    static unsigned char ours[JOBS + 1];
    uint32_t settled = 0;
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, child, NULL), 0);
    for (uint32_t seq = 1; seq <= JOBS; seq++) {
        atomic_store(&sent, seq);
        if (seq % 7 == 0) {
            uint32_t last = turn_take_back(&shared, seq);

            for (uint32_t i = settled + 1; i <= seq; i++) {
                ours[i] = i > last;
            }
            settled = seq;
        }
    }
    pthread_join(thread, NULL);
    for (uint32_t seq = 1; seq <= settled; seq++) {
        assert_int_equal(begun[seq] + ours[seq], 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jobs_are_begun_in_order),
        cmocka_unit_test(test_what_was_taken_back_is_not_begun),
        cmocka_unit_test(test_both_agree_in_a_race),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
