#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/fold.h"

static void test_what_is_typed_finds_names(void **state)
{
    static const struct {
        const char *typed, *name;
        bool found;
    } CASES[] = {
        {"달", "달그림자", true},
        {"달그", "달그림자", true},
        {"ㄷ", "달그림자", true},
        {"ㄷㄱㄹㅈ", "달그림자", true},
        {"달ㄱㄹ", "달그림자", true},
        {"ㄷ그", "달그림자", true},
        {"ㄷㄱㄹㅊ", "달그림자", false},
        {"그", "달그림자", false},
        {"ㄸ", "달그림자", false},
        {"ㄲ", "까치", true},
        {"ㄱ", "까치", false},
        {"ㅎ", "힣", true},
        {"ㄱ", "가", true},
        {"ab", "ABc", true},
        {"AB", "abc", true},
        {"abc", "ab", false},
        {"", "any", true},
        {"ㅏ", "아", false},
        {"ㄳ", "가", false},
        {"é", "É", false},
        {"日", "日本", true},
        {"a日ㄱ", "A日글", true},
        {"x", "ㄱ", false},
        {"ㄱ", "ㄱㄴ", true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        if (fold_matches(CASES[i].typed, strlen(CASES[i].typed), CASES[i].name,
                         strlen(CASES[i].name)) != CASES[i].found) {
            fail_msg("%s in %s", CASES[i].typed, CASES[i].name);
        }
    }
}

/* What matches has the folded text typed as the beginning of its folded name: the index relies on
 * it. */
static void test_folded_texts_agree(void **state)
{
    static const char *const TEXTS[] = {"달그림자", "ㄷㄱ", "달ㄱ", "Abc",  "aBC",   "a일b", "ㅇ",
                                        "일",       "까",   "ㄲ",   "日本", "\"q\\", ""};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++) {
        for (size_t k = 0; k < ARRAY_LEN(TEXTS); k++) {
            char typed[FOLD_MAX], name[FOLD_MAX];
            bool initials = fold_has_initial(TEXTS[i], strlen(TEXTS[i]));
            size_t (*fold)(const char *, size_t, char *, size_t) =
                initials ? fold_initials : fold_name;
            size_t a = fold(TEXTS[i], strlen(TEXTS[i]), typed, sizeof typed);
            size_t b = fold(TEXTS[k], strlen(TEXTS[k]), name, sizeof name);

            if (fold_matches(TEXTS[i], strlen(TEXTS[i]), TEXTS[k], strlen(TEXTS[k]))) {
                assert_true(a <= b);
                assert_memory_equal(typed, name, a);
            }
        }
    }
}

static void test_which_texts_have_initials(void **state)
{
    (void)state;
    assert_true(fold_has_initial("ㄱ", 3));
    assert_true(fold_has_initial("달ㄱ", 6));
    assert_false(fold_has_initial("달", 3));
    assert_false(fold_has_initial("ㅏ", 3));
    assert_false(fold_has_initial("abc", 3));
    assert_false(fold_has_initial("", 0));
}

static void test_no_byte_is_written_past_the_end(void **state)
{
    char out[4] = "xxxx";

    (void)state;
    assert_int_equal(fold_initials("달그림자", 12, out, 3), 3);
    assert_int_equal(out[3], 'x');
    assert_int_equal(fold_name("ABCDEF", 6, out, 3), 3);
    assert_memory_equal(out, "abcx", 4);
    assert_int_equal(fold_initials("\xe3\x84", 2, out, 3), 2); /* cut: byte by byte */
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(test_what_is_typed_finds_names),
        cmocka_unit_test(test_folded_texts_agree),
        cmocka_unit_test(test_which_texts_have_initials),
        cmocka_unit_test(test_no_byte_is_written_past_the_end),
    };

    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
