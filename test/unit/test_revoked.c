/* The set of revoked ids: what is in it, what it forgets. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/mem.h"
#include "worker/revoked.h"

static bool add_id(void *ctx, const struct revoked_entry *e)
{
    char *out = ctx;

    strcat(out, e->id);
    strcat(out, e->done & REVOKED_STORED ? "+" : "");
    strcat(out, e->done & REVOKED_SOUGHT ? "! " : " ");
    return true;
}

static const char *listed(const struct revoked *r)
{
    static char out[4096];

    out[0] = '\0';
    revoked_each(r, add_id, out);
    return out;
}

static void test_what_is_added_is_there_once(void **state)
{
    struct revoked *r = revoked_new();

    (void)state;
    assert_false(revoked_has(r, "a"));
    assert_true(revoked_add(r, "a", 10));
    assert_false(revoked_add(r, "a", 20));
    assert_true(revoked_has(r, "a"));
    assert_false(revoked_has(r, "b"));
    assert_int_equal(revoked_count(r), 1);
    revoked_free(r);
}

static void test_the_order_is_that_of_age(void **state)
{
    struct revoked *r = revoked_new();

    (void)state;
    revoked_add(r, "b", 20);
    revoked_add(r, "d", 40);
    revoked_add(r, "a", 10); /* heard of later, as from Redis */
    revoked_add(r, "c", 30);
    assert_string_equal(listed(r), "d c b a ");
    revoked_forget_before(r, 30);
    assert_string_equal(listed(r), "d c ");
    assert_false(revoked_has(r, "a"));
    revoked_add(r, "a", 50);
    assert_string_equal(listed(r), "a d c ");
    revoked_free(r);
}

static void test_what_was_done_is_marked(void **state)
{
    struct revoked *r = revoked_new();

    (void)state;
    revoked_add(r, "a", 1);
    revoked_add(r, "b", 2);
    revoked_mark(r, "a", REVOKED_STORED | REVOKED_SOUGHT);
    revoked_mark(r, "nobody", REVOKED_STORED);
    assert_string_equal(listed(r), "b a+! ");
    revoked_mark(r, "b", REVOKED_SOUGHT);
    revoked_unmark_since(r, 2, REVOKED_SOUGHT);
    assert_string_equal(listed(r), "b a+! ");
    revoked_unmark_since(r, 0, REVOKED_STORED);
    assert_string_equal(listed(r), "b a! ");
    revoked_free(r);
}

static void test_the_oldest_go_when_it_is_full(void **state)
{
    struct revoked *r = revoked_new();
    char id[32];

    (void)state;
    for (int i = 0; i < REVOKED_MAX + 10; i++) {
        snprintf(id, sizeof id, "%d", i);
        assert_true(revoked_add(r, id, i));
    }
    assert_int_equal(revoked_count(r), REVOKED_MAX);
    assert_false(revoked_has(r, "9"));
    assert_true(revoked_has(r, "10"));
    assert_true(revoked_has(r, id));
    assert_true(revoked_add(r, "older than all", -1)); /* the oldest: it goes at once */
    assert_false(revoked_has(r, "older than all"));
    revoked_free(r);
}

static void test_ids_that_no_task_has(void **state)
{
    struct revoked *r = revoked_new();
    char id[REVOKED_ID_MAX + 2];

    (void)state;
    memset(id, 'x', sizeof id);
    id[sizeof id - 1] = '\0';
    assert_false(revoked_add(r, "", 1));
    assert_false(revoked_add(r, id, 1));
    id[REVOKED_ID_MAX] = '\0';
    assert_true(revoked_add(r, id, 1));
    revoked_free(r);
}

static void test_no_memory_is_no_end(void **state)
{
    struct revoked *r = revoked_new();

    (void)state;
    mem_fail_at(1);
    assert_false(revoked_add(r, "a", 1));
    assert_true(revoked_add(r, "a", 1));
    revoked_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_added_is_there_once),
        cmocka_unit_test(test_the_order_is_that_of_age),
        cmocka_unit_test(test_what_was_done_is_marked),
        cmocka_unit_test(test_the_oldest_go_when_it_is_full),
        cmocka_unit_test(test_ids_that_no_task_has),
        cmocka_unit_test(test_no_memory_is_no_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
