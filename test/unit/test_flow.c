/* What follows a task: the same messages, results and helper keys that a Celery worker makes. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/b64.h"
#include "test/unit/wire_data.h"
#include "worker/flow.h"

#define NOW_US INT64_C(1795411368000000) /* 2026-11-23T05:22:48Z */

static int ids; /* given out in this test */

static void next_id(char id[UUID_SIZE])
{
    snprintf(id, UUID_SIZE, "new-%d", ++ids);
}

static const struct flow_env ENV = {.queue = "celery",
                                    .origin = "aion2@lab",
                                    .reply_to = "me",
                                    .now_us = NOW_US,
                                    .new_id = next_id};

struct run {
    struct msg m;
    struct flow f;
    struct err e;
};

static struct run *begin(const char *message, size_t len)
{
    struct run *r = calloc(1, sizeof *r);

    ids = 0;
    assert_int_equal(msg_parse(message, len, &r->m, &r->e), MSG_OK);
    flow_init(&r->f);
    return r;
}

static struct run *begin_text(const char *message)
{
    return begin(message, strlen(message));
}

static struct run *begin_wire(const char *name)
{
    size_t len;
    char *bytes = wire_read(name, &len);
    struct run *r = begin(bytes, len);

    free(bytes);
    return r;
}

static void end(struct run *r)
{
    flow_fini(&r->f);
    msg_fini(&r->m);
    free(r);
}

static void succeed(struct run *r, const char *result)
{
    assert_true(flow_succeed(&r->f, &ENV, &r->m, result, &r->e));
}

static void fail_with(struct run *r, const char *exception)
{
    struct flow_failure x = {.status = "FAILURE", .exception = exception};

    assert_true(flow_fail(&r->f, &ENV, &r->m, &x, &r->e));
}

#define BOOM                                                                                       \
    "{\"exc_type\":\"ValueError\",\"exc_message\":[\"boom\",7],\"exc_module\":\"builtins\"}"

/* The message of item i, with its body decoded in place. The caller's. */
static cJSON *message(const struct run *r, size_t i)
{
    cJSON *o;
    struct buf text;
    const char *body;

    assert_true(i < r->f.count);
    assert_int_equal(r->f.items[i].kind, FOLLOW_PUSH);
    o = cJSON_ParseWithLength(r->f.items[i].bytes, r->f.items[i].len);
    body = json_get_str(o, "body");
    buf_init(&text, MIB);
    assert_true(b64_decode(&text, body, strlen(body)));
    cJSON_ReplaceItemInObject(o, "body", cJSON_Parse(text.data));
    buf_fini(&text);
    return o;
}

static cJSON *at(cJSON *o, const char *path)
{
    char name[64];
    const char *slash;

    for (; *path && o; path = *slash ? slash + 1 : slash) {
        slash = strchrnul(path, '/');
        snprintf(name, sizeof name, "%.*s", (int)(slash - path), path);
        o = cJSON_IsArray(o) ? cJSON_GetArrayItem(o, atoi(name))
                             : cJSON_GetObjectItemCaseSensitive(o, name);
    }
    return o;
}

static void assert_at(const struct run *r, size_t i, const char *path, const char *json)
{
    cJSON *o = message(r, i);
    char *text = json_print(at(o, path));

    assert_non_null(text);
    assert_string_equal(text, json);
    free(text);
    cJSON_Delete(o);
}

static void assert_item(const struct run *r, size_t i, enum follow_kind kind, const char *key,
                        const char *text)
{
    assert_true(i < r->f.count);
    assert_int_equal(r->f.items[i].kind, kind);
    assert_string_equal(r->f.items[i].key, key);
    if (!strstr(r->f.items[i].bytes, text)) {
        print_message("%s\n", r->f.items[i].bytes);
        fail();
    }
}

static void assert_children(const struct run *r, const char *json)
{
    char *text = json_print(r->f.children);

    assert_string_equal(text, json);
    free(text);
}

/* ---- byte for byte, but for what is each sender's own ---- */

static void forget(cJSON *o, const char *path, const char *name)
{
    cJSON *v = at(o, path);

    cJSON_DeleteItemFromObjectCaseSensitive(v, name);
}

static cJSON *comparable(cJSON *o)
{
    static const char *const OWN[][2] = {{"headers", "lang"},
                                         {"headers", "origin"},
                                         {"headers", "id"},
                                         {"headers", "root_id"},
                                         {"headers", "parent_id"},
                                         {"headers", "group"},
                                         {"properties", "correlation_id"},
                                         {"properties", "reply_to"},
                                         {"properties", "delivery_tag"}};

    for (size_t i = 0; i < ARRAY_LEN(OWN); i++) {
        assert_non_null(at(at(o, OWN[i][0]), OWN[i][1]));
        forget(o, OWN[i][0], OWN[i][1]);
    }
    return o;
}

static cJSON *captured(const char *name)
{
    size_t len;
    char *bytes = wire_read(name, &len);
    cJSON *o = cJSON_ParseWithLength(bytes, len);
    const char *body = json_get_str(o, "body");
    struct buf text;

    buf_init(&text, MIB);
    assert_true(b64_decode(&text, body, strlen(body)));
    cJSON_ReplaceItemInObject(o, "body", cJSON_Parse(text.data));
    buf_fini(&text);
    free(bytes);
    return o;
}

/* In the same order of members, too. */
static void assert_like_captured(const struct run *r, size_t i, const char *name, cJSON *want)
{
    cJSON *got = comparable(message(r, i));
    char *a = json_print(got), *b;

    comparable(want);
    b = json_print(want);
    print_message("%s\n", name);
    assert_string_equal(a, b);
    free(a);
    free(b);
    cJSON_Delete(got);
    cJSON_Delete(want);
}

static void test_a_link_is_what_celery_sends(void **state)
{
    struct run *r = begin_wire("task-message-link");
    cJSON *want = captured("task-message-link-callback-sent-by-worker");

    (void)state;
    succeed(r, "3");
    assert_int_equal(r->f.count, 1);
    assert_string_equal(r->f.items[0].key, "celery");
    assert_like_captured(r, 0, "link", want);
    assert_at(r, 0, "headers/id", "\"new-1\"");
    assert_children(r, "[[[\"new-1\",null],null]]");
    end(r);
}

static void test_a_chain_step_is_what_celery_sends(void **state)
{
    struct run *r = begin_wire("task-message-chain");
    cJSON *want = captured("task-message-chain-step2-sent-by-worker");
    cJSON *rest = at(want, "body/2/chain/0/options");
    char id[MSG_NAME_SIZE + 2];

    (void)state;
    snprintf(id, sizeof id, "\"%s\"", r->m.id);
    /* Of another run: other ids. */
    cJSON_ReplaceItemInObject(rest, "task_id",
                              cJSON_CreateString("2ca1b314-4de7-4bed-a167-a912283f7edd"));
    cJSON_ReplaceItemInObject(rest, "reply_to",
                              cJSON_CreateString("0bf28bd1-22d1-32f3-8b88-2c1851722f74"));
    succeed(r, "3");
    assert_int_equal(r->f.count, 1);
    assert_at(r, 0, "headers/id", "\"2b0a9bbb-151a-4fad-bbcb-7b389cb4ebb7\"");
    assert_at(r, 0, "headers/root_id", id);
    assert_at(r, 0, "headers/parent_id", id);
    assert_like_captured(r, 0, "chain", want);
    end(r);
}

static void test_a_chord_s_body_is_what_celery_sends(void **state)
{
    struct run *r = begin_wire("task-message-chord-header");
    const char *members[] = {"[1, \"beb7e653-d183-4c24-a4e0-c31516ac731f\", \"SUCCESS\", 3]",
                             "[1, \"cda4bff1-251a-4e43-9a4e-630d795e3371\", \"SUCCESS\", 7]"};
    struct flow_count c = {.ready = 2, .size = 2, .members = members, .member_count = 2};
    const struct flow_part *p;
    char member[512];

    (void)state;
    succeed(r, "3");
    assert_int_equal(r->f.count, 0);
    p = flow_part(&r->f);
    assert_non_null(p);
    assert_string_equal(p->group, r->m.group);
    assert_string_equal(p->score, "0");
    snprintf(member, sizeof member, "[1, \"%s\", \"SUCCESS\", 3]", r->m.id);
    assert_string_equal(p->member, member);
    assert_true(flow_counted(&r->f, &ENV, &r->m, &c, &r->e));
    assert_null(flow_part(&r->f));
    assert_int_equal(r->f.count, 1);
    assert_like_captured(r, 0, "body", captured("task-message-chord-body-sent-by-worker"));
    assert_at(r, 0, "headers/id", "\"7f175cde-c7b7-4a39-95a2-624a7b5564f4\"");
    assert_string_equal(r->f.items[0].guard, r->m.group);
    assert_int_equal(r->f.end_count, 1);
    assert_string_equal(r->f.ends[0], r->m.group);
    assert_children(r, "[]");
    end(r);
}

static void test_an_errback_is_what_celery_sends(void **state)
{
    struct run *r = begin_wire("task-message-link-error");
    cJSON *want = captured("task-message-errback-oldstyle-sent-by-worker");
    cJSON *args = cJSON_CreateStringArray((const char *const[]){r->m.id}, 1);
    char repr[512];

    (void)state;
    snprintf(repr, sizeof repr, "('%s',)", r->m.id);
    cJSON_ReplaceItemInArray(at(want, "body"), 0, args);
    cJSON_ReplaceItemInObject(at(want, "headers"), "argsrepr", cJSON_CreateString(repr));
    cJSON_ReplaceItemInObject(at(want, "headers"), "task", cJSON_CreateString("lab.errback"));
    fail_with(r, BOOM);
    assert_int_equal(r->f.count, 1);
    assert_like_captured(r, 0, "errback", want);
    assert_at(r, 0, "headers/group", "\"new-1\"");
    end(r);
}

/* ---- the rest, by their parts ---- */

#define SIG(task, options)                                                                         \
    "{\"task\":\"" task "\",\"args\":[],\"kwargs\":{},\"options\":{" options "}}"
#define PLAIN(members) "{\"task\":\"t\",\"id\":\"p\"," members "}"
#define GROUP(members)                                                                             \
    "{\"task\":\"celery.group\",\"args\":[],\"kwargs\":{\"tasks\":[" members "]},\"options\":{},"  \
    "\"subtask_type\":\"group\"}"
#define CHAIN(members)                                                                             \
    "{\"task\":\"celery.chain\",\"args\":[],\"kwargs\":{\"tasks\":[" members "]},\"options\":{},"  \
    "\"subtask_type\":\"chain\"}"
#define CHORD(header, body)                                                                        \
    "{\"task\":\"celery.chord\",\"args\":[],\"kwargs\":{\"kwargs\":{},\"header\":" header          \
    ",\"body\":" body "},\"options\":{},\"subtask_type\":\"chord\"}"

static void test_options_of_a_signature(void **state)
{
    struct run *r = begin_text(
        PLAIN("\"callbacks\":[{\"task\":\"a\",\"args\":[1],\"kwargs\":{\"k\":2},\"immutable\":true,"
              "\"options\":{\"queue\":\"fast\",\"priority\":6,\"countdown\":1.5,\"expires\":60,"
              "\"time_limit\":9,\"soft_time_limit\":8,\"ignore_result\":true,\"shadow\":\"s\","
              "\"headers\":{\"trace\":\"x\",\"task\":\"evil\"},\"link\":[" SIG(
                  "b", "") "],"
                           "\"link_error\":" SIG("c", "") "}}]"));

    (void)state;
    succeed(r, "3");
    assert_string_equal(r->f.items[0].key, "fast\x06\x16"
                                           "6");
    assert_at(r, 0, "body/0", "[1]");
    assert_at(r, 0, "body/1", "{\"k\":2}");
    assert_at(r, 0, "body/2/callbacks", "[" SIG("b", "") "]");
    assert_at(r, 0, "body/2/errbacks", "[" SIG("c", "") "]");
    assert_at(r, 0, "headers/task", "\"a\"");
    assert_at(r, 0, "headers/trace", "\"x\"");
    assert_at(r, 0, "headers/eta", "\"2026-11-23T05:22:49.500000+00:00\"");
    assert_at(r, 0, "headers/expires", "\"2026-11-23T05:23:48.000000+00:00\"");
    assert_at(r, 0, "headers/timelimit", "[9,8]");
    assert_at(r, 0, "headers/shadow", "\"s\"");
    assert_at(r, 0, "headers/ignore_result", "true");
    assert_at(r, 0, "properties/priority", "6");
    assert_at(r, 0, "properties/expiration", "\"60000\"");
    assert_at(r, 0, "properties/delivery_info", "{\"exchange\":\"\",\"routing_key\":\"fast\"}");
    end(r);
}

static void test_what_a_task_returned_is_passed_on_as_it_is(void **state)
{
    static const char *const RESULTS[] = {"12345678901234567890", "3.0", "1e15", "NaN",
                                          "{\"a\": [1,\"\\u017e\"]}"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(RESULTS); i++) {
        struct run *r = begin_text(PLAIN("\"callbacks\":[" SIG("a", "") "]"));
        const char *body;
        struct buf text;
        cJSON *o;
        char want[128];

        succeed(r, RESULTS[i]);
        o = cJSON_ParseWithLength(r->f.items[0].bytes, r->f.items[0].len);
        body = json_get_str(o, "body");
        buf_init(&text, MIB);
        assert_true(b64_decode(&text, body, strlen(body)));
        snprintf(want, sizeof want, "[[%s], {}, {", RESULTS[i]);
        assert_memory_equal(text.data, want, strlen(want));
        buf_fini(&text);
        cJSON_Delete(o);
        end(r);
    }
}

static void test_several_callbacks_are_a_group(void **state)
{
    struct run *r = begin_text(PLAIN("\"callbacks\":[" SIG("a", "") "," SIG("b", "") "," GROUP(
        SIG("c", "") "," SIG("d", "")) "]"));

    (void)state;
    succeed(r, "3");
    assert_int_equal(r->f.count, 4);
    assert_at(r, 0, "headers/group", "\"new-1\"");
    assert_at(r, 0, "headers/group_index", "null");
    assert_at(r, 1, "headers/group", "\"new-1\"");
    assert_at(r, 2, "headers/group", "\"new-4\"");
    assert_at(r, 3, "headers/task", "\"d\"");
    assert_at(r, 3, "body/0", "[3]");
    assert_children(r, "[[[\"new-4\",null],[[[\"new-5\",null],null],[[\"new-6\",null],null]]],"
                       "[[\"new-1\",null],[[[\"new-2\",null],null],[[\"new-3\",null],null]]]]");
    end(r);
}

static void test_a_chain_as_a_callback(void **state)
{
    struct run *r = begin_text(
        PLAIN("\"callbacks\":[" CHAIN(SIG("a", "") "," CHAIN(SIG("b", "") "," SIG("c", ""))) "]"));

    (void)state;
    succeed(r, "3");
    assert_int_equal(r->f.count, 1);
    assert_at(r, 0, "headers/task", "\"a\"");
    assert_at(r, 0, "body/2/chain/0/task", "\"c\"");
    assert_at(r, 0, "body/2/chain/1/task", "\"b\"");
    assert_at(r, 0, "body/2/chain/1/options", "{\"task_id\":\"new-2\",\"reply_to\":\"me\"}");
    assert_children(r, "[[[\"new-1\",null],null]]");
    end(r);
}

/* A group that something follows is a chord, and the end of the chain is its body. */
static void test_a_group_within_a_chain(void **state)
{
    struct run *r = begin_text(PLAIN("\"chain\":[" SIG("z", "\"task_id\":\"Z\"") "," SIG(
        "y", "\"task_id\":\"Y\"") "," GROUP(SIG("a", "") "," SIG("b", "")) "]"));

    (void)state;
    succeed(r, "3");
    assert_int_equal(r->f.count, 3);
    assert_item(r, 0, FOLLOW_SET, "celery-taskset-meta-new-1.s", "2");
    assert_at(r, 1, "headers/task", "\"a\"");
    assert_at(r, 1, "headers/group", "\"new-1\"");
    assert_at(r, 1, "headers/group_index", "0");
    assert_at(r, 1, "body/0", "[3]");
    assert_at(r, 1, "body/2/chain", "null");
    assert_at(r, 1, "body/2/chord/task", "\"y\"");
    assert_at(r, 1, "body/2/chord/options/task_id", "\"Y\"");
    assert_at(r, 1, "body/2/chord/options/chain/0/task", "\"z\"");
    assert_at(r, 2, "headers/group_index", "1");
    assert_children(r, "[[[\"new-1\",null],[[[\"new-2\",null],null],[[\"new-3\",null],null]]]]");
    end(r);
}

static void test_a_chord_within_a_chord_s_header(void **state)
{
    struct run *r = begin_text(PLAIN("\"callbacks\":[" CHORD(
        "[" SIG("a", "") "," CHORD("[" SIG("b", "") "]", SIG("c", "")) "]", SIG("d", "")) "]"));

    (void)state;
    succeed(r, "3");
    assert_int_equal(r->f.count, 4);
    assert_item(r, 0, FOLLOW_SET, "celery-taskset-meta-new-1.s", "2");
    assert_at(r, 1, "headers/task", "\"a\"");
    assert_at(r, 1, "body/2/chord/task", "\"d\"");
    assert_int_equal(r->f.items[2].kind, FOLLOW_SET);
    assert_string_equal(r->f.items[2].bytes, "1");
    assert_at(r, 3, "headers/task", "\"b\"");
    assert_at(r, 3, "body/2/chord/task", "\"c\"");
    assert_at(r, 3, "body/2/chord/options/group_id", "\"new-1\"");
    assert_at(r, 3, "body/2/chord/options/group_index", "1");
    assert_at(r, 3, "body/2/chord/options/chord/task", "\"d\"");
    end(r);
}

static void test_an_empty_header_calls_the_body_at_once(void **state)
{
    struct run *r = begin_text(PLAIN("\"callbacks\":[" CHORD("[]", SIG("d", "")) "]"));

    (void)state;
    succeed(r, "3");
    assert_int_equal(r->f.count, 1);
    assert_at(r, 0, "headers/task", "\"d\"");
    assert_at(r, 0, "body/0", "[[]]");
    end(r);
}

/* What the body gets has the shape of the header, not of the list of its ends. */
static void test_a_saved_group_gives_the_results_their_shape(void **state)
{
    struct run *r = begin_text(PLAIN("\"group\":\"g\",\"chord\":" SIG("d", "")));
    const char *members[] = {"[1, \"x\", \"SUCCESS\", 10]", "[1, \"p\", \"SUCCESS\", 1]",
                             "[1, \"y\", \"SUCCESS\", NaN]"};
    struct flow_count c = {
        .ready = 3,
        .size = 3,
        .saved = "{\"result\": [[\"g\", null], [[[\"p\", null], null], [[\"h\", null], "
                 "[[[\"x\", null], null], [[\"y\", null], null]]]]]}",
        .members = members,
        .member_count = 3};

    (void)state;
    succeed(r, "1");
    assert_string_equal(flow_part(&r->f)->score, "+inf");
    assert_true(flow_counted(&r->f, &ENV, &r->m, &c, &r->e));
    assert_int_equal(r->f.count, 1);
    {
        cJSON *o = cJSON_ParseWithLength(r->f.items[0].bytes, r->f.items[0].len);
        const char *body = json_get_str(o, "body");
        struct buf text;

        buf_init(&text, MIB);
        assert_true(b64_decode(&text, body, strlen(body)));
        assert_non_null(strstr(text.data, "[[[1, [10, NaN]]], {}, {"));
        buf_fini(&text);
        cJSON_Delete(o);
    }
    end(r);
}

static void test_a_failed_part_fails_the_body_and_all_behind_it(void **state)
{
    struct run *r = begin_text(PLAIN("\"group\":\"g\",\"group_index\":1,\"chord\":" SIG(
        "d", "\"task_id\":\"D\",\"link_error\":[" SIG("eb", "") "],\"chain\":[" SIG(
                 "e", "\"task_id\":\"E\"") "],\"group_id\":\"outer\",\"group_index\":4,"
                                           "\"chord\":" SIG("z", "\"task_id\":\"Z\""))));
    const char *members[] = {"[1, \"o\", \"SUCCESS\", 3]", "[1, \"p\", \"FAILURE\", " BOOM "]"};
    struct flow_count c = {.ready = 2, .size = 2, .members = members, .member_count = 2};

    (void)state;
    fail_with(r, BOOM);
    assert_true(flow_counted(&r->f, &ENV, &r->m, &c, &r->e));
    assert_int_equal(r->f.count, 3);
    assert_item(r, 0, FOLLOW_STORE, "celery-task-meta-D",
                "{\"status\":\"FAILURE\",\"result\":{\"exc_type\":\"ChordError\",\"exc_message\":"
                "[\"Dependency p raised ValueError('boom', 7)\"],\"exc_module\":"
                "\"celery.exceptions\"}");
    assert_item(r, 1, FOLLOW_STORE, "celery-task-meta-E", "ChordError");
    assert_at(r, 2, "headers/task", "\"eb\"");
    assert_at(r, 2, "body/0", "[\"D\"]");
    /* The body was itself a part of a chord: that one must hear of it. */
    assert_non_null(flow_part(&r->f));
    assert_string_equal(flow_part(&r->f)->group, "outer");
    assert_string_equal(flow_part(&r->f)->score, "4");
    c.members = NULL;
    c.ready = 1;
    assert_true(flow_counted(&r->f, &ENV, &r->m, &c, &r->e));
    assert_null(flow_part(&r->f));
    assert_int_equal(r->f.end_count, 1);
    end(r);
}

static void test_a_failed_step_fails_the_steps_behind_it(void **state)
{
    struct run *r = begin_text(PLAIN(
        "\"chain\":[" SIG("c", "\"task_id\":\"C\",\"group_id\":\"g\",\"group_index\":0,"
                               "\"chord\":" SIG("z", "")) "," SIG("b", "\"task_id\":\"B\"") "]"));

    (void)state;
    fail_with(r, BOOM);
    assert_int_equal(r->f.count, 2);
    assert_item(r, 0, FOLLOW_STORE, "celery-task-meta-C", "\"exc_message\":[\"boom\",7]");
    assert_item(r, 0, FOLLOW_STORE, "celery-task-meta-C", "\"group_id\":\"g\",\"task_id\":\"C\"");
    assert_item(r, 1, FOLLOW_STORE, "celery-task-meta-B", "\"status\":\"FAILURE\"");
    assert_string_equal(flow_part(&r->f)->id, "C");
    end(r);
}

static void test_a_chord_ends_once(void **state)
{
    struct run *r = begin_text(PLAIN("\"group\":\"g\",\"chord\":" SIG("d", "")));
    struct flow_count fired = {.fired = true, .size = -1};
    struct flow_count unknown = {.ready = 2, .size = -1};

    (void)state;
    assert_false(flow_is_counted(&unknown));
    assert_true(flow_is_counted(&fired));
    succeed(r, "1");
    assert_true(flow_counted(&r->f, &ENV, &r->m, &fired, &r->e));
    assert_int_equal(r->f.count, 0);
    end(r);
}

static void test_results_that_are_no_members_fail_the_body(void **state)
{
    static const char *const BAD[] = {"",
                                      "[]",
                                      "{}",
                                      "[1, 2, \"SUCCESS\", 3]",
                                      "[1, \"x\", \"SUCCESS\"]",
                                      "[1, \"x\", \"SUCCESS\", 3",
                                      "nan"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        struct run *r =
            begin_text(PLAIN("\"group\":\"g\",\"chord\":" SIG("d", "\"task_id\":\"D\"")));
        const char *members[] = {BAD[i]};
        struct flow_count c = {.ready = 1, .size = 1, .members = members, .member_count = 1};

        succeed(r, "1");
        assert_true(flow_counted(&r->f, &ENV, &r->m, &c, &r->e));
        assert_item(r, 0, FOLLOW_STORE, "celery-task-meta-D", "Join error");
        end(r);
    }
}

/* A small message must not become gigabytes of messages. */
static void test_too_much_is_refused(void **state)
{
    struct buf text;
    struct run *r;

    (void)state;
    buf_init(&text, 8 * MIB);
    buf_addstr(&text,
               "{\"task\":\"t\",\"id\":\"p\",\"callbacks\":[{\"task\":\"celery.chord\","
               "\"subtask_type\":\"chord\",\"kwargs\":{\"body\":{\"task\":\"b\",\"args\":[\"");
    for (int i = 0; i < 1000000; i++) {
        buf_addch(&text, 'x');
    }
    buf_addstr(&text, "\"]},\"header\":[{\"task\":\"a\"}");
    for (int i = 0; i < 5000; i++) {
        buf_addstr(&text, ",{\"task\":\"a\"}");
    }
    buf_addstr(&text, "]}}]}");
    r = begin(text.data, text.len);
    assert_false(flow_succeed(&r->f, &ENV, &r->m, "1", &r->e));
    assert_int_equal(r->e.cls, ERR_PERMANENT);
    assert_non_null(strstr(r->e.text, "what follows"));
    end(r);
    buf_fini(&text);
}

/* That is no lack of memory, which would be tried again for ever. */
static void test_a_result_too_long_to_pass_on_is_refused(void **state)
{
    static const char *const MESSAGES[] = {PLAIN("\"callbacks\":[" SIG("a", "") "]"),
                                           PLAIN("\"group\":\"g\",\"chord\":" SIG("d", ""))};
    size_t len = FLOW_BYTES_MAX + 2;
    char *result = malloc(len + 1);

    (void)state;
    memset(result, 'x', len);
    result[0] = result[len - 1] = '"';
    result[len] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(MESSAGES); i++) {
        struct run *r = begin_text(MESSAGES[i]);

        assert_false(flow_succeed(&r->f, &ENV, &r->m, result, &r->e));
        assert_int_equal(r->e.cls, ERR_PERMANENT);
        end(r);
    }
    free(result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_link_is_what_celery_sends),
        cmocka_unit_test(test_a_chain_step_is_what_celery_sends),
        cmocka_unit_test(test_a_chord_s_body_is_what_celery_sends),
        cmocka_unit_test(test_an_errback_is_what_celery_sends),
        cmocka_unit_test(test_options_of_a_signature),
        cmocka_unit_test(test_what_a_task_returned_is_passed_on_as_it_is),
        cmocka_unit_test(test_several_callbacks_are_a_group),
        cmocka_unit_test(test_a_chain_as_a_callback),
        cmocka_unit_test(test_a_group_within_a_chain),
        cmocka_unit_test(test_a_chord_within_a_chord_s_header),
        cmocka_unit_test(test_an_empty_header_calls_the_body_at_once),
        cmocka_unit_test(test_a_saved_group_gives_the_results_their_shape),
        cmocka_unit_test(test_a_failed_part_fails_the_body_and_all_behind_it),
        cmocka_unit_test(test_a_failed_step_fails_the_steps_behind_it),
        cmocka_unit_test(test_a_chord_ends_once),
        cmocka_unit_test(test_results_that_are_no_members_fail_the_body),
        cmocka_unit_test(test_too_much_is_refused),
        cmocka_unit_test(test_a_result_too_long_to_pass_on_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
