#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "ctl/import_ndjson.h"
#include "ctl/import_row.h"

struct fixture {
    struct import_cells cells;
    struct buf out;
    struct err e;
};

static void set(struct fixture *f, int column, const char *text)
{
    f->cells.cell[column] = (struct span){text, text ? strlen(text) : 0};
}

static void setup(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    buf_init(&f->out, MIB);
    set(f, COL_SERVER, "S");
    set(f, COL_NAME, "N");
    set(f, COL_CLASS, "C");
    set(f, COL_LEVEL, "45");
}

static void test_tuple_bytes(void **state UNUSED)
{
    static const char EXPECTED[] = "\0\x08"
                                   "\0\0\0\x01S"
                                   "\0\0\0\x01N"
                                   "\0\0\0\x01"
                                   "C"
                                   "\0\0\0\x04\0\0\0\x2d"
                                   "\0\0\0\x08\0\0\0\0\0\0\x01\0"
                                   "\0\0\0\x03\x01{}"
                                   "\xff\xff\xff\xff"
                                   "\0\0\0\x08\0\0\0\0\0\0\0\x01";
    struct fixture f;

    setup(&f);
    set(&f, COL_POWER, "256");
    set(&f, COL_STATS_PAYLOAD, "{}");
    set(&f, COL_LAST_FETCHED_AT, "2000-01-01T00:00:00.000001Z");
    assert_true(import_row_encode(&f.cells, &f.out, &f.e));
    assert_int_equal(f.out.len, sizeof EXPECTED - 1);
    assert_memory_equal(f.out.data, EXPECTED, sizeof EXPECTED - 1);
    assert_int_equal(import_row_key_len(f.out.data), 12);
    buf_fini(&f.out);
}

static void test_stat_columns_become_an_object(void **state UNUSED)
{
    static const char FULL[] = "\x01{\"attack\":7,\"hp\":2.5e3}", EMPTY[] = "\x01{}";
    struct fixture f;

    setup(&f);
    f.cells.has_stat_columns = true;
    assert_true(import_row_encode(&f.cells, &f.out, &f.e));
    assert_non_null(memmem(f.out.data, f.out.len, EMPTY, sizeof EMPTY - 1));
    buf_reset(&f.out);
    set(&f, COL_STAT_FIRST, "7");
    set(&f, COL_STAT_LAST, "2.5e3");
    assert_true(import_row_encode(&f.cells, &f.out, &f.e));
    assert_non_null(memmem(f.out.data, f.out.len, FULL, sizeof FULL - 1));
    buf_fini(&f.out);
}

static void test_bad_cells_are_refused_and_leave_nothing(void **state UNUSED)
{
    static const struct {
        int column;
        const char *text, *why;
    } CASES[] = {
        {COL_SERVER, "", "server: is missing"},
        {COL_SERVER, "all", "server: \"all\" names the board"},
        {COL_NAME, "a\tb", "name: has a control character"},
        {COL_LEVEL, "100001", "level: \"100001\" is not between 0 and 100000"},
        {COL_LEVEL, "4 5", "level: \"4 5\" is not a whole number"},
        {COL_LEVEL, NULL, "level: is missing"},
        {COL_POWER, "9223372036854775808", "is not a whole number"},
        {COL_POWER, "-1", "is not between 0 and"},
        {COL_STATS_PAYLOAD, "[]", "stats_payload: is not a JSON object"},
        {COL_RAW_PAYLOAD, "{", "raw_payload: not JSON"},
        {COL_LAST_FETCHED_AT, "yesterday", "last_fetched_at: \"yesterday\" is not a time"},
    };

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct fixture f;

        setup(&f);
        buf_addstr(&f.out, "before");
        set(&f, CASES[i].column, CASES[i].text);
        assert_false(import_row_encode(&f.cells, &f.out, &f.e));
        assert_non_null(strstr(f.e.text, CASES[i].why));
        assert_int_equal(f.out.len, strlen("before"));
        buf_fini(&f.out);
    }
}

static void test_lengths_are_counted_in_characters(void **state UNUSED)
{
    char text[65 * 3 + 1] = "";
    struct fixture f;

    for (int i = 0; i < 64; i++) {
        strcat(text, "\xed\x95\x9c");
    }
    setup(&f);
    set(&f, COL_NAME, text);
    assert_true(import_row_encode(&f.cells, &f.out, &f.e));
    strcat(text, "\xed\x95\x9c");
    set(&f, COL_NAME, text);
    assert_false(import_row_encode(&f.cells, &f.out, &f.e));
    buf_fini(&f.out);
}

/* Cells of the one line, as "server,name,raw_payload". */
static void test_ndjson_cells(void **state UNUSED)
{
    char line[] =
        "{\"n\\u0061me\":\"x\\ny\\ud55c\",\"server\":\"\\u0053\",\"raw_payload\":\"q\\u0041\","
        "\"power\":null}\nnext";
    struct import_ndjson nd;
    struct import_record rec;

    import_ndjson_init(&nd);
    assert_int_equal(import_ndjson_next(&nd, line, strlen(line), false, &rec), IMPORT_ROW);
    assert_int_equal(rec.consumed, strlen(line) - 4);
    assert_int_equal(rec.lines, 1);
    assert_memory_equal(rec.cells.cell[COL_NAME].p, "x\ny\xed\x95\x9c", 6);
    assert_int_equal(rec.cells.cell[COL_SERVER].len, 1);
    assert_memory_equal(rec.cells.cell[COL_SERVER].p, "S", 1);
    assert_memory_equal(rec.cells.cell[COL_RAW_PAYLOAD].p, "\"q\\u0041\"", 9);
    assert_null(rec.cells.cell[COL_POWER].p);
    assert_int_equal(import_ndjson_next(&nd, line, 5, false, &rec), IMPORT_MORE);
    assert_int_equal(import_ndjson_next(&nd, line, 5, true, &rec), IMPORT_BAD);
    import_ndjson_fini(&nd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tuple_bytes),
        cmocka_unit_test(test_stat_columns_become_an_object),
        cmocka_unit_test(test_bad_cells_are_refused_and_leave_nothing),
        cmocka_unit_test(test_lengths_are_counted_in_characters),
        cmocka_unit_test(test_ndjson_cells),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
