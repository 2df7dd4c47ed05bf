#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/cursor.h"

static void test_there_and_back(void **state)
{
    static const struct cursor CASES[] = {
        {0, 0, 0}, {1, 20, 0xdeadbeef}, {INT64_MAX, UINT32_MAX, UINT32_MAX}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        char text[CURSOR_SIZE];
        struct cursor c;

        cursor_print(&CASES[i], text);
        assert_true(cursor_parse(text, &c));
        assert_memory_equal(&c, &CASES[i], sizeof c);
    }
}

/* Whatever is changed in it, it is no cursor any more, or exactly what it says. */
static void test_changed_texts(void **state)
{
    struct cursor c = {77, 1000, 0x12345678}, read;
    char text[CURSOR_SIZE], again[CURSOR_SIZE];
    int taken = 0;

    (void)state;
    cursor_print(&c, text);
    for (size_t i = 0; i < strlen(text); i++) {
        char before = text[i];

        for (int b = 1; b < 128; b++) {
            text[i] = (char)b;
            if (b != before && cursor_parse(text, &read)) {
                assert_string_equal(cursor_print(&read, again), text);
                taken++;
            }
        }
        text[i] = before;
    }
    assert_true(taken < 5); /* the checksum has 12 bits */
    for (size_t len = strlen(text); len-- > 0;) {
        text[len] = '\0';
        assert_false(cursor_parse(text, &read));
    }
}

static void test_boards_differ(void **state)
{
    (void)state;
    assert_int_equal(cursor_board("a", "b"), cursor_board("a", "b"));
    assert_int_not_equal(cursor_board("a", ""), cursor_board("", "a"));
    assert_int_not_equal(cursor_board("ab", "c"), cursor_board("a", "bc"));
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_changed_texts),
        cmocka_unit_test(test_boards_differ),
    };

    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
