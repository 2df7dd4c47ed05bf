/* The sums of the audit, and when a message was sent. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/audit.h"
#include "common/queues.h"

static const char FULL[] = "{\"taken\": 100, \"done\": 50, \"retried\": 10, \"delayed\": 5,"
                           " \"requeued\": 7, \"recovered\": 3, \"quarantined\": 4, \"due\": 11,"
                           " \"delayed_dropped\": 1, \"dead\": 9, \"dead_trimmed\": 1,"
                           " \"dead_retried\": 2, \"dead_dropped\": 3, \"quarantine_foreign\": 1,"
                           " \"quarantine_trimmed\": 1, \"quarantine_replayed\": 1,"
                           " \"quarantine_dropped\": 1, \"sent:batch\": 4}";
static const struct audit_figures THERE = {.held = 21, .delayed = 3, .dead = 3, .quarantine = 2};

/* The difference of an identity; INT64_MIN: null. */
static int64_t difference(const cJSON *identities, const char *name)
{
    const cJSON *one;
    int64_t n = INT64_MIN;

    cJSON_ArrayForEach(one, identities)
    {
        if (strcmp(json_get_str(one, "name"), name) == 0) {
            json_get_i64(one, "difference", -1000, 1000, &n);
            return n;
        }
    }
    fail();
    return 0;
}

static void what_adds_up(void **state)
{
    cJSON *counters = cJSON_Parse(FULL), *all = audit_identities(counters, &THERE);

    (void)state;
    assert_int_equal(cJSON_GetArraySize(all), 4);
    assert_true(audit_balances(all));
    assert_int_equal(difference(all, "holds"), 0);
    cJSON_Delete(all);
    cJSON_Delete(counters);
}

static void each_term_counts(void **state)
{
    static const struct {
        const char *counter, *identity;
        int64_t difference; /* when the counter is one more */
    } CASES[] = {
        {"taken", "holds", 1},
        {"done", "holds", -1},
        {"requeued", "holds", -1},
        {"recovered", "holds", -1},
        {"due", "delayed", -1},
        {"delayed_dropped", "delayed", -1},
        {"dead", "dead", 1},
        {"dead_trimmed", "dead", -1},
        {"dead_retried", "dead", -1},
        {"dead_dropped", "dead", -1},
        {"quarantine_foreign", "quarantine", 1},
        {"quarantine_trimmed", "quarantine", -1},
        {"quarantine_replayed", "quarantine", -1},
        {"quarantine_dropped", "quarantine", -1},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        cJSON *counters = cJSON_Parse(FULL), *all;
        cJSON *one = cJSON_GetObjectItemCaseSensitive(counters, CASES[i].counter);

        cJSON_SetNumberValue(one, one->valuedouble + 1);
        all = audit_identities(counters, &THERE);
        assert_false(audit_balances(all));
        assert_int_equal(difference(all, CASES[i].identity), CASES[i].difference);
        cJSON_Delete(all);
        cJSON_Delete(counters);
    }
}

static void nothing_at_all_adds_up(void **state)
{
    static const struct audit_figures NONE = {0};
    cJSON *counters = cJSON_CreateObject(), *all = audit_identities(counters, &NONE);

    (void)state;
    assert_true(audit_balances(all));
    assert_int_equal(difference(all, "dead"), 0);
    cJSON_Delete(all);
    cJSON_Delete(counters);
}

static void a_database_older_than_a_counter_is_not_judged(void **state)
{
    cJSON *counters = cJSON_Parse("{\"taken\": 10, \"done\": 10, \"dead\": 7}");
    struct audit_figures f = {.dead = 3};
    cJSON *all = audit_identities(counters, &f);

    (void)state;
    assert_true(audit_balances(all));
    assert_int_equal(difference(all, "dead"), INT64_MIN);
    assert_int_equal(difference(all, "holds"), 0);
    cJSON_Delete(all);
    cJSON_Delete(counters);
}

static void when_a_message_was_sent(void **state)
{
    static const struct {
        const char *message;
        double at;
    } CASES[] = {
        {"{\"headers\": {\"aion2_sent_at\": 1700000000.25}}", 1700000000.25},
        {"{\"headers\": {\"aion2_slot\": 1700000000}}", 1700000000},
        {"{\"headers\": {\"aion2_slot\": 5, \"aion2_sent_at\": 7}}", 7},
        {"{\"aion2_slot\": 1700000000}", 1700000000},
        {"{\"headers\": {}, \"aion2_slot\": 1700000000}", -1},
        {"{\"aion2_slot\": \"1700000000\"}", -1},
        {"{\"aion2_slot\": -5}", -1},
        {"{\"aion2_slot\": 1e300}", -1},
        {"{}", -1},
        {"[]", -1},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        cJSON *message = cJSON_Parse(CASES[i].message);

        assert_true(queues_sent_at(message) == CASES[i].at);
        cJSON_Delete(message);
    }
    assert_true(queues_sent_at(NULL) == -1);
}

static void queues_are_named_once(void **state)
{
    struct queue_names q = {0};
    char name[300];

    (void)state;
    assert_true(queue_names_add(&q, "a"));
    assert_true(queue_names_add(&q, "a"));
    assert_int_equal(q.n, 1);
    assert_false(queue_names_add(&q, ""));
    assert_false(queue_names_add(&q, NULL));
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_false(queue_names_add(&q, name));
    for (int i = 0; i < 2 * QUEUES_MAX; i++) {
        snprintf(name, sizeof name, "q%d", i);
        assert_int_equal(queue_names_add(&q, name), i < QUEUES_MAX - 1);
    }
    queue_names_fini(&q);
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(what_adds_up),
        cmocka_unit_test(each_term_counts),
        cmocka_unit_test(nothing_at_all_adds_up),
        cmocka_unit_test(a_database_older_than_a_counter_is_not_judged),
        cmocka_unit_test(when_a_message_was_sent),
        cmocka_unit_test(queues_are_named_once),
    };

    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
