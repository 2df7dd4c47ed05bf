#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/number.h"
#include "common/payload.h"

static struct payload_stats stats;
static struct payload_fault fault;

/* From a block of exactly that size, so that a sanitizer sees every byte read too far. */
static enum payload_kind parse_n(const char *text, size_t len)
{
    char *copy = malloc(len ? len : 1);
    enum payload_kind kind;

    assert_non_null(copy);
    memcpy(copy, text, len);
    kind = payload_parse(copy, len, &stats, &fault);
    free(copy);
    return kind;
}

static enum payload_kind parse(const char *text)
{
    return parse_n(text, strlen(text));
}

static void test_eight_stats(void **state)
{
    static const char TEXT[] =
        "{\"hp\": 13474, \"attack\": 409, \"defense\": 643, \"crit_rate\": 78, \"damage_amp\": 196,"
        " \"crit_damage\": 253, \"attack_speed\": 100, \"damage_reduction\": 96}";
    static const double WANTED[STAT_COUNT] = {409, 196, 78, 253, 100, 643, 96, 13474};

    (void)state;
    assert_int_equal(parse(TEXT), PAYLOAD_STATS);
    assert_memory_equal(stats.value, WANTED, sizeof WANTED);
    assert_int_equal(stats.fractional, 0);
}

static void test_empty_and_missing(void **state)
{
    (void)state;
    assert_int_equal(parse("{}"), PAYLOAD_EMPTY);
    assert_int_equal(parse(" { } "), PAYLOAD_EMPTY);
    assert_int_equal(parse("{\"other\": [1, {\"attack\": \"x\"}]}"), PAYLOAD_STATS);
    for (int s = 0; s < STAT_COUNT; s++) {
        assert_true(stats.value[s] == 0.0);
    }
}

static void test_a_profile_is_no_stats(void **state)
{
    static const char *const PROFILES[] = {
        "{\"mode\": \"profile\"}",
        "{\"hp\": 13474, \"mode\": \"profile\", \"attack\": 409}",
        "{\"hp\": \"x\", \"mode\":\"profile\", \"attack\": -1}",
        "{\"mode\" : \"sheet\", \"m\\u006fde\": \"p\\u0072ofile\" }",
    };
    static const char *const SHEETS[] = {
        "{\"hp\": 1, \"mode\": \"sheet\"}",
        "{\"hp\": 1, \"mode\": \"Profile\"}",
        "{\"hp\": 1, \"mode\": \"profil\"}",
        "{\"hp\": 1, \"mode\": \"profile \"}",
        "{\"hp\": 1, \"mode\": \"pr\u00f3file\"}",
        "{\"hp\": 1, \"mode\": \"profileprofileprofile\"}",
        "{\"hp\": 1, \"mode\": [\"profile\"]}",
        "{\"hp\": 1, \"mode\": null}",
        "{\"hp\": 1, \"modes\": \"profile\", \"Mode\": \"profile\", \"note\": \"profile\"}",
        "{\"hp\": 1, \"mode\": \"profile\", \"mode\": \"sheet\"}",
        "{\"hp\": 1, \"x\": {\"mode\": \"profile\"}}",
    };
    static const char *const BROKEN[] = {"{\"mode\":", "{\"mode\": \"profile",
                                         "{\"mode\": profile}", "{\"mode\": \"profile\"",
                                         "{\"mode\" \"profile\"}"};

    (void)state;
    for (size_t i = 0; i < sizeof PROFILES / sizeof *PROFILES; i++) {
        assert_int_equal(parse(PROFILES[i]), PAYLOAD_PROFILE);
    }
    for (size_t i = 0; i < sizeof SHEETS / sizeof *SHEETS; i++) {
        assert_int_equal(parse(SHEETS[i]), PAYLOAD_STATS);
        assert_true(stats.value[STAT_HP] == 1.0);
    }
    for (size_t i = 0; i < sizeof BROKEN / sizeof *BROKEN; i++) {
        assert_int_equal(parse(BROKEN[i]), PAYLOAD_BAD);
        assert_string_equal(fault.reason, "payload is not JSON");
    }
}

static void test_fractions_are_flagged(void **state)
{
    (void)state;
    assert_int_equal(parse("{\"hp\":100.0,\"attack\":0.5,\"defense\":1e3,\"crit_rate\":12.5e1,"
                           "\"attack_speed\":1.00000000000000000000000000000001}"),
                     PAYLOAD_STATS);
    assert_int_equal(stats.fractional, 1 << STAT_ATTACK | 1 << STAT_ATTACK_SPEED);
    assert_true(stats.value[STAT_ATTACK] == 0.5);
    assert_true(stats.value[STAT_DEFENSE] == 1000.0);
    assert_true(stats.value[STAT_CRIT_RATE] == 125.0);
    assert_true(stats.value[STAT_ATTACK_SPEED] == 1.0);
}

static void test_faults(void **state)
{
    static const struct {
        const char *text, *stat, *reason;
    } CASES[] = {
        {"[]", "", "payload is an array"},
        {"[{\"a\": [1, {}]}, []]", "", "payload is an array"},
        {"\"x\"", "", "payload is a string"},
        {"12", "", "payload is a number"},
        {"true", "", "payload is a boolean"},
        {"null", "", "payload is null"},
        {"{\"attack\": \"abc\"}", "attack", "\"abc\" is a string, not a number"},
        {"{\"attack\": \"12\"}", "attack", "\"12\" is a string, not a number"},
        {"{\"attack\": \"\"}", "attack", "\"\" is a string, not a number"},
        {"{\"hp\": null}", "hp", "null is not a number"},
        {"{\"hp\": true}", "hp", "true is a boolean, not a number"},
        {"{\"hp\": [1, 2]}", "hp", "[1, 2] is an array, not a number"},
        {"{\"hp\": {\"attack\": 1}}", "hp", "{\"attack\": 1} is an object, not a number"},
        {"{\"hp\": -5}", "hp", "-5 is negative"},
        {"{\"hp\": -1e-999}", "hp", "-1e-999 is negative"},
        {"{\"hp\": 1000000000001}", "hp", "1000000000001 is above 1e12"},
        {"{\"hp\": 1000000000000.0001}", "hp", "1000000000000.0001 is above 1e12"},
        {"{\"hp\": 1e999999999999999999999}", "hp", "1e999999999999999999999 is above 1e12"},
        {"{\"\\u0061ttack\": -1}", "attack", "-1 is negative"},
        {"{\"hp\": -1, \"attack\": \"x\"}", "attack", "\"x\" is a string, not a number"},
        {"{\"hp\": \"1234567890123456789012345678901234567890123\"}", "hp",
         "\"1234567890123456789012345678901234567890123... is a string, not a number"},
        {"{\"hp\": \"\x01\"}", "", "payload is not JSON"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        assert_int_equal(parse(CASES[i].text), PAYLOAD_BAD);
        assert_string_equal(fault.stat, CASES[i].stat);
        assert_string_equal(fault.reason, CASES[i].reason);
    }
}

static void test_limits_are_inside(void **state)
{
    (void)state;
    assert_int_equal(parse("{\"hp\": 1000000000000, \"attack\": -0, \"defense\": -0.000}"),
                     PAYLOAD_STATS);
    assert_true(stats.value[STAT_HP] == 1e12);
    assert_true(stats.value[STAT_ATTACK] == 0.0);
    assert_int_equal(parse("{\"hp\": 1e12, \"attack\": 1000000000000.000}"), PAYLOAD_STATS);
    assert_int_equal(stats.fractional, 0);
}

static void test_last_of_a_repeated_key_counts(void **state)
{
    (void)state;
    assert_int_equal(parse("{\"hp\": \"x\", \"hp\": 7}"), PAYLOAD_STATS);
    assert_true(stats.value[STAT_HP] == 7.0);
    assert_int_equal(parse("{\"hp\": 0.5, \"hp\": 7}"), PAYLOAD_STATS);
    assert_int_equal(stats.fractional, 0);
    assert_int_equal(parse("{\"hp\": 7, \"hp\": []}"), PAYLOAD_BAD);
}

static void test_keys_are_compared_exactly(void **state)
{
    (void)state;
    assert_int_equal(parse("{\"Hp\": -1, \"hp \": -1, \"h\\u0070\": 3, \"attacks\": null, \"\": 1,"
                           " \"damage_reduction_\": -1, \"\\u00e9hp\": -1, \"공격\": \"x\"}"),
                     PAYLOAD_STATS);
    assert_true(stats.value[STAT_HP] == 3.0);
}

static void test_malformed(void **state)
{
    static const char *const CASES[] = {"",
                                        " ",
                                        "{",
                                        "{\"hp\"",
                                        "{\"hp\":",
                                        "{\"hp\":1",
                                        "{\"hp\":1,",
                                        "{\"hp\":1,}",
                                        "{\"hp\" 1}",
                                        "{hp:1}",
                                        "{\"hp\":01}",
                                        "{\"hp\":1.}",
                                        "{\"hp\":.5}",
                                        "{\"hp\":+1}",
                                        "{\"hp\":1e}",
                                        "{\"hp\":1e+}",
                                        "{\"hp\":-}",
                                        "{\"hp\":NaN}",
                                        "{\"hp\":tru}",
                                        "{\"x\":[1,]}",
                                        "{\"x\":[1 2]}",
                                        "{\"x\":[}]}",
                                        "{\"x\":{]}}",
                                        "{} {}",
                                        "[1] 2",
                                        "{\"\\x\":1}",
                                        "{\"\\u12g4\":1}",
                                        "{\"x\":\"\\",
                                        "{\"x\":\"a",
                                        "{\"x\":{\"a\"}}",
                                        "{\"x\":1]",
                                        "{\"x\":{\"a\":1,}}",
                                        "nul",
                                        "\"a",
                                        "{\"x\":[1}",
                                        "{\"x\":\"\n\"}"};

    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        assert_int_equal(parse(CASES[i]), PAYLOAD_BAD);
        assert_string_equal(fault.stat, "");
        assert_string_equal(fault.reason, "payload is not JSON");
    }
    assert_int_equal(parse_n("{\"hp\":1}\0", 9), PAYLOAD_BAD);
    assert_int_equal(parse_n("\0", 1), PAYLOAD_BAD);
}

/* depth brackets around nothing, as the value of a key that does not matter */
static enum payload_kind parse_deep(size_t depth)
{
    char text[2 * PAYLOAD_DEPTH_MAX + 64];
    size_t n = (size_t)sprintf(text, "{\"x\":");

    memset(text + n, '[', depth);
    memset(text + n + depth, ']', depth);
    n += 2 * depth;
    memcpy(text + n, ",\"hp\":7}", 8);
    return parse_n(text, n + 8);
}

static void test_depth_is_bounded(void **state)
{
    (void)state;
    assert_int_equal(parse_deep(1), PAYLOAD_STATS);
    assert_int_equal(parse_deep(PAYLOAD_DEPTH_MAX), PAYLOAD_STATS);
    assert_true(stats.value[STAT_HP] == 7.0);
    assert_int_equal(parse_deep(PAYLOAD_DEPTH_MAX + 1), PAYLOAD_BAD);
}

static void test_nested_values_are_skipped(void **state)
{
    (void)state;
    assert_int_equal(parse("{\"a\":{\"hp\":-1,\"b\":[{},[],{\"c\":[[1,\"]\"],{\"d\":\"}\"}]}]},"
                           "\"e\":[],\"hp\":9}"),
                     PAYLOAD_STATS);
    assert_true(stats.value[STAT_HP] == 9.0);
}

/* Every way to write a number must give what strtod gives. */
static void test_numbers_round_as_strtod(void **state)
{
    static const char *const CASES[] = {
        "0",
        "0.1",
        "0.30000000000000004",
        "123456789012",
        "999999999999.9999",
        "999999999999.99999999999999999999999",
        "9007199254740993e-5",
        "4.9406564584124654e-324",
        "2.4703282292062327e-324",
        "2.4703282292062328e-324",
        "1e-400",
        "1.7976931348623157e-308",
        "0.000000000000000000000000000000000000000000000000000001",
        "5e-324",
        "100000000000000000000e-10",
        "12345.678901234567890123456789",
        "0e999999999",
        "1E+2",
    };

    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct number n;

        assert_int_equal(number_read(CASES[i], strlen(CASES[i]), &n), strlen(CASES[i]));
        assert_false(n.above || n.negative);
        assert_true(n.value == strtod(CASES[i], NULL));
    }
}

static void test_random_numbers_round_as_strtod(void **state)
{
    uint64_t x = 88172645463325252u;

    (void)state;
    for (int i = 0; i < 200000; i++) {
        char text[64];
        struct number n;

        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        snprintf(text, sizeof text, "%u.%0*llue-%u", (unsigned)(x % 100000), 1 + (int)(x >> 60),
                 (unsigned long long)(x >> 20 & 0xfffffffffff), (unsigned)(x >> 40 & 15));
        assert_int_equal(number_read(text, strlen(text), &n), strlen(text));
        assert_true(n.above ? strtod(text, NULL) >= 1e12 : n.value == strtod(text, NULL));
    }
}

/* A midpoint between two doubles is decided by a digit very far to the right. */
static void test_very_long_numbers(void **state)
{
    static const char MIDPOINT[] = "1.00000000000000011102230246251565404236316680908203125";
    enum { LEN = 131000 };
    char *text = malloc(LEN);
    struct number n;

    (void)state;
    assert_non_null(text);
    memset(text, '0', LEN);
    memcpy(text, MIDPOINT, sizeof MIDPOINT - 1);
    assert_int_equal(number_read(text, LEN, &n), LEN);
    assert_true(n.value == 1.0);
    text[LEN - 1] = '1';
    assert_int_equal(number_read(text, LEN, &n), LEN);
    assert_true(n.value == 1.0000000000000002);
    assert_false(n.whole);
    memset(text, '9', LEN);
    assert_int_equal(number_read(text, LEN, &n), LEN);
    assert_true(n.above);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_eight_stats),
        cmocka_unit_test(test_empty_and_missing),
        cmocka_unit_test(test_a_profile_is_no_stats),
        cmocka_unit_test(test_fractions_are_flagged),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_limits_are_inside),
        cmocka_unit_test(test_last_of_a_repeated_key_counts),
        cmocka_unit_test(test_keys_are_compared_exactly),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_depth_is_bounded),
        cmocka_unit_test(test_nested_values_are_skipped),
        cmocka_unit_test(test_numbers_round_as_strtod),
        cmocka_unit_test(test_random_numbers_round_as_strtod),
        cmocka_unit_test(test_very_long_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
