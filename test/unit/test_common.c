/* The small parts of common/: numbers, text, buffers, times, codecs. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/b64.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/err.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/text.h"
#include "common/uuid.h"

static void test_numbers_are_whole_strings_in_range(void **state)
{
    static const struct {
        const char *text;
        bool ok;
        int64_t value;
    } CASES[] = {
        {"0", true, 0},
        {"-1", true, -1},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"9223372036854775808", false, 0},
        {"-9223372036854775809", false, 0},
        {"00000000000000000000000000001", false, 0},
        {"", false, 0},
        {"-", false, 0},
        {"+1", false, 0},
        {" 1", false, 0},
        {"1 ", false, 0},
        {"1.0", false, 0},
        {"0x10", false, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        int64_t v = 42;
        bool ok = text_to_i64(CASES[i].text, INT64_MIN, INT64_MAX, &v);

        assert_int_equal(ok, CASES[i].ok);
        assert_true(v == (ok ? CASES[i].value : 42));
    }
    int64_t v = 42;

    assert_false(text_to_i64("11", 0, 10, &v));
    assert_false(text_to_i64("-1", 0, 10, &v));
    assert_true(v == 42);
}

static void test_utf8_is_strict(void **state)
{
    static const struct {
        const char *bytes;
        bool ok;
        size_t points;
    } CASES[] = {
        {"", true, 0},
        {"abc", true, 3},
        {"\xec\x8b\x9c\xec\x97\x98", true, 2}, /* Siel in Korean */
        {"\xf0\x9f\x90\x89", true, 1},         /* four bytes */
        {"\xf4\x8f\xbf\xbf", true, 1},         /* U+10FFFF */
        {"\xf4\x90\x80\x80", false, 0},        /* above it */
        {"\xc0\x80", false, 0},                /* overlong NUL */
        {"\xe0\x9f\xbf", false, 0},            /* overlong */
        {"\xf0\x8f\xbf\xbf", false, 0},        /* overlong */
        {"\xed\xa0\x80", false, 0},            /* surrogate */
        {"\xec\x8b", false, 0},                /* cut off */
        {"\x80", false, 0},                    /* lone continuation */
        {"\xff", false, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        size_t len = strlen(CASES[i].bytes);

        assert_int_equal(text_is_utf8(CASES[i].bytes, len), CASES[i].ok);
        if (CASES[i].ok) {
            assert_int_equal(text_utf8_count(CASES[i].bytes, len), CASES[i].points);
        }
    }
}

static void test_copy_clips_and_terminates(void **state)
{
    char small[4];

    (void)state;
    assert_true(text_copy(small, sizeof small, "abc"));
    assert_string_equal(small, "abc");
    assert_false(text_copy(small, sizeof small, "abcd"));
    assert_string_equal(small, "abc");
}

static void test_a_buffer_stops_at_its_maximum(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 10);
    assert_true(buf_add(&b, "0123456789", 10));
    assert_int_equal(b.len, 10);
    assert_false(buf_addch(&b, 'x'));
    assert_true(b.failed);
    assert_false(buf_addstr(&b, "")); /* failed stays failed */
    assert_null(buf_take(&b, NULL));
    buf_reset(&b);
    assert_true(buf_addf(&b, "%d-%s", 7, "ab"));
    assert_string_equal(b.data, "7-ab");
    assert_false(buf_reserve(&b, SIZE_MAX));
    buf_fini(&b);
}

static void test_a_buffer_survives_memory_running_out(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 4096);
    mem_fail_at(1);
    assert_false(buf_addstr(&b, "x"));
    assert_true(b.failed);
    buf_reset(&b);
    assert_true(buf_addstr(&b, "x"));
    buf_fini(&b);
    assert_null(mem_try_array(SIZE_MAX / 2, 4)); /* overflow, not a small block */
}

static void test_buffer_writes_numbers_and_json(void **state)
{
    struct buf b;
    size_t len;
    char *text;

    (void)state;
    buf_init(&b, 4096);
    buf_addi64(&b, INT64_MIN);
    buf_addch(&b, ' ');
    buf_addi64(&b, 0);
    buf_addch(&b, ' ');
    buf_addi64(&b, INT64_MAX);
    buf_addch(&b, ' ');
    buf_add_json(&b, "a\"b\\c\n\x7f\xec\x8b\x9c", 10);
    text = buf_take(&b, &len);
    assert_string_equal(text, "-9223372036854775808 0 9223372036854775807 "
                              "\"a\\\"b\\\\c\\u000a\\u007f\xec\x8b\x9c\"");
    assert_int_equal(len, strlen(text));
    free(text);
}

static void test_consume_drops_the_front(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 100);
    buf_addstr(&b, "hello");
    buf_consume(&b, 2);
    assert_string_equal(b.data, "llo");
    buf_consume(&b, 3);
    assert_int_equal(b.len, 0);
    buf_fini(&b);
}

static void test_iso_times(void **state)
{
    static const struct {
        const char *text;
        bool ok;
        const char *back; /* as we print it */
    } CASES[] = {
        {"2025-12-31T21:47:16.898687", true, "2025-12-31T21:47:16.898687Z"},
        {"2025-12-31T21:47:16.898687Z", true, "2025-12-31T21:47:16.898687Z"},
        {"2026-11-23T05:21:43.906265+00:00", true, "2026-11-23T05:21:43.906265Z"},
        {"2026-11-23T05:21:43+05:30", true, "2026-11-22T23:51:43.000000Z"},
        {"2026-11-23T05:21:43-0100", true, "2026-11-23T06:21:43.000000Z"},
        {"2024-02-29 00:00:00.5", true, "2024-02-29T00:00:00.500000Z"},
        {"2025-01-01T00:00:00.123456789Z", true, "2025-01-01T00:00:00.123456Z"},
        {"2023-02-29T00:00:00Z", false, NULL},
        {"2023-13-01T00:00:00Z", false, NULL},
        {"2023-01-01T24:00:00Z", false, NULL},
        {"2023-01-01", false, NULL},
        {"2023-01-01T00:00", false, NULL},
        {"2023-01-01T00:00:00.", false, NULL},
        {"2023-01-01T00:00:00+1", false, NULL},
        {"2023-01-01T00:00:00Zx", false, NULL},
        {"soon", false, NULL},
        {"", false, NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        char iso[CLOCK_ISO_SIZE];
        int64_t us;

        assert_int_equal(clock_parse_iso(CASES[i].text, &us), CASES[i].ok);
        if (CASES[i].ok) {
            assert_string_equal(clock_iso(us, "Z", iso), CASES[i].back);
        }
    }
}

static void test_iso_before_the_epoch(void **state)
{
    char iso[CLOCK_ISO_SIZE];

    (void)state;
    assert_string_equal(clock_iso(-1, "", iso), "1969-12-31T23:59:59.999999");
}

static void test_uuids(void **state)
{
    char a[UUID_SIZE], b[UUID_SIZE];

    (void)state;
    uuid_random(a);
    uuid_random(b);
    assert_string_not_equal(a, b);
    assert_int_equal(strlen(a), 36);
    assert_int_equal(a[14], '4');
    uuid_from_name("batch:1700000000", a);
    uuid_from_name("batch:1700000000", b);
    assert_string_equal(a, b);
    assert_int_equal(a[14], '8');
    uuid_from_name("batch:1700000600", b);
    assert_string_not_equal(a, b);
}

static void test_reserved_bytes_end_in_nul_before_they_are_used(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 1000);
    assert_true(buf_reserve(&b, 100));
    assert_string_equal(b.data, "");
    buf_fini(&b);
}

static void test_base64(void **state)
{
    /* RFC 4648, section 10 */
    static const char *const VECTORS[][2] = {{"", ""},
                                             {"f", "Zg=="},
                                             {"fo", "Zm8="},
                                             {"foo", "Zm9v"},
                                             {"foob", "Zm9vYg=="},
                                             {"fooba", "Zm9vYmE="},
                                             {"foobar", "Zm9vYmFy"}};
    static const char *const BAD[] = {
        "Z", "Zg", "Zg=", "Zg=a", "Z===", "====", "Zm9v\n", "Zm9-", "Zg==Zg=="};
    struct buf b;

    (void)state;
    buf_init(&b, 1000);
    for (size_t i = 0; i < ARRAY_LEN(VECTORS); i++) {
        buf_reset(&b);
        assert_true(b64_encode(&b, VECTORS[i][0], strlen(VECTORS[i][0])));
        assert_int_equal(b.len, strlen(VECTORS[i][1]));
        assert_memory_equal(b.data ? b.data : "", VECTORS[i][1], b.len);
        buf_reset(&b);
        assert_true(b64_decode(&b, VECTORS[i][1], strlen(VECTORS[i][1])));
        assert_int_equal(b.len, strlen(VECTORS[i][0]));
        assert_memory_equal(b.data ? b.data : "", VECTORS[i][0], b.len);
    }
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        buf_reset(&b);
        assert_false(b64_decode(&b, BAD[i], strlen(BAD[i])));
    }
    buf_fini(&b);
}

static void test_errors_are_one_line(void **state)
{
    struct err e;

    (void)state;
    assert_false(
        err_set(&e, ERR_RETRYABLE, "OperationalError", "server closed\n\tthe %s\n", "line"));
    assert_string_equal(e.text, "server closed  the line");
    assert_string_equal(e.type, "OperationalError");
    assert_string_equal(err_class_name(e.cls), "retryable");
    err_prefix(&e, "reading");
    assert_string_equal(e.text, "reading: server closed  the line");
    err_set(&e, ERR_PERMANENT, "X", "again: %s", e.text); /* its own text as an argument */
    assert_string_equal(e.text, "again: reading: server closed  the line");
    err_set(&e, ERR_PERMANENT, "X", "\x1b]0;title\x07 \x7f.");
    assert_string_equal(e.text, " ]0;title   .");
    assert_false(err_set(NULL, ERR_PERMANENT, "X", "nobody asks"));
}

static void test_errors_are_utf8(void **state)
{
    char korean[3 * 200 + 1] = "";
    struct err e;

    (void)state;
    for (size_t i = 0; i < 200; i++) {
        memcpy(korean + 3 * i, "\xea\xb0\x80", 4);
    }
    for (size_t shift = 0; shift < 3; shift++) { /* wherever a character is cut */
        err_set(&e, ERR_RETRYABLE, "X", "%.*s%s", (int)shift, "ab", korean);
        assert_true(strlen(e.text) > 390);
        assert_true(text_is_utf8(e.text, strlen(e.text)));
        err_prefix(&e, "publish");
        assert_true(text_is_utf8(e.text, strlen(e.text)));
    }
    err_set(&e, ERR_RETRYABLE, "X", "FATAL: \xb0\xfc\xb8\xae 1"); /* EUC-KR */
    assert_string_equal(e.text, "FATAL: ???? 1");
}

static void test_log_values_are_quoted(void **state)
{
    char big[1000];

    (void)state;
    assert_string_equal(log_quote(NULL), "\"\"");
    assert_string_equal(log_quote("a b\"c\\\n"), "\"a b\\\"c\\\\\\x0a\"");
    memset(big, '\n', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    assert_true(strlen(log_quote(big)) < 420);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_are_whole_strings_in_range),
        cmocka_unit_test(test_utf8_is_strict),
        cmocka_unit_test(test_copy_clips_and_terminates),
        cmocka_unit_test(test_a_buffer_stops_at_its_maximum),
        cmocka_unit_test(test_a_buffer_survives_memory_running_out),
        cmocka_unit_test(test_buffer_writes_numbers_and_json),
        cmocka_unit_test(test_consume_drops_the_front),
        cmocka_unit_test(test_iso_times),
        cmocka_unit_test(test_iso_before_the_epoch),
        cmocka_unit_test(test_uuids),
        cmocka_unit_test(test_reserved_bytes_end_in_nul_before_they_are_used),
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_errors_are_one_line),
        cmocka_unit_test(test_errors_are_utf8),
        cmocka_unit_test(test_log_values_are_quoted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
