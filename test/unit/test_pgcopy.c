#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "worker/pgcopy.h"

enum { FIELDS = 7 };

/* array_send(ARRAY[5, -7]) of PostgreSQL 15 */
static const unsigned char ARRAY[] = {0, 0, 0, 1, 0, 0, 0, 0, 0,    0,    0,    23,
                                      0, 0, 0, 2, 0, 0, 0, 1, 0,    0,    0,    4,
                                      0, 0, 0, 5, 0, 0, 0, 4, 0xff, 0xff, 0xff, 0xf9};

static char bytes[512];
static size_t len;

static char *put_sample_row(char *p)
{
    p = pgcopy_put_row(p, FIELDS);
    p = pgcopy_put_i64(p, INT64_MIN);
    p = pgcopy_put_i32(p, -7);
    p = pgcopy_put_text(p, "용사", strlen("용사"));
    p = pgcopy_put_null(p);
    p = pgcopy_put_double(p, 16.67);
    p = pgcopy_put_bool(p, true);
    p = pgcopy_put_array(p, PGCOPY_OID_INT4, 2, 16);
    return pgcopy_put_i32(pgcopy_put_i32(p, 5), -7);
}

static int make_sample(void **state)
{
    char *p = put_sample_row(pgcopy_put_header(bytes));

    (void)state;
    len = (size_t)(pgcopy_put_trailer(p) - bytes);
    return 0;
}

static void test_what_is_written_can_be_read(void **state)
{
    struct pgcopy_field f[FIELDS];
    struct pgcopy_reader r;
    int64_t i64;
    int32_t i32;
    double d;
    bool b;

    (void)state;
    pgcopy_reader_init(&r);
    pgcopy_feed(&r, bytes, len);
    assert_int_equal(pgcopy_read(&r, f, FIELDS), PGCOPY_ROW);
    assert_true(pgcopy_to_i64(&f[0], &i64) && i64 == INT64_MIN);
    assert_true(pgcopy_to_i32(&f[1], &i32) && i32 == -7);
    assert_int_equal(f[2].len, strlen("용사"));
    assert_memory_equal(f[2].data, "용사", strlen("용사"));
    assert_int_equal(f[3].len, -1);
    assert_false(pgcopy_to_i64(&f[3], &i64));
    assert_true(pgcopy_to_double(&f[4], &d) && d == 16.67);
    assert_true(pgcopy_to_bool(&f[5], &b) && b);
    assert_int_equal(f[6].len, sizeof ARRAY);
    assert_memory_equal(f[6].data, ARRAY, sizeof ARRAY);
    assert_int_equal(pgcopy_read(&r, f, FIELDS), PGCOPY_NO_MORE);
    assert_true(r.ended);
}

static void test_rows_come_in_messages(void **state)
{
    struct pgcopy_field f[FIELDS];
    struct pgcopy_reader r;
    char row[256];
    size_t row_len = (size_t)(put_sample_row(row) - row);

    (void)state;
    pgcopy_reader_init(&r);
    pgcopy_feed(&r, bytes, PGCOPY_HEADER_SIZE);
    assert_int_equal(pgcopy_read(&r, f, FIELDS), PGCOPY_NO_MORE);
    for (int i = 0; i < 3; i++) {
        pgcopy_feed(&r, row, row_len);
        assert_int_equal(pgcopy_read(&r, f, FIELDS), PGCOPY_ROW);
        assert_int_equal(pgcopy_read(&r, f, FIELDS), PGCOPY_NO_MORE);
    }
    assert_false(r.ended);
}

static void test_every_cut_is_noticed(void **state)
{
    struct pgcopy_field f[FIELDS];

    (void)state;
    for (size_t cut = 1; cut < len; cut++) {
        struct pgcopy_reader r;
        enum pgcopy_next next;

        pgcopy_reader_init(&r);
        pgcopy_feed(&r, bytes, cut);
        do {
            next = pgcopy_read(&r, f, FIELDS);
        } while (next == PGCOPY_ROW);
        if (cut == PGCOPY_HEADER_SIZE || cut == len - PGCOPY_TRAILER_SIZE) {
            assert_int_equal(next, PGCOPY_NO_MORE);
        } else {
            assert_int_equal(next, PGCOPY_MALFORMED);
        }
        assert_false(r.ended);
    }
}

static void test_malformed(void **state)
{
    struct pgcopy_field f[FIELDS];
    struct pgcopy_reader r;

    (void)state;
    pgcopy_reader_init(&r);
    pgcopy_feed(&r, bytes, len);
    assert_int_equal(pgcopy_read(&r, f, FIELDS - 1), PGCOPY_MALFORMED); /* other columns */

    bytes[3] ^= 1; /* the signature */
    pgcopy_reader_init(&r);
    pgcopy_feed(&r, bytes, len);
    assert_int_equal(pgcopy_read(&r, f, FIELDS), PGCOPY_MALFORMED);

    make_sample(NULL);
    bytes[12] = 1; /* a critical flag that we do not know */
    pgcopy_reader_init(&r);
    pgcopy_feed(&r, bytes, len);
    assert_int_equal(pgcopy_read(&r, f, FIELDS), PGCOPY_MALFORMED);

    make_sample(NULL);
    memset(bytes + PGCOPY_HEADER_SIZE + 2, 0xff, 3); /* a length below -1 */
    pgcopy_reader_init(&r);
    pgcopy_feed(&r, bytes, len);
    assert_int_equal(pgcopy_read(&r, f, FIELDS), PGCOPY_MALFORMED);

    make_sample(NULL);
    bytes[len] = 0; /* after the trailer */
    pgcopy_reader_init(&r);
    pgcopy_feed(&r, bytes, len + 1);
    assert_int_equal(pgcopy_read(&r, f, FIELDS), PGCOPY_ROW);
    assert_int_equal(pgcopy_read(&r, f, FIELDS), PGCOPY_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_what_is_written_can_be_read, make_sample),
        cmocka_unit_test_setup(test_rows_come_in_messages, make_sample),
        cmocka_unit_test_setup(test_every_cut_is_noticed, make_sample),
        cmocka_unit_test_setup(test_malformed, make_sample),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
