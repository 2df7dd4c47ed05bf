#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/term.h"

#define SPACES_10 "          "
#define SPACES_70 SPACES_10 SPACES_10 SPACES_10 SPACES_10 SPACES_10 SPACES_10 SPACES_10

static void numbers_get_separators(void **state)
{
    static const struct {
        int64_t n;
        const char *text;
    } CASES[] = {
        {0, "0"},
        {999, "999"},
        {1000, "1,000"},
        {1234567, "1,234,567"},
        {-1, "-1"},
        {-999, "-999"},
        {-1000, "-1,000"},
        {-123456, "-123,456"},
        {INT64_MIN, "-9,223,372,036,854,775,808"},
        {INT64_MAX, "9,223,372,036,854,775,807"},
    };
    char buf[TERM_NUMBER_SIZE];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        assert_string_equal(term_number(buf, CASES[i].n), CASES[i].text);
    }
}

static void durations_are_short(void **state)
{
    static const struct {
        int64_t s;
        const char *text;
    } CASES[] = {
        {0, "0:00"},
        {7, "0:07"},
        {60, "1:00"},
        {754, "12:34"},
        {3599, "59:59"},
        {3600, "1:00:00"},
        {86399, "23:59:59"},
        {86400, "1 d 00:00"},
        {183600, "2 d 03:00"},
        {100 * 86400, "100 d"},
        {-5, "-0:05"},
        {INT64_MAX, "106751991167300 d"},
        {INT64_MIN, "-106751991167300 d"},
    };
    char buf[TERM_NUMBER_SIZE];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        assert_string_equal(term_duration(buf, CASES[i].s), CASES[i].text);
    }
}

static void text_is_fitted_and_made_harmless(void **state)
{
    static const struct {
        const char *text;
        int width;
        const char *fitted;
        int used;
    } CASES[] = {
        {"abc", 3, "abc", 3},
        {"abcd", 3, "ab…", 3},
        {"abcd", 1, "…", 1},
        {"abcd", 0, "", 0},
        {"", 5, "", 0},
        {NULL, 5, "", 0},
        {"가나", 4, "가나", 4},
        {"가나", 3, "가…", 3},
        {"가나다", 4, "가…", 3}, /* half a character is never shown */
        {"a\033[2Jb", 9, "a?[2Jb", 6},
        {"a\nb\tc\x7f", 9, "a?b?c?", 6},
        {"a\xc2\x9b"
         "31m",
         9, "a?31m", 5}, /* C1 control */
        {"a\xe2\x80\xae"
         "b",
         9, "a?b", 3}, /* right-to-left override */
        {"e\xcc\x81"
         "x",
         2,
         "e\xcc\x81"
         "x",
         2}, /* a combining mark takes no cell */
        {"\xff\xfe", 20, "(not UTF-8)", 11},
    };
    char out[TERM_TEXT_SIZE];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        assert_int_equal(term_fit(out, CASES[i].text, CASES[i].width), CASES[i].used);
        assert_string_equal(out, CASES[i].fitted);
    }
}

static void no_text_is_too_long(void **state)
{
    static char text[4 * TERM_TEXT_SIZE];
    char out[TERM_TEXT_SIZE];

    (void)state;
    for (size_t shift = 0; shift < 3; shift++) { /* the cut falls into each byte of a character */
        size_t n = shift;

        memset(text, 'x', shift);
        for (; n + 3 < sizeof text; n += 3) {
            memcpy(text + n, "가", 3);
        }
        text[n] = '\0';
        assert_true(term_fit(out, text, 10000) > 300);
        assert_true(strlen(out) < sizeof out);
        assert_string_equal(out + strlen(out) - 3, "…");
    }
}

static void cells_are_padded(void **state)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    struct term t = {.out = out};

    (void)state;
    term_cell(&t, TERM_RED, 5, "ab");
    term_cell(&t, TERM_RED, -5, "가");
    term_text(&t, TERM_RED, 5, "ab");
    t.colour = true;
    term_cell(&t, TERM_RED, 4, "ab");
    term_print(&t, TERM_PLAIN, "%d", 7);
    fclose(out);
    assert_string_equal(text, "ab      가ab\033[31mab\033[0m  7");
    free(text);
}

static void long_text_is_wrapped(void **state)
{
    static const struct {
        const char *text;
        int indent, max_lines;
        const char *lines;
    } CASES[] = {
        {"", 70, 3, ""},
        {"one two", 70, 3, SPACES_70 "one two\n"},
        {"one two three four", 70, 3, SPACES_70 "one two\n" SPACES_70 "three four\n"},
        {"one two three four", 70, 1, SPACES_70 "one two t…\n"},
        {"0123456789abc de", 70, 3, SPACES_70 "0123456789\n" SPACES_70 "abc de\n"},
        {"0123456789 abc", 70, 3, SPACES_70 "0123456789\n" SPACES_70 "abc\n"},
        {"가나다라마 바사", 70, 3, SPACES_70 "가나다라마\n" SPACES_70 "바사\n"},
        {"a\nb", 70, 3, SPACES_70 "a?b\n"},
        {"   ", 70, 3, SPACES_70 "   \n"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        char *text = NULL;
        size_t len = 0;
        FILE *out = open_memstream(&text, &len);
        struct term t = {.out = out};

        term_wrap(&t, TERM_PLAIN, CASES[i].indent, CASES[i].max_lines, CASES[i].text);
        fclose(out);
        assert_string_equal(text, CASES[i].lines);
        free(text);
    }
}

static void coloured_lines_are_cut(void **state)
{
    static const struct {
        int width;
        const char *line, *cut;
    } CASES[] = {
        {3, "abcdef", "abc"},
        {6, "abcdef", "abcdef"},
        {0, "a\033[1mb\033[0m", "\033[1m\033[0m"},
        {2, "\033[31mabc\033[0mde", "\033[31mab\033[0m"},
        {3, "안녕", "안"},
        {4, "안녕x", "안녕"},
        {2, "\033[2Jab", "\033[2"}, /* no colour: it is cut as text is */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct buf b;

        buf_init(&b, KIB);
        term_clip(&b, CASES[i].line, strlen(CASES[i].line), CASES[i].width);
        assert_string_equal(b.data ? b.data : "", CASES[i].cut);
        buf_fini(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_get_separators),
        cmocka_unit_test(durations_are_short),
        cmocka_unit_test(text_is_fitted_and_made_harmless),
        cmocka_unit_test(no_text_is_too_long),
        cmocka_unit_test(cells_are_padded),
        cmocka_unit_test(long_text_is_wrapped),
        cmocka_unit_test(coloured_lines_are_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
