#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/import_csv.h"

/* "a|b|c" of the next record, "MORE", or "BAD why"; in a static buffer. *used: bytes consumed. */
static const char *parse(const char *text, bool eof, size_t *used, size_t *lines)
{
    static char out[512];
    struct csv_record r;
    char *data = strdup(text);
    size_t at = 0;

    switch (csv_parse(data, strlen(text), eof, &r)) {
    case CSV_MORE:
        strcpy(out, "MORE");
        break;
    case CSV_BAD:
        snprintf(out, sizeof out, "BAD %s", r.why);
        break;
    default:
        out[0] = '\0';
        for (size_t i = 0; i < r.n; i++) {
            at += (size_t)snprintf(out + at, sizeof out - at, "%s%.*s", i ? "|" : "",
                                   (int)r.field[i].len, r.field[i].p);
        }
    }
    if (used) {
        *used = r.consumed;
    }
    if (lines) {
        *lines = r.lines;
    }
    free(data);
    return out;
}

static void test_records(void **state UNUSED)
{
    static const struct {
        const char *text, *expected;
        size_t used, lines;
    } CASES[] = {
        {"a,b\n", "a|b", 4, 1},
        {"a,b\r\nc", "a|b", 5, 1},
        {"a,b", "a|b", 3, 0},
        {"a,b\r", "a|b", 4, 0},
        {",\n", "|", 2, 1},
        {"\n", "", 1, 1},
        {"\"\"\n", "", 3, 1},
        {"\"a,b\",c\n", "a,b|c", 8, 1},
        {"\"a\nb\",c\nd", "a\nb|c", 8, 2},
        {"\"a\"\"b\"\"\",\"\"\"\"\n", "a\"b\"|\"", 14, 1},
        {"\"a\"\r\nb", "a", 5, 1},
        {"a\rb,c\n", "a\rb|c", 6, 1},
        {"\"x\"", "x", 3, 0},
        {"\"x\"\r", "x", 4, 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        size_t used, lines;

        assert_string_equal(parse(CASES[i].text, true, &used, &lines), CASES[i].expected);
        assert_int_equal(used, CASES[i].used);
        assert_int_equal(lines, CASES[i].lines);
    }
}

static void test_incomplete_records_ask_for_more(void **state UNUSED)
{
    static const char *const TEXTS[] = {"",      "a",       "a,",       "a\r",    "\"a",
                                        "\"a\"", "\"a\"\r", "\"a\"\"b", "\"a\n\n"};

    for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++) {
        assert_string_equal(parse(TEXTS[i], false, NULL, NULL), "MORE");
    }
}

/* A stray quote costs the line that it is on, whatever it seems to swallow. */
static void test_bad_records_cost_one_line(void **state UNUSED)
{
    static const struct {
        const char *text, *expected;
        size_t used;
    } CASES[] = {
        {"a\"b,c\nd\n", "BAD a quote inside a field that does not start with one", 6},
        {"\"a\"b,c\nd\n", "BAD text behind the closing quote of a field", 7},
        {"x,\"a\n\"b\",c\n", "BAD text behind the closing quote of a field", 5},
        {"x,\"a\nb,c\n", "BAD a quoted field is never closed", 5},
    };

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        size_t used, lines;

        assert_string_equal(parse(CASES[i].text, true, &used, &lines), CASES[i].expected);
        assert_int_equal(used, CASES[i].used);
        assert_int_equal(lines, 1);
    }
    assert_string_equal(parse("a\"b", false, NULL, NULL), "MORE");
}

static void test_more_fields_than_are_kept(void **state UNUSED)
{
    char text[CSV_FIELDS_MAX + 12];
    struct csv_record r;

    memset(text, ',', sizeof text);
    text[sizeof text - 1] = '\n';
    assert_int_equal(csv_parse(text, sizeof text, false, &r), CSV_RECORD);
    assert_int_equal(r.n, sizeof text);
    assert_int_equal(r.consumed, sizeof text);
}

static enum import_status feed(struct import_csv *csv, const char *text, struct import_record *rec)
{
    static char data[512];

    snprintf(data, sizeof data, "%s", text);
    return import_csv_next(csv, data, strlen(data), true, rec);
}

static void test_header_names_the_cells(void **state UNUSED)
{
    struct import_csv csv = {0};
    struct import_record rec;

    assert_int_equal(feed(&csv, "name,server,level,class,hp,id\n", &rec), IMPORT_BLANK);
    assert_true(csv.has_id);
    assert_int_equal(feed(&csv, "\n", &rec), IMPORT_BLANK);
    assert_int_equal(feed(&csv, "N,S,7,C,3,9\n", &rec), IMPORT_ROW);
    assert_memory_equal(rec.cells.cell[COL_SERVER].p, "S", 1);
    assert_memory_equal(rec.cells.cell[COL_NAME].p, "N", 1);
    assert_memory_equal(rec.cells.cell[COL_STAT_LAST].p, "3", 1);
    assert_null(rec.cells.cell[COL_POWER].p);
    assert_true(rec.cells.has_stat_columns);
    assert_int_equal(feed(&csv, "N,S,7,C,3\n", &rec), IMPORT_BAD);
    assert_int_equal(feed(&csv, "N\xff,S,7,C,3,9\n", &rec), IMPORT_BAD);
}

static void test_bad_headers_end_the_import(void **state UNUSED)
{
    static const char *const HEADERS[] = {
        "server,name\n",
        "server,name,class,level,what\n",
        "server,name,class,level,name\n",
        "server,name,class,level,stats_payload,hp\n",
        "server\",name\n",
    };

    for (size_t i = 0; i < ARRAY_LEN(HEADERS); i++) {
        struct import_csv csv = {0};
        struct import_record rec;

        assert_int_equal(feed(&csv, HEADERS[i], &rec), IMPORT_FATAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_incomplete_records_ask_for_more),
        cmocka_unit_test(test_bad_records_cost_one_line),
        cmocka_unit_test(test_more_fields_than_are_kept),
        cmocka_unit_test(test_header_names_the_cells),
        cmocka_unit_test(test_bad_headers_end_the_import),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
