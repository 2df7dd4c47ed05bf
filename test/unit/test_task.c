/* The task table: what is in it, which limit counts, how a task learns that it is to stop. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/keys.h"
#include "worker/settings.h"
#include "worker/task.h"

static const struct settings PLAIN = {.retry_base_s = 60};
static const struct settings TESTING = {.test_tasks = true, .retry_base_s = 60};

static void test_names_are_found_once(void **state)
{
    const struct task *t;
    size_t count = 0;

    (void)state;
    for (; (t = task_at(count, &TESTING)) != NULL; count++) {
        assert_ptr_equal(task_find(t->name, &TESTING), t);
        assert_ptr_not_equal(task_state_of(t), NULL);
        assert_true(t->soft_limit_s == 0 || t->soft_limit_s < t->hard_limit_s);
    }
    assert_true(count > 3);
    assert_non_null(task_find(TASK_BATCH, &PLAIN));
    assert_non_null(task_find("maintenance.prune", &PLAIN));
    assert_null(task_find("test.add", &PLAIN));
    assert_null(task_find("test.nothing", &TESTING));
}

static void check_limits(int64_t asked_soft_ms, int64_t asked_hard_ms, int64_t soft_ms,
                         int64_t hard_ms)
{
    struct task_limits l =
        task_limits_of(task_find(TASK_BATCH, &PLAIN), asked_soft_ms, asked_hard_ms);

    assert_int_equal(l.soft_ms, soft_ms);
    assert_int_equal(l.hard_ms, hard_ms);
}

static void test_the_smallest_limit_counts(void **state)
{
    const struct task *batch = task_find(TASK_BATCH, &PLAIN);
    struct task_state *changed = task_state_of(batch);
    int64_t soft_ms = (int64_t)batch->soft_limit_s * 1000;
    int64_t hard_ms = (int64_t)batch->hard_limit_s * 1000;

    (void)state;
    check_limits(0, 0, soft_ms, hard_ms);
    check_limits(5, 9, 5, 9);
    check_limits(INT64_MAX, INT64_MAX, soft_ms, hard_ms);
    changed->soft_limit_ms = 100;
    changed->hard_limit_ms = 200;
    check_limits(0, 0, 100, 200);
    check_limits(50, 300, 50, 200);
    changed->soft_limit_ms = changed->hard_limit_ms = 0;
    check_limits(0, 0, soft_ms, hard_ms);
}

static void test_the_first_retry_waits_as_the_task_says(void **state)
{
    const struct task own = {.retry_base_s = 5}, none = {0};

    (void)state;
    assert_int_equal(task_retry_base_s(&own, &PLAIN), 5);
    assert_int_equal(task_retry_base_s(&none, &PLAIN), 60);
}

static void test_only_the_job_that_is_meant_stops(void **state)
{
    _Atomic uint64_t cancel = 0;
    struct task_request req = {.cancel = &cancel, .number = 7};
    struct err e = {0};

    (void)state;
    assert_false(task_cancelled(&req, &e));
    cancel = 6;
    assert_false(task_cancelled(&req, &e));
    cancel = 7;
    assert_true(task_cancelled(&req, &e));
    assert_int_equal(e.cls, ERR_CANCELLED);
    assert_string_equal(e.type, "SoftTimeLimitExceeded");
    req.cancel = NULL; /* nobody can ask */
    assert_false(task_cancelled(&req, &e));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_are_found_once),
        cmocka_unit_test(test_the_smallest_limit_counts),
        cmocka_unit_test(test_the_first_retry_waits_as_the_task_says),
        cmocka_unit_test(test_only_the_job_that_is_meant_stops),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
