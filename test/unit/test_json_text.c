/* JSON values that only pass through us: printed as they came, skipped without being read. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/json.h"
#include "common/json_raw.h"

static void test_numbers_keep_their_value(void **state)
{
    static const char *const SAME[] = {
        "0",
        "-1",
        "1.5",
        "0.1",
        "0.30000000000000004",
        "1000000000000000",
        "1795411368660520",
        "-42",
        "9007199254740992",
        "1e+300",
        "5e-324",
        "123456.789",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(SAME); i++) {
        struct err e;
        cJSON *v = json_parse(SAME[i], strlen(SAME[i]), &e);
        char *text = json_print(v);

        print_message("%s\n", SAME[i]);
        assert_true(strtod(text, NULL) == strtod(SAME[i], NULL));
        if (!strpbrk(SAME[i], "e")) {
            assert_string_equal(text, SAME[i]);
        }
        free(text);
        cJSON_Delete(v);
    }
}

static void test_what_is_printed_is_what_was_read(void **state)
{
    static const char TEXT[] = "{\"a\":[1,2.5,null,true,false,\"\\\"\\\\\\u0001\u017e\"],"
                               "\"b\":{},\"c\":[],\"\":\"\"}";
    struct err e;
    cJSON *v = json_parse(TEXT, sizeof TEXT - 1, &e);
    char *text = json_print(v);

    (void)state;
    assert_string_equal(text, TEXT);
    free(text);
    cJSON_Delete(v);
    assert_null(json_print(NULL));
}

static void test_a_full_buffer_says_so(void **state)
{
    cJSON *v = cJSON_CreateString("0123456789");
    struct buf out;

    (void)state;
    buf_init(&out, 8);
    assert_false(json_add(&out, v));
    buf_fini(&out);
    cJSON_Delete(v);
}

/* Strings are looked through in words: wherever the bad byte is in one, it is found. */
static void test_faults_are_found_at_every_place_of_a_string(void **state)
{
    static const struct {
        const char *bytes;
        bool good;
    } CASES[] = {{"\n", false},      {"\x1f", false}, {"\\u0000", false}, {"\\u0001", true},
                 {"\x7f", true},     {"\\\"", true},  {"\\\\", true},     {"\u017e", true},
                 {"\xff", false},    {"\xc5", false}, {" ", true},        {"\\u00000", false},
                 {"\\\\u0000", true}};

    (void)state;
    for (size_t at = 0; at < 20; at++) {
        for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
            char text[64];
            struct err e;
            cJSON *v;

            snprintf(text, sizeof text, "[\"%.*s%s%.*s\"]", (int)at, "aaaaaaaaaaaaaaaaaaaa",
                     CASES[i].bytes, (int)(19 - at), "bbbbbbbbbbbbbbbbbbbb");
            v = json_parse(text, strlen(text), &e);
            assert_int_equal(v != NULL, CASES[i].good);
            cJSON_Delete(v);
        }
    }
}

/* Between values only four kinds of white space are JSON. */
static void test_stray_control_bytes_are_refused(void **state)
{
    (void)state;
    for (int c = 0; c < 0x20; c++) {
        char text[] = {'[', '1', ',', (char)c, '2', ']'};
        struct err e;
        cJSON *v = json_parse(text, sizeof text, &e);

        assert_int_equal(v != NULL, c == '\t' || c == '\n' || c == '\r');
        cJSON_Delete(v);
    }
}

static bool skips(const char *text, size_t *len)
{
    const char *at = text;
    struct json_span span;
    bool ok = json_raw_value(&at, text + strlen(text), &span);

    *len = (size_t)(at - text);
    assert_true(at <= text + strlen(text));
    return ok;
}

static void test_values_are_skipped_whole(void **state)
{
    static const char *const VALUES[] = {
        "1",
        "-0.5e+3",
        "\"a\\\"]\"",
        "[]",
        "[1, [2, {}], \"]\"]",
        "{\"a\": NaN, \"b\": 1}",
        "NaN",
        "Infinity",
        "-Infinity",
        "null",
        "true",
        "false",
        "{ }",
        "[ ]",
        "  7",
        "\"\\u0000\"",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(VALUES); i++) {
        char text[64];
        size_t len;

        print_message("%s\n", VALUES[i]);
        strcpy(text, VALUES[i]);
        strcat(text, ", rest");
        assert_true(skips(text, &len));
        assert_int_equal(len, strlen(VALUES[i]));
    }
}

static void test_what_is_no_value_is_not_skipped(void **state)
{
    static const char *const BAD[] = {
        "",         " ",   "]",     "[1",     "[1 2]",      "[,]", "{1:2}",    "{\"a\"}",
        "{\"a\":}", "\"a", "\"a\\", "nul",    "-",          "1.",  "1e",       ".5",
        "+1",       "'a'", "[1,]",  "\"\n\"", "{\"a\":1,}", "Nan", "[\"\\\"]",
    };
    size_t len;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        print_message("%s\n", BAD[i]);
        assert_false(skips(BAD[i], &len));
    }
}

static void test_depth_is_bounded(void **state)
{
    char text[1000];
    size_t len;

    (void)state;
    memset(text, '[', sizeof text);
    text[sizeof text - 1] = '\0';
    assert_false(skips(text, &len));
    strcpy(text, "");
    for (int i = 0; i < JSON_DEPTH_MAX; i++) {
        strcat(text, "[");
    }
    for (int i = 0; i < JSON_DEPTH_MAX; i++) {
        strcat(text, "]");
    }
    assert_true(skips(text, &len));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_keep_their_value),
        cmocka_unit_test(test_what_is_printed_is_what_was_read),
        cmocka_unit_test(test_a_full_buffer_says_so),
        cmocka_unit_test(test_faults_are_found_at_every_place_of_a_string),
        cmocka_unit_test(test_stray_control_bytes_are_refused),
        cmocka_unit_test(test_values_are_skipped_whole),
        cmocka_unit_test(test_what_is_no_value_is_not_skipped),
        cmocka_unit_test(test_depth_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
