#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/realm.h"

static void test_names(void **state)
{
    (void)state;
    assert_int_equal(realm_find("kr", "시엘")->server_id, 1001);
    assert_int_equal(realm_find("kr", "Siel")->server_id, 1001);
    assert_int_equal(realm_find("kr", "SIEL")->server_id, 1001);
    assert_string_equal(realm_find("kr", "이스라펠")->name, "Israphel");
    assert_int_equal(realm_find("naw", "Israphel")->server_id, 2201);
    assert_string_equal(realm_find("tw", "希埃爾")->name, "Siel");
    assert_null(realm_find("tw", "시엘"));
    assert_null(realm_find("kr", "Sie"));
    assert_null(realm_find("kr", ""));
    assert_null(realm_find("mars", "Siel"));
    assert_string_equal(realm_by_id("kr", 2020)->local_name, "인드나흐");
    assert_null(realm_by_id("kr", 9999));
    assert_true(realm_is_region("la"));
    assert_false(realm_is_region("KR"));
}

/* Either name of a server means one server of its region, and the site's number says the race. */
static void test_table(void **state)
{
    (void)state;
    assert_int_equal(REALM_COUNT, 176);
    for (size_t i = 0; i < REALM_COUNT; i++) {
        const struct realm *r = &REALMS[i];

        assert_ptr_equal(realm_find(r->region, r->name), r);
        assert_string_equal(realm_canonical(r->local_name), r->name);
        assert_string_equal(realm_canonical(r->name), r->name);
        assert_ptr_equal(realm_find(r->region, r->local_name), r);
        assert_ptr_equal(realm_by_id(r->region, r->server_id), r);
        assert_true(r->server_id / 1000 == 1 || r->server_id / 1000 == 2);
    }
}

static void test_spellings(void **state)
{
    const char *out[REALM_SPELLINGS_MAX];

    (void)state;
    assert_string_equal(realm_find("kr", "nezakan")->name, "Nezekan");
    assert_int_equal(realm_spellings("kr", "네자칸", out), 3);
    assert_string_equal(out[0], "Nezekan");
    assert_string_equal(out[1], "네자칸");
    assert_string_equal(out[2], "Nezakan");
    assert_int_equal(realm_spellings("kr", "siel", out), 2);
    assert_string_equal(out[0], "Siel");
    assert_string_equal(out[1], "시엘");
    assert_int_equal(realm_spellings("eu", "Siel", out), 1);
    assert_string_equal(out[0], "Siel");
    assert_int_equal(realm_spellings("kr", "Chantra", out), 1);
    assert_string_equal(out[0], "Chantra");
    assert_string_equal(realm_canonical("nezakan"), "Nezekan");
    assert_null(realm_canonical("Chantra"));
    assert_null(realm_canonical(""));
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_spellings),
    };

    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
