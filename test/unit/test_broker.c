/* Steps as commands: how finishes are merged, and that replies which are not ours are seen. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/broker.h"
#include "common/broker_lua.h"
#include "common/keys.h"
#include "common/mem.h"

static const struct broker WHO = {.boot = "boot"};

static struct command finish(const char *id, const char *dead, int follows)
{
    struct follow f = {.kind = FOLLOW_PUSH, .key = "q", .bytes = "m", .len = 1, .guard = ""};
    struct broker_hold h = {.tag = "7:tag", .id = id};
    struct broker_end end = {.doc = "{}",
                             .success = true,
                             .expires_s = 60,
                             .dead = dead,
                             .follows = &f,
                             .follow_count = follows};
    struct command c;

    broker_finish(&c, &WHO, &h, &end);
    assert_false(c.failed);
    return c;
}

/* ---- merging ---- */

static void test_plain_finishes_become_one_step(void **state)
{
    struct command one = finish("a", NULL, 0), two = finish("b", NULL, 0);
    const struct command *const both[] = {&one, &two};
    struct command all;

    (void)state;
    broker_merge(&all, both, 2);
    assert_ptr_equal(all.script, &BROKER_LUA_FINISH);
    assert_int_equal(all.keys, one.keys + 1);
    assert_string_equal(all.args[all.keys - 2], KEY_RESULT_PREFIX "a");
    assert_string_equal(all.args[all.keys - 1], KEY_RESULT_PREFIX "b");
    assert_int_equal(all.n, one.n + 1 + 7); /* a further key, and what is said of each */
    assert_string_equal(all.args[all.n - 6], "b");
    assert_string_equal(all.args[all.n - 13], "a");
    command_fini_borrowed(&all);
    command_fini(&one);
    command_fini(&two);
}

static void test_one_alone_stays_as_it_is(void **state)
{
    struct command one = finish("a", NULL, 0), all;
    const struct command *const cmds[] = {&one};

    (void)state;
    broker_merge(&all, cmds, 1);
    assert_int_equal(all.n, one.n);
    assert_int_equal(all.keys, one.keys);
    for (int i = 0; i < one.n; i++) {
        assert_ptr_equal(all.args[i], one.args[i]);
    }
    command_fini_borrowed(&all);
    command_fini(&one);
}

static void test_what_writes_elsewhere_first_is_not_plain(void **state)
{
    struct command plain = finish("a", NULL, 0), dead = finish("a", "{}", 0),
                   follow = finish("a", NULL, 1), other;

    (void)state;
    broker_requeue(&other, &WHO, "7");
    assert_true(broker_is_plain(&plain));
    assert_false(broker_is_plain(&dead));
    assert_false(broker_is_plain(&follow));
    assert_false(broker_is_plain(&other));
    command_fini(&plain);
    command_fini(&dead);
    command_fini(&follow);
    command_fini(&other);
}

/* ---- bounds ---- */

static void test_too_much_that_follows_is_refused(void **state)
{
    struct follow *many = calloc(BROKER_FOLLOWS_MAX + 1, sizeof *many);
    struct broker_hold h = {.tag = "7", .id = "a"};
    struct broker_end end = {.doc = "{}", .expires_s = 60, .follows = many};
    struct command c;

    (void)state;
    assert_non_null(many);
    for (int i = 0; i <= BROKER_FOLLOWS_MAX; i++) {
        many[i] = (struct follow){.key = "q", .bytes = "m", .len = 1, .guard = ""};
    }
    for (int n = BROKER_FOLLOWS_MAX; n <= BROKER_FOLLOWS_MAX + 1; n++) {
        end.follow_count = n;
        broker_finish(&c, &WHO, &h, &end);
        assert_int_equal(c.failed, n > BROKER_FOLLOWS_MAX);
        command_fini(&c);
    }
    many[0].len = BROKER_FOLLOW_BYTES_MAX + 1; /* never looked at */
    end.follow_count = 1;
    broker_finish(&c, &WHO, &h, &end);
    assert_true(c.failed);
    command_fini(&c);
    free(many);
}

static void test_no_memory_marks_the_command(void **state)
{
    struct command c;

    (void)state;
    for (unsigned nth = 1; nth <= 2; nth++) { /* the two arrays */
        mem_fail_at(nth);
        broker_requeue(&c, &WHO, "7");
        mem_fail_at(0);
        assert_true(c.failed);
        command_fini(&c);
    }
}

/* ---- queues ---- */

static void test_queues_take_turns_within_a_priority(void **state)
{
    static const struct broker_queues QUEUES = {.count = 2, .name = {"a", "b"}};
    struct broker who = {.boot = "boot", .queues = &QUEUES};
    struct broker_want want = {.first = 9, .count = 3, .turn = 1};
    static const char *const EXPECTED[] = {"b",
                                           "a",
                                           "b\x06\x16"
                                           "3",
                                           "a\x06\x16"
                                           "3",
                                           "b\x06\x16"
                                           "6",
                                           "a\x06\x16"
                                           "6",
                                           "b\x06\x16"
                                           "9",
                                           "a\x06\x16"
                                           "9"};
    struct command c;

    (void)state;
    broker_take(&c, &who, &want);
    for (int i = 0; i < (int)ARRAY_LEN(EXPECTED); i++) {
        assert_string_equal(c.args[c.keys - (int)ARRAY_LEN(EXPECTED) + i], EXPECTED[i]);
    }
    command_fini(&c);
}

/* ---- replies ---- */

static redisReply number(long long v)
{
    return (redisReply){.type = REDIS_REPLY_INTEGER, .integer = v};
}

static redisReply text(const char *s)
{
    return (redisReply){.type = REDIS_REPLY_STRING, .str = (char *)(uintptr_t)s, .len = strlen(s)};
}

static void test_a_batch_is_read(void **state)
{
    redisReply v[] = {number(1),   number(1000),   number(2),  number(3),
                      text("7:t"), text("celery"), text("{}"), number(4)};
    redisReply *at[] = {&v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]};
    redisReply r = {.type = REDIS_REPLY_ARRAY, .elements = ARRAY_LEN(at), .element = at};
    struct broker_batch batch;
    struct broker_taken t;

    (void)state;
    assert_int_equal(broker_read_take(&r, &batch), BROKER_TOOK);
    assert_int_equal(batch.count, 1);
    assert_int_equal(batch.oversized, 2);
    assert_int_equal(batch.copies, 3);
    assert_true(broker_batch_get(&batch, 0, &t));
    assert_string_equal(t.tag, "7:t");
    assert_int_equal(t.recoveries, 4);
    v[6] = number(1);
    assert_false(broker_batch_get(&batch, 0, &t));
    assert_false(broker_batch_get(&batch, 1, &t));
    r.elements = 7;
    assert_int_equal(broker_read_take(&r, &batch), BROKER_NONSENSE);
    v[0] = number(0);
    assert_int_equal(broker_read_take(&r, &batch), BROKER_EMPTY);
    v[0] = number(-1);
    assert_int_equal(broker_read_take(&r, &batch), BROKER_GONE);
    assert_int_equal(broker_read_take(&v[4], &batch), BROKER_NONSENSE);
    assert_int_equal(broker_read_take(NULL, &batch), BROKER_NONSENSE);
}

static void test_how_holds_ended_is_read(void **state)
{
    redisReply v[] = {number(0), number(1), number(2)};
    redisReply *at[] = {&v[0], &v[1], &v[2]};
    redisReply r = {.type = REDIS_REPLY_ARRAY, .elements = ARRAY_LEN(at), .element = at};

    (void)state;
    assert_int_equal(broker_read_ended(&r, 0), BROKER_ENDED_GONE);
    assert_int_equal(broker_read_ended(&r, 1), BROKER_ENDED);
    assert_int_equal(broker_read_ended(&r, 2), BROKER_ENDED_RESTORED);
    assert_int_equal(broker_read_ended(&r, 3), BROKER_ENDED);
    assert_int_equal(broker_read_ended(&v[0], 0), BROKER_ENDED_GONE);
}

static void test_a_heartbeat_that_is_none_of_ours(void **state)
{
    redisReply v[9];
    redisReply *at[9];
    redisReply r = {.type = REDIS_REPLY_ARRAY, .elements = 9, .element = at};
    struct broker_beat_reply b;

    (void)state;
    for (int i = 0; i < 9; i++) {
        v[i] = number(i + 1);
        at[i] = &v[i];
    }
    assert_true(broker_read_heartbeat(&r, &b));
    assert_true(b.registered && b.put_back == 2 && b.next_ms == 6 && b.lost == 7 && b.ended == 9);
    v[8] = text("x");
    assert_false(broker_read_heartbeat(&r, &b));
    r.elements = 8;
    assert_false(broker_read_heartbeat(&r, &b));
    assert_false(broker_read_heartbeat(NULL, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_finishes_become_one_step),
        cmocka_unit_test(test_one_alone_stays_as_it_is),
        cmocka_unit_test(test_what_writes_elsewhere_first_is_not_plain),
        cmocka_unit_test(test_too_much_that_follows_is_refused),
        cmocka_unit_test(test_no_memory_marks_the_command),
        cmocka_unit_test(test_queues_take_turns_within_a_priority),
        cmocka_unit_test(test_a_batch_is_read),
        cmocka_unit_test(test_how_holds_ended_is_read),
        cmocka_unit_test(test_a_heartbeat_that_is_none_of_ours),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
