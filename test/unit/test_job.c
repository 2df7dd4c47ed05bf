/* What becomes of a message: which step follows which finding. Nothing is sent anywhere. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/broker_lua.h"
#include "common/log.h"
#include "common/mem.h"
#include "worker/job.h"

#define NOW_MS INT64_C(1700000000000)

static const struct settings SETTINGS = {.worker_name = "aion2@lab",
                                         .task_queue = "celery",
                                         .result_expires_s = 86400,
                                         .retry_base_s = 60,
                                         .test_tasks = true};
static const struct broker WHO = {.boot = "boot"};

static struct job *take(const char *text, int64_t recoveries)
{
    struct broker_taken t = {.tag = "7",
                             .list = "celery",
                             .bytes = text,
                             .len = strlen(text),
                             .now_ms = NOW_MS,
                             .recoveries = recoveries};
    struct job *j = job_new(7, &WHO, &t);

    assert_non_null(j);
    job_examine(j, &SETTINGS, &t);
    return j;
}

/* Some argument of the prepared step holds this text. */
static bool says(const struct job *j, const char *text)
{
    for (int i = 0; i < j->cmd.n; i++) {
        if (strstr(j->cmd.args[i], text)) {
            return true;
        }
    }
    return false;
}

static void test_findings_choose_the_step(void **state)
{
    static const struct {
        const char *text;
        enum job_state state;
        struct script *step; /* NULL: none yet */
        const char *says;
    } CASES[] = {
        {"{\"task\":\"test.add\",\"id\":\"x\"}", JOB_READY, NULL, NULL},
        {"{\"task\":\"test.add\"}", JOB_ADOPTING, &BROKER_LUA_ADOPT, "\"id\":"},
        {"{\"task\":\"test.add\",\"id\":\"x\",\"countdown\":5}", JOB_ADOPTING, &BROKER_LUA_ADOPT,
         "\"eta\":\"2023-11-14T22:13:25.000000+00:00\""},
        {"{\"task\":\"test.add\",\"id\":\"x\",\"eta\":\"2023-11-14T22:13:20.001Z\"}", JOB_ENDING,
         &BROKER_LUA_POSTPONE, "1700000000001"},
        {"{\"task\":\"test.add\",\"id\":\"x\",\"eta\":\"2023-11-14T22:13:20Z\"}", JOB_READY, NULL,
         NULL},
        {"{\"task\":\"test.add\",\"id\":\"x\",\"expires\":\"2023-11-14T22:13:19Z\"}", JOB_ENDING,
         &BROKER_LUA_FINISH, "TaskRevokedError"},
        {"{\"task\":\"test.add\",\"id\":\"x\",\"expires\":\"2023-11-14T22:13:20Z\"}", JOB_READY,
         NULL, NULL},
        {"{\"task\":\"nope\",\"id\":\"x\"}", JOB_ENDING, &BROKER_LUA_FINISH, "NotRegistered"},
        {"{\"task\":\"test.add\",\"id\":\"x\",\"args\":1}", JOB_ENDING, &BROKER_LUA_FINISH,
         "TypeError"},
        {"not json", JOB_ENDING, &BROKER_LUA_QUARANTINE, "bm90IGpzb24="},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct job *j = take(CASES[i].text, 0);

        print_message("%s\n", CASES[i].text);
        assert_int_equal(j->state, CASES[i].state);
        assert_ptr_equal(j->cmd.script, CASES[i].step);
        if (CASES[i].says) {
            assert_true(says(j, CASES[i].says));
        }
        job_free(j);
    }
}

static void test_a_message_that_workers_die_of_is_given_up(void **state)
{
    struct job *j = take("{\"task\":\"test.add\",\"id\":\"x\"}", BROKER_RECOVERIES_MAX - 1);

    (void)state;
    assert_int_equal(j->state, JOB_READY);
    job_free(j);
    j = take("{\"task\":\"test.add\",\"id\":\"x\"}", BROKER_RECOVERIES_MAX);
    assert_int_equal(j->state, JOB_ENDING);
    assert_true(says(j, "WorkerLostError"));
    job_free(j);
}

static void test_answers_choose_the_end(void **state)
{
    static const struct {
        int retries;
        const char *frame;
        struct script *step;
        const char *says;
    } CASES[] = {
        {0, "{\"ok\":true,\"result\":5}", &BROKER_LUA_FINISH, "\"result\":5"},
        {0, "{\"ok\":true,\"result\":null}", &BROKER_LUA_FINISH, "SUCCESS"},
        {0, "{\"ok\":false,\"class\":\"retryable\",\"type\":\"OSError\",\"text\":\"x\"}",
         &BROKER_LUA_POSTPONE, "60000"},
        {2, "{\"ok\":false,\"class\":\"retryable\",\"type\":\"OSError\",\"text\":\"x\"}",
         &BROKER_LUA_POSTPONE, "240000"},
        {3, "{\"ok\":false,\"class\":\"retryable\",\"type\":\"OSError\",\"text\":\"x\"}",
         &BROKER_LUA_FINISH, "FAILURE"},
        {0, "{\"ok\":false,\"class\":\"permanent\",\"type\":\"OSError\",\"text\":\"x\"}",
         &BROKER_LUA_FINISH, "OSError"},
        {0, "{\"ok\":true}", &BROKER_LUA_FINISH, "no sensible answer"},
        {0, "{}", &BROKER_LUA_FINISH, "no sensible answer"},
        {0, "garbage", &BROKER_LUA_FINISH, "FAILURE"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct job *j = take("{\"task\":\"test.add\",\"id\":\"x\"}", 0);

        print_message("%d %s\n", CASES[i].retries, CASES[i].frame);
        j->msg.retries = CASES[i].retries;
        job_end_answer(j, &SETTINGS, CASES[i].frame, strlen(CASES[i].frame));
        assert_int_equal(j->state, JOB_ENDING);
        assert_ptr_equal(j->cmd.script, CASES[i].step);
        assert_true(says(j, CASES[i].says));
        job_free(j);
    }
}

static void test_a_retry_carries_the_message_with_its_count(void **state)
{
    static const char FRAME[] =
        "{\"ok\":false,\"class\":\"retryable\",\"type\":\"OSError\",\"text\":\"x\"}";
    struct job *j = take("{\"task\":\"test.add\",\"id\":\"x\",\"mine\":[1]}", 0);

    (void)state;
    job_end_answer(j, &SETTINGS, FRAME, sizeof FRAME - 1);
    assert_true(says(j, "\"mine\":[1],\"retries\":1"));
    assert_true(says(j, "attempt 1 of 4 failed"));
    job_free(j);
}

/* At the limit of length the retry count does not fit any more: better told than repeated. */
static void test_a_message_too_long_for_a_retry_fails(void **state)
{
    static const char HEAD[] = "{\"task\":\"test.add\",\"id\":\"x\",\"args\":[\"";
    static const char FRAME[] =
        "{\"ok\":false,\"class\":\"retryable\",\"type\":\"OSError\",\"text\":\"x\"}";
    char *text = malloc(MSG_BYTES_MAX + 1);
    struct job *j;

    (void)state;
    memset(text, 'a', MSG_BYTES_MAX);
    memcpy(text, HEAD, sizeof HEAD - 1);
    memcpy(text + MSG_BYTES_MAX - 3, "\"]}", 4);
    j = take(text, 0);
    assert_int_equal(j->state, JOB_READY);
    job_end_answer(j, &SETTINGS, FRAME, sizeof FRAME - 1);
    assert_ptr_equal(j->cmd.script, &BROKER_LUA_FINISH);
    assert_true(says(j, "OSError"));
    job_free(j);
    free(text);
}

static void test_ignore_result_stores_nothing(void **state)
{
    static const char FRAME[] = "{\"ok\":true,\"result\":5}";
    struct job *j = take("{\"task\":\"test.add\",\"id\":\"x\",\"ignore_result\":true}", 0);

    (void)state;
    job_end_answer(j, &SETTINGS, FRAME, sizeof FRAME - 1);
    assert_false(says(j, "SUCCESS"));
    job_free(j);
}

static void test_the_shorter_limit_holds(void **state)
{
    struct job *j = take("{\"task\":\"test.add\",\"id\":\"x\"}", 0);
    int64_t own_ms = job_limits(j).hard_ms;

    (void)state;
    job_free(j);
    assert_true(own_ms > 5000);
    j = take("{\"task\":\"test.add\",\"id\":\"x\",\"timelimit\":[5,null]}", 0);
    assert_int_equal(job_limits(j).hard_ms, 5000);
    job_free(j);
    j = take("{\"task\":\"test.add\",\"id\":\"x\",\"timelimit\":[100000,null]}", 0);
    assert_int_equal(job_limits(j).hard_ms, own_ms);
    job_free(j);
}

static void test_the_request_tells_the_child_everything(void **state)
{
    struct job *j = take("{\"task\":\"test.add\",\"id\":\"x\",\"args\":[1],\"kwargs\":{\"a\":null},"
                         "\"retries\":2,\"aion2_slot\":600}",
                         0);
    char *text = job_request(j, &SETTINGS);

    (void)state;
    assert_string_equal(text, "{\"id\":\"x\",\"task\":\"test.add\",\"worker\":\"aion2@lab\","
                              "\"retries\":2,\"slot\":600,\"args\":[1],\"kwargs\":{\"a\":null}}");
    free(text);
    job_free(j);
}

/* Without memory for a step it is marked, never sent half. */
static void test_no_memory_for_the_message(void **state)
{
    struct broker_taken t = {.tag = "1", .list = "celery", .bytes = "x", .len = 1};

    (void)state;
    mem_fail_at(1);
    assert_null(job_new(1, &WHO, &t));
    mem_fail_at(0);
}

/* A failure without its dead letter would be a message lost. */
static void test_no_memory_for_the_dead_letter(void **state)
{
    struct result_exception x = {.type = "ValueError", .text = "wrong"};
    struct job *j = take("{\"task\":\"test.add\",\"id\":\"x\"}", 0);

    (void)state;
    mem_fail_at(1);
    job_end_failure(j, &SETTINGS, &x);
    mem_fail_at(0);
    assert_true(j->cmd.failed);
    job_free(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_findings_choose_the_step),
        cmocka_unit_test(test_a_message_that_workers_die_of_is_given_up),
        cmocka_unit_test(test_answers_choose_the_end),
        cmocka_unit_test(test_a_retry_carries_the_message_with_its_count),
        cmocka_unit_test(test_a_message_too_long_for_a_retry_fails),
        cmocka_unit_test(test_ignore_result_stores_nothing),
        cmocka_unit_test(test_the_shorter_limit_holds),
        cmocka_unit_test(test_the_request_tells_the_child_everything),
        cmocka_unit_test(test_no_memory_for_the_message),
        cmocka_unit_test(test_no_memory_for_the_dead_letter),
    };

    log_init("test", LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
