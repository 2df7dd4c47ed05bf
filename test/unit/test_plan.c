#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "scheduler/plan.h"

/* Slots are the multiples of 10. */
static struct schedule every_10(void)
{
    return (struct schedule){.name = "s", .every_s = 10};
}

static struct plan plan(const struct schedule *s, int64_t last_s, int64_t now_s)
{
    struct plan_state st = {.last_s = last_s};
    struct plan p;

    plan_make(s, &st, now_s, &p);
    return p;
}

static void the_first_start_only_notes(void **state)
{
    struct schedule s = every_10();
    struct plan p = plan(&s, PLAN_NONE, 105);

    (void)state;
    assert_int_equal(p.kind, PLAN_NOTE);
    assert_int_equal(p.after.last_s, 100);
    assert_false(p.reset);
}

static void a_schedule_with_a_beginning_needs_no_first_start(void **state)
{
    struct schedule s = every_10();
    struct plan p;

    (void)state;
    s.since_s = 95;
    assert_int_equal(plan(&s, PLAN_NONE, 94).kind, PLAN_NOTHING);
    assert_int_equal(plan(&s, PLAN_NONE, 99).kind, PLAN_NOTHING);
    p = plan(&s, PLAN_NONE, 100);
    assert_int_equal(p.kind, PLAN_SEND);
    assert_int_equal(p.slots[0], 100);
    assert_int_equal(p.missed, 0);
    p = plan(&s, 50, 121); /* 60 to 90 were before the beginning */
    assert_int_equal(p.slots[0], 120);
    assert_int_equal(p.missed, 2);
    assert_int_equal(p.from_s, 100);
}

static void a_slot_is_sent_when_it_is_due(void **state)
{
    struct schedule s = every_10();
    struct plan p = plan(&s, 100, 110);

    (void)state;
    assert_int_equal(plan(&s, 100, 109).kind, PLAN_NOTHING);
    assert_int_equal(p.kind, PLAN_SEND);
    assert_int_equal(p.n, 1);
    assert_int_equal(p.slots[0], 110);
    assert_int_equal(p.until_s, 120);
    assert_int_equal(p.missed, 0);
    assert_int_equal(p.after.last_s, 110);
    assert_int_equal(p.after.gap_to_s, 0);
}

static void latest_sends_the_last_one(void **state)
{
    struct schedule s = every_10();
    struct plan p = plan(&s, 100, 155);

    (void)state;
    assert_int_equal(p.kind, PLAN_SEND);
    assert_int_equal(p.n, 1);
    assert_int_equal(p.slots[0], 150);
    assert_int_equal(p.missed, 4);
    assert_int_equal(p.from_s, 110);
    assert_int_equal(p.after.gap_from_s, 109);
    assert_int_equal(p.after.gap_to_s, 150);
}

static void all_sends_as_many_as_it_may(void **state)
{
    struct schedule s = every_10();
    struct plan p;

    (void)state;
    s.missed = SCHEDULE_ALL;
    s.missed_max = 3;
    p = plan(&s, 100, 125);
    assert_int_equal(p.n, 2);
    assert_int_equal(p.slots[0], 110);
    assert_int_equal(p.slots[1], 120);
    assert_int_equal(p.missed, 0);
    p = plan(&s, 100, 165);
    assert_int_equal(p.n, 3);
    assert_int_equal(p.slots[0], 140);
    assert_int_equal(p.slots[2], 160);
    assert_int_equal(p.missed, 3);
    assert_int_equal(p.after.last_s, 160);
    s.missed_max = SCHEDULE_MISSED_MAX;
    assert_int_equal(plan(&s, 0, 1000000).n, SCHEDULE_MISSED_MAX);
}

static void skip_sends_only_what_is_fresh(void **state)
{
    struct schedule s = {.name = "s", .every_s = 1000, .missed = SCHEDULE_SKIP};
    struct plan p = plan(&s, 1000, 3000 + PLAN_GRACE_S);

    (void)state;
    assert_int_equal(p.kind, PLAN_SEND);
    assert_int_equal(p.slots[0], 3000);
    assert_int_equal(p.missed, 1);
    p = plan(&s, 1000, 3001 + PLAN_GRACE_S);
    assert_int_equal(p.kind, PLAN_LATE);
    assert_int_equal(p.from_s, 2000);
    assert_int_equal(p.missed, 1);
    assert_int_equal(p.after.last_s, 3000);
    assert_int_equal(p.after.gap_to_s, 0);
}

static void a_pause_skips_and_remembers(void **state)
{
    struct schedule s = every_10();
    struct plan p;

    (void)state;
    s.pause.on = true;
    p = plan(&s, 100, 135);
    assert_int_equal(p.kind, PLAN_PAUSED);
    assert_int_equal(p.from_s, 110);
    assert_int_equal(p.slots[0], 130);
    assert_int_equal(p.missed, 2);
    assert_int_equal(p.after.last_s, 130);
}

static void a_clock_that_went_back_is_waited_for(void **state)
{
    struct schedule s = every_10();
    struct plan p;

    (void)state;
    assert_int_equal(plan(&s, 3600, 20).kind, PLAN_NOTHING);
    p = plan(&s, 3700, 20); /* more than an hour: it was wrong */
    assert_int_equal(p.kind, PLAN_NOTE);
    assert_true(p.reset);
    assert_int_equal(p.after.last_s, 20);
}

static void what_the_clock_jumped_over_is_sent_when_it_comes_again(void **state)
{
    struct schedule s = every_10();
    struct plan_state st = {.last_s = 1000};
    struct plan p;
    int sent = 0;

    (void)state;
    plan_make(&s, &st, 2000, &p); /* 1010 to 1990 passed in a moment */
    assert_int_equal(p.slots[0], 2000);
    assert_int_equal(p.missed, 99);
    st = p.after;
    for (int64_t now = 990; now <= 2010; now++) { /* and back */
        plan_make(&s, &st, now, &p);
        if (p.kind == PLAN_SEND) {
            sent++;
            assert_int_equal(p.n, 1);
            assert_int_equal(p.missed, 0);
            assert_int_equal(p.slots[0], 1000 + sent * 10 + (sent > 99) * 10);
        }
        st = p.after;
    }
    assert_int_equal(sent, 100); /* 1010 to 1990, not 2000 again, 2010 */
}

static void counting_is_bounded(void **state)
{
    struct schedule s = {.name = "s", .zone = "UTC"};
    struct err e;
    struct plan p;

    (void)state;
    assert_true(cron_parse("* * * * *", &s.cron, &e));
    p = plan(&s, 0, INT64_C(60) * 10000000);
    assert_int_equal(p.missed, PLAN_COUNT_MAX);
    assert_int_equal(p.slots[0], INT64_C(60) * 10000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_start_only_notes),
        cmocka_unit_test(a_schedule_with_a_beginning_needs_no_first_start),
        cmocka_unit_test(a_slot_is_sent_when_it_is_due),
        cmocka_unit_test(latest_sends_the_last_one),
        cmocka_unit_test(all_sends_as_many_as_it_may),
        cmocka_unit_test(skip_sends_only_what_is_fresh),
        cmocka_unit_test(a_pause_skips_and_remembers),
        cmocka_unit_test(a_clock_that_went_back_is_waited_for),
        cmocka_unit_test(what_the_clock_jumped_over_is_sent_when_it_comes_again),
        cmocka_unit_test(counting_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
