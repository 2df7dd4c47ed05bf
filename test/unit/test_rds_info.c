#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
/* after the above: */
#include <cmocka.h>

#include "common/rds_info.h"

static const char INFO[] = "# Server\r\nredis_version:7.0.15\r\nuptime_in_seconds:12\r\n\r\n"
                           "# Memory\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n\r\n"
                           "# Replication\r\nrole:master\r\nmaster_failover_state:no-failover\r\n";

static void test_fields(void **state)
{
    char text[32];
    int64_t n;

    (void)state;
    assert_true(rds_info_text(INFO, "redis_version", text, sizeof text));
    assert_string_equal(text, "7.0.15");
    assert_true(rds_info_i64(INFO, "uptime_in_seconds", &n) && n == 12);
    assert_false(rds_info_text(INFO, "memory", text, sizeof text));
    assert_false(rds_info_text(INFO, "maxmem", text, sizeof text));
    assert_false(rds_info_text(INFO, "redis_version", text, 6)); /* no room */
    assert_false(rds_info_i64(INFO, "role", &n));
    assert_false(rds_info_text("", "role", text, sizeof text));
    assert_false(rds_info_text("role", "role", text, sizeof text));
    assert_true(rds_info_text("role:", "role", text, sizeof text));
    assert_string_equal(text, "");
}

static void test_judgement(void **state)
{
    static const struct {
        const char *info;
        enum rds_safety safety;
        enum err_class cls;
    } CASES[] = {
        {"role:slave\r\nmaxmemory_policy:noeviction\r\n", RDS_REPLICA, ERR_RETRYABLE},
        {"role:master\r\nmaxmemory_policy:allkeys-lru\r\n", RDS_EVICTS, ERR_PERMANENT},
        {"role:master\r\nmaxmemory_policy:volatile-ttl\r\n", RDS_EVICTS, ERR_PERMANENT},
        {"role:slave\r\nmaxmemory_policy:allkeys-lfu\r\n", RDS_EVICTS, ERR_PERMANENT},
        {"role:master\r\n", RDS_UNSEEN, ERR_RETRYABLE},
        {"maxmemory_policy:noeviction\r\n", RDS_UNSEEN, ERR_RETRYABLE},
        {"", RDS_UNSEEN, ERR_RETRYABLE},
        {NULL, RDS_UNSEEN, ERR_RETRYABLE},
    };
    struct err e;

    (void)state;
    assert_int_equal(rds_judge(INFO, &e), RDS_SAFE);
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        e.text[0] = '\0';
        assert_int_equal(rds_judge(CASES[i].info, &e), CASES[i].safety);
        assert_int_equal(e.cls, CASES[i].cls);
        assert_true(strlen(e.text) > 20);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_judgement),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
