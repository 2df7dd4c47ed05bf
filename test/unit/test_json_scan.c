#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "ctl/json_scan.h"

static struct span span_of(const char *s)
{
    return (struct span){s, strlen(s)};
}

static bool accepts(const char *text)
{
    enum json_kind kind;
    const char *why = NULL;
    bool ok = json_scan_check(span_of(text), &kind, &why);

    assert_true(ok == (why == NULL));
    return ok;
}

static void test_json_is_accepted(void **state UNUSED)
{
    static const char *const TEXTS[] = {
        "{}",
        "[]",
        " { \"a\" : [ 1 , -2.5e+3 , true , false , null , \"x\" ] } ",
        "0",
        "-0",
        "-0.0",
        "1E5",
        "1e131071",
        "1e-16383",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"",
        "\"\\ud83d\\ude00\"",
        "\"\xed\x95\x9c\"",
        "{\"a\":1,\"a\":2}",
        "\t\r\n0",
    };

    for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++) {
        assert_true(accepts(TEXTS[i]));
    }
}

static void test_what_is_not_json_or_cannot_be_stored_is_refused(void **state UNUSED)
{
    static const char *const TEXTS[] = {
        "",
        " ",
        "{",
        "[",
        "}",
        "[1,]",
        "{\"a\":1,}",
        "{\"a\"}",
        "{a:1}",
        "{'a':1}",
        "[1 2]",
        "01",
        "-",
        "+1",
        ".5",
        "1.",
        "1e",
        "1e+",
        "0x1",
        "NaN",
        "Infinity",
        "-Infinity",
        "1e131073",
        "1e-16384",
        "1e99999999999999999999",
        "tru",
        "nul",
        "truex",
        "1x",
        "{} {}",
        "\"",
        "\"\\\"",
        "\"\\",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\t\"",
        "\"\n\"",
        "\"\\u0000\"",
        "\"\\ud83d\"",
        "\"\\ude00\"",
        "\"\\ud83d\\u0041\"",
        "\"\\ud83d\\",
        "[\"a]",
        "{\"a\":}",
        "[,1]",
        "{,}",
        "[1}",
        "{\"a\":1]",
        "// x\n1",
        "\v1",
    };

    for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++) {
        if (accepts(TEXTS[i])) {
            fail_msg("accepted %s", TEXTS[i]);
        }
    }
}

static void test_depth(void **state UNUSED)
{
    char text[2 * (JSON_DEPTH_MAX + 1) + 1];

    for (size_t depth = JSON_DEPTH_MAX; depth <= JSON_DEPTH_MAX + 1; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        text[2 * depth] = '\0';
        assert_int_equal(accepts(text), depth == JSON_DEPTH_MAX);
    }
}

static void test_members_are_walked(void **state UNUSED)
{
    struct json_scan s;
    struct json_member m;
    char found[256] = "";

    json_scan_object(&s, span_of(" {\"a\":1, \"b\" : \"x\\n\",\"c\":[{}] ,\"d\":null} "));
    while (json_scan_member(&s, &m) == 1) {
        size_t at = strlen(found);

        snprintf(found + at, sizeof found - at, "%.*s=%.*s/%d;", (int)m.key.len, m.key.p,
                 (int)m.value.len, m.value.p, m.kind);
    }
    assert_null(s.why);
    assert_string_equal(found, "a=1/1;b=x\\n/0;c=[{}]/3;d=null/6;");
}

static void test_bad_objects_are_refused(void **state UNUSED)
{
    static const char *const TEXTS[] = {
        "",           "[]",         "1",          ",\"a\":1}",         "{\"a\":1",
        "{\"a\":1,",  "{\"a\":1,}", "{\"a\":1}}", "{\"a\":1 \"b\":2}", "{}{",
        "{,\"a\":1}", "{1:1}",
    };

    for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++) {
        struct json_scan s;
        struct json_member m;
        int more;

        json_scan_object(&s, span_of(TEXTS[i]));
        while ((more = json_scan_member(&s, &m)) == 1) {
        }
        assert_int_equal(more, -1);
        assert_non_null(s.why);
    }
}

static void test_escapes_are_decoded(void **state UNUSED)
{
    struct buf b;

    buf_init(&b, KIB);
    json_scan_decode(span_of("a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\ud55c\\ud83d\\ude00z"),
                     &b);
    assert_string_equal(b.data, "a\"\\/\b\f\n\r\tA\xc3\xa9\xed\x95\x9c\xf0\x9f\x98\x80z");
    buf_fini(&b);
}

static void test_numbers(void **state UNUSED)
{
    static const char *const GOOD[] = {"0", "-1", "12.50", "1e3"};
    static const char *const BAD[] = {"", " 1", "1 ", "1,5", "abc", "0x10", "1e", "--1"};

    for (size_t i = 0; i < ARRAY_LEN(GOOD); i++) {
        assert_true(json_scan_is_number(span_of(GOOD[i])));
    }
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        assert_false(json_scan_is_number(span_of(BAD[i])));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_is_accepted),
        cmocka_unit_test(test_what_is_not_json_or_cannot_be_stored_is_refused),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_members_are_walked),
        cmocka_unit_test(test_bad_objects_are_refused),
        cmocka_unit_test(test_escapes_are_decoded),
        cmocka_unit_test(test_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
