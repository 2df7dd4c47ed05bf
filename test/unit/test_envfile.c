/* Files of settings: what a line means, and which are refused. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/envfile.h"

/* "NAME=value|NAME=value|" */
static bool note(void *ctx, const char *name, const char *value, struct err *e)
{
    char *out = ctx;

    (void)e;
    snprintf(out + strlen(out), 512 - strlen(out), "%s=%s|", name, value);
    return true;
}

static void check(const char *text, const char *expected)
{
    char out[512] = "";
    struct err e;

    if (!envfile_parse(text, strlen(text), note, out, &e)) {
        fail_msg("%s: %s", text, e.text);
    }
    assert_string_equal(out, expected);
}

static void test_lines(void **state)
{
    (void)state;
    check("", "");
    check("A=1", "A=1|");
    check("A=1\nB_2=two words \n", "A=1|B_2=two words|");
    check("# A=1\n\n  ; B=2\r\n\tC=3\r\n", "C=3|");
    check("A=\nB= x = y # z", "A=|B=x = y # z|");
    check("A=\"say \\\"hi\\\" \\\\ \\n\"  ", "A=say \"hi\" \\ \\n|");
    check("A='as \"it\" \\is'", "A=as \"it\" \\is|");
    check("A=''", "A=|");
    check("A=\xed\x95\x9c", "A=\xed\x95\x9c|");
}

static void refused(const char *text, size_t len, const char *why)
{
    char out[512] = "";
    struct err e;

    assert_false(envfile_parse(text, len, note, out, &e));
    assert_non_null(strstr(e.text, why));
}

#define REFUSED(text, why) refused(text, sizeof(text) - 1, why)

static void test_what_is_refused_is_named_with_its_line(void **state)
{
    (void)state;
    REFUSED("A=1\nB", "line 2: expected NAME=value");
    REFUSED("A 1=2", "line 1");
    REFUSED("2A=2", "line 1");
    REFUSED("=2", "line 1");
    REFUSED("export A=2", "line 1");
    REFUSED("A=\"x", "quotes");
    REFUSED("A='x' y", "quotes");
    REFUSED("A=\"x\\\"", "quotes");
    REFUSED("A=a\tb", "control character");
    REFUSED("A=a\0b", "UTF-8");
    REFUSED("A=\xff", "UTF-8");
}

static void test_a_file_goes_into_the_environment_whole_or_not_at_all(void **state)
{
    char path[] = "/tmp/envfile-XXXXXX";
    int fd = mkstemp(path);
    struct err e;

    (void)state;
    assert_true(fd >= 0);
    setenv("T_KEPT", "old", 1);
    assert_int_equal(write(fd, "T_KEPT=new\nbad line\n", 20), 20);
    assert_false(envfile_load(path, &e));
    assert_non_null(strstr(e.text, path));
    assert_string_equal(getenv("T_KEPT"), "old");
    assert_int_equal(ftruncate(fd, 11), 0);
    assert_true(envfile_load(path, &e));
    assert_string_equal(getenv("T_KEPT"), "new");
    close(fd);
    unlink(path);
    assert_false(envfile_load(path, &e));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_what_is_refused_is_named_with_its_line),
        cmocka_unit_test(test_a_file_goes_into_the_environment_whole_or_not_at_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
