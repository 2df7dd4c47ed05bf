/* Lines of the log: as logfmt, as JSON, with what they are about. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/json.h"
#include "common/log.h"
#include "common/log_line.h"

/* ---- what is written ---- */

static int kept_stderr;
static FILE *written;

static int set_up(void **state)
{
    (void)state;
    log_init("test", LOG_INFO);
    log_set_format("logfmt");
    fflush(stderr);
    kept_stderr = dup(STDERR_FILENO);
    written = tmpfile();
    return kept_stderr < 0 || !written || dup2(fileno(written), STDERR_FILENO) < 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (const char *const *key = (const char *const[]){"id", "run", NULL}; *key; key++) {
        log_context(*key, NULL);
    }
    dup2(kept_stderr, STDERR_FILENO);
    close(kept_stderr);
    fclose(written);
    return 0;
}

/* Everything logged since the begin of the test; of a static buffer. */
static const char *logged(void)
{
    static char text[32 * 1024];
    ssize_t n = pread(fileno(written), text, sizeof text - 1, 0);

    text[n > 0 ? n : 0] = '\0';
    return text;
}

static void assert_ends(const char *end)
{
    const char *text = logged();
    size_t len = strlen(text);

    if (len < strlen(end) || strcmp(text + len - strlen(end), end) != 0) {
        print_error("%s does not end with %s", text, end);
        fail();
    }
}

static void test_a_line(void **state)
{
    (void)state;
    log_info("a.b", "n=%d text=%s", 3, LOGQ("x \"y\"\n"));
    assert_int_equal(strncmp(logged(), "ts=20", 5), 0);
    assert_ends(" event=a.b n=3 text=\"x \\\"y\\\"\\x0a\"\n");
}

static void test_the_context_is_said_once(void **state)
{
    (void)state;
    log_context("id", "a \"b\"");
    log_context_i64("run", 7);
    log_info("a.b", "id_other=1");
    assert_ends(" event=a.b id_other=1 id=\"a \\\"b\\\"\" run=7\n");
    log_info("a.b", "run=8 text=%s", LOGQ("id=9"));
    assert_ends(" event=a.b run=8 text=\"id=9\" id=\"a \\\"b\\\"\"\n");
    log_context("id", NULL);
    log_context_i64("run", 9);
    log_info("a.b", "n=1");
    assert_ends(" event=a.b n=1 run=9\n");
}

static void test_a_long_line_is_clipped_and_keeps_its_context(void **state)
{
    char big[3000];

    (void)state;
    memset(big, 'x', sizeof big);
    big[sizeof big - 1] = '\0';
    log_context("id", "t1");
    log_info("a.b", "text=\"%s\"", big);
    assert_ends("xxx\" id=\"t1\"\n");
}

static void test_json(void **state)
{
    struct err e;
    cJSON *v;

    (void)state;
    assert_true(log_set_format("json"));
    assert_false(log_set_format("xml"));
    assert_true(log_set_format("json"));
    log_context("id", "t1");
    log_info("a.b", "n=3 name=%s", LOGQ("\xED\x95\x9C \"\xff\"\t"));
    v = json_parse(logged(), strlen(logged()), &e);
    assert_non_null(v);
    assert_string_equal(json_get_str(v, "event"), "a.b");
    assert_string_equal(json_get_str(v, "id"), "t1");
    assert_string_equal(json_get_str(v, "name"), "\xED\x95\x9C \"\xEF\xBF\xBD\"\t");
    assert_true(cJSON_IsNumber(cJSON_GetObjectItem(v, "n")));
    cJSON_Delete(v);
}

/* ---- the pure part ---- */

static void test_conversion(void **state)
{
    static const struct {
        const char *line, *json;
    } CASES[] = {
        {"", "{}"},
        {"a=1 b=-2.5 c=007 d=1. e=- f=1e5",
         "{\"a\":1,\"b\":-2.5,\"c\":\"007\",\"d\":\"1.\",\"e\":\"-\","
         "\"f\":\"1e5\"}"},
        {"a=\"1\" b=", "{\"a\":\"1\",\"b\":\"\"}"},
        {"word a=x", "{\"word\":\"\",\"a\":\"x\"}"},
        {"pid=1 pid=2 pid=3", "{\"pid\":1,\"pid_2\":2,\"pid_3\":3}"},
        {"a=\"open", "{\"a\":\"open\"}"},
        {"a=\"q\\\"w\\\\e\\x1br\"", "{\"a\":\"q\\\"w\\\\e\\u001br\"}"},
        {"a=\"\\x7f\\xzz\\\"", "{\"a\":\"\\u007fxzz\\\"\"}"},
        {"a=b\xff", "{\"a\":\"b\\ufffd\"}"},
        {"a=1234567890123456789 b=123456789012345678",
         "{\"a\":\"1234567890123456789\",\"b\":123456789012345678}"},
        {"a=\"\\x00\"", "{\"a\":\"\\ufffd\"}"},
        {"  a=1  b=2 ", "{\"a\":1,\"b\":2}"},
    };
    char out[LOG_JSON_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        size_t len = log_to_json(CASES[i].line, out);

        assert_int_equal(len, strlen(CASES[i].json));
        assert_memory_equal(out, CASES[i].json, len);
    }
}

/* Whatever is too long, and wherever it ends: an object that can be read. */
static void test_long_lines_stay_json(void **state)
{
    char line[5000], out[LOG_JSON_MAX];

    (void)state;
    for (size_t len = LOG_JSON_MAX - 80; len < sizeof line - 40; len++) {
        struct err e;
        cJSON *v;
        size_t n = (size_t)snprintf(line, sizeof line, "ts=1 text=\"");

        memset(line + n, '\\', len); /* every second one doubles */
        snprintf(line + n + (len & ~1u), sizeof line - n - len, "\" more=5 last=\"x\"");
        n = log_to_json(line, out);
        assert_true(n <= LOG_JSON_MAX);
        v = json_parse(out, n, &e);
        assert_non_null(v);
        assert_true(cJSON_IsTrue(cJSON_GetObjectItem(v, "clipped")) ||
                    json_get_str(v, "last") != NULL);
        cJSON_Delete(v);
    }
}

static void test_fields(void **state)
{
    (void)state;
    assert_true(log_has_field("a=1 b=\"c=2 d\" e=3", "e"));
    assert_false(log_has_field("a=1 b=\"c=2 d\" e=3", "c"));
    assert_false(log_has_field("a=1 b=\"x\\\" c=2\"", "c"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_context_is_said_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_long_line_is_clipped_and_keeps_its_context, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_json, set_up, tear_down),
        cmocka_unit_test(test_conversion),
        cmocka_unit_test(test_long_lines_stay_json),
        cmocka_unit_test(test_fields),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
