#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
/* after the above: */
#include <cmocka.h>

#include "common/rds.h"

static void test_plain_urls(void **state)
{
    static const struct {
        const char *url, *host;
        int port;
        const char *user, *password;
        int db;
        const char *path, *text;
    } GOOD[] = {
        {"redis://localhost", "localhost", 6379, "", "", 0, "", "localhost:6379/0"},
        {"redis://", "localhost", 6379, "", "", 0, "", "localhost:6379/0"},
        {"redis://localhost/", "localhost", 6379, "", "", 0, "", "localhost:6379/0"},
        {"redis://10.0.0.1:7000/3", "10.0.0.1", 7000, "", "", 3, "", "10.0.0.1:7000/3"},
        {"redis://:pw@h:1/0", "h", 1, "", "pw", 0, "", "h:1/0"},
        {"redis://pw@h", "h", 6379, "", "pw", 0, "", "h:6379/0"},
        {"redis://me:p%40%3aw@h:2/1", "h", 2, "me", "p@:w", 1, "", "h:2/1"},
        {"redis://me:a@b@h", "h", 6379, "me", "a@b", 0, "", "h:6379/0"},
        {"redis://[::1]:7000/2", "::1", 7000, "", "", 2, "", "[::1]:7000/2"},
        {"redis://[::1]", "::1", 6379, "", "", 0, "", "[::1]:6379/0"},
        {"redis://:1234", "localhost", 1234, "", "", 0, "", "localhost:1234/0"},
        {"redis+socket:///run/r.sock", "", 6379, "", "", 0, "/run/r.sock", "/run/r.sock"},
        {"redis+socket:///run/r%20x?db=4", "", 6379, "", "", 4, "/run/r x", "/run/r x"},
        {"unix:///run/r.sock?virtual_host=5", "", 6379, "", "", 5, "/run/r.sock", "/run/r.sock"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(GOOD); i++) {
        struct rds_addr a;
        struct err e;
        char text[RDS_TEXT_SIZE];

        assert_true(rds_parse_url(GOOD[i].url, &a, &e));
        assert_string_equal(a.host, GOOD[i].host);
        assert_int_equal(a.port, GOOD[i].port);
        assert_string_equal(a.user, GOOD[i].user);
        assert_string_equal(a.password, GOOD[i].password);
        assert_int_equal(a.db, GOOD[i].db);
        assert_string_equal(a.path, GOOD[i].path);
        assert_string_equal(a.master, "");
        assert_string_equal(rds_addr_text(&a, text), GOOD[i].text);
    }
}

static void test_sentinel_urls(void **state)
{
    struct rds_addr a;
    struct err e;
    char text[RDS_TEXT_SIZE];

    (void)state;
    assert_true(rds_parse_url("redis+sentinel://s1:26380,s2,[::1]:3/main/4", &a, &e));
    assert_int_equal(a.sentinel_count, 3);
    assert_string_equal(a.sentinels[0].host, "s1");
    assert_int_equal(a.sentinels[0].port, 26380);
    assert_string_equal(a.sentinels[1].host, "s2");
    assert_int_equal(a.sentinels[1].port, 26379);
    assert_string_equal(a.sentinels[2].host, "::1");
    assert_int_equal(a.sentinels[2].port, 3);
    assert_string_equal(a.master, "main");
    assert_string_equal(a.host, "");
    assert_int_equal(a.db, 4);
    assert_string_equal(rds_addr_text(&a, text), "main of s1:26380,s2:26379,[::1]:3");

    assert_true(rds_parse_url("redis+sentinel://me:p%2Fw@s1/my%20main?"
                              "sentinel_password=x%26y&sentinel_username=w",
                              &a, &e));
    assert_int_equal(a.sentinel_count, 1);
    assert_string_equal(a.user, "me");
    assert_string_equal(a.password, "p/w");
    assert_string_equal(a.master, "my main");
    assert_int_equal(a.db, 0);
    assert_string_equal(a.sentinel_password, "x&y");
    assert_string_equal(a.sentinel_user, "w");
    assert_null(strstr(rds_addr_text(&a, text), "p/w"));

    assert_true(rds_parse_url("redis+sentinel://s/m/?", &a, &e));
    assert_true(rds_parse_url("redis+sentinel://1,2,3,4,5,6,7,8/m", &a, &e));
    assert_int_equal(a.sentinel_count, RDS_SENTINELS_MAX);
}

static void test_wrong_urls(void **state)
{
    static const char *const BAD[] = {
        "",
        "localhost",
        "http://h",
        "redis:/h",
        "redis://h:0",
        "redis://h:65536",
        "redis://h:x",
        "redis://h/x",
        "redis://h/-1",
        "redis://h/0/0",
        "redis://h?db=1",
        "redis://u:%zz@h",
        "redis://u:%4@h",
        "redis://u:%00@h",
        "redis://[::1",
        "redis://[::1]x",
        "redis+socket://",
        "redis+socket://relative",
        "unix:///s?x=1",
        "redis+sentinel://",
        "redis+sentinel://h",
        "redis+sentinel://h/",
        "redis+sentinel://h//0",
        "redis+sentinel:///m",
        "redis+sentinel://h,/m",
        "redis+sentinel://,h/m",
        "redis+sentinel://h:0/m",
        "redis+sentinel://h/m/x",
        "redis+sentinel://h/m/0/0",
        "redis+sentinel://h/m?db=1",
        "redis+sentinel://h/m?sentinel_password=%",
        "redis+sentinel://h?sentinel_password=x",
        "redis+sentinel://1,2,3,4,5,6,7,8,9/m",
    };
    char long_host[400] = "redis+sentinel://";
    struct rds_addr a;
    struct err e;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        e.text[0] = '\0';
        if (rds_parse_url(BAD[i], &a, &e)) {
            fail_msg("taken: %s", BAD[i]);
        }
        assert_non_null(strstr(e.text, "REDIS_URL"));
    }
    memset(long_host + strlen(long_host), 'h', 300);
    strcat(long_host, "/m");
    assert_false(rds_parse_url(long_host, &a, &e));
}

static void test_tls_is_refused_with_advice(void **state)
{
    static const char *const URLS[] = {"rediss://h:6380/0", "rediss+sentinel://h/m"};
    struct rds_addr a;
    struct err e;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(URLS); i++) {
        assert_false(rds_parse_url(URLS[i], &a, &e));
        assert_non_null(strstr(e.text, "stunnel"));
    }
}

static void test_numbers_need_no_lookup(void **state)
{
    struct rds_place p;
    struct rds_addr a;
    struct err e;

    (void)state;
    assert_true(rds_parse_url("redis://127.0.0.1:5", &a, &e));
    assert_true(rds_locate_at_once(&a, &p));
    assert_string_equal(p.host, "127.0.0.1");
    assert_int_equal(p.port, 5);
    assert_true(rds_parse_url("redis://[::1]:5", &a, &e) && rds_locate_at_once(&a, &p));
    assert_string_equal(p.host, "::1");
    assert_true(rds_parse_url("redis://localhost", &a, &e));
    assert_false(rds_locate_at_once(&a, &p));
    assert_true(rds_parse_url("redis+sentinel://127.0.0.1/m", &a, &e));
    assert_false(rds_locate_at_once(&a, &p));
}

static void test_errors_are_classed(void **state)
{
    static const struct {
        const char *text;
        enum err_class cls;
    } CASES[] = {
        {"LOADING Redis is loading the dataset in memory", ERR_RETRYABLE},
        {"READONLY You can't write against a read only replica.", ERR_RETRYABLE},
        {"UNBLOCKED force unblock from blocking operation, instance state changed", ERR_RETRYABLE},
        {"MASTERDOWN Link with MASTER is down", ERR_RETRYABLE},
        {"NOREPLICAS Not enough good replicas to write.", ERR_RETRYABLE},
        {"WRONGTYPE Operation against a key", ERR_PERMANENT},
        {"ERR max number of clients reached", ERR_RETRYABLE},
        {"ERR unknown command", ERR_PERMANENT},
        {"CLUSTERDOWN The cluster is down", ERR_RETRYABLE},
        {"NOAUTH Authentication required.", ERR_PERMANENT},
        {"BUSYGROUP Consumer Group name already exists", ERR_PERMANENT},
        {"NOPERM this user has no permissions to run the 'info' command", ERR_PERMANENT},
    };
    struct err e;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        rds_error_reply(CASES[i].text, &e);
        assert_int_equal(e.cls, CASES[i].cls);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_urls),
        cmocka_unit_test(test_sentinel_urls),
        cmocka_unit_test(test_wrong_urls),
        cmocka_unit_test(test_tls_is_refused_with_advice),
        cmocka_unit_test(test_numbers_need_no_lookup),
        cmocka_unit_test(test_errors_are_classed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
