#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/table.h"

/* What the table prints; for free(). */
static char *printed(const struct table *t)
{
    char *out = NULL;
    size_t size = 0;
    struct term term;

    term_init(&term, open_memstream(&out, &size));
    assert_non_null(term.out);
    table_print(t, &term, 2);
    fclose(term.out);
    return out;
}

static void lines_end_with_their_last_text(void **state)
{
    static const struct table_column COLUMNS[] = {
        {"Name", false, 4}, {"Holds", true, 0}, {"", false, 0}};
    struct table t;
    char *text;

    (void)state;
    table_init(&t, COLUMNS, ARRAY_LEN(COLUMNS));
    table_add(&t, TERM_PLAIN, "a");
    table_add_number(&t, TERM_PLAIN, 1200);
    table_add(&t, TERM_PLAIN, "stops");
    table_add(&t, TERM_PLAIN, "longest");
    table_add(&t, TERM_PLAIN, "");
    table_add(&t, TERM_PLAIN, NULL);
    text = printed(&t);
    assert_string_equal(text, "  Name     Holds\n"
                              "  a        1,200  stops\n"
                              "  longest\n");
    free(text);
    table_fini(&t);
}

static void nothing_without_rows(void **state)
{
    static const struct table_column COLUMNS[] = {{"Name", false, 4}};
    struct table t;
    char *text;

    (void)state;
    table_init(&t, COLUMNS, ARRAY_LEN(COLUMNS));
    text = printed(&t);
    assert_string_equal(text, "");
    free(text);
    table_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_end_with_their_last_text),
        cmocka_unit_test(nothing_without_rows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
