#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

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

static const struct schedule_defaults DEFAULTS = {"celery", 600};

static bool parse(const char *name, const char *json, struct schedule *s, struct err *e)
{
    return schedule_parse(name, json, strlen(json), &DEFAULTS, s, e);
}

static void definitions_are_read(void **state)
{
    static const char TEXT[] =
        "{\"task\":\"reports.send\",\"args\":[1,\"x\"],\"kwargs\":{\"dry\":true},\"queue\":\"slow\","
        "\"priority\":6,\"cron\":\"30 2 * * mon-fri\",\"tz\":\"Europe/Berlin\",\"missed\":\"all\","
        "\"missed_max\":5,\"overlap\":\"queue\",\"expires\":900,\"since\":1700000000,"
        "\"paused\":{\"reason\":\"moving\",\"by\":\"kim@host\",\"since\":1700000100}}";
    char when[SCHEDULE_WHEN_SIZE];
    struct schedule s;
    struct err e;

    (void)state;
    assert_true(parse("weekly", TEXT, &s, &e));
    assert_string_equal(s.task, "reports.send");
    assert_int_equal(cJSON_GetArraySize(s.args), 2);
    assert_true(json_get_bool(s.kwargs, "dry", false));
    assert_string_equal(s.queue, "slow");
    assert_int_equal(s.priority, 6);
    assert_int_equal(s.every_s, 0);
    assert_string_equal(schedule_when(&s, when), "cron 30 2 * * mon-fri Europe/Berlin");
    assert_int_equal(s.missed, SCHEDULE_ALL);
    assert_int_equal(s.missed_max, 5);
    assert_int_equal(s.overlap, SCHEDULE_OVERLAP_QUEUE);
    assert_int_equal(s.expires_s, 900);
    assert_int_equal(s.since_s, 1700000000);
    assert_true(s.pause.on);
    assert_string_equal(s.pause.by, "kim@host");
    assert_string_equal(s.pause.reason, "moving");
    assert_int_equal(s.pause.since_s, 1700000100);
    schedule_fini(&s);
}

static void what_a_definition_does_not_say_is_the_default(void **state)
{
    struct schedule s;
    struct err e;

    (void)state;
    assert_true(parse("a", "{\"task\":\"t\",\"cron\":\"0 4 * * *\"}", &s, &e));
    assert_string_equal(s.queue, "celery");
    assert_string_equal(s.zone, "UTC");
    assert_int_equal(s.missed, SCHEDULE_LATEST);
    assert_int_equal(s.overlap, SCHEDULE_OVERLAP_SKIP);
    assert_false(s.pause.on);
    assert_null(s.args);
    schedule_fini(&s);
    assert_true(parse("a", "{\"task\":\"t\",\"every\":5,\"missed\":\"all\"}", &s, &e));
    assert_int_equal(s.missed_max, SCHEDULE_MISSED_MAX);
    assert_int_equal(s.overlap, SCHEDULE_OVERLAP_QUEUE); /* several at once overlap themselves */
    schedule_fini(&s);
}

static void wrong_definitions_name_the_field(void **state)
{
    static const struct {
        const char *name, *json, *says;
    } CASES[] = {
        {"", "{\"task\":\"t\",\"every\":1}", "name"},
        {"a b", "{\"task\":\"t\",\"every\":1}", "name"},
        {"a", "", "empty"},
        {"a", "[]", "object"},
        {"a", "{\"every\":1}", "\"task\""},
        {"a", "{\"task\":\"\",\"every\":1}", "\"task\""},
        {"a", "{\"task\":5,\"every\":1}", "\"task\""},
        {"a", "{\"task\":\"t\"}", "\"every\""},
        {"a", "{\"task\":\"t\",\"every\":0}", "\"every\""},
        {"a", "{\"task\":\"t\",\"every\":1.5}", "\"every\""},
        {"a", "{\"task\":\"t\",\"every\":1e300}", "\"every\""},
        {"a", "{\"task\":\"t\",\"every\":\"1\"}", "\"every\""},
        {"a", "{\"task\":\"t\",\"every\":1,\"cron\":\"* * * * *\"}", "\"cron\""},
        {"a", "{\"task\":\"t\",\"every\":1,\"every\":2}", "\"every\""},
        {"a", "{\"task\":\"t\",\"every\":1,\"evry\":1}", "\"evry\""},
        {"a", "{\"task\":\"t\",\"every\":1,\"tz\":\"UTC\"}", "\"tz\""},
        {"a", "{\"task\":\"t\",\"cron\":\"* * * *\"}", "five fields"},
        {"a", "{\"task\":\"t\",\"cron\":\"61 * * * *\"}", "minute"},
        {"a", "{\"task\":\"t\",\"cron\":\"0 0 30 2 *\"}", "ever comes"},
        {"a", "{\"task\":\"t\",\"cron\":\"* * * * *\",\"tz\":\"Mars/Base\"}", "Mars/Base"},
        {"a", "{\"task\":\"t\",\"cron\":\"* * * * *\",\"tz\":\"../../etc/passwd\"}", "\"tz\""},
        {"a", "{\"task\":\"t\",\"cron\":\"* * * * *\",\"tz\":\"tzdata.zi\"}", "\"tz\""},
        {"a", "{\"task\":\"t\",\"every\":1,\"missed\":\"some\"}", "\"missed\""},
        {"a", "{\"task\":\"t\",\"every\":1,\"missed_max\":3}", "\"missed_max\""},
        {"a", "{\"task\":\"t\",\"every\":1,\"missed\":\"all\",\"missed_max\":101}",
         "\"missed_max\""},
        {"a", "{\"task\":\"t\",\"every\":1,\"missed\":\"all\",\"overlap\":\"skip\"}",
         "\"overlap\""},
        {"a", "{\"task\":\"t\",\"every\":1,\"overlap\":1}", "\"overlap\""},
        {"a", "{\"task\":\"t\",\"every\":1,\"priority\":10}", "\"priority\""},
        {"a", "{\"task\":\"t\",\"every\":1,\"args\":{}}", "\"args\""},
        {"a", "{\"task\":\"t\",\"every\":1,\"kwargs\":[]}", "\"kwargs\""},
        {"a", "{\"task\":\"t\",\"every\":1,\"expires\":0}", "\"expires\""},
        {"a", "{\"task\":\"t\",\"every\":1,\"since\":-1}", "\"since\""},
        {"a", "{\"task\":\"t\",\"every\":1,\"paused\":true}", "\"paused\""},
        {"a", "{\"task\":\"t\",\"every\":1,\"paused\":{\"why\":\"x\"}}", "\"why\""},
        {"a", "{\"task\":\"t\",\"every\":1,\"queue\":\"\"}", "\"queue\""},
    };
    struct schedule s;
    struct err e;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        assert_false(parse(CASES[i].name, CASES[i].json, &s, &e));
        if (!strstr(e.text, CASES[i].says)) {
            fail_msg("%s: %s", CASES[i].json, e.text);
        }
    }
}

static void builtins_can_be_changed_member_by_member(void **state)
{
    struct schedule s;
    struct err e;

    (void)state;
    assert_true(parse("batch", "{}", &s, &e));
    assert_int_equal(s.every_s, 600);
    assert_string_equal(s.task, "app.worker.calculate_power_and_rank_batch");
    assert_int_equal(s.overlap, SCHEDULE_OVERLAP_SKIP);
    assert_true(parse("batch", "{\"paused\":{}}", &s, &e));
    assert_true(s.pause.on && s.every_s == 600);
    assert_true(parse("batch", "{\"cron\":\"*/5 * * * *\",\"tz\":\"Asia/Seoul\"}", &s, &e));
    assert_int_equal(s.every_s, 0);
    assert_true(parse("prune", "{\"every\":3600}", &s, &e));
    assert_int_equal(s.every_s, 3600);
    assert_string_equal(s.zone, "");
    assert_true(schedule_builtin(0, &DEFAULTS, &s) && schedule_builtin(1, &DEFAULTS, &s));
    assert_false(schedule_builtin(SCHEDULE_BUILTINS, &DEFAULTS, &s));
    assert_true(schedule_is_builtin("batch") && !schedule_is_builtin("other"));
}

static void slots_of_intervals_and_crontabs(void **state)
{
    struct schedule s;
    struct err e;
    int64_t slot_s;

    (void)state;
    assert_true(parse("a", "{\"task\":\"t\",\"every\":600}", &s, &e));
    assert_true(schedule_next(&s, 600, &slot_s) && slot_s == 1200);
    assert_true(schedule_next(&s, 599, &slot_s) && slot_s == 600);
    assert_true(schedule_prev(&s, 600, &slot_s) && slot_s == 600);
    assert_true(schedule_prev(&s, 599, &slot_s) && slot_s == 0);
    assert_true(
        parse("a", "{\"task\":\"t\",\"cron\":\"0 9 * * *\",\"tz\":\"Asia/Seoul\"}", &s, &e));
    assert_true(schedule_next(&s, -1, &slot_s) && slot_s == 0); /* 9:00 there is 0:00 UTC */
    assert_true(schedule_prev(&s, 86399, &slot_s) && slot_s == 0);
}

static void slots_before_since_do_not_count(void **state)
{
    struct schedule s;
    struct err e;
    int64_t slot_s;

    (void)state;
    assert_true(parse("a", "{\"task\":\"t\",\"every\":600,\"since\":1200}", &s, &e));
    assert_true(schedule_next(&s, 0, &slot_s) && slot_s == 1200);
    assert_true(schedule_next(&s, 1200, &slot_s) && slot_s == 1800);
    assert_false(schedule_prev(&s, 1199, &slot_s));
    assert_true(schedule_prev(&s, 1200, &slot_s) && slot_s == 1200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_begin_at_multiples_of_the_interval),
        cmocka_unit_test(definitions_are_read),
        cmocka_unit_test(what_a_definition_does_not_say_is_the_default),
        cmocka_unit_test(wrong_definitions_name_the_field),
        cmocka_unit_test(builtins_can_be_changed_member_by_member),
        cmocka_unit_test(slots_of_intervals_and_crontabs),
        cmocka_unit_test(slots_before_since_do_not_count),
        cmocka_unit_test(late_is_after_two_intervals),
        cmocka_unit_test(ids_depend_on_schedule_and_slot_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
