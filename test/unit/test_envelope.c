/* Envelopes and events: read as real Celery writes them, written as real Celery reads them. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/b64.h"
#include "common/envelope.h"
#include "common/event.h"
#include "test/unit/wire_data.h"

static void open_captured(const char *name, struct envelope *v)
{
    size_t len;
    char *bytes = wire_read(name, &len);
    struct err e;

    assert_true(envelope_open(v, bytes, len, &e));
    free(bytes);
}

static void captured_envelopes_open(void **state)
{
    struct envelope v;

    (void)state;
    open_captured("pidbox-ping-request", &v);
    assert_string_equal(json_get_str(v.body, "method"), "ping");
    assert_true(json_has(v.headers, "clock"));
    envelope_fini(&v);
    open_captured("pidbox-ping-reply", &v);
    assert_string_equal(json_get_str(json_get_obj(v.body, "w1@lab"), "ok"), "pong");
    envelope_fini(&v);
    open_captured("event-task-multi-several", &v);
    assert_int_equal(cJSON_GetArraySize(v.body), 2);
    envelope_fini(&v);
}

static void what_is_wrapped_opens(void **state)
{
    static const char BODY[] = "{\"a\": [1, \"\xec\x95\x88\"]}";
    struct envelope_to to = {.exchange = "x\"y", .routing_key = "k\\", .transient = true};
    struct envelope v;
    struct buf b;
    struct err e;
    cJSON *p;
    int64_t mode;

    (void)state;
    buf_init(&b, MIB);
    assert_true(envelope_wrap(&b, &to, "{\"h\": 1}", BODY, strlen(BODY)));
    assert_true(envelope_open(&v, b.data, b.len, &e));
    assert_true(json_has(v.headers, "h"));
    assert_int_equal(cJSON_GetArraySize(json_get_arr(v.body, "a")), 2);
    p = json_get_obj(v.root, "properties");
    assert_string_equal(json_get_str(json_get_obj(p, "delivery_info"), "exchange"), "x\"y");
    assert_string_equal(json_get_str(json_get_obj(p, "delivery_info"), "routing_key"), "k\\");
    assert_true(json_get_i64(p, "delivery_mode", 1, 1, &mode));
    assert_int_equal(strlen(json_get_str(p, "delivery_tag")), 36);
    envelope_fini(&v);
    buf_fini(&b);
}

/* Every member that real Celery writes is there, with the same kind of value. */
static void assert_same_members(const cJSON *captured, const cJSON *ours, bool deep)
{
    const cJSON *want;

    cJSON_ArrayForEach(want, captured)
    {
        const cJSON *got = cJSON_GetObjectItemCaseSensitive(ours, want->string);

        if (strcmp(want->string, "utcoffset") == 0) { /* left out on purpose */
            assert_null(got);
            continue;
        }
        assert_non_null(got);
        assert_int_equal(got->type & 0xff, want->type & 0xff);
        if (deep && cJSON_IsObject(want)) {
            assert_same_members(want, got, true);
        }
    }
}

static void a_sent_event_has_every_member(void **state)
{
    struct msg_new n = {.task = "lab.fail",
                        .id = "8a814565-3f5f-4fad-abf9-be21a753552d",
                        .queue = "celery",
                        .origin = "gen15328@lab"};
    struct envelope want, got;
    struct buf b;
    struct err e;

    (void)state;
    open_captured("event-task-sent", &want);
    buf_init(&b, MIB);
    assert_true(event_task_sent(&b, &n, INT64_C(1795413899052815)));
    assert_true(envelope_open(&got, b.data, b.len, &e));
    assert_same_members(want.root, got.root, true);
    assert_same_members(want.body, got.body, true);
    assert_string_equal(json_get_str(got.headers, "hostname"), "gen15328@lab");
    assert_string_equal(json_get_str(got.body, "name"), "lab.fail");
    assert_true(cJSON_GetObjectItem(got.body, "timestamp")->valuedouble > 1795413899.05);
    envelope_fini(&want);
    envelope_fini(&got);
    buf_fini(&b);
}

static void long_arguments_are_clipped_at_a_character(void **state)
{
    struct msg_new n = {.task = "t", .id = "i", .queue = "q", .eta_us = 1, .expires_us = 2};
    struct envelope v;
    struct buf text, b;
    struct err e;
    cJSON *args;

    (void)state;
    buf_init(&text, MIB);
    buf_addstr(&text, "[\"");
    for (int i = 0; i < 1000; i++) {
        buf_addstr(&text, "\xec\x95\x88");
    }
    buf_addstr(&text, "\"]");
    args = cJSON_Parse(text.data);
    n.args = args;
    buf_init(&b, MIB);
    assert_true(event_task_sent(&b, &n, 1));
    assert_true(envelope_open(&v, b.data, b.len, &e)); /* which checks the UTF-8 */
    assert_in_range(strlen(json_get_str(v.body, "args")), 1000, MSG_REPR_SIZE - 1);
    assert_string_equal(json_get_str(v.body, "eta"), "1970-01-01T00:00:00.000001+00:00");
    assert_non_null(json_get_str(v.body, "expires"));
    cJSON_Delete(args);
    envelope_fini(&v);
    buf_fini(&b);
    buf_fini(&text);
}

static void what_is_no_envelope_is_refused(void **state)
{
    static const char *const BAD[] = {
        "",
        "null",
        "[]",
        "7",
        "{}",
        "{\"body\": 7}",
        "{\"body\": \"\"}",
        "{\"body\": \"e30=\"}", /* base64, but nothing says so */
        "{\"body\": \"{}\", \"properties\": {\"body_encoding\": \"base64\"}}",
        "{\"body\": \"{}\", \"content-type\": \"application/x-python-serialize\"}",
        "{\"body\": \"{}\", \"headers\": {\"compression\": \"application/x-gzip\"}}",
        "{\"body\": \"{\", \"headers\": {}}",
    };
    struct envelope v;
    struct err e;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        assert_false(envelope_open(&v, BAD[i], strlen(BAD[i]), &e));
        envelope_fini(&v);
    }
    assert_true(envelope_open(&v, "{\"body\": \"[]\"}", 14, &e));
    envelope_fini(&v);
}

static void channels_are_named_as_kombu_does(void **state)
{
    char out[EVENT_CHANNEL_SIZE];

    (void)state;
    assert_string_equal(event_channel(out, 0, "task-sent"), "/0.celeryev/task.sent");
    assert_string_equal(event_channel(out, 15, "worker-heartbeat"),
                        "/15.celeryev/worker.heartbeat");
    assert_string_equal(event_channel(out, 3, EVENT_MULTI), "/3.celeryev/task.multi");
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(captured_envelopes_open),
        cmocka_unit_test(what_is_wrapped_opens),
        cmocka_unit_test(a_sent_event_has_every_member),
        cmocka_unit_test(long_arguments_are_clipped_at_a_character),
        cmocka_unit_test(what_is_no_envelope_is_refused),
        cmocka_unit_test(channels_are_named_as_kombu_does),
    };

    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
