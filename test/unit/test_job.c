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

/* The child has answered. */
static void answer(struct job *j, const char *frame)
{
    static const char BEFORE[] = "{\"ok\":true,\"result\":";
    struct pool_outcome o = {.end = POOL_ANSWERED, .frame = frame, .len = strlen(frame)};

    if (strncmp(frame, BEFORE, sizeof BEFORE - 1) == 0) {
        o.ok = true;
        o.value = frame + sizeof BEFORE - 1;
        o.value_len = o.len - sizeof BEFORE; /* without the last bracket */
    }
    job_end_answer(j, &SETTINGS, &o);
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
        {0,
         "{\"ok\":false,\"class\":\"retryable\",\"type\":\"OSError\",\"text\":\"x\",\"wait_s\":90}",
         &BROKER_LUA_POSTPONE, "90000"},
        {1,
         "{\"ok\":false,\"class\":\"retryable\",\"type\":\"OSError\",\"text\":\"x\",\"wait_s\":90}",
         &BROKER_LUA_POSTPONE, "120000"},
        {0,
         "{\"ok\":false,\"class\":\"retryable\",\"type\":\"OSError\",\"text\":\"x\",\"wait_s\":-9}",
         &BROKER_LUA_POSTPONE, "60000"},
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
        answer(j, CASES[i].frame);
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
    answer(j, FRAME);
    assert_true(says(j, "\"mine\":[1],\"retries\":1,\"eta\":\"2023-11-14T22:14:20."));
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
    answer(j, FRAME);
    assert_ptr_equal(j->cmd.script, &BROKER_LUA_FINISH);
    assert_true(says(j, "OSError"));
    job_free(j);
    free(text);
}

static struct pool_outcome death(void)
{
    struct pool_outcome o = {.end = POOL_LOST, .signal = 11};

    strcpy(o.log_tail, "the last words\n");
    return o;
}

/* Who looks at it later needs the signal and what the process said. */
static void test_the_end_of_a_lost_child_tells_why(void **state)
{
    struct job *j = take("{\"task\":\"test.add\",\"id\":\"x\"}", 0);
    struct pool_outcome o = death();

    (void)state;
    job_lose(j, &o);
    assert_int_equal(j->state, JOB_LOSING);
    job_end_lost(j, &SETTINGS);
    assert_true(says(j, "\"exc_type\":\"WorkerLostError\""));
    assert_true(says(j, "killed by signal 11"));
    assert_true(says(j, "\"signal\":11,\"log\":\"the last words\\u000a\""));
    assert_true(says(j, "Its process said last:\\u000athe last words"));
    assert_int_equal(j->report.news, NEWS_FAILED);
    assert_memory_equal(j->report.text, "WorkerLostError('", 17);
    job_free(j);
}

static void test_a_cancelled_task_fails_as_celery_s_do(void **state)
{
    struct job *j = take("{\"task\":\"test.add\",\"id\":\"x\"}", 0);

    (void)state;
    answer(j, "{\"ok\":false,\"class\":\"cancelled\",\"type\":\"SoftTimeLimitExceeded\","
              "\"text\":\"the task was asked to stop\"}");
    assert_true(says(j, "{\"exc_type\":\"SoftTimeLimitExceeded\",\"exc_message\":[],"
                        "\"exc_module\":\"billiard.exceptions\"}"));
    assert_string_equal(j->report.text, "SoftTimeLimitExceeded()");
    job_free(j);
}

static void test_listeners_are_told_the_end(void **state)
{
    struct job *j = take("{\"task\":\"test.add\",\"id\":\"x\"}", 0);

    (void)state;
    answer(j, "{\"ok\":true,\"result\":[1,2]}");
    assert_int_equal(j->report.news, NEWS_SUCCEEDED);
    assert_string_equal(j->report.text, "[1,2]");
    job_free(j);
    j = take("{\"task\":\"test.add\",\"id\":\"x\"}", 0);
    answer(j, "{\"ok\":false,\"class\":\"permanent\",\"type\":\"KeyError\",\"text\":\"k\"}");
    assert_int_equal(j->report.news, NEWS_FAILED);
    assert_string_equal(j->report.text, "KeyError('k')");
    assert_string_equal(j->report.traceback,
                        "aion2@lab, task test.add, attempt 1 of 4\nKeyError: k\n");
    job_free(j);
    j = take("{\"task\":\"test.add\",\"id\":\"x\"}", 0);
    job_end_terminated(j, &SETTINGS, 9);
    assert_int_equal(j->report.news, NEWS_REVOKED);
    assert_true(j->report.terminated);
    assert_int_equal(j->report.signum, 9);
    assert_true(says(j, "[\"terminated\"]"));
    job_free(j);
}

/* ---- workflows ---- */

#define CHORD_PART                                                                                 \
    "{\"task\":\"test.add\",\"id\":\"x\",\"group\":\"g\",\"group_index\":0,"                       \
    "\"chord\":{\"task\":\"body\",\"options\":{\"task_id\":\"B\"}}}"

static redisReply *text_reply(const char *text)
{
    redisReply *r = calloc(1, sizeof *r);

    r->type = text ? REDIS_REPLY_STRING : REDIS_REPLY_NIL;
    r->str = text ? strdup(text) : NULL;
    r->len = text ? strlen(text) : 0;
    return r;
}

static redisReply *array_reply(size_t n)
{
    redisReply *r = calloc(1, sizeof *r);

    r->type = REDIS_REPLY_ARRAY;
    r->elements = n;
    r->element = calloc(n, sizeof *r->element);
    return r;
}

/* What chord_part answers; member NULL: not complete. */
static redisReply *chord_reply(long long parts, const char *size, const char *member)
{
    redisReply *r = array_reply(member ? 5 : 4);

    r->element[0] = text_reply(NULL);
    r->element[0]->type = REDIS_REPLY_INTEGER;
    r->element[0]->integer = parts;
    r->element[1] = text_reply(size);
    r->element[2] = text_reply(NULL);
    r->element[3] = text_reply(NULL);
    if (member) {
        r->element[4] = array_reply(1);
        r->element[4]->element[0] = text_reply(member);
    }
    return r;
}

static void count(struct job *j, redisReply *r, bool somebody_waits)
{
    job_counted(j, &SETTINGS, r, somebody_waits);
    freeReplyObject(r);
}

static void test_callbacks_go_out_with_the_result(void **state)
{
    struct job *j = take("{\"task\":\"test.add\",\"id\":\"x\",\"callbacks\":[{\"task\":\"next\","
                         "\"options\":{\"queue\":\"fast\",\"task_id\":\"N\"}}]}",
                         0);

    (void)state;
    answer(j, "{\"ok\":true,\"result\":5}");
    assert_int_equal(j->state, JOB_ENDING);
    assert_true(says(j, "fast"));
    assert_true(says(j, "\"task\":\"next\""));
    assert_true(says(j, "\"children\":[[[\"N\",null],null]]"));
    job_free(j);
}

static void test_a_part_of_a_chord_is_counted_first(void **state)
{
    struct job *j = take(CHORD_PART, 0);

    (void)state;
    answer(j, "{\"ok\":true,\"result\":5}");
    assert_int_equal(j->state, JOB_COUNTING);
    assert_ptr_equal(j->cmd.script, &BROKER_LUA_CHORD_PART);
    assert_true(says(j, "[1, \"x\", \"SUCCESS\", 5]"));
    count(j, chord_reply(1, "2", NULL), false); /* others are still at it */
    assert_int_equal(j->state, JOB_ENDING);
    assert_false(says(j, "body"));
    job_free(j);

    j = take(CHORD_PART, 0);
    answer(j, "{\"ok\":true,\"result\":5}");
    count(j, chord_reply(1, "1", "[1, \"x\", \"SUCCESS\", 5]"), false);
    assert_int_equal(j->state, JOB_ENDING);
    assert_true(says(j, "\"task\":\"body\""));
    job_free(j);
}

static void test_a_chord_of_unknown_size_is_waited_for(void **state)
{
    struct job *j = take(CHORD_PART, 0);

    (void)state;
    answer(j, "{\"ok\":true,\"result\":5}");
    count(j, chord_reply(1, NULL, NULL), false);
    assert_int_equal(j->state, JOB_COUNTING);
    assert_true(j->end.waits);
    assert_ptr_equal(j->cmd.script, &BROKER_LUA_CHORD_PART); /* to be said again */
    assert_string_equal(job_chord(j), "g");
    /* Complete now; but a Python worker may have seen that, too. */
    for (int looks = 1; looks < 10; looks++) {
        count(j, chord_reply(1, "1", "[1, \"x\", \"SUCCESS\", 5]"), false);
        assert_int_equal(j->state, JOB_COUNTING);
    }
    count(j, chord_reply(1, "1", "[1, \"x\", \"SUCCESS\", 5]"), false);
    assert_int_equal(j->state, JOB_ENDING);
    assert_true(says(j, "\"task\":\"body\""));
    job_free(j);

    j = take(CHORD_PART, 0); /* one that waits is enough */
    answer(j, "{\"ok\":true,\"result\":5}");
    count(j, chord_reply(1, NULL, NULL), true);
    assert_int_equal(j->state, JOB_ENDING);
    job_free(j);

    j = take(CHORD_PART, 0); /* not for ever */
    answer(j, "{\"ok\":true,\"result\":5}");
    j->end.give_up_ms = 1;
    count(j, chord_reply(1, NULL, NULL), false);
    assert_int_equal(j->state, JOB_ENDING);
    job_free(j);
}

static void test_a_chord_that_is_no_chord_holds_nobody_up(void **state)
{
    struct job *j = take(CHORD_PART, 0);

    (void)state;
    answer(j, "{\"ok\":true,\"result\":5}");
    count(j, chord_reply(-1, NULL, NULL), false);
    assert_int_equal(j->state, JOB_ENDING);
    assert_true(says(j, "SUCCESS"));
    job_free(j);
    j = take(CHORD_PART, 0);
    answer(j, "{\"ok\":true,\"result\":5}");
    count(j, chord_reply(-2, NULL, NULL), false); /* its body was sent before */
    assert_int_equal(j->state, JOB_ENDING);
    assert_false(says(j, "\"body\""));
    job_free(j);
}

static void test_a_failure_reaches_everybody_who_waits(void **state)
{
    struct job *j = take("{\"task\":\"nope\",\"id\":\"x\",\"errbacks\":[{\"task\":\"eb\"}],"
                         "\"chain\":[{\"task\":\"b\",\"options\":{\"task_id\":\"B\"}}]}",
                         0);

    (void)state;
    assert_int_equal(j->state, JOB_ENDING);
    assert_true(says(j, "celery-task-meta-B"));
    assert_true(says(j, "\"task\":\"eb\""));
    job_free(j);
}

static void test_ignore_result_stores_nothing(void **state)
{
    static const char FRAME[] = "{\"ok\":true,\"result\":5}";
    struct job *j = take("{\"task\":\"test.add\",\"id\":\"x\",\"ignore_result\":true}", 0);

    (void)state;
    answer(j, FRAME);
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
    j = take("{\"task\":\"test.add\",\"id\":\"x\",\"timelimit\":[null,2]}", 0);
    assert_int_equal(job_limits(j).soft_ms, 2000);
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
        cmocka_unit_test(test_the_end_of_a_lost_child_tells_why),
        cmocka_unit_test(test_a_cancelled_task_fails_as_celery_s_do),
        cmocka_unit_test(test_listeners_are_told_the_end),
        cmocka_unit_test(test_callbacks_go_out_with_the_result),
        cmocka_unit_test(test_a_part_of_a_chord_is_counted_first),
        cmocka_unit_test(test_a_chord_of_unknown_size_is_waited_for),
        cmocka_unit_test(test_a_chord_that_is_no_chord_holds_nobody_up),
        cmocka_unit_test(test_a_failure_reaches_everybody_who_waits),
        cmocka_unit_test(test_ignore_result_stores_nothing),
        cmocka_unit_test(test_the_shorter_limit_holds),
        cmocka_unit_test(test_the_request_tells_the_child_everything),
        cmocka_unit_test(test_no_memory_for_the_message),
        cmocka_unit_test(test_no_memory_for_the_dead_letter),
    };

    log_init("test", LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
