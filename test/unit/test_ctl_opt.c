/* Options of aion2ctl, and tables for terminals of any width. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/ctl.h"
#include "ctl/table.h"

struct values {
    bool flag;
    const char *text, *word;
    int64_t n, span;
};
static const struct opt OPTS[] = {
    {"flag", OPT_FLAG, offsetof(struct values, flag), 0, 0, NULL},
    {"text", OPT_TEXT, offsetof(struct values, text), 0, 0, NULL},
    {"word", OPT_TEXT, offsetof(struct values, word), 0, 0, "ab|abc|d"},
    {"n", OPT_I64, offsetof(struct values, n), -5, 5, NULL},
    {"span", OPT_SPAN, offsetof(struct values, span), 1, 86400, NULL},
    OPT_END,
};

static int parse(struct values *v, int argc, const char *const *words)
{
    static char kept[16][64]; /* v points into it */
    char *argv[17] = {kept[0]};

    assert_in_range(argc, 0, 15);
    for (int i = 0; i < argc; i++) {
        snprintf(kept[i + 1], sizeof kept[0], "%s", words[i]);
        argv[i + 1] = kept[i + 1];
    }
    return opt_parse("test", OPTS, argc + 1, argv, v);
}

static void options_fill_in_the_struct(void **state)
{
    static const char *const WORDS[] = {"one", "--flag", "--text", "x y",    "--word=abc",
                                        "--n", "-5",     "two",    "--span", "2h"};
    struct values v = {.n = 1};

    (void)state;
    assert_int_equal(parse(&v, ARRAY_LEN(WORDS), WORDS), 9);
    assert_true(v.flag);
    assert_string_equal(v.text, "x y");
    assert_string_equal(v.word, "abc");
    assert_int_equal(v.n, -5);
    assert_int_equal(v.span, 7200);
}

static void what_is_not_given_stays(void **state)
{
    struct values v = {.n = 3, .span = 4, .text = "t"};

    (void)state;
    assert_int_equal(parse(&v, 0, NULL), 1);
    assert_int_equal(v.n, 3);
    assert_string_equal(v.text, "t");
}

static void wrong_values_are_refused(void **state)
{
    static const char *const CASES[][2] = {
        {"--n", "6"},      {"--n", "1x"},     {"--n", ""},      {"--span", "0"},
        {"--span", "25h"}, {"--span", "h"},   {"--span", "1w"}, {"--span", "-1s"},
        {"--word", "a"},   {"--word", "ab|"}, {"--word", ""},   {"--none", "x"},
    };
    struct values v = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        assert_int_equal(parse(&v, 2, CASES[i]), -1);
    }
}

static void spans_have_units(void **state)
{
    static const struct {
        const char *text;
        int64_t s;
    } CASES[] = {{"90", 90}, {"90s", 90}, {"15m", 900}, {"2h", 7200}, {"1d", 86400}, {"0", 0}};
    int64_t s = -1;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        assert_true(opt_read_span(CASES[i].text, 0, 86400, &s));
        assert_int_equal(s, CASES[i].s);
    }
    assert_false(opt_read_span("106751991167301d", 0, INT64_MAX, &s));
}

static const struct table_column COLUMNS[] = {
    {"Name", false, 6}, {"N", true, 0}, {"Id", false, -4}};

/* What a table of one row looks like in so many columns; the caller frees. */
static char *table_text(const char *columns, const char *name, const char *id)
{
    struct term t = {.colour = false};
    struct table table;
    char *text = NULL;
    size_t len;

    setenv("COLUMNS", columns, 1);
    t.out = open_memstream(&text, &len);
    assert_non_null(t.out);
    table_init(&table, COLUMNS, ARRAY_LEN(COLUMNS));
    table_add(&table, TERM_RED, name);
    table_add_number(&table, TERM_PLAIN, 1234);
    table_add(&table, TERM_PLAIN, id);
    table_print(&table, &t, 1);
    table_fini(&table);
    fclose(t.out);
    return text;
}

static void assert_table(const char *columns, const char *name, const char *id, const char *want)
{
    char *text = table_text(columns, name, id);

    assert_string_equal(text, want);
    free(text);
}

static void tables_are_as_wide_as_they_must(void **state)
{
    (void)state;
    assert_table("80", "a", "b", " Name      N  Id\n a     1,234  b\n");
    assert_table("80", "\xec\x95\x88\xeb\x85\x95\xed\x95\x98", NULL,
                 " Name        N  Id\n \xec\x95\x88\xeb\x85\x95\xed\x95\x98  1,234\n");
    assert_table("80", "a\033[1m\n", "b", " Name        N  Id\n a?[1m?  1,234  b\n");
}

static void what_is_too_much_is_cut_from_the_willing(void **state)
{
    (void)state;
    assert_table("40", "abcdefghijklmnopqrstuvwxyz", "0123456789abcdef",
                 " Name                N  Id\n abcdefghijklm…  1,234  0123456789abcdef\n");
    assert_table("40", "abcdefgh", "0123456789abcdef0123456789abcdef0123456789",
                 " Name        N  Id\n abcde…  1,234  0123456789abcdef0123456…\n");
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(options_fill_in_the_struct),
        cmocka_unit_test(what_is_not_given_stays),
        cmocka_unit_test(wrong_values_are_refused),
        cmocka_unit_test(spans_have_units),
        cmocka_unit_test(tables_are_as_wide_as_they_must),
        cmocka_unit_test(what_is_too_much_is_cut_from_the_willing),
    };

    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
