#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/cron.h"
#include "common/zone.h"

#define HOUR INT64_C(3600)
#define DAY  (24 * HOUR)

/* A zone of its own: +1 h, from day 100 01:00 UTC +2 h, from day 200 01:00 UTC +1 h again. */
static int offset_s(const void *ctx, int64_t unix_s)
{
    (void)ctx;
    return unix_s >= 100 * DAY + HOUR && unix_s < 200 * DAY + HOUR ? 7200 : 3600;
}
static const struct cron_zone ZONE = {offset_s, NULL};

static void parse(const char *text, struct cron *c)
{
    struct err e;

    if (!cron_parse(text, c, &e)) {
        fail_msg("%s: %s", text, e.text);
    }
}

static void fields_are_read_as_celery_does(void **state)
{
    static const struct {
        const char *text;
        struct cron expected;
    } CASES[] = {
        {"0 0 1 1 0", {1, 1, 1 << 1, 1 << 1, 1}},
        {"* * * * *", {(UINT64_C(1) << 60) - 1, 0xffffff, 0xfffffffe, 0x1ffe, 0x7f}},
        {"*/20 */12 */15 */6 */3",
         {1 | UINT64_C(1) << 20 | UINT64_C(1) << 40, 1 | 1 << 12,
          1 << 1 | 1 << 16 | UINT32_C(1) << 31, 1 << 1 | 1 << 7, 1 | 1 << 3 | 1 << 6}},
        {"1,3-5 22-2 1-7/3 jan,Mar-april sat-mon",
         {1 << 1 | 1 << 3 | 1 << 4 | 1 << 5, 1 << 22 | 1 << 23 | 1 | 1 << 1 | 1 << 2,
          1 << 1 | 1 << 4 | 1 << 7, 1 << 1 | 1 << 3 | 1 << 4, 1 << 6 | 1 | 1 << 1}},
        {"  5\t6  7 december THURSDAY ", {1 << 5, 1 << 6, 1 << 7, 1 << 12, 1 << 4}},
        {"0 20-4/3 * * *", {1, 1 << 20 | 1 << 23 | 1 << 2, 0xfffffffe, 0x1ffe, 0x7f}},
        {"0 0-23/100 * * *", {1, 1, 0xfffffffe, 0x1ffe, 0x7f}},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct cron c;

        parse(CASES[i].text, &c);
        assert_int_equal(c.minutes, CASES[i].expected.minutes);
        assert_int_equal(c.hours, CASES[i].expected.hours);
        assert_int_equal(c.days, CASES[i].expected.days);
        assert_int_equal(c.months, CASES[i].expected.months);
        assert_int_equal(c.weekdays, CASES[i].expected.weekdays);
    }
}

static void what_is_wrong_is_named(void **state)
{
    static const struct {
        const char *text, *says;
    } CASES[] = {
        {"", "five fields"},
        {"* * * *", "five fields"},
        {"* * * * * *", "five fields"},
        {"60 * * * *", "minute"},
        {"-1 * * * *", "minute"},
        {"1- * * * *", "minute"},
        {"*/0 * * * *", "minute"},
        {"*/ * * * *", "minute"},
        {"5/10 * * * *", "minute"},
        {"1,,2 * * * *", "minute"},
        {"1, * * * *", "minute"},
        {", * * * *", "minute"},
        {"1-2-3 * * * *", "minute"},
        {"** * * * *", "minute"},
        {"0x1 * * * *", "minute"},
        {"* 24 * * *", "hour"},
        {"* mon * * *", "hour"},
        {"* * 0 * *", "day of month"},
        {"* * 32 * *", "day of month"},
        {"* * * 13 *", "month"},
        {"* * * mon *", "month"},
        {"* * * * 7", "day of week"},
        {"* * * * mo", "day of week"},
        {"* * * * mond", "day of week"},
        {"* * * * 1-", "day of week"},
        {"99999999999999999999 * * * *", "minute"},
    };
    struct cron c;
    struct err e;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        assert_false(cron_parse(CASES[i].text, &c, &e));
        if (!strstr(e.text, CASES[i].says)) {
            fail_msg("%s: %s", CASES[i].text, e.text);
        }
    }
}

/* The slots of [from, until), and prev() of each as well as of the second before the next. */
static size_t slots(const char *text, int64_t from, int64_t until, int64_t *out, size_t max)
{
    struct cron c;
    int64_t slot, back;
    size_t n = 0;

    parse(text, &c);
    for (int64_t t = from - 1; n < max && cron_next(&c, &ZONE, t, &slot) && slot < until;
         t = slot) {
        assert_true(slot > t);
        assert_true(cron_prev(&c, &ZONE, slot, &back) && back == slot);
        if (n > 0) {
            assert_true(cron_prev(&c, &ZONE, slot - 1, &back) && back == out[n - 1]);
        }
        out[n++] = slot;
    }
    return n;
}

static void a_gap_is_made_up_for_at_its_end(void **state)
{
    int64_t gap = 100 * DAY, found[8];

    (void)state;
    /* 02:00 to 03:00 local is left out; 03:00 begins at 01:00 UTC. */
    assert_int_equal(slots("30 2 * * *", gap - DAY, gap + 2 * DAY, found, 8), 3);
    assert_int_equal(found[0], gap - DAY + 90 * 60);
    assert_int_equal(found[1], gap + HOUR);
    assert_int_equal(found[2], gap + DAY + 30 * 60);
    assert_int_equal(slots("0,30 2,3 * * *", gap, gap + DAY, found, 8), 2); /* 3:00, 3:30 */
    assert_int_equal(found[0], gap + HOUR);
    assert_int_equal(found[1], gap + HOUR + 30 * 60);
}

static void a_repeated_hour_counts_once_for_fixed_times(void **state)
{
    int64_t twice = 200 * DAY, found[8];

    (void)state;
    /* 02:00 to 03:00 local comes at 00:00 UTC and again at 01:00 UTC. */
    assert_int_equal(slots("30 2 * * *", twice, twice + DAY, found, 8), 1);
    assert_int_equal(found[0], twice + 30 * 60);
    assert_int_equal(slots("30 1-3 * * *", twice - HOUR, twice + 4 * HOUR, found, 8), 3);
    assert_int_equal(found[2], twice + 2 * HOUR + 30 * 60);
}

static void every_hour_means_every_real_hour(void **state)
{
    int64_t found[8];

    (void)state;
    for (int day = 100; day <= 200; day += 100) {
        assert_int_equal(slots("30 * * * *", day * DAY, day * DAY + 5 * HOUR, found, 8), 5);
        for (int i = 0; i < 5; i++) {
            assert_int_equal(found[i], day * DAY + i * HOUR + 30 * 60);
        }
    }
}

static void both_days_must_match(void **state)
{
    const struct cron_zone utc = zone_of("UTC");
    struct cron c;
    int64_t slot;

    (void)state;
    parse("0 0 13 * fri", &c);
    assert_true(cron_next(&c, &utc, 1735689600, &slot)); /* 2025-01-01 */
    assert_int_equal(slot, 1749772800);                  /* Friday, 2025-06-13 */
    parse("0 0 29 2 mon", &c);
    assert_true(cron_next(&c, &utc, 1735689600, &slot));
    assert_int_equal(slot, 2340316800); /* Monday, 2044-02-29 */
    parse("0 0 30 2 *", &c);
    assert_false(cron_next(&c, &utc, 0, &slot));
    assert_false(cron_prev(&c, &utc, 0, &slot));
}

static void zones_are_known_by_name(void **state)
{
    static const char *const BAD[] = {"",       "Mars/Base",    "/etc/passwd", "../zoneinfo/UTC",
                                      "europe", "Europe",       "tzdata.zi",   "Europe/Berlin ",
                                      ":UTC",   "posixrules\n", "UTC+3x",      "a.b"};
    struct cron_zone berlin = zone_of("Europe/Berlin"), seoul = zone_of("Asia/Seoul");
    struct err e;
    struct tm tm;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        assert_false(zone_check(BAD[i], &e));
    }
    assert_true(zone_check("Europe/Berlin", &e) && zone_check("UTC", &e));
    assert_int_equal(berlin.offset_s(berlin.ctx, 1735689600), 3600);
    assert_int_equal(berlin.offset_s(berlin.ctx, 1751328000), 7200);
    assert_int_equal(seoul.offset_s(seoul.ctx, 1751328000), 9 * 3600);
    zone_local("America/New_York", 1751328000, &tm);
    assert_int_equal(tm.tm_hour, 20);
    assert_string_equal(tm.tm_zone, "EDT");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_read_as_celery_does),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(a_gap_is_made_up_for_at_its_end),
        cmocka_unit_test(a_repeated_hour_counts_once_for_fixed_times),
        cmocka_unit_test(every_hour_means_every_real_hour),
        cmocka_unit_test(both_days_must_match),
        cmocka_unit_test(zones_are_known_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
