/* Result documents: the same as real Celery's, member by member. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/b64.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/result.h"
#include "test/unit/wire_data.h"

/* The captured document; its date becomes the now of ours. */
static cJSON *captured(const char *name, int64_t *now_us)
{
    size_t len;
    char *bytes = wire_read(name, &len);
    cJSON *o = cJSON_ParseWithLength(bytes, len);

    free(bytes);
    assert_non_null(o);
    if (json_get_str(o, "date_done")) {
        assert_true(clock_parse_iso(json_get_str(o, "date_done"), now_us));
    }
    return o;
}

/* Takes text; compares also the order of the members. */
static void assert_same(char *text, cJSON *expected)
{
    char *want = json_print(expected);

    assert_non_null(text);
    assert_string_equal(text, want);
    free(text);
    free(want);
    cJSON_Delete(expected);
}

static void test_success(void **state)
{
    static const char *const NAMES[] = {"result-success", "result-success-group-member",
                                        "result-success-with-parent-id"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        int64_t now_us = 0;
        cJSON *want = captured(NAMES[i], &now_us);
        struct result_who who = {.id = json_get_str(want, "task_id"),
                                 .group = json_get_str(want, "group_id"),
                                 .parent = json_get_str(want, "parent_id")};

        assert_same(result_success(&who, cJSON_GetObjectItem(want, "result"), now_us), want);
    }
}

static void test_failures(void **state)
{
    static const struct {
        const char *name;
        const char *status;
        struct result_exception x;
    } CASES[] = {
        {"result-notregistered", "FAILURE", {"NotRegistered", "no.such.task", 0}},
        {"result-failure-timelimit", "FAILURE", {"TimeLimitExceeded", NULL, 2}},
        {"result-failure-workerlost",
         "FAILURE",
         {"WorkerLostError", "Worker exited prematurely: exitcode 9 Job: 28.", 0}},
        {"result-revoked-expired", "REVOKED", {"TaskRevokedError", "expired", 0}},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        int64_t now_us = 0;
        cJSON *want = captured(CASES[i].name, &now_us);
        struct result_who who = {.id = json_get_str(want, "task_id")};

        assert_same(result_failure(&who, CASES[i].status, &CASES[i].x, NULL, now_us), want);
    }
}

static void test_retry_has_the_plan_where_celery_has_its_traceback(void **state)
{
    static const struct result_exception X = {"ValueError", "not yet", 0};
    int64_t now_us = 0;
    cJSON *want = captured("result-retry", &now_us);
    struct result_who who = {.id = json_get_str(want, "task_id")};

    (void)state;
    cJSON_ReplaceItemInObject(want, "traceback", cJSON_CreateString("the plan"));
    assert_same(result_retry(&who, &X, "the plan", NULL), want);
}

/* A client would make up a class for a name it does not know; a RuntimeError says more. */
static void test_unknown_classes_become_runtime_errors(void **state)
{
    static const struct result_exception X = {"OperationalError", "server closed", 0};
    struct result_who who = {.id = "x"};
    char *text = result_failure(&who, "FAILURE", &X, NULL, 0);

    (void)state;
    assert_non_null(strstr(text, "\"result\":{\"exc_type\":\"RuntimeError\",\"exc_message\":"
                                 "[\"OperationalError: server closed\"],\"exc_module\":"
                                 "\"builtins\"}"));
    free(text);
}

static void test_dead_letter_keeps_every_byte(void **state)
{
    static const char BYTES[] = "{\"task\":\"t\"}\n";
    struct result_dead d = {.id = "x",
                            .task = "t",
                            .error = "ValueError: \"no\"",
                            .retries = 3,
                            .bytes = BYTES,
                            .len = sizeof BYTES - 1};
    char *text = result_dead_letter(&d);
    cJSON *o = cJSON_Parse(text);
    const char *b64 = json_get_str(o, "b64");
    struct buf plain;

    (void)state;
    buf_init(&plain, 100);
    assert_true(b64_decode(&plain, b64, strlen(b64)));
    assert_string_equal(plain.data, BYTES);
    assert_string_equal(json_get_str(o, "error"), d.error);
    buf_fini(&plain);
    cJSON_Delete(o);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_success),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_retry_has_the_plan_where_celery_has_its_traceback),
        cmocka_unit_test(test_unknown_classes_become_runtime_errors),
        cmocka_unit_test(test_dead_letter_keeps_every_byte),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
