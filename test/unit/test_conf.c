/* Settings, JSON intake and error classes: what comes from outside at start. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/conf.h"
#include "common/json.h"
#include "common/pg.h"

struct sample {
    const char *url;
    int64_t interval_s;
    bool fast;
    const char *level;
};

static const struct conf_item ITEMS[] = {
    CONF_STR("T_URL", struct sample, url, "redis://localhost", CONF_SECRET_URL, "where"),
    CONF_INT("T_INTERVAL", struct sample, interval_s, "600", 1, 86400, "seconds"),
    CONF_BOOL("T_FAST", struct sample, fast, "false", "hurry"),
    CONF_CHOICE("T_LEVEL", struct sample, level, "info", "debug|info", "level"),
};

static int clear_env(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ITEMS); i++) {
        unsetenv(ITEMS[i].name);
    }
    return 0;
}

static void test_defaults_and_environment(void **state)
{
    struct sample s;
    struct err e;

    (void)state;
    assert_true(conf_load(ITEMS, ARRAY_LEN(ITEMS), &s, &e));
    assert_string_equal(s.url, "redis://localhost");
    assert_int_equal(s.interval_s, 600);
    assert_false(s.fast);
    setenv("T_INTERVAL", "10", 1);
    setenv("T_FAST", "yes", 1);
    setenv("T_URL", "", 1); /* empty counts as not set */
    setenv("T_LEVEL", "debug", 1);
    assert_true(conf_load(ITEMS, ARRAY_LEN(ITEMS), &s, &e));
    assert_int_equal(s.interval_s, 10);
    assert_true(s.fast);
    assert_string_equal(s.url, "redis://localhost");
    assert_string_equal(s.level, "debug");
}

static void test_a_wrong_value_names_the_variable(void **state)
{
    static const char *const BAD[][2] = {
        {"T_INTERVAL", "0"}, {"T_INTERVAL", "86401"}, {"T_INTERVAL", "10s"}, {"T_FAST", "maybe"},
        {"T_LEVEL", "loud"}, {"T_LEVEL", "debug|"},   {"T_LEVEL", "inf"},    {"T_URL", "a\nb"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        struct sample s;
        struct err e = {0};

        clear_env(NULL);
        setenv(BAD[i][0], BAD[i][1], 1);
        assert_false(conf_load(ITEMS, ARRAY_LEN(ITEMS), &s, &e));
        assert_non_null(strstr(e.text, BAD[i][0]));
    }
}

static void test_secrets_are_masked(void **state)
{
    static const char *const CASES[][2] = {
        {"redis://:secret@h:1/0", "redis://:***@h:1/0"},
        {"postgresql://u:p%40ss@h/db?x=1", "postgresql://u:***@h/db?x=1"},
        {"postgresql://h/db?user=u&password=secret&sslmode=require",
         "postgresql://h/db?user=u&password=***&sslmode=require"},
        {"host=h password=secret dbname=d", "host=h password=*** dbname=d"},
        {"postgresql://h/db?sslpassword=s1&password=s2",
         "postgresql://h/db?sslpassword=***&password=***"},
        {"host=h password = secret dbname=d", "host=h password = *** dbname=d"},
        {"host=h password='my \\' secret' dbname=d", "host=h password=***"},
        {"host=h dbname=password", "host=h dbname=password"},
        {"redis://h:6379/0", "redis://h:6379/0"},
        {"redis://secret@h:6379/0", "redis://***@h:6379/0"},
        {"redis://me:secret@h", "redis://me:***@h"},
        {"redis+sentinel://me:secret@h:1,i:2/m/0?sentinel_username=w&sentinel_password=secret",
         "redis+sentinel://me:***@h:1,i:2/m/0?sentinel_username=w&sentinel_password=***"},
        {"postgresql://u@h/db", "postgresql://u@h/db"},
        {"host=/run/x dbname=d", "host=/run/x dbname=d"},
    };
    char out[4096];
    FILE *f;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        assert_string_equal(conf_mask_url(CASES[i][0]), CASES[i][1]);
    }
    setenv("T_URL", "redis://:geheim@h", 1);
    f = fmemopen(out, sizeof out, "w");
    conf_print_effective(ITEMS, ARRAY_LEN(ITEMS), f);
    conf_print_help(ITEMS, ARRAY_LEN(ITEMS), f);
    fclose(f);
    assert_null(strstr(out, "geheim"));
    assert_non_null(strstr(out, "T_URL=redis://:***@h  (environment)"));
    assert_non_null(strstr(out, "T_INTERVAL=600  (default)"));
    assert_non_null(strstr(out, "default: 600; 1 to 86400"));
}

static void test_json_is_strict(void **state)
{
    static const char *const GOOD[] = {"1",           "null", " {\"a\":[1,2,{}]} ",
                                       "\"\\u00e9\"", "[]\n", "\"[[[[\""};
    static const char *const BAD[] = {
        "",         " ",      "{",        "{\"a\":}", "[1,]",       "nul",        "1 2", "{} x",
        "\"\x01\"", "\"\n\"", "\"\xff\"", "NaN",      "[Infinity]", "{\"a\":1}}", "'a'",
    };
    char deep[3 * JSON_DEPTH_MAX];
    struct err e;
    cJSON *v;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(GOOD); i++) {
        v = json_parse(GOOD[i], strlen(GOOD[i]), &e);
        assert_non_null(v);
        cJSON_Delete(v);
    }
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        assert_null(json_parse(BAD[i], strlen(BAD[i]), &e));
        assert_int_equal(e.cls, ERR_PERMANENT);
    }
    memset(deep, '[', JSON_DEPTH_MAX);
    memset(deep + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
    v = json_parse(deep, (size_t)2 * JSON_DEPTH_MAX, &e);
    assert_non_null(v);
    cJSON_Delete(v);
    memset(deep, '[', sizeof deep);
    assert_null(json_parse(deep, sizeof deep, &e));
    assert_non_null(strstr(e.text, "too deep"));
    assert_null(json_parse("1\0", 2, &e)); /* a NUL is not white space */
}

static void test_json_members(void **state)
{
    struct err e;
    const char text[] =
        "{\"s\":\"x\",\"n\":7,\"f\":1.5,\"big\":1e300,\"z\":null,\"b\":true,\"o\":{}}";
    cJSON *v = json_parse(text, sizeof text - 1, &e);
    int64_t n = -1;

    (void)state;
    assert_non_null(v);
    assert_string_equal(json_get_str(v, "s"), "x");
    assert_null(json_get_str(v, "n"));
    assert_null(json_get_str(v, "S")); /* case matters */
    assert_true(json_get_i64(v, "n", 0, 10, &n) && n == 7);
    assert_false(json_get_i64(v, "n", 8, 10, &n));
    assert_false(json_get_i64(v, "f", 0, 10, &n));
    assert_false(json_get_i64(v, "big", INT64_MIN, INT64_MAX, &n));
    assert_true(json_get_bool(v, "b", false));
    assert_true(json_get_bool(v, "absent", true));
    assert_false(json_has(v, "z"));
    assert_true(json_has(v, "o"));
    assert_null(json_get_arr(v, "o"));
    cJSON_Delete(v);
}

static void test_sqlstates_are_classed(void **state)
{
    static const struct {
        const char *state;
        enum err_class cls;
    } CASES[] = {
        {NULL, ERR_RETRYABLE},    {"", ERR_RETRYABLE},      {"08006", ERR_RETRYABLE},
        {"08P01", ERR_PERMANENT}, {"40001", ERR_RETRYABLE}, {"40P01", ERR_RETRYABLE},
        {"40002", ERR_PERMANENT}, {"53100", ERR_RETRYABLE}, {"53300", ERR_RETRYABLE},
        {"55P03", ERR_RETRYABLE}, {"55000", ERR_PERMANENT}, {"57014", ERR_CANCELLED},
        {"57P01", ERR_RETRYABLE}, {"57P03", ERR_RETRYABLE}, {"57P04", ERR_PERMANENT},
        {"58030", ERR_RETRYABLE}, {"58P01", ERR_PERMANENT}, {"25006", ERR_RETRYABLE},
        {"25P02", ERR_PERMANENT}, {"25P03", ERR_RETRYABLE}, {"22P02", ERR_PERMANENT},
        {"23505", ERR_PERMANENT}, {"28P01", ERR_PERMANENT}, {"42P01", ERR_PERMANENT},
        {"XX000", ERR_PERMANENT}, {"HV00N", ERR_RETRYABLE},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        print_message("%s\n", CASES[i].state ? CASES[i].state : "(none)");
        assert_int_equal(pg_sqlstate_class(CASES[i].state), CASES[i].cls);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_defaults_and_environment, clear_env),
        cmocka_unit_test_setup(test_a_wrong_value_names_the_variable, clear_env),
        cmocka_unit_test_setup(test_secrets_are_masked, clear_env),
        cmocka_unit_test(test_json_is_strict),
        cmocka_unit_test(test_json_members),
        cmocka_unit_test(test_sqlstates_are_classed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
