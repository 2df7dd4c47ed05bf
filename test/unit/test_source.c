#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/json.h"
#include "common/mem.h"
#include "common/source.h"
#include "common/stats.h"

/* What came back, kept after the callback. */
struct seen {
    int times;
    enum source_outcome outcome;
    struct source_person person; /* with copies of its texts */
    int64_t retry_after_ms;
    char reason[200];
    struct source_call **cancel; /* to be cancelled from within, NULL: nothing */
};

struct lab {
    struct event_base *base;
    struct source_settings settings;
    struct source *src;
};

static int set_up(void **state)
{
    struct lab *l = mem_alloc(sizeof *l);
    struct source_config cf = {.settings = &l->settings};
    struct err e;

    l->settings = (struct source_settings){.adapter = "dummy",
                                           .region = "kr",
                                           .search_url = "",
                                           .base_url = "",
                                           .lang = "",
                                           .race = "auto",
                                           .contact = "",
                                           .interval_ms = 1,
                                           .timeout_ms = 1000};
    l->base = cf.base = event_base_new();
    l->src = source_new(&cf, &e);
    assert_non_null(l->src);
    *state = l;
    return 0;
}

static int tear_down(void **state)
{
    struct lab *l = *state;

    source_free(l->src);
    event_base_free(l->base);
    free(l);
    return 0;
}

static void see(void *ctx, const struct source_reply *r)
{
    struct seen *s = ctx;

    s->times++;
    s->outcome = r->outcome;
    s->retry_after_ms = r->retry_after_ms;
    strncpy(s->reason, r->reason, sizeof s->reason - 1);
    if (r->person) {
        s->person = *r->person;
        s->person.stats_payload = mem_strdup(r->person->stats_payload);
        s->person.raw_payload = mem_strdup(r->person->raw_payload);
    }
    if (s->cancel) {
        source_cancel(*s->cancel);
    }
}

static void forget(struct seen *s)
{
    free(s->person.stats_payload);
    free(s->person.raw_payload);
    *s = (struct seen){0};
}

static struct source_call *ask(struct lab *l, const char *server, const char *name,
                               struct seen *seen)
{
    struct err e;
    struct source_call *c = source_lookup(l->src, server, name, see, seen, &e);

    assert_non_null(c);
    return c;
}

static void run(struct lab *l)
{
    assert_true(event_base_dispatch(l->base) >= 0);
}

static int64_t stat_of(const struct seen *s, int stat)
{
    struct err e;
    cJSON *doc = json_parse(s->person.stats_payload, strlen(s->person.stats_payload), &e);
    int64_t v = -1;

    assert_non_null(doc);
    assert_true(json_get_i64(doc, STAT_NAMES[stat], 0, 1000000, &v));
    cJSON_Delete(doc);
    return v;
}

static void test_dummy_is_the_same_each_time(void **state)
{
    struct lab *l = *state;
    struct seen first = {0}, again = {0}, other = {0};

    ask(l, "Siel", "가나다", &first);
    assert_int_equal(first.times, 0); /* never from within the call */
    run(l);
    ask(l, "시엘", "가나다", &again);
    ask(l, "Israphel", "가나다", &other);
    run(l);
    assert_int_equal(first.outcome, SOURCE_FOUND);
    assert_string_equal(first.reason, "");
    assert_string_equal(first.person.mode, "sheet");
    assert_string_equal(first.person.server, "Siel");
    assert_string_equal(again.person.server, "Siel");
    assert_string_equal(first.person.stats_payload, again.person.stats_payload);
    assert_string_equal(first.person.source_id, again.person.source_id);
    assert_true(first.person.power == again.person.power);
    assert_string_not_equal(first.person.stats_payload, other.person.stats_payload);
    forget(&first);
    forget(&again);
    forget(&other);
}

/* Around the least and the greatest of the recorded characters. */
static void test_dummy_is_plausible(void **state)
{
    static const int64_t MOST[STAT_COUNT] = {4959, 687, 1257, 301, 726, 14603, 446, 15259};
    struct lab *l = *state;
    int64_t sum[STAT_COUNT] = {0}, low = INT64_MAX, high = 0;

    for (int i = 0; i < 300; i++) {
        struct seen s = {0};
        char name[16];

        snprintf(name, sizeof name, "char%d", i);
        ask(l, "Siel", name, &s);
        run(l);
        assert_int_equal(s.outcome, SOURCE_FOUND);
        assert_in_range(s.person.level, 5, 45);
        assert_true(s.person.power > 3000 && s.person.power < 400000);
        for (int k = 0; k < STAT_COUNT; k++) {
            assert_in_range(stat_of(&s, k), 0, (uint64_t)MOST[k]);
            sum[k] += stat_of(&s, k);
        }
        low = s.person.power < low ? s.person.power : low;
        high = s.person.power > high ? s.person.power : high;
        forget(&s);
    }
    assert_true(high > 2 * low); /* not all alike */
    assert_in_range(sum[STAT_ATTACK] / 300, 2000, 4000);
    assert_in_range(sum[STAT_HP] / 300, 8000, 13000);
}

static void test_dummy_has_bad_days(void **state)
{
    static const struct {
        const char *name;
        enum source_outcome outcome;
    } CASES[] = {{"NotFound1", SOURCE_NOT_FOUND},
                 {"Resting", SOURCE_RESTING},
                 {"CrowdedX", SOURCE_CROWDED},
                 {"Unavailable가", SOURCE_UNAVAILABLE},
                 {"notFound", SOURCE_FOUND}};
    struct lab *l = *state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct seen s = {0};

        ask(l, "Siel", CASES[i].name, &s);
        run(l);
        assert_int_equal(s.times, 1);
        assert_int_equal(s.outcome, CASES[i].outcome);
        assert_int_equal(s.reason[0] == '\0', s.outcome == SOURCE_FOUND);
        assert_int_equal(s.retry_after_ms > 0,
                         s.outcome == SOURCE_RESTING || s.outcome == SOURCE_CROWDED);
        forget(&s);
    }
}

static void test_equal_lookups_are_one(void **state)
{
    struct lab *l = *state;
    struct seen s[3] = {0};

    ask(l, "Siel", "Slow1", &s[0]);
    ask(l, "시엘", "Slow1", &s[1]);
    source_cancel(ask(l, "Siel", "Slow1", &s[2]));
    run(l);
    assert_int_equal(s[0].times, 1);
    assert_int_equal(s[1].times, 1);
    assert_int_equal(s[2].times, 0);
    forget(&s[0]);
    forget(&s[1]);
}

static void test_cancelling(void **state)
{
    struct lab *l = *state;
    struct seen a = {0}, b = {0};
    struct source_call *first = ask(l, "Siel", "x", &a);

    ask(l, "Siel", "x", &b);
    b.cancel = &first; /* the later call is told first */
    run(l);
    assert_int_equal(b.times, 1);
    assert_int_equal(a.times, 0);
    forget(&b);
    source_cancel(ask(l, "Siel", "x", &a));
    run(l); /* nothing is left to do */
    assert_int_equal(a.times, 0);
}

static void test_a_sheet_of_the_dummy(void **state)
{
    struct lab *l = *state;
    struct source_who who = {.server = "Siel", .name = "x", .raw_payload = "{}"};
    struct seen a = {0}, b = {0};
    struct err e;

    assert_non_null(source_sheet(l->src, &who, see, &a, &e));
    ask(l, "Siel", "x", &b);
    run(l);
    assert_int_equal(a.outcome, SOURCE_FOUND);
    assert_string_equal(a.person.stats_payload, b.person.stats_payload);
    forget(&a);
    forget(&b);
}

static void test_calls_are_bounded(void **state)
{
    static struct seen seen[SOURCE_CALLS_MAX];
    struct lab *l = *state;
    struct err e;

    for (int i = 0; i < SOURCE_CALLS_MAX; i++) {
        ask(l, "Siel", "Slow", &seen[i]);
    }
    assert_null(source_lookup(l->src, "Siel", "y", see, &seen[0], &e));
    assert_int_equal(e.cls, ERR_RETRYABLE);
    /* and source_free() forgets them all */
}

static void test_settings_are_checked(void **state)
{
    struct lab *l = *state;
    struct source_settings s = l->settings;
    struct err e;

    s.adapter = "plaync";
    assert_false(source_settings_check(&s, &e));
    assert_non_null(strstr(e.text, "SOURCE_CONTACT"));
    s.contact = "mailto:me@example.com";
    assert_true(source_settings_check(&s, &e));
    s.contact = "evil\r\nOrigin: x";
    assert_false(source_settings_check(&s, &e));
    s.contact = "x";
    s.base_url = "ftp://example.com";
    assert_false(source_settings_check(&s, &e));
    assert_string_equal(source_server_name(&l->settings, "시엘"), "Siel");
    assert_string_equal(source_server_name(&l->settings, "Chantra"), "Chantra");
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test_setup_teardown(test_dummy_is_the_same_each_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_dummy_is_plausible, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_dummy_has_bad_days, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_equal_lookups_are_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cancelling, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_sheet_of_the_dummy, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_calls_are_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_settings_are_checked, set_up, tear_down),
    };

    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
