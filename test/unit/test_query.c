/* What comes with a request: the query string, Accept-Encoding, If-None-Match; and the time that
 * an answer may be kept. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/negotiate.h"
#include "api/query.h"

static const struct query_param PARAMS[] = {
    {"server", QUERY_TEXT_OPTIONAL, 0, 0, 0, ""},
    {"name", QUERY_TEXT, 0, 0, 0, ""},
    {"limit", QUERY_INT, 1, 100, 10, ""},
};

static struct query_value values[ARRAY_LEN(PARAMS)];
static struct query_error error;

static bool parse(const char *query)
{
    memset(&error, 0, sizeof error);
    return query_parse(query, PARAMS, ARRAY_LEN(PARAMS), values, &error);
}

static void test_values_are_decoded(void **state)
{
    (void)state;
    assert_true(parse("name=%EB%82%98+%2B%22&server=Siel&limit=7"));
    assert_string_equal(values[1].text, "나 +\"");
    assert_string_equal(values[0].text, "Siel");
    assert_int_equal(values[2].number, 7);
    assert_true(parse("&&n%61me=a%3Db&"));
    assert_string_equal(values[1].text, "a=b");
    assert_false(values[0].given);
    assert_int_equal(values[2].number, 10);
    assert_true(parse("name=x=y&server="));
    assert_string_equal(values[1].text, "x=y");
    assert_false(values[0].given);
}

static void test_refusals_name_the_parameter(void **state)
{
    static const struct {
        const char *query, *param, *detail;
    } CASES[] = {
        {NULL, "name", "name is missing."},
        {"", "name", "name is missing."},
        {"server=a", "name", "missing"},
        {"name=", "name", "1 to 64"},
        {"name", "name", "1 to 64"},
        {"name=a&name=b", "name", "more than once"},
        {"name=a&limit=0", "limit", "from 1 to 100"},
        {"name=a&limit=101", "limit", "from 1 to 100"},
        {"name=a&limit=", "limit", "from 1 to 100"},
        {"name=a&limit=1x", "limit", "whole number"},
        {"name=a&limit=+1", "limit", "whole number"},
        {"name=a&limit=1.0", "limit", "whole number"},
        {"name=a&limit=99999999999999999999", "limit", "whole number"},
        {"name=a&limit=9%", "limit", "whole number"},
        {"name=%", "name", "percent-encoded"},
        {"name=%4", "name", "percent-encoded"},
        {"name=%zz", "name", "percent-encoded"},
        {"name=%ff", "name", "UTF-8"},
        {"name=%c0%80", "name", "UTF-8"},
        {"name=%ed%a0%80", "name", "UTF-8"},
        {"name=a%00b", "name", "control"},
        {"name=a%0ab", "name", "control"},
        {"name=a&Limit=1", "Limit", "knows server, name, limit."},
        {"name=a&x=1", "x", "knows server, name, limit."},
        {"%ff=1", "", "name of a parameter"},
        {"%00=1", "", "name of a parameter"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        assert_false(parse(CASES[i].query));
        assert_string_equal(error.param, CASES[i].param);
        assert_non_null(strstr(error.detail, CASES[i].detail));
    }
    assert_false(query_parse("a=1", NULL, 0, NULL, &error));
    assert_non_null(strstr(error.detail, "takes no parameters"));
    assert_true(query_parse(NULL, NULL, 0, NULL, &error));
}

static void test_texts_have_64_characters_at_most(void **state)
{
    char query[1024] = "name=";

    (void)state;
    for (int i = 0; i < 64; i++) {
        strcat(query, "%F0%9F%98%80");
    }
    assert_true(parse(query));
    assert_int_equal(values[1].len, 256);
    assert_false(parse(strcat(query, "a")));
    strcpy(query, "name=");
    memset(query + 5, 'a', 65);
    query[70] = '\0';
    assert_false(parse(query));
    query[69] = '\0';
    assert_true(parse(query));
}

static void test_accept_encoding(void **state)
{
    static const struct {
        const char *value;
        bool gzip;
    } CASES[] = {
        {NULL, false},
        {"", false},
        {"gzip", true},
        {"GZip", true},
        {"x-gzip", true},
        {"deflate, gzip;q=0.5", true},
        {"gzip;q=0", false},
        {"gzip;q=0.000", false},
        {"gzip ; q=0.001", true},
        {"*", true},
        {"*;q=0", false},
        {"identity", false},
        {"identity;q=1, gzip;q=0.5", false},
        {"identity;q=0.5, gzip;q=0.5", true},
        {"gzip;q=0, *", false},
        {"deflate, br", false},
        {"gzipped", false},
        {"gzip;q=2", false},
        {"gzip;q=0.5000", false},
        {"gzip;q=", false},
        {"gzip;level=9", false},
        {",,gzip,,", true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        assert_int_equal(negotiate_gzip(CASES[i].value), CASES[i].gzip);
    }
}

static void test_if_none_match(void **state)
{
    static const struct {
        const char *value;
        bool hit;
    } CASES[] = {
        {NULL, false},     {"", false},           {"*", true},
        {" * ", true},     {"\"7-ab\"", true},    {"W/\"7-ab\"", true},
        {"7-ab", false},   {"\"7-abc\"", false},  {"\"x\", W/\"y\" ,\"7-ab\"", true},
        {"\"7-ab", false}, {"\"\"", false},       {"\"x\"\"7-ab\"", true},
        {"*, x", false},   {"w/\"7-ab\"", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        assert_int_equal(negotiate_not_modified(CASES[i].value, "\"7-ab\""), CASES[i].hit);
    }
}

static void test_max_age_ends_at_the_next_batch(void **state)
{
    static const struct {
        int64_t generated_s, now_s, interval_s, max_age_s;
    } CASES[] = {
        {6000, 6000, 600, 600}, {6001, 6001, 600, 599}, {6001, 6300, 600, 300},
        {6001, 6599, 600, 1},   {6001, 6600, 600, 1},   {6001, 99999, 600, 1},
        {6599, 6599, 600, 1},   {6001, 5000, 600, 600}, {10, 10, 1, 1},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        assert_int_equal(negotiate_max_age_s(CASES[i].generated_s * 1000000,
                                             CASES[i].now_s * 1000000, CASES[i].interval_s),
                         CASES[i].max_age_s);
    }
}

static void pick(const char *query)
{
    query_pick(query, PARAMS, ARRAY_LEN(PARAMS), values);
}

static void test_pages_pass_over_what_they_cannot_read(void **state)
{
    (void)state;
    pick("utm_source=x&name=%EB%82%98&limit=7&fbclid=%ZZ");
    assert_true(values[1].given);
    assert_string_equal(values[1].text, "나");
    assert_int_equal(values[2].number, 7);
    pick("name=%ff&server=%0a&limit=101");
    for (size_t i = 0; i < ARRAY_LEN(PARAMS); i++) {
        assert_false(values[i].given);
        assert_string_equal(values[i].text, "");
    }
    assert_int_equal(values[2].number, 10);
    pick("name=%ff&name=b&name=c&server=");
    assert_string_equal(values[1].text, "b");
    assert_false(values[0].given);
    pick(NULL);
    assert_false(values[1].given);
}

static void test_accept_html(void **state)
{
    (void)state;
    assert_true(negotiate_html("text/html,application/xhtml+xml,*/*;q=0.8"));
    assert_true(negotiate_html("application/json, TEXT/HTML ; q=0.1"));
    assert_false(negotiate_html("text/html;q=0, */*"));
    assert_false(negotiate_html("*/*"));
    assert_false(negotiate_html("application/json"));
    assert_false(negotiate_html("text/htmlx"));
    assert_false(negotiate_html(NULL));
}

static void test_accept_language(void **state)
{
    static const char *const LANGUAGES[] = {"ko", "en"};
    static const struct {
        const char *header;
        size_t best;
    } CASES[] = {
        {NULL, 0},          {"", 0},
        {"*", 0},           {"ko-KR,ko;q=0.9,en;q=0.8", 0},
        {"en", 1},          {"en-US,en;q=0.9", 1},
        {"en, ko", 0},      {"ja;q=1, en;q=0.5, ko;q=0.6", 0},
        {"ja,zh;q=0.5", 1}, {"EN-gb;q=0.9,ko;q=0.1", 1},
        {"kok", 1},         {"ko;q=0, en;q=0.1", 1},
        {"ko;q=0", 1},      {";;,,en;q=9", 1},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        assert_int_equal(negotiate_language(CASES[i].header, LANGUAGES, 2), CASES[i].best);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_are_decoded),
        cmocka_unit_test(test_refusals_name_the_parameter),
        cmocka_unit_test(test_texts_have_64_characters_at_most),
        cmocka_unit_test(test_pages_pass_over_what_they_cannot_read),
        cmocka_unit_test(test_accept_html),
        cmocka_unit_test(test_accept_language),
        cmocka_unit_test(test_accept_encoding),
        cmocka_unit_test(test_if_none_match),
        cmocka_unit_test(test_max_age_ends_at_the_next_batch),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
