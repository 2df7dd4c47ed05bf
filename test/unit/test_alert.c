#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/alert.h"
#include "scheduler/alert_facts.h"
#include "scheduler/alert_send.h"

#define T0 INT64_C(1800000000)

static const struct alert_policy ALL = {.to = {true, true, true}};

static cJSON *state;

static int begin(void **arg)
{
    (void)arg;
    state = cJSON_CreateObject();
    return 0;
}

static int end(void **arg)
{
    (void)arg;
    cJSON_Delete(state);
    return 0;
}

/* One rule fires at this level (below 0: is fine), the others are fine. */
static void step(enum alert_rule rule, int64_t level, int64_t now_s)
{
    struct alert_fact facts[ALERT_RULE_COUNT] = {{.known = true}};

    for (int i = 0; i < ALERT_RULE_COUNT; i++) {
        facts[i].known = true;
    }
    facts[rule].firing = level >= 0;
    facts[rule].level = level;
    snprintf(facts[rule].text, sizeof facts[rule].text, "level %d", (int)level);
    alert_step(state, facts, &ALL, now_s);
}

static int letters(void)
{
    return cJSON_GetArraySize(json_get_arr(state, "outbox"));
}

/* Takes every delivery that is due; "webhook:firing batch_failed;mail:..." */
static const char *deliver(int64_t now_s)
{
    static char told[2000];
    struct alert_job job;

    told[0] = '\0';
    while (alert_claim(state, &ALL, now_s, &job)) {
        const cJSON *item;

        strcat(told, ALERT_CHANNELS[job.to]);
        cJSON_ArrayForEach(item, json_get_arr(job.letter, "items"))
        {
            strcat(told, " ");
            strcat(told, json_get_str(item, "status"));
            strcat(told, "/");
            strcat(told, json_get_str(item, "name"));
        }
        strcat(told, ";");
        alert_settle(state, &job, true, now_s);
    }
    return told;
}

static void test_tells_once_and_when_it_is_over(void **arg)
{
    (void)arg;
    step(ALERT_BATCH_FAILED, 0, T0);
    assert_string_equal(deliver(T0), ""); /* waits for company */
    for (int i = 1; i < 1000; i++) {
        step(ALERT_BATCH_FAILED, 0, T0 + i * 15);
    }
    assert_string_equal(deliver(T0 + 15000),
                        "webhook firing/batch_failed;mail firing/batch_failed;");
    assert_int_equal(letters(), 0);
    step(ALERT_BATCH_FAILED, -1, T0 + 20000);
    assert_string_equal(deliver(T0 + 20000 + ALERT_GROUP_S),
                        "webhook resolved/batch_failed;mail resolved/batch_failed;");
    assert_int_equal(cJSON_GetArraySize(json_get_obj(state, "alerts")), 0);
}

static void test_groups_what_happens_together(void **arg)
{
    struct alert_fact facts[ALERT_RULE_COUNT] = {{.known = false}};

    (void)arg;
    step(ALERT_DEAD_LETTERS, 1, T0);
    facts[ALERT_RANKING_OLD] = (struct alert_fact){.known = true, .firing = true};
    alert_step(state, facts, &ALL, T0 + 10);
    assert_int_equal(letters(), 1);
    assert_string_equal(deliver(T0 + ALERT_GROUP_S),
                        "webhook firing/dead_letters firing/ranking_old;"
                        "mail firing/dead_letters firing/ranking_old;");
}

static void test_says_nothing_of_what_is_over_before_it_was_told(void **arg)
{
    (void)arg;
    step(ALERT_RANKING_OLD, 0, T0);
    step(ALERT_RANKING_OLD, -1, T0 + 5);
    assert_int_equal(letters(), 0);
    step(ALERT_RANKING_OLD, 0, T0 + 6);
    step(ALERT_RANKING_OLD, -1, T0 + 7);
    step(ALERT_RANKING_OLD, 0, T0 + 8);
    assert_string_equal(deliver(T0 + 100), "webhook firing/ranking_old;mail firing/ranking_old;");
}

static void test_what_is_unknown_stays_as_it_was(void **arg)
{
    struct alert_fact nothing[ALERT_RULE_COUNT] = {{.known = false}};

    (void)arg;
    step(ALERT_CONSERVATION, 0, T0);
    deliver(T0 + 60);
    alert_step(state, nothing, &ALL, T0 + 100);
    assert_int_equal(cJSON_GetArraySize(json_get_obj(state, "alerts")), 1);
    assert_int_equal(letters(), 0);
}

static void test_tells_again_when_it_grows_and_time_has_passed(void **arg)
{
    (void)arg;
    step(ALERT_DEAD_LETTERS, 1, T0);
    deliver(T0 + 60);
    step(ALERT_DEAD_LETTERS, 5, T0 + 120);
    assert_int_equal(letters(), 0);
    step(ALERT_DEAD_LETTERS, 5, T0 + ALERT_AGAIN_S);
    assert_string_equal(deliver(T0 + ALERT_AGAIN_S + 60),
                        "webhook worse/dead_letters;mail worse/dead_letters;");
    step(ALERT_DEAD_LETTERS, 5, T0 + 3 * ALERT_AGAIN_S);
    assert_int_equal(letters(), 0); /* it did not grow any more */
}

static void test_tries_again_with_growing_pauses(void **arg)
{
    static const struct alert_policy WEBHOOK = {.to = {[ALERT_WEBHOOK] = true}};
    int64_t now_s = T0, waits[8];
    struct alert_job job;

    (void)arg;
    alert_test(state, &WEBHOOK, T0);
    for (int i = 0; i < 8; i++) {
        int64_t from_s = now_s;

        while (!alert_claim(state, &WEBHOOK, now_s, &job)) {
            now_s++;
        }
        waits[i] = now_s - from_s;
        alert_settle(state, &job, false, now_s);
    }
    assert_int_equal(waits[0], 0);
    assert_int_equal(waits[1], 10);
    assert_int_equal(waits[2], 20);
    assert_int_equal(waits[7], ALERT_RETRY_MAX_S);
    assert_int_equal(alert_give_up(state, T0 + ALERT_GIVE_UP_S), 0);
    assert_int_equal(alert_give_up(state, T0 + ALERT_GIVE_UP_S + 1), 1);
    assert_int_equal(letters(), 0);
}

static void test_a_lease_keeps_others_away_until_it_ends(void **arg)
{
    struct alert_job one, two, three;

    (void)arg;
    alert_test(state, &ALL, T0);
    assert_true(alert_claim(state, &ALL, T0, &one));
    assert_true(alert_claim(state, &ALL, T0, &two)); /* the other channel */
    assert_int_not_equal(one.to, two.to);
    assert_false(alert_claim(state, &ALL, T0, &three));
    assert_false(alert_claim(state, &ALL, T0 + ALERT_LEASE_S - 1, &three));
    assert_true(alert_claim(state, &ALL, T0 + ALERT_LEASE_S, &three));
    /* The clock went back by a day: nobody waits for that long. */
    assert_true(alert_claim(state, &ALL, T0 - 86400, &three));
}

static void test_a_channel_that_is_not_set_up_holds_up_nothing(void **arg)
{
    static const struct alert_policy MAIL = {.to = {[ALERT_MAIL] = true}};
    struct alert_job job;

    (void)arg;
    alert_test(state, &ALL, T0);
    assert_true(alert_claim(state, &MAIL, T0, &job));
    assert_int_equal(job.to, ALERT_MAIL);
    alert_settle(state, &job, true, T0);
    assert_int_equal(letters(), 0);
}

static void test_a_channel_of_another_beat_is_left_to_it(void **arg)
{
    static const struct alert_policy WEBHOOK = {.to = {[ALERT_WEBHOOK] = true}};
    struct alert_job job;

    (void)arg;
    step(ALERT_DEAD_LETTERS, 1, T0);
    assert_true(alert_claim(state, &WEBHOOK, T0 + ALERT_GROUP_S, &job));
    alert_settle(state, &job, true, T0 + ALERT_GROUP_S);
    assert_false(alert_claim(state, &WEBHOOK, T0 + ALERT_GROUP_S, &job));
    assert_true(alert_claim(state, &ALL, T0 + ALERT_GROUP_S, &job));
    assert_int_equal(job.to, ALERT_MAIL);
}

/* "Resolved" must not come before "FIRING": who reads that last believes it. */
static void test_letters_reach_a_channel_in_their_order(void **arg)
{
    static const struct alert_policy WEBHOOK = {.to = {[ALERT_WEBHOOK] = true}};
    int64_t now_s = T0 + ALERT_GROUP_S, first;
    struct alert_job job;

    (void)arg;
    step(ALERT_DEAD_LETTERS, 1, T0);
    assert_true(alert_claim(state, &WEBHOOK, now_s, &job));
    first = job.id;
    step(ALERT_DEAD_LETTERS, -1, now_s);
    now_s += ALERT_GROUP_S;
    assert_false(alert_claim(state, &WEBHOOK, now_s, &job)); /* the first is on its way */
    job = (struct alert_job){.id = first, .to = ALERT_WEBHOOK};
    alert_settle(state, &job, false, now_s);
    assert_false(alert_claim(state, &WEBHOOK, now_s, &job));
    assert_true(alert_claim(state, &WEBHOOK, now_s + ALERT_RETRY_MIN_S, &job));
    assert_int_equal(job.id, first);
    /* One that nobody will ever take does not hold up the others for good. */
    for (int i = 1; i < ALERT_ORDER_TRIES; i++) {
        alert_settle(state, &job, false, now_s);
    }
    assert_true(alert_claim(state, &WEBHOOK, now_s, &job));
    assert_int_not_equal(job.id, first);
}

static void test_a_ping_for_each_batch_but_the_first_seen(void **arg)
{
    struct alert_job job;

    (void)arg;
    alert_batch_done(state, 7, &ALL, T0);
    assert_int_equal(letters(), 0);
    alert_batch_done(state, 7, &ALL, T0 + 1);
    alert_batch_done(state, 8, &ALL, T0 + 2);
    alert_batch_done(state, 9, &ALL, T0 + 3); /* the first is still on its way: one says it all */
    assert_int_equal(letters(), 1);
    assert_true(alert_claim(state, &ALL, T0 + 3, &job));
    assert_int_equal(job.to, ALERT_PING);
    alert_settle(state, &job, false, T0 + 3);
    assert_int_equal(alert_give_up(state, T0 + 3 + ALERT_PING_S + 1), 1);
}

static void test_the_outbox_is_bounded(void **arg)
{
    (void)arg;
    for (int i = 0; i < 10 * ALERT_OUTBOX_MAX; i++) {
        alert_test(state, &ALL, T0);
    }
    assert_int_equal(letters(), ALERT_OUTBOX_MAX);
}

/* Whatever lies in Redis. */
static void test_bears_a_strange_document(void **arg)
{
    static const char *const DOCS[] = {
        "{\"outbox\":7,\"alerts\":[1],\"serial\":\"x\",\"pinged\":{}}",
        "{\"outbox\":[1,null,\"x\",{},{\"left\":[1,{\"to\":9}],\"items\":3,\"due\":\"never\"}]}",
        "{\"alerts\":{\"batch_failed\":1,\"dead_letters\":{\"since\":\"x\",\"level\":[]}}}",
    };

    (void)arg;
    for (size_t i = 0; i < ARRAY_LEN(DOCS); i++) {
        struct alert_job job;

        cJSON_Delete(state);
        state = cJSON_Parse(DOCS[i]);
        step(ALERT_BATCH_FAILED, 1, T0);
        step(ALERT_DEAD_LETTERS, 1, T0 + 1);
        alert_batch_done(state, 3, &ALL, T0);
        alert_give_up(state, T0);
        while (alert_claim(state, &ALL, T0 + 1000, &job)) {
            alert_settle(state, &job, true, T0 + 1000);
        }
        step(ALERT_DEAD_LETTERS, -1, T0 + 2000);
    }
}

static void test_texts(void **arg)
{
    static const struct alert_routes ROUTES = {.deployment = "시엘",
                                               .mail_from = "a@example.org",
                                               .mail_to = "b@example.org, c@example.org"};
    const cJSON *letter;
    struct buf b;
    char *body;

    (void)arg;
    step(ALERT_DEAD_LETTERS, 2, T0);
    letter = cJSON_GetArrayItem(json_get_arr(state, "outbox"), 0);
    buf_init(&b, 64 * KIB);
    assert_true(alert_subject(letter, "prod", &b));
    assert_string_equal(b.data, "[prod] FIRING: Tasks failed for good");
    buf_reset(&b);
    assert_true(alert_body(letter, "prod", &b));
    assert_string_equal(b.data,
                        "FIRING: Tasks failed for good - level 2 (since 2027-01-15T08:00:00Z)\n");
    buf_reset(&b);
    assert_true(alert_mail(&ROUTES, letter, T0, &b));
    assert_non_null(strstr(b.data, "Subject: =?UTF-8?B?W+yLnOyXmF0g"));
    assert_non_null(strstr(b.data, "\r\nDate: Fri, 15 Jan 2027 08:00:00 +0000\r\n"));
    buf_fini(&b);
    body = alert_webhook_body(letter, "<prod> & co");
    assert_string_equal(body, "{\"text\":\"[&lt;prod&gt; &amp; co] FIRING: Tasks failed for good\","
                              "\"attachments\":[{\"color\":\"warning\",\"title\":\"dead_letters\","
                              "\"text\":\"level 2\",\"ts\":1800000000}]}");
    free(body);
}

/* By openssl dgst -sha256 -hmac secret of "1800000000.{}". */
static void test_signature(void **arg)
{
    char out[ALERT_SIGNATURE_SIZE];

    (void)arg;
    assert_true(alert_sign("secret", "{}", T0, out));
    assert_string_equal(out, "t=1800000000,v1="
                             "bb7079132825ac793cea8c013c1dd24d926b9b02132245b10588d9e5c0df70d7");
}

static void test_routes(void **arg)
{
    static const struct {
        struct alert_routes r;
        const char *fault; /* NULL: fine */
    } CASES[] = {
        {{"", "", "", "", "", "", "x", NULL}, NULL},
        {{"https://h/x", "s", "smtp://h", "a@b", "a@b,c@d", "http://p", "x", NULL}, NULL},
        {{"ftp://h", "", "", "", "", "", "x", NULL}, "ALERT_WEBHOOK_URL"},
        {{"", "", "", "", "", "file:///etc/passwd", "x", NULL}, "ALERT_PING_URL"},
        {{"", "", "http://h", "a@b", "a@b", "", "x", NULL}, "ALERT_SMTP_URL"},
        {{"", "", "smtp://h", "", "a@b", "", "x", NULL}, "ALERT_MAIL_FROM"},
        {{"", "", "smtp://h", "a@b\r\nBcc: x@y", "a@b", "", "x", NULL}, "ALERT_MAIL_FROM"},
        {{"", "", "smtp://h", "a@b", "", "", "x", NULL}, "ALERT_MAIL_TO"},
        {{"", "", "smtp://h", "a@b", "a@b,,c@d", "", "x", NULL}, "ALERT_MAIL_TO"},
        {{"", "", "smtp://h", "a@b", "a@b>x", "", "x", NULL}, "ALERT_MAIL_TO"},
        {{"", "", "", "", "", "", "a\nb", NULL}, "ALERT_NAME"},
        {{"", "", "", "", "", "", "", NULL}, "ALERT_NAME"},
    };

    (void)arg;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct err e = {.text = ""};
        bool ok = alert_routes_check(&CASES[i].r, &e);

        assert_int_equal(ok, CASES[i].fault == NULL);
        if (CASES[i].fault) {
            assert_non_null(strstr(e.text, CASES[i].fault));
        }
    }
}

static void test_age(void **arg)
{
    static const struct alert_limits LIMITS = {.ranking_age_s = 1800};
    struct alert_sight sight = {0};
    struct alert_fact f = {.known = true};

    (void)arg;
    alert_judge_age(&sight, &LIMITS, T0, &f);
    assert_false(f.known);
    sight.success_s = T0 - 1800;
    alert_judge_age(&sight, &LIMITS, T0, &f);
    assert_true(f.known && !f.firing);
    sight.success_s = T0 - 5401;
    strcpy(sight.pg_away, "connection refused");
    alert_judge_age(&sight, &LIMITS, T0, &f);
    assert_true(f.known && f.firing);
    assert_string_equal(f.text, "the last batch that succeeded ended 1 h 30 min ago; PostgreSQL: "
                                "connection refused");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_tells_once_and_when_it_is_over, begin, end),
        cmocka_unit_test_setup_teardown(test_groups_what_happens_together, begin, end),
        cmocka_unit_test_setup_teardown(test_says_nothing_of_what_is_over_before_it_was_told, begin,
                                        end),
        cmocka_unit_test_setup_teardown(test_what_is_unknown_stays_as_it_was, begin, end),
        cmocka_unit_test_setup_teardown(test_tells_again_when_it_grows_and_time_has_passed, begin,
                                        end),
        cmocka_unit_test_setup_teardown(test_tries_again_with_growing_pauses, begin, end),
        cmocka_unit_test_setup_teardown(test_a_lease_keeps_others_away_until_it_ends, begin, end),
        cmocka_unit_test_setup_teardown(test_a_channel_that_is_not_set_up_holds_up_nothing, begin,
                                        end),
        cmocka_unit_test_setup_teardown(test_a_channel_of_another_beat_is_left_to_it, begin, end),
        cmocka_unit_test_setup_teardown(test_letters_reach_a_channel_in_their_order, begin, end),
        cmocka_unit_test_setup_teardown(test_a_ping_for_each_batch_but_the_first_seen, begin, end),
        cmocka_unit_test_setup_teardown(test_the_outbox_is_bounded, begin, end),
        cmocka_unit_test_setup_teardown(test_bears_a_strange_document, begin, end),
        cmocka_unit_test_setup_teardown(test_texts, begin, end),
        cmocka_unit_test(test_signature),
        cmocka_unit_test(test_routes),
        cmocka_unit_test(test_age),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
