#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "common/mem.h"
#include "ctl/migrate_plan.h"

static const struct migration KNOWN[] = {
    {1, "0001_a", "", "aa"}, {2, "0002_b", "", "bb"}, {3, "0003_c", "", "cc"}};

struct row {
    const char *cell[4];
};

static PGresult *rows_of(const struct row *rows, int n)
{
    static char names[4][12] = {"version", "name", "checksum", "applied_at"};
    PGresAttDesc attrs[4];
    PGresult *r = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);

    memset(attrs, 0, sizeof attrs);
    for (int c = 0; c < 4; c++) {
        attrs[c].name = names[c];
    }
    assert_true(PQsetResultAttrs(r, 4, attrs));
    for (int i = 0; i < n; i++) {
        for (int c = 0; c < 4; c++) {
            char text[32];

            strcpy(text, rows[i].cell[c]);
            assert_true(PQsetvalue(r, i, c, text, (int)strlen(text)));
        }
    }
    return r;
}

/* The states by their first letters, then what the check says ("" when it agrees). */
static void expect(const struct row *rows, int n, const char *states, const char *why)
{
    PGresult *r = rows ? rows_of(rows, n) : NULL;
    struct migrate_plan p;
    struct err e = {0};

    assert_true(migrate_plan_make(&p, r, KNOWN, ARRAY_LEN(KNOWN), &e));
    assert_int_equal(p.n, strlen(states));
    for (size_t i = 0; i < p.n; i++) {
        assert_int_equal(MIGRATE_STATE_NAMES[p.lines[i].state][0], states[i]);
    }
    assert_int_equal(migrate_plan_up_to_date(&p), strspn(states, "a") == p.n);
    assert_int_equal(migrate_plan_check(&p, &e), !*why);
    assert_non_null(strstr(e.text, why));
    migrate_plan_fini(&p);
    PQclear(r);
}

#define ROW(version, name, checksum)                                                               \
    {                                                                                              \
        {                                                                                          \
            version, name, checksum, "then"                                                        \
        }                                                                                          \
    }

static void test_states(void **state UNUSED)
{
    static const struct row FIRST[] = {ROW("1", "0001_a", "aa")};
    static const struct row ALL[] = {ROW("1", "0001_a", "aa"), ROW("2", "0002_b", "bb"),
                                     ROW("3", "0003_c", "cc")};

    expect(NULL, 0, "ppp", "");
    expect(FIRST, 0, "ppp", "");
    expect(FIRST, 1, "app", "");
    expect(ALL, 3, "aaa", "");
}

static void test_what_must_not_be_touched(void **state UNUSED)
{
    static const struct row EDITED[] = {ROW("1", "0001_a", "xx"), ROW("2", "0002_b", "bb")};
    static const struct row NEWER[] = {ROW("1", "0001_a", "aa"), ROW("7", "0007_g", "gg")};
    static const struct row GAP[] = {ROW("1", "0001_a", "aa"), ROW("3", "0003_c", "cc")};
    static const struct row OLDER[] = {ROW("0", "0000_z", "zz")};

    expect(EDITED, 2, "eap", "0001_a was edited");
    expect(NEWER, 2, "appu", "0007_g, which this program does not know");
    expect(GAP, 2, "apa", "has migration 0003_c but not 0002_b");
    expect(OLDER, 1, "uppp", "0000_z");
}

static void test_lines_point_at_what_is_known(void **state UNUSED)
{
    static const struct row ROWS[] = {ROW("1", "renamed", "aa"), ROW("9", "0009_i", "ii")};
    PGresult *r = rows_of(ROWS, 2);
    struct migrate_plan p;

    assert_true(migrate_plan_make(&p, r, KNOWN, ARRAY_LEN(KNOWN), NULL));
    assert_ptr_equal(p.lines[0].known, &KNOWN[0]);
    assert_string_equal(p.lines[0].applied_at, "then");
    assert_ptr_equal(p.lines[1].known, &KNOWN[1]);
    assert_string_equal(p.lines[1].applied_at, "");
    assert_null(p.lines[3].known);
    migrate_plan_fini(&p);
    PQclear(r);
}

static void test_memory_out(void **state UNUSED)
{
    struct migrate_plan p;
    struct err e;

    mem_fail_at(1);
    assert_false(migrate_plan_make(&p, NULL, KNOWN, ARRAY_LEN(KNOWN), &e));
    assert_int_equal(e.cls, ERR_RETRYABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_what_must_not_be_touched),
        cmocka_unit_test(test_lines_point_at_what_is_known),
        cmocka_unit_test(test_memory_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
