/* The admin side's pure parts: tokens, paths, bodies, the estimate of a run's end, progress. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/admin/route.h"
#include "common/runs.h"
#include "common/token.h"
#include "worker/progress.h"

/* ---- tokens ---- */

static void test_tokens(void **state)
{
    char a[TOKEN_SIZE], b[TOKEN_SIZE];

    (void)state;
    token_make(a);
    token_make(b);
    assert_int_equal(strlen(a), TOKEN_SIZE - 1);
    assert_int_equal(strncmp(a, TOKEN_PREFIX, strlen(TOKEN_PREFIX)), 0);
    assert_string_not_equal(a, b);
    for (const char *p = a + strlen(TOKEN_PREFIX); *p; p++) {
        assert_non_null(
            strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", *p));
    }
}

static void test_hashes(void **state)
{
    unsigned char hash[TOKEN_HASH_SIZE], back[TOKEN_HASH_SIZE];
    char hex[TOKEN_HEX_SIZE];

    (void)state;
    token_hash("abc", 3, hash);
    assert_string_equal(token_hash_hex(hash, hex),
                        "\\xba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_true(token_hash_parse(hex, back));
    assert_true(token_hash_equal(hash, back));
    for (int i = 0; i < TOKEN_HASH_SIZE; i++) {
        back[i] ^= 1;
        assert_false(token_hash_equal(hash, back));
        back[i] ^= 1;
    }
    assert_false(token_hash_parse("\\xba78", back));
    assert_false(token_hash_parse("ba7816bf", back));
    hex[5] = 'g';
    assert_false(token_hash_parse(hex, back));
}

static void test_scopes(void **state)
{
    enum token_scope scope;

    (void)state;
    for (int i = 0; i < TOKEN_SCOPE_COUNT; i++) {
        assert_true(token_scope_parse(token_scope_name((enum token_scope)i), &scope));
        assert_int_equal(scope, i);
    }
    assert_false(token_scope_parse("root", &scope));
    assert_false(token_scope_parse("", &scope));
}

static void test_scrubbing(void **state)
{
    char twice[] = "/a2_0123456789abcdefXYZ/a2_0123456789abcdef-_?x=1";
    char none[] = "/admin/a2_short";
    char own[] = "x my-own-token y my-own-token";

    (void)state;
    token_scrub(twice);
    assert_string_equal(twice, "/a2_*******************/a2_******************?x=1");
    token_scrub(none);
    assert_string_equal(none, "/admin/a2_short");
    token_scrub_known(own, "my-own-token");
    assert_string_equal(own, "x ************ y ************");
    token_scrub_known(own, "");
}

/* ---- paths ---- */

static void test_paths(void **state)
{
    static const struct {
        const char *pattern, *path;
        bool fits;
        const char *id;
    } CASES[] = {
        {"/admin/batches", "/admin/batches", true, NULL},
        {"/admin/batches", "/admin/batches/", false, NULL},
        {"/admin/batches", "/admin//batches", false, NULL},
        {"/admin/batches", "//admin/batches", false, NULL},
        {"/admin/batches", "/admin/batche", false, NULL},
        {"/admin/batches", "/admin/batchess", false, NULL},
        {"/admin/batches", "/admin", false, NULL},
        {"/admin/batches", "/", false, NULL},
        {"/", "/", true, NULL},
        {"/", "//", false, NULL},
        {"/", "", false, NULL},
        {"/admin/batches", "", false, NULL},
        {"/admin/batches", "admin/batches", false, NULL},
        {"/admin/batches", "/admin/%62atches", false, NULL},
        {"/admin/batches/{id}", "/admin/batches/17", true, "17"},
        {"/admin/batches/{id}", "/admin/batches/", false, NULL},
        {"/admin/batches/{id}", "/admin/batches/17/", false, NULL},
        {"/admin/batches/{id}", "/admin/batches/a%2fb", true, "a%2fb"},
        {"/admin/batches/{id}", "/admin/batches/..", true, ".."},
        {"/admin/batches/{id}/cancel", "/admin/batches/17/cancel", true, "17"},
        {"/admin/batches/{id}/cancel", "/admin/batches//cancel", false, NULL},
        {"/admin/batches/{id}/cancel", "/admin/batches/17", false, NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct admin_segment ids[ADMIN_PATH_IDS_MAX] = {{NULL, 0}};

        if (admin_path_matches(CASES[i].pattern, CASES[i].path, ids) != CASES[i].fits) {
            fail_msg("%s and %s", CASES[i].pattern, CASES[i].path);
        }
        if (CASES[i].id) {
            assert_int_equal(ids[0].len, strlen(CASES[i].id));
            assert_memory_equal(ids[0].at, CASES[i].id, ids[0].len);
        }
    }
}

static void test_hosts(void **arg)
{
    static const char *const NEAR[] = {"localhost",   "localhost:8001", "admin", "127.0.0.1",
                                       "10.0.0.1:80", "[::1]:8001",     ""};
    static const char *const FAR[] = {
        "evil.example", "evil.example:8001", "1.2.3.4.5", "127.0.0.1.evil.example",
        "1.2.3",        "localhost.",        "a.b"};

    (void)arg;
    for (size_t i = 0; i < ARRAY_LEN(NEAR); i++) {
        assert_true(admin_is_near_host(NEAR[i]));
    }
    for (size_t i = 0; i < ARRAY_LEN(FAR); i++) {
        assert_false(admin_is_near_host(FAR[i]));
    }
}

/* ---- bodies ---- */

static const struct admin_field FIELDS[] = {
    {"reason", ADMIN_TEXT, true, 1, 5, NULL, ""},  {"count", ADMIN_INT, false, 1, 9, NULL, ""},
    {"all", ADMIN_BOOL, false, 0, 0, NULL, ""},    {"kind", ADMIN_TEXT, false, 0, 0, "one|two", ""},
    {"names", ADMIN_TEXTS, false, 1, 2, NULL, ""}, {"more", ADMIN_OBJECT, false, 0, 0, NULL, ""},
};

static void test_bodies(void **state)
{
    static const struct {
        const char *body;
        const char *param; /* at fault; NULL: none */
    } CASES[] = {
        {"{\"reason\":\"a\"}", NULL},
        {"{\"reason\":\"가나다라마\",\"count\":9,\"all\":true,\"kind\":\"two\",\"names\":[\"a\"]}",
         NULL},
        {"{}", "reason"},
        {"{\"reason\":null}", "reason"},
        {"{\"reason\":\"\"}", "reason"},
        {"{\"reason\":\"abcdef\"}", "reason"},
        {"{\"reason\":\"a\\n\"}", "reason"},
        {"{\"reason\":\"a\",\"reason\":\"a\"}", "reason"},
        {"{\"reason\":\"a\",\"other\":1}", "other"},
        {"{\"reason\":\"a\",\"count\":0}", "count"},
        {"{\"reason\":\"a\",\"count\":10}", "count"},
        {"{\"reason\":\"a\",\"count\":1.5}", "count"},
        {"{\"reason\":\"a\",\"count\":1e300}", "count"},
        {"{\"reason\":\"a\",\"count\":\"1\"}", "count"},
        {"{\"reason\":\"a\",\"all\":1}", "all"},
        {"{\"reason\":\"a\",\"kind\":\"on\"}", "kind"},
        {"{\"reason\":\"a\",\"kind\":\"one|two\"}", "kind"},
        {"{\"reason\":\"a\",\"names\":[]}", "names"},
        {"{\"reason\":\"a\",\"names\":[\"a\",\"b\",\"c\"]}", "names"},
        {"{\"reason\":\"a\",\"names\":[1]}", "names"},
        {"{\"reason\":\"a\",\"more\":[]}", "more"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct err bad;
        struct query_error e = {{0}, {0}};
        cJSON *body = json_parse(CASES[i].body, strlen(CASES[i].body), &bad);

        assert_non_null(body);
        if (admin_check_body(body, FIELDS, ARRAY_LEN(FIELDS), &e) != !CASES[i].param) {
            fail_msg("%s: %s", CASES[i].body, e.detail);
        }
        if (CASES[i].param) {
            assert_string_equal(e.param, CASES[i].param);
        }
        cJSON_Delete(body);
    }
}

/* ---- how long a run will take ---- */

static void test_estimate(void **state)
{
    static const struct runs_phase PHASES[] = {{"read", 10}, {"score", 2}, {"write", 8}};

    (void)state;
#define LEFT(phase, in_phase, part) runs_estimate(PHASES, 3, phase, in_phase, part)
    assert_float_equal(LEFT("read", 0, -1), 20, 0.001);
    assert_float_equal(LEFT("read", 4, -1), 16, 0.001);
    assert_float_equal(LEFT("read", 30, -1), 10, 0.001); /* longer than ever: the rest at least */
    assert_float_equal(LEFT("read", 5, 0.25), 15 + 10, 0.001); /* by its own speed */
    assert_float_equal(LEFT("read", 1, 0.01), 9 + 10, 0.001);  /* too early for that */
    assert_float_equal(LEFT("write", 8, 1), 0, 0.001);
    assert_true(LEFT("dance", 0, -1) < 0);
    assert_true(runs_estimate(NULL, 0, "read", 0, -1) < 0);
#undef LEFT
}

static void test_progress(void **state)
{
    struct progress_share share = {0};
    struct progress p;

    (void)state;
    assert_false(progress_read(&share, 0, &p));
    assert_false(progress_read(&share, 7, &p));
    progress_begin_phase(&share, 7, "snapshots");
    progress_count(&share, 3, 9);
    assert_false(progress_read(&share, 8, &p));
    assert_true(progress_read(&share, 7, &p));
    assert_string_equal(p.phase, "snapshot");
    assert_true(p.done == 3 && p.of == 9 && p.since_us > 0);
    progress_count(&share, 10, 9);
    assert_true(progress_read(&share, 7, &p) && p.done == 9);
    progress_begin_phase(&share, 7, "\x01x");
    assert_true(progress_read(&share, 7, &p));
    assert_string_equal(p.phase, "?x");
    assert_true(p.done == 0 && p.of == 0);
    progress_begin_phase(NULL, 7, "read"); /* nobody looks */
    progress_count(NULL, 1, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokens),   cmocka_unit_test(test_hashes),
        cmocka_unit_test(test_scopes),   cmocka_unit_test(test_scrubbing),
        cmocka_unit_test(test_paths),    cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_estimate), cmocka_unit_test(test_progress),
        cmocka_unit_test(test_hosts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
