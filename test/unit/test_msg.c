/* Task messages: what real clients send, what people type, and what neither should. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

#include "common/b64.h"
#include "common/msg.h"
#include "test/unit/wire_data.h"

#define ID "11111111-2222-4333-8444-555555555555"

static enum msg_verdict parse(const char *text, struct msg *m, struct err *e)
{
    *e = (struct err){0};
    return msg_parse(text, strlen(text), m, e);
}

static enum msg_verdict parse_wire(const char *name, struct msg *m, struct err *e)
{
    size_t len;
    char *bytes = wire_read(name, &len);
    enum msg_verdict v;

    *e = (struct err){0};
    v = msg_parse(bytes, len, m, e);
    free(bytes);
    return v;
}

static void assert_json(const cJSON *v, const char *expected)
{
    char *text = json_print(v);

    assert_string_equal(text, expected);
    free(text);
}

static void test_messages_of_real_clients_are_read(void **state)
{
    static const struct {
        const char *name;
        const char *task;
        const char *args;
    } CASES[] = {
        {"task-message-plain", "lab.add", "[2,3]"},
        {"task-message-plain-celery563", "lab.add", "[2,3]"},
        {"task-message-body-plain", "lab.echo", "[\"\u017e\"]"},
        {"task-message-zlib", "lab.add", NULL},
        {"task-message-gzip", "lab.add", NULL},
        {"task-message-bzip2", "lab.add", NULL},
        {"task-message-link", "lab.add", "[2,3]"},
        {"task-message-link2-linkerror", "lab.add", "[2,3]"},
        {"task-message-link-error", "lab.add", "[2,3]"},
        {"task-message-chain", "lab.add", "[1,2]"},
        {"task-message-chord-header", "lab.add", "[1,2]"},
        {"task-message-chord-header-celery563", "lab.add", "[1,2]"},
        {"task-message-protocol1", "lab.add", "[2,3]"},
        {"task-message-protocol1-eta", "lab.add", "[2,3]"},
        {"task-message-countdown", "lab.add", "[2,3]"},
        {"task-message-group-member", "lab.add", NULL},
        {"task-message-timelimits", "lab.add", "[2,3]"},
        {"task-message-priority9", "lab.add", "[2,3]"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct msg m;
        struct err e;

        print_message("%s\n", CASES[i].name);
        assert_int_equal(parse_wire(CASES[i].name, &m, &e), MSG_OK);
        assert_string_equal(m.task, CASES[i].task);
        assert_int_equal(strlen(m.id), 36);
        assert_true(cJSON_IsArray(m.args) && cJSON_IsObject(m.kwargs));
        if (CASES[i].args) {
            assert_json(m.args, CASES[i].args);
        }
        assert_false(msg_needs_adoption(&m));
        msg_fini(&m);
    }
}

static void test_fields_of_real_messages(void **state)
{
    struct msg m;
    struct err e;

    (void)state;
    assert_int_equal(parse_wire("task-message-eta-offset", &m, &e), MSG_OK);
    assert_int_equal(m.eta_us, INT64_C(1925069645123456)); /* 2031-01-01T21:34:05.123456Z */
    msg_fini(&m);
    assert_int_equal(parse_wire("task-message-eta-naive", &m, &e), MSG_OK);
    assert_int_equal(m.eta_us, INT64_C(1925089445000000)); /* no offset means UTC */
    msg_fini(&m);
    assert_int_equal(parse_wire("task-message-expires-datetime", &m, &e), MSG_OK);
    assert_int_equal(m.expires_us, INT64_C(1925089445000000));
    msg_fini(&m);
    assert_int_equal(parse_wire("task-message-protocol1-eta", &m, &e), MSG_OK);
    assert_int_equal(m.form, MSG_CELERY_1);
    assert_int_equal(m.expires_us - m.eta_us, 60000000);
    msg_fini(&m);
    assert_int_equal(parse_wire("task-message-timelimits", &m, &e), MSG_OK);
    assert_int_equal(m.hard_limit_s, 30);
    assert_int_equal(m.soft_limit_s, 20);
    msg_fini(&m);
    assert_int_equal(parse_wire("task-message-ignore-result", &m, &e), MSG_OK);
    assert_true(m.ignore_result);
    msg_fini(&m);
    assert_int_equal(parse_wire("task-message-group-member", &m, &e), MSG_OK);
    assert_string_equal(m.group, "2699b740-a88f-4a78-859f-05c9eb53305a");
    msg_fini(&m);
    assert_int_equal(parse_wire("task-message-retry", &m, &e), MSG_OK);
    assert_int_equal(m.retries, 1);
    assert_string_equal(m.parent, "aded747d-f10e-47a6-8f8d-9ee0ba437db1");
    msg_fini(&m);
    assert_int_equal(parse_wire("task-message-unicode", &m, &e), MSG_OK);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetArrayItem(m.args, 0)),
                        "\u017elu\u0165ou\u010dk\u00fd \U0001f40e\n\"q\"");
    msg_fini(&m);
}

static void test_what_is_not_for_us_is_refused_by_name(void **state)
{
    static const struct {
        const char *name;
        const char *type;
        const char *says;
    } CASES[] = {
        {"task-message-pickle", "ContentDisallowed", "content-type"},
        {"task-message-yaml", "ContentDisallowed", "content-type"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct msg m;
        struct err e;

        print_message("%s\n", CASES[i].name);
        assert_int_equal(parse_wire(CASES[i].name, &m, &e), MSG_REFUSED);
        assert_int_equal(strlen(m.id), 36);
        assert_string_equal(e.type, CASES[i].type);
        assert_non_null(strstr(e.text, CASES[i].says));
        msg_fini(&m);
    }
}

static void test_plain_messages(void **state)
{
    struct msg m;
    struct err e;

    (void)state;
    assert_int_equal(parse("{\"task\":\"t\"}", &m, &e), MSG_OK);
    assert_int_equal(m.form, MSG_PLAIN);
    assert_string_equal(m.id, "");
    assert_null(m.args);
    assert_int_equal(m.eta_us, MSG_NO_TIME);
    assert_int_equal(m.slot_unix_s, -1);
    assert_true(msg_needs_adoption(&m));
    msg_fini(&m);

    assert_int_equal(parse("{\"task\":\"t\",\"id\":\"x\",\"args\":[1],\"kwargs\":{\"a\":2},"
                           "\"eta\":\"2031-01-02T03:04:05Z\",\"priority\":3,\"retries\":2,"
                           "\"expires\":null,\"aion2_slot\":600,\"unknown\":{}}",
                           &m, &e),
                     MSG_OK);
    assert_json(m.args, "[1]");
    assert_json(m.kwargs, "{\"a\":2}");
    assert_int_equal(m.eta_us, INT64_C(1925089445000000));
    assert_int_equal(m.retries, 2);
    assert_int_equal(m.slot_unix_s, 600);
    assert_false(msg_needs_adoption(&m));
    msg_fini(&m);
}

/* Every field with a value that it must not have, named in the error. */
static void test_bad_fields_are_named(void **state)
{
    static const struct {
        const char *field;
        const char *value;
    } CASES[] = {
        {"task", "5"},
        {"task", "\"\""},
        {"task", "\"a\\nb\""},
        {"args", "{}"},
        {"args", "\"x\""},
        {"kwargs", "[]"},
        {"kwargs", "1"},
        {"eta", "5"},
        {"eta", "\"tomorrow\""},
        {"countdown", "-1"},
        {"countdown", "1e99"},
        {"countdown", "\"5\""},
        {"expires", "\"x\""},
        {"expires", "-1"},
        {"expires", "[]"},
        {"priority", "1.5"},
        {"priority", "-1"},
        {"priority", "\"high\""},
        {"retries", "-1"},
        {"retries", "1.5"},
        {"retries", "1001"},
        {"retries", "\"1\""},
        {"ignore_result", "1"},
        {"timelimit", "30"},
        {"timelimit", "[30]"},
        {"timelimit", "[0,null]"},
        {"timelimit", "[\"x\",null]"},
        {"group", "5"},
        {"parent_id", "[]"},
        {"aion2_slot", "\"x\""},
        {"timelimit", "[null,0]"},
        {"group_index", "-1"},
        {"group_index", "\"0\""},
        {"root_id", "7"},
        {"callbacks", "\"x\""},
        {"chain", "{}"},
        {"chord", "[]"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        char text[256], name[64];
        struct msg m;
        struct err e;

        /* cJSON takes the first of two equal names. */
        snprintf(text, sizeof text, "{\"id\":\"x\",\"%s\":%s,\"task\":\"t\"}", CASES[i].field,
                 CASES[i].value);
        print_message("%s\n", text);
        assert_int_equal(parse(text, &m, &e), MSG_REFUSED);
        snprintf(name, sizeof name, "field \"%s\"", CASES[i].field);
        assert_non_null(strstr(e.text, name));
        msg_fini(&m);

        /* Without an id there is nobody to tell. */
        snprintf(text, sizeof text, "{\"%s\":%s,\"task\":\"t\"}", CASES[i].field, CASES[i].value);
        assert_int_equal(parse(text, &m, &e), MSG_UNREADABLE);
        msg_fini(&m);
    }
}

static void test_unreadable(void **state)
{
    static const char *const CASES[] = {
        "",
        " ",
        "garbage",
        "[]",
        "[1,2]",
        "5",
        "null",
        "\"text\"",
        "{}",
        "{",
        "{\"task\":\"t\"} trailing",
        "{\"task\":5}",
        "{\"id\":5,\"task\":\"t\"}",
        "{\"id\":\"\",\"task\":\"t\"}",
        "{\"id\":\"a\\u0000b\",\"task\":\"t\"}",
        "{\"task\":\"\xff\"}",
        "{\"body\":\"W10=\"}",
        "{\"body\":5,\"headers\":{}}",
        "{\"headers\":{\"task\":\"t\"},\"body\":\"[]\"}",
        "{\"headers\":[],\"body\":\"[]\",\"properties\":[]}",
        "{\"headers\":{\"task\":\"t\",\"id\":[]},\"body\":\"[[],{},{}]\"}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct msg m;
        struct err e;

        print_message("%s\n", CASES[i]);
        assert_int_equal(parse(CASES[i], &m, &e), MSG_UNREADABLE);
        assert_int_not_equal(e.text[0], '\0');
        msg_fini(&m);
    }
}

static void test_bad_envelopes_with_an_id_are_refused(void **state)
{
    static const char *const BODIES[] = {
        "\"body\":\"not base64!\",\"properties\":{\"body_encoding\":\"base64\"}",
        "\"body\":\"[[],{}]\"",
        "\"body\":\"[[],{},{},{}]\"",
        "\"body\":\"[5,{},{}]\"",
        "\"body\":\"[[],[],{}]\"",
        "\"body\":\"[[],{},5]\"",
        "\"body\":\"{}\"",
        "\"body\":\"[[NaN],{},{}]\"",
        "\"body\":\"\"",
        "\"body\":5",
        "\"nobody\":1",
        "\"body\":\"[[],{},{}]\",\"properties\":{\"body_encoding\":\"rot13\"}",
        "\"body\":\"[[],{},{}]\",\"content-encoding\":\"utf-16\"",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(BODIES); i++) {
        char text[512];
        struct msg m;
        struct err e;

        snprintf(text, sizeof text, "{\"headers\":{\"task\":\"t\",\"id\":\"x\"},%s}", BODIES[i]);
        print_message("%s\n", text);
        assert_int_equal(parse(text, &m, &e), MSG_REFUSED);
        assert_string_equal(m.id, "x");
        msg_fini(&m);
    }
}

static void test_the_envelope_s_id_serves_when_the_body_cannot_be_read(void **state)
{
    struct msg m;
    struct err e;

    (void)state;
    assert_int_equal(parse("{\"headers\":{},\"body\":\"?\","
                           "\"properties\":{\"correlation_id\":\"x\",\"body_encoding\":null}}",
                           &m, &e),
                     MSG_REFUSED);
    assert_string_equal(m.id, "x");
    msg_fini(&m);
}

static void test_nesting_is_bounded(void **state)
{
    size_t depth = 100000;
    char *text = malloc(depth + 64);
    struct msg m;
    struct err e;
    int n = sprintf(text, "{\"id\":\"x\",\"task\":\"t\",\"args\":");

    (void)state;
    memset(text + n, '[', depth);
    assert_int_equal(msg_parse(text, (size_t)n + depth, &m, &e), MSG_UNREADABLE);
    msg_fini(&m);
    free(text);
}

static char *deflate_spaces(size_t n, size_t *packed_len)
{
    uLongf len = compressBound(n);
    unsigned char *packed = malloc(len);
    unsigned char *spaces = malloc(n);

    assert_true(packed && spaces);
    memset(spaces, ' ', n);
    assert_int_equal(compress(packed, &len, spaces, n), Z_OK);
    free(spaces);
    *packed_len = len;
    return (char *)packed;
}

static void test_a_small_body_that_inflates_without_end_is_refused(void **state)
{
    struct buf b64;
    char *text = NULL;
    size_t packed_len = 0;
    char *packed = deflate_spaces(64 * MIB, &packed_len);
    struct msg m;
    struct err e;

    (void)state;
    buf_init(&b64, MIB);
    assert_true(b64_encode(&b64, packed, packed_len));
    assert_true(asprintf(&text,
                         "{\"headers\":{\"task\":\"t\",\"id\":\"x\",\"compression\":"
                         "\"application/x-gzip\"},\"properties\":{\"body_encoding\":\"base64\"},"
                         "\"body\":\"%s\"}",
                         b64.data) > 0);
    assert_int_equal(parse(text, &m, &e), MSG_REFUSED);
    assert_non_null(strstr(e.text, "longer than"));
    msg_fini(&m);
    buf_fini(&b64);
    free(packed);
    free(text);
}

static void test_adoption_gives_an_id_and_absolute_times(void **state)
{
    struct msg m, again;
    struct err e;
    size_t len;
    char *text;

    (void)state;
    assert_int_equal(
        parse("{\"task\":\"t\",\"countdown\":1.5,\"expires\":60,\"extra\":[1]}", &m, &e), MSG_OK);
    assert_true(msg_adopt(&m, ID, INT64_C(1700000000000), &e));
    assert_false(msg_needs_adoption(&m));
    text = msg_print(&m, &len);
    assert_int_equal(msg_parse(text, len, &again, &e), MSG_OK);
    assert_string_equal(again.id, ID);
    assert_int_equal(again.eta_us, INT64_C(1700000001500000));
    assert_int_equal(again.expires_us, INT64_C(1700000060000000));
    assert_false(msg_needs_adoption(&again));
    assert_non_null(strstr(text, "\"extra\":[1]"));
    free(text);
    msg_fini(&m);
    msg_fini(&again);
}

/* In every form: the next attempt says so and when, the rest is as it was. */
static void test_retries_are_written_into_every_form(void **state)
{
    static const char *const NAMES[] = {"task-message-countdown", "task-message-protocol1-eta",
                                        "task-message-body-plain"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        struct msg m, again;
        struct err e;
        size_t len;
        char *text;

        assert_int_equal(parse_wire(NAMES[i], &m, &e), MSG_OK);
        assert_true(msg_set_retries(&m, 2, INT64_C(1700000000500000), &e));
        text = msg_print(&m, &len);
        assert_int_equal(msg_parse(text, len, &again, &e), MSG_OK);
        assert_int_equal(again.retries, 2);
        assert_int_equal(again.eta_us, INT64_C(1700000000500000));
        assert_string_equal(again.id, m.id);
        assert_string_equal(again.task, m.task);
        assert_true(cJSON_Compare(again.args, m.args, true));
        assert_int_equal(again.expires_us, m.expires_us);
        free(text);
        msg_fini(&m);
        msg_fini(&again);
    }
}

/* Celery's own retry: the same members change, and no other. */
static void test_a_retry_is_celery_s(void **state)
{
    struct msg m, want;
    struct err e;
    size_t len;
    char *text;
    cJSON *headers, *wanted;

    (void)state;
    assert_int_equal(parse_wire("task-message-retry", &want, &e), MSG_OK);
    assert_int_equal(parse_wire("task-message-retry", &m, &e), MSG_OK);
    headers = json_get_obj(m.root, "headers"); /* as it was before its first attempt */
    cJSON_ReplaceItemInObject(headers, "retries", cJSON_CreateNumber(0));
    cJSON_ReplaceItemInObject(headers, "parent_id", cJSON_CreateNull());
    cJSON_ReplaceItemInObject(headers, "eta", cJSON_CreateNull());
    assert_true(msg_set_retries(&m, 1, want.eta_us, &e));
    text = msg_print(&m, &len);
    wanted = json_get_obj(want.root, "headers");
    headers = json_get_obj(m.root, "headers");
    assert_true(cJSON_Compare(headers, wanted, true));
    free(text);
    msg_fini(&m);
    msg_fini(&want);
}

static void test_what_monitors_want_to_know(void **state)
{
    char repr[MSG_REPR_SIZE];
    struct msg m;
    struct err e;

    (void)state;
    assert_int_equal(parse_wire("task-message-priority9", &m, &e), MSG_OK);
    assert_int_equal(m.priority, 9);
    assert_string_equal(m.routing_key, "celery");
    assert_string_equal(m.exchange, "");
    assert_int_equal(strlen(m.delivery_tag), 36);
    assert_int_equal(strlen(m.reply_to), 36);
    assert_non_null(strstr(m.origin, "@lab"));
    assert_string_equal(m.root_id, m.id);
    assert_string_equal(msg_args_repr(&m, repr), "(2, 3)");
    assert_string_equal(msg_kwargs_repr(&m, repr), "{}");
    msg_fini(&m);
    assert_int_equal(parse_wire("task-message-shadow", &m, &e), MSG_OK);
    assert_non_null(m.shadow);
    msg_fini(&m);
    assert_int_equal(parse_wire("task-message-chord-header", &m, &e), MSG_OK);
    assert_int_equal(m.group_index, 0);
    assert_non_null(m.chord);
    msg_fini(&m);
}

static void test_reprs_are_python_s(void **state)
{
    static const struct {
        const char *json;
        const char *repr;
    } CASES[] = {
        {"[]", "()"},
        {"[2]", "(2,)"},
        {"[2,3]", "(2, 3)"},
        {"[[3,7]]", "([3, 7],)"},
        {"[\"a\",null,true,false]", "('a', None, True, False)"},
        {"[1.5,-0.1,1e300,123456789012]", "(1.5, -0.1, 1e+300, 123456789012)"},
        {"[{\"k\":[1,{\"x\":\"y\"}]}]", "({'k': [1, {'x': 'y'}]},)"},
        {"[\"it's\",\"\\\"'\",\"a\\nb\\\\\"]", "(\"it's\", '\"\\'', 'a\\nb\\\\')"},
        {"[\"\\u0001\\u007f\\u017e\"]", "('\\x01\\x7f\u017e',)"},
    };
    char repr[MSG_REPR_SIZE];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        cJSON *v = cJSON_Parse(CASES[i].json);

        assert_string_equal(msg_repr_args(v, repr), CASES[i].repr);
        cJSON_Delete(v);
    }
}

static void test_a_long_repr_is_clipped_between_characters(void **state)
{
    char text[4096] = "{\"id\":\"x\",\"task\":\"t\",\"args\":[\"";
    char repr[MSG_REPR_SIZE];
    struct msg m;
    struct err e;

    (void)state;
    for (int i = 0; i < 1000; i++) {
        strcat(text, "\u017e");
    }
    strcat(text, "\"]}");
    assert_int_equal(parse(text, &m, &e), MSG_OK);
    msg_args_repr(&m, repr);
    assert_int_equal(strlen(repr), 1027); /* two bytes each after "('": the last one did not fit */
    assert_string_equal(repr + strlen(repr) - 5, "\u017e...");
    msg_fini(&m);
}

/* Each of them would be found out only after the task's work is done. */
static void test_bad_signatures_are_refused(void **state)
{
    static const char *const CASES[] = {
        "\"callbacks\":[5]",
        "\"callbacks\":[{}]",
        "\"callbacks\":[{\"task\":5}]",
        "\"callbacks\":[{\"task\":\"a\\u0007\"}]",
        "\"callbacks\":[{\"task\":\"a\",\"args\":{}}]",
        "\"errbacks\":[{\"task\":\"a\",\"kwargs\":[]}]",
        "\"chain\":[{\"task\":\"a\",\"options\":[]}]",
        "\"chain\":[{\"task\":\"a\",\"options\":{\"task_id\":7}}]",
        "\"chain\":[{\"task\":\"a\",\"options\":{\"queue\":\"\\u0006\"}}]",
        "\"chain\":[{\"task\":\"a\",\"options\":{\"priority\":\"high\"}}]",
        "\"chain\":[{\"task\":\"a\",\"options\":{\"countdown\":1e300}}]",
        "\"chain\":[{\"task\":\"a\",\"options\":{\"link\":[{}]}}]",
        "\"chain\":[{\"task\":\"a\",\"options\":{\"chord\":{\"task\":7}}}]",
        "\"chord\":{\"subtask_type\":\"chord\",\"task\":\"c\",\"kwargs\":{\"header\":[]}}",
        "\"chord\":{\"subtask_type\":\"chord\",\"task\":\"c\",\"kwargs\":"
        "{\"header\":{\"task\":\"g\"},\"body\":{\"task\":\"b\"}}}",
        "\"callbacks\":[{\"subtask_type\":\"group\",\"task\":\"g\",\"kwargs\":{}}]",
        "\"callbacks\":[{\"subtask_type\":\"chain\",\"task\":\"g\",\"kwargs\":{\"tasks\":[1]}}]",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        char text[512];
        struct msg m;
        struct err e;

        snprintf(text, sizeof text, "{\"id\":\"x\",\"task\":\"t\",%s}", CASES[i]);
        print_message("%s\n", text);
        assert_int_equal(parse(text, &m, &e), MSG_REFUSED);
        assert_string_equal(e.type, "ValueError");
        assert_null(m.callbacks);
        assert_null(m.chain);
        assert_null(m.chord);
        msg_fini(&m);
    }
}

/* Whoever waits for what should have followed is told as well. */
static void test_a_refused_message_still_tells_what_follows(void **state)
{
    static const char *const CASES[] = {
        "{\"id\":\"x\",\"task\":\"t\",\"eta\":5,\"group\":\"g\",\"group_index\":1,"
        "\"chord\":{\"task\":\"b\"}}",
        "{\"headers\":{\"task\":\"t\",\"id\":\"x\",\"eta\":5,\"group\":\"g\",\"group_index\":1},"
        "\"body\":\"[[],{},{\\\"chord\\\":{\\\"task\\\":\\\"b\\\"}}]\"}",
        "{\"headers\":{\"task\":\"t\",\"id\":\"x\",\"group\":\"g\",\"group_index\":1},"
        "\"body\":\"[5,{},{\\\"chord\\\":{\\\"task\\\":\\\"b\\\"}}]\"}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct msg m;
        struct err e;

        assert_int_equal(parse(CASES[i], &m, &e), MSG_REFUSED);
        assert_non_null(strstr(e.text, i == 2 ? "\"args\"" : "\"eta\""));
        assert_string_equal(m.group, "g");
        assert_int_equal(m.group_index, 1);
        assert_non_null(m.chord);
        msg_fini(&m);
    }
}

/* JSON readers disagree about which of the two counts. */
static void test_a_field_given_twice_is_refused(void **state)
{
    struct msg m;
    struct err e;

    (void)state;
    assert_int_equal(parse("{\"id\":\"x\",\"task\":\"t\",\"retries\":0,\"retries\":1}", &m, &e),
                     MSG_REFUSED);
    assert_non_null(strstr(e.text, "\"retries\""));
    msg_fini(&m);
}

static void test_what_we_build_we_read(void **state)
{
    cJSON *args = cJSON_Parse("[1,\"\\u017e\"]");
    struct msg_new n = {.task = "t",
                        .id = ID,
                        .queue = "q",
                        .origin = "beat@lab",
                        .args = args,
                        .priority = 3,
                        .slot_unix_s = 1200};
    size_t len;
    char *text = msg_build(&n, &len);
    struct msg m;
    struct err e;

    (void)state;
    assert_non_null(text);
    assert_int_equal(msg_parse(text, len, &m, &e), MSG_OK);
    assert_int_equal(m.form, MSG_CELERY_2);
    assert_string_equal(m.id, ID);
    assert_int_equal(m.slot_unix_s, 1200);
    assert_true(cJSON_Compare(m.args, args, true));
    assert_json(m.kwargs, "{}");
    msg_fini(&m);
    free(text);
    cJSON_Delete(args);
}

static void test_priorities_choose_the_list(void **state)
{
    static const struct {
        int priority;
        const char *list;
    } CASES[] = {{-1, "q"},
                 {0, "q"},
                 {2, "q"},
                 {3, "q\x06\x16"
                     "3"},
                 {5, "q\x06\x16"
                     "3"},
                 {6, "q\x06\x16"
                     "6"},
                 {9, "q\x06\x16"
                     "9"},
                 {255, "q\x06\x16"
                       "9"}};
    char list[16];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        assert_true(msg_list_name(list, sizeof list, "q", CASES[i].priority));
        assert_string_equal(list, CASES[i].list);
    }
    assert_false(msg_list_name(list, 3, "abc", 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages_of_real_clients_are_read),
        cmocka_unit_test(test_fields_of_real_messages),
        cmocka_unit_test(test_what_is_not_for_us_is_refused_by_name),
        cmocka_unit_test(test_plain_messages),
        cmocka_unit_test(test_bad_fields_are_named),
        cmocka_unit_test(test_unreadable),
        cmocka_unit_test(test_bad_envelopes_with_an_id_are_refused),
        cmocka_unit_test(test_the_envelope_s_id_serves_when_the_body_cannot_be_read),
        cmocka_unit_test(test_nesting_is_bounded),
        cmocka_unit_test(test_a_small_body_that_inflates_without_end_is_refused),
        cmocka_unit_test(test_adoption_gives_an_id_and_absolute_times),
        cmocka_unit_test(test_retries_are_written_into_every_form),
        cmocka_unit_test(test_a_retry_is_celery_s),
        cmocka_unit_test(test_what_monitors_want_to_know),
        cmocka_unit_test(test_reprs_are_python_s),
        cmocka_unit_test(test_a_long_repr_is_clipped_between_characters),
        cmocka_unit_test(test_bad_signatures_are_refused),
        cmocka_unit_test(test_a_refused_message_still_tells_what_follows),
        cmocka_unit_test(test_a_field_given_twice_is_refused),
        cmocka_unit_test(test_what_we_build_we_read),
        cmocka_unit_test(test_priorities_choose_the_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
