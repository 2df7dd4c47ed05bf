#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/cors.h"

static void test_lists(void **state)
{
    static const struct {
        const char *list;
        bool ok;
    } CASES[] = {
        {"", true},
        {"*", true},
        {"https://aion2.example", true},
        {" https://a.example , http://localhost:3000,", true},
        {"https://[::1]:8080", true},
        {"a.example", false},
        {"https://", false},
        {"https://a.example/", false},
        {"https://A.example", false},
        {"https://u@a.example", false},
        {"https://a.example b", false},
        {"*,https://a.example", false},
        {"null", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct err e = {0};

        if (cors_check_list(CASES[i].list, &e) != CASES[i].ok) {
            fail_msg("\"%s\": %s", CASES[i].list, e.text);
        }
    }
}

static void test_origins(void **state)
{
    static const char LIST[] = "https://a.example, http://localhost:3000";

    (void)state;
    assert_true(cors_allows(LIST, "https://a.example"));
    assert_true(cors_allows(LIST, "http://localhost:3000"));
    assert_false(cors_allows(LIST, "https://a.example.evil"));
    assert_false(cors_allows(LIST, "https://a.exampl"));
    assert_false(cors_allows(LIST, "http://a.example"));
    assert_false(cors_allows(LIST, "null"));
    assert_false(cors_allows(LIST, ""));
    assert_false(cors_allows("", "https://a.example"));
    assert_true(cors_allows("*", "https://b.example"));
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_origins),
    };

    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
