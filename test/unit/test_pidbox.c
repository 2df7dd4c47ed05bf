/* Remote control: requests as Celery's clients send them, answers as they read them. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/b64.h"
#include "common/lamport.h"
#include "common/pidbox.h"
#include "test/unit/wire_data.h"

static bool read_text(const char *text, struct pidbox_request *r, struct err *e)
{
    return pidbox_read_request(text, strlen(text), r, e);
}

/* A captured request; freed with pidbox_request_fini. */
static void read_captured(const char *name, struct pidbox_request *r)
{
    size_t len;
    char *bytes = wire_read(name, &len);
    struct err e;

    assert_true(pidbox_read_request(bytes, len, r, &e));
    free(bytes);
}

static void test_every_captured_request_is_read(void **state)
{
    static const char *const METHODS[] = {
        "active",        "active-queues", "add-consumer", "autoscale",  "cancel-consumer",
        "clock",         "conf",          "hello",        "heartbeat",  "memsample",
        "pool-grow",     "pool-restart",  "pool-shrink",  "query-task", "rate-limit",
        "registered",    "report",        "reserved",     "revoke",     "revoked",
        "scheduled",     "shutdown",      "stats",        "terminate",  "time-limit",
        "enable-events", "disable-events"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(METHODS); i++) {
        char file[64], method[64];
        struct pidbox_request r;

        snprintf(file, sizeof file, "pidbox-%s-request", METHODS[i]);
        snprintf(method, sizeof method, "%s", METHODS[i]);
        for (char *p = method; *p; p++) {
            *p = *p == '-' ? '_' : *p;
        }
        read_captured(file, &r);
        assert_string_equal(r.method, method);
        assert_non_null(r.reply_to);
        assert_non_null(r.ticket);
        assert_int_equal(pidbox_address(&r, "w1@lab"), PIDBOX_OURS);
        pidbox_request_fini(&r);
    }
}

static void test_a_destination_chooses(void **state)
{
    struct pidbox_request r;

    (void)state;
    read_captured("pidbox-ping-dest-request", &r);
    assert_int_equal(pidbox_address(&r, "w1@lab"), PIDBOX_OURS);
    assert_int_equal(pidbox_address(&r, "w1@la"), PIDBOX_OTHERS);
    assert_int_equal(pidbox_address(&r, "w2@lab"), PIDBOX_OTHERS);
    pidbox_request_fini(&r);
}

static void test_an_answer_has_the_captured_shape(void **state)
{
    struct pidbox_request r;
    struct pidbox_reply answer;
    struct envelope ours, theirs;
    struct buf out;
    struct err e;
    size_t len;
    char *bytes = wire_read("pidbox-ping-reply", &len);
    char *a, *b;

    (void)state;
    read_captured("pidbox-ping-request", &r);
    buf_init(&out, MIB);
    answer = (struct pidbox_reply){.reply_to = r.reply_to,
                                   .ticket = r.ticket,
                                   .node = "w1@lab",
                                   .value = "{\"ok\": \"pong\"}",
                                   .clock = 9};
    assert_true(pidbox_write_reply(&out, &answer));
    assert_true(envelope_open(&ours, out.data, out.len, &e));
    assert_true(envelope_open(&theirs, bytes, len, &e));
    /* The tag is random on both sides. */
    cJSON_ReplaceItemInObject(json_get_obj(ours.root, "properties"), "delivery_tag",
                              cJSON_CreateString("tag"));
    cJSON_ReplaceItemInObject(json_get_obj(theirs.root, "properties"), "delivery_tag",
                              cJSON_CreateString("tag"));
    a = json_print(ours.root);
    b = json_print(theirs.root);
    assert_string_equal(a, b);
    free(a);
    free(b);
    free(bytes);
    envelope_fini(&ours);
    envelope_fini(&theirs);
    pidbox_request_fini(&r);
    buf_fini(&out);
}

static void test_our_own_request_is_one(void **state)
{
    struct pidbox_ask a = {.method = "revoke",
                           .arguments = "{\"task_id\": \"x\"}",
                           .destination = "n\"1@h",
                           .ticket = "t",
                           .reply_to = "key",
                           .clock = 7};
    struct pidbox_request r;
    struct buf out;
    struct err e;

    (void)state;
    buf_init(&out, MIB);
    assert_true(pidbox_write_request(&out, &a));
    assert_true(pidbox_read_request(out.data, out.len, &r, &e));
    assert_string_equal(r.method, "revoke");
    assert_string_equal(json_get_str(r.arguments, "task_id"), "x");
    assert_string_equal(r.ticket, "t");
    assert_string_equal(r.reply_to, "key");
    assert_int_equal(r.clock, 7);
    assert_int_equal(pidbox_address(&r, "n\"1@h"), PIDBOX_OURS);
    assert_int_equal(pidbox_address(&r, "n1@h"), PIDBOX_OTHERS);
    pidbox_request_fini(&r);
    buf_reset(&out);
    a.destination = a.reply_to = NULL;
    assert_true(pidbox_write_request(&out, &a));
    assert_true(pidbox_read_request(out.data, out.len, &r, &e));
    assert_null(r.reply_to);
    assert_int_equal(pidbox_address(&r, "anybody"), PIDBOX_OURS);
    pidbox_request_fini(&r);
    buf_fini(&out);
}

/* Around a body as plain text. */
static void wrap_body(char *out, size_t cap, const char *body)
{
    struct buf b;

    buf_init(&b, MIB);
    buf_add_json(&b, body, strlen(body));
    snprintf(out, cap,
             "{\"body\":%s,\"content-type\":\"application/json\",\"headers\":{},"
             "\"properties\":{\"delivery_tag\":\"t\"}}",
             b.data);
    buf_fini(&b);
}

static void test_what_is_no_request_is_refused_with_a_reason(void **state)
{
    static const char *const ENVELOPES[] = {
        "",
        "nonsense",
        "[]",
        "{}",
        "{\"body\":\"e30=\"}",
        /* no delivery tag; no content type; another one; a body that is none */
        "{\"body\":\"{}\",\"content-type\":\"application/json\",\"properties\":{}}",
        "{\"body\":\"{\\\"method\\\":\\\"ping\\\"}\",\"properties\":{\"delivery_tag\":\"t\"}}",
        "{\"body\":\"{}\",\"content-type\":\"application/x-python-serialize\","
        "\"properties\":{\"delivery_tag\":\"t\"}}",
        "{\"body\":7,\"content-type\":\"application/json\",\"properties\":{\"delivery_tag\":\"t\"}}",
        "{\"body\":\"!\",\"content-type\":\"application/json\","
        "\"properties\":{\"delivery_tag\":\"t\",\"body_encoding\":\"base64\"}}",
        "{\"body\":\"e30\",\"content-type\":\"application/json\","
        "\"properties\":{\"delivery_tag\":\"t\",\"body_encoding\":\"uu\"}}",
    };
    static const char *const BODIES[] = {
        "",
        "nonsense",
        "[\"ping\"]",
        "\"ping\"",
        "{}",
        "{\"method\":7}",
        "{\"method\":\"ping\",\"arguments\":[1]}",
        "{\"method\":\"ping\",\"destination\":7}",
        "{\"method\":\"ping\",\"destination\":[7]}",
        "{\"method\":\"ping\",\"pattern\":7,\"matcher\":\"glob\"}",
        "{\"method\":\"ping\",\"reply_to\":\"me\"}",
        "{\"method\":\"ping\",\"reply_to\":{\"exchange\":\"reply.celery.pidbox\"}}",
        "{\"method\":\"ping\",\"reply_to\":{\"exchange\":\"aion2\",\"routing_key\":\"dead\"}}",
        "{\"method\":\"ping\",\"reply_to\":{\"exchange\":\"reply.celery.pidbox\","
        "\"routing_key\":\"a\\nb\"}}",
    };
    char text[1024];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ENVELOPES) + ARRAY_LEN(BODIES); i++) {
        struct pidbox_request r;
        struct err e = {0};

        if (i < ARRAY_LEN(ENVELOPES)) {
            snprintf(text, sizeof text, "%s", ENVELOPES[i]);
        } else {
            wrap_body(text, sizeof text, BODIES[i - ARRAY_LEN(ENVELOPES)]);
        }
        if (read_text(text, &r, &e)) {
            fail_msg("accepted: %s", text);
        }
        assert_true(e.text[0] != '\0');
        pidbox_request_fini(&r);
    }
}

static void test_what_is_missing_means_everybody_and_no_answer(void **state)
{
    static const char *const BODIES[] = {
        "{\"method\":\"heartbeat\"}",
        "{\"method\":\"heartbeat\",\"arguments\":null,\"destination\":null,\"pattern\":null,"
        "\"matcher\":null,\"ticket\":null,\"reply_to\":null}",
        "{\"method\":\"heartbeat\",\"destination\":[],\"pattern\":\"nobody\",\"matcher\":\"\"}",
    };
    char text[1024];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(BODIES); i++) {
        struct pidbox_request r;
        struct err e;

        wrap_body(text, sizeof text, BODIES[i]);
        assert_true(read_text(text, &r, &e));
        assert_null(r.reply_to);
        assert_int_equal(r.clock, 0);
        assert_int_equal(pidbox_address(&r, "anybody"), PIDBOX_OURS);
        pidbox_request_fini(&r);
    }
}

static void test_patterns(void **state)
{
    static const struct {
        const char *pattern, *text;
        bool fits;
    } CASES[] = {
        {"", "", true},
        {"", "a", false},
        {"*", "", true},
        {"a*", "abc", true},
        {"*@lab", "w1@lab", true},
        {"*@lab", "w1@lab2", false},
        {"w?@lab", "w1@lab", true},
        {"w?@lab", "w@lab", false},
        {"w[12]@*", "w2@x", true},
        {"w[!12]@*", "w2@x", false},
        {"w[!12]@*", "w3@x", true},
        {"w[0-9]", "w7", true},
        {"w[0-9]", "wx", false},
        {"[]a]", "]", true},
        {"[", "[", true},
        {"[a", "[a", true},
        {"*a*b*c", "xxaxxbxxc", true},
        {"*a*b*c", "xxaxxcxxb", false},
        {"a**b", "ab", true},
        {"W1", "w1", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        if (pidbox_glob(CASES[i].pattern, CASES[i].text) != CASES[i].fits) {
            fail_msg("%s on %s", CASES[i].pattern, CASES[i].text);
        }
    }
}

static void test_a_hostile_pattern_takes_no_time(void **state)
{
    char pattern[PIDBOX_PATTERN_MAX], text[4096];

    (void)state;
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (size_t i = 0; i + 2 < sizeof pattern; i += 2) {
        memcpy(pattern + i, "*a", 2);
    }
    memcpy(pattern + sizeof pattern - 2, "b", 2);
    assert_false(pidbox_glob(pattern, text));
}

static void test_another_matcher_is_not_guessed(void **state)
{
    char text[1024];
    struct pidbox_request r;
    struct err e;

    (void)state;
    wrap_body(text, sizeof text, "{\"method\":\"ping\",\"pattern\":\"w.*\",\"matcher\":\"pcre\"}");
    assert_true(read_text(text, &r, &e));
    assert_int_equal(pidbox_address(&r, "w1@lab"), PIDBOX_UNKNOWN_MATCHER);
    pidbox_request_fini(&r);
}

static void test_the_clock_goes_forward_only(void **state)
{
    struct lamport l = {0};

    (void)state;
    assert_int_equal(lamport_tick(&l), 1);
    lamport_hear(&l, 41);
    assert_int_equal(l.n, 42);
    lamport_hear(&l, 3);
    assert_int_equal(l.n, 43);
    lamport_hear(&l, 0);
    assert_int_equal(l.n, 44);
    lamport_hear(&l, INT64_MAX);
    assert_int_equal(l.n, 45);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_captured_request_is_read),
        cmocka_unit_test(test_a_destination_chooses),
        cmocka_unit_test(test_an_answer_has_the_captured_shape),
        cmocka_unit_test(test_our_own_request_is_one),
        cmocka_unit_test(test_what_is_no_request_is_refused_with_a_reason),
        cmocka_unit_test(test_what_is_missing_means_everybody_and_no_answer),
        cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_a_hostile_pattern_takes_no_time),
        cmocka_unit_test(test_another_matcher_is_not_guessed),
        cmocka_unit_test(test_the_clock_goes_forward_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
