/* Texts put into HTML, and templates. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/html.h"
#include "api/page_text.h"

static struct buf out;

static int open_buf(void **state)
{
    (void)state;
    buf_init(&out, 64 * KIB);
    return 0;
}

static int close_buf(void **state)
{
    (void)state;
    buf_fini(&out);
    return 0;
}

static const char *text(void)
{
    assert_true(buf_add(&out, "", 1));
    return out.data;
}

static void test_markup_becomes_text(void **state)
{
    (void)state;
    html_add_text(&out, "<b a='1' b=\"2\">R&D</b> 나무꾼");
    assert_string_equal(text(), "&lt;b a=&#39;1&#39; b=&quot;2&quot;&gt;R&amp;D&lt;/b&gt; 나무꾼");
}

/* They would turn the rest of a title around. Letters of such scripts stay. */
static void test_direction_marks_are_left_out(void **state)
{
    (void)state;
    html_add_text(&out, "a\u202eb\u2066c\u2069d\u200f\u200ee\u061c \u0645\u2019 \u2028\xe2\x80");
    assert_string_equal(text(), "abcde \u0645\u2019 \u2028\xe2\x80");
}

static const char *value(const void *arg, const char *name, size_t len)
{
    (void)arg;
    return len == 4 && memcmp(name, "name", 4) == 0 ? "<{{name}}>" : "";
}

/* What is filled in is not looked through for names again. */
static void test_templates(void **state)
{
    (void)state;
    html_fill(&out, "{{name}} and {{}}{ {name} }}", value, NULL);
    assert_string_equal(text(), "<{{name}}> and { {name} }}");
    buf_reset(&out);
    html_fill_escaped(&out, "<p title=\"{{name}}\">{{name}}", value, NULL);
    assert_string_equal(text(), "<p title=\"&lt;{{name}}&gt;\">&lt;{{name}}&gt;");
    buf_reset(&out);
    html_fill(&out, "", value, NULL);
    assert_string_equal(text(), "");
}

static void test_texts_by_language(void **state)
{
    (void)state;
    assert_string_equal(page_text(PAGE_KO, "nav_ranking", 11), "랭킹");
    assert_string_equal(page_text(PAGE_EN, "nav_ranking", 11), "Ranking");
    assert_string_equal(page_text(PAGE_EN, "nav_ranking and more", 11), "Ranking");
    assert_null(page_text(PAGE_EN, "nav_rankin", 10));
    assert_null(page_text(PAGE_EN, "", 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_markup_becomes_text, open_buf, close_buf),
        cmocka_unit_test_setup_teardown(test_direction_marks_are_left_out, open_buf, close_buf),
        cmocka_unit_test_setup_teardown(test_templates, open_buf, close_buf),
        cmocka_unit_test(test_texts_by_language),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
