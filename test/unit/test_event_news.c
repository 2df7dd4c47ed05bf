/* The worker's events: every member of a real worker's, and nothing that hurts who reads them. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/envelope.h"
#include "test/unit/wire_data.h"
#include "worker/event_news.h"
#include "worker/job.h"

static const struct event_head HEAD = {
    .node = "w\"1@lab", .clock = 7, .wall_us = INT64_C(1795413899061543)};

/* The first event in a captured publication; freed with envelope_fini. */
static const cJSON *captured(const char *name, struct envelope *v)
{
    size_t len;
    char *bytes = wire_read(name, &len);
    struct err e;

    assert_true(envelope_open(v, bytes, len, &e));
    free(bytes);
    return cJSON_IsArray(v->body) ? v->body->child : v->body;
}

/* A number, text or bool stays one; null may be anything (and so may what is null here). */
static void assert_members(const cJSON *ours, const cJSON *theirs)
{
    const cJSON *want;

    cJSON_ArrayForEach(want, theirs)
    {
        const cJSON *got = cJSON_GetObjectItem(ours, want->string);

        if (strcmp(want->string, "utcoffset") == 0) {
            assert_null(got);
            continue;
        }
        if (!got) {
            fail_msg("%s is missing", want->string);
        } else if (cJSON_IsNumber(want) != cJSON_IsNumber(got) && !cJSON_IsNull(want) &&
                   !cJSON_IsNull(got)) {
            fail_msg("%s is of another type", want->string);
        }
    }
    cJSON_ArrayForEach(want, ours)
    {
        if (!cJSON_GetObjectItem(theirs, want->string)) {
            fail_msg("%s is too much", want->string);
        }
    }
}

/* What was built; freed with cJSON_Delete. */
static cJSON *parsed(struct buf *out)
{
    struct err e;
    cJSON *v = json_parse(out->data, out->len, &e);

    if (!v) {
        fail_msg("%s: %s", e.text, out->data);
    }
    buf_fini(out);
    return v;
}

static cJSON *built(const struct job_report *r)
{
    struct buf out;

    buf_init(&out, MIB);
    event_news(&out, &HEAD, r);
    return parsed(&out);
}

/* A job with a captured message; freed with msg_fini. */
static void read_job(struct job *j, const char *name)
{
    size_t len;
    char *bytes = wire_read(name, &len);
    struct err e;

    memset(j, 0, sizeof *j);
    assert_int_equal(msg_parse(bytes, len, &j->msg, &e), MSG_OK);
    free(bytes);
}

static void test_every_event_has_the_captured_members(void **state)
{
    static const struct {
        const char *name;
        struct job_report report;
    } CASES[] = {
        {"event-task-received", {.news = NEWS_RECEIVED}},
        {"event-task-received-eta", {.news = NEWS_RECEIVED}},
        {"event-task-started", {.news = NEWS_STARTED}},
        {"event-task-succeeded", {.news = NEWS_SUCCEEDED, .text = "\"ok\"", .runtime_s = 0.5}},
        {"event-task-failed", {.news = NEWS_FAILED, .text = "E('x')", .traceback = "T"}},
        {"event-task-retried", {.news = NEWS_RETRIED, .text = "E('x')"}},
        {"event-task-revoked", {.news = NEWS_REVOKED, .expired = true}},
        {"event-task-rejected", {.news = NEWS_REJECTED, .requeue = true}},
    };
    struct job j;

    (void)state;
    read_job(&j, "task-message-plain");
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct job_report r = CASES[i].report;
        struct envelope v;
        const cJSON *theirs = captured(CASES[i].name, &v);
        cJSON *ours;

        r.job = &j;
        ours = built(&r);
        assert_members(ours, theirs);
        assert_string_equal(json_get_str(ours, "type"), json_get_str(theirs, "type"));
        assert_string_equal(json_get_str(ours, "hostname"), HEAD.node);
        assert_string_equal(json_get_str(ours, "uuid"), j.msg.id);
        assert_true(cJSON_GetObjectItem(ours, "timestamp")->valuedouble == 1795413899.061543);
        cJSON_Delete(ours);
        envelope_fini(&v);
    }
    msg_fini(&j.msg);
}

static void test_arguments_and_results_read_as_python_shows_them(void **state)
{
    struct job j;
    struct job_report r = {.news = NEWS_RECEIVED, .job = &j};
    cJSON *v;

    (void)state;
    read_job(&j, "task-message-plain");
    v = built(&r);
    assert_string_equal(json_get_str(v, "args"), "(2, 3)");
    assert_string_equal(json_get_str(v, "kwargs"), "{}");
    cJSON_Delete(v);
    r.news = NEWS_SUCCEEDED;
    r.text = "[\"a\", null, true]";
    v = built(&r);
    assert_string_equal(json_get_str(v, "result"), "['a', None, True]");
    cJSON_Delete(v);
    msg_fini(&j.msg);
}

static void test_texts_of_any_kind_and_length(void **state)
{
    struct job j;
    struct job_report r = {.news = NEWS_FAILED, .job = &j};
    size_t size = 200000;
    char *text = malloc(size + 1);
    cJSON *v;

    (void)state;
    read_job(&j, "task-message-plain");
    for (size_t i = 0; i + 3 <= size; i += 3) {
        memcpy(text + i, "\xed\x95\x9c", 3);
    }
    text[size / 3 * 3] = '\0';
    r.text = text;
    r.traceback = "\"\\\n\t";
    v = built(&r); /* which checks the UTF-8 */
    assert_in_range(strlen(json_get_str(v, "exception")), 10000, 20000);
    assert_string_equal(json_get_str(v, "traceback"), r.traceback);
    cJSON_Delete(v);
    r = (struct job_report){.news = NEWS_SUCCEEDED, .job = &j, .runtime_s = 1e308 * 10};
    v = built(&r);
    assert_true(cJSON_GetObjectItem(v, "runtime")->valuedouble == 0);
    cJSON_Delete(v);
    free(text);
    msg_fini(&j.msg);
}

static void test_a_delayed_task_that_was_revoked(void **state)
{
    struct envelope v;
    const cJSON *theirs = captured("event-task-revoked", &v);
    struct buf out;
    cJSON *ours;

    (void)state;
    buf_init(&out, MIB);
    event_revoked(&out, &HEAD, "an-id");
    ours = parsed(&out);
    assert_members(ours, theirs);
    assert_string_equal(json_get_str(ours, "uuid"), "an-id");
    assert_false(json_get_bool(ours, "expired", true));
    cJSON_Delete(ours);
    envelope_fini(&v);
}

static void test_the_worker_itself(void **state)
{
    static const char *const TYPES[] = {"worker-online", "worker-heartbeat", "worker-offline"};
    struct events_load load = {.active = 2, .processed = 30};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(TYPES); i++) {
        char name[64];
        struct envelope v;
        const cJSON *theirs;
        struct buf out;
        cJSON *ours;

        snprintf(name, sizeof name, "event-%s", TYPES[i]);
        theirs = captured(name, &v);
        buf_init(&out, MIB);
        event_worker(&out, &HEAD, TYPES[i], &load);
        ours = parsed(&out);
        assert_members(ours, theirs);
        assert_string_equal(json_get_str(ours, "type"), TYPES[i]);
        assert_true(cJSON_GetObjectItem(ours, "freq")->valuedouble == 2);
        cJSON_Delete(ours);
        envelope_fini(&v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_event_has_the_captured_members),
        cmocka_unit_test(test_arguments_and_results_read_as_python_shows_them),
        cmocka_unit_test(test_texts_of_any_kind_and_length),
        cmocka_unit_test(test_a_delayed_task_that_was_revoked),
        cmocka_unit_test(test_the_worker_itself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
