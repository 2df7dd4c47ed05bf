/* The index of names: made anew or from another one, it is the same. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/complete.h"
#include "api/image_build.h"
#include "common/base.h"

#define COUNT   601 /* a prime, so that turns come past everybody */
#define SERVERS 3

/* Everybody whose number is no multiple of `without`, in an order that `turn` decides. */
static struct image *build(int64_t run, int turn, int without)
{
    static const char *const SYLLABLES[] = {"가", "나무", "Ab", "aC", "용사", "z"};
    int64_t rank = 0, server_rank[SERVERS] = {0}, out = (COUNT - 1) / without;
    struct err e = {0};
    struct image_builder *b;
    struct image *img;

    b = image_builder_new(run, 1, COUNT - 1 - out, &e);
    assert_non_null(b);
    for (int i = 0; i < SERVERS; i++) {
        char its_server[16];

        snprintf(its_server, sizeof its_server, "S%d", i);
        assert_true(image_builder_add_group(
            b, &(struct image_member_of){its_server, "", strlen(its_server), 0}, &e));
    }
    for (int k = 1; k < COUNT; k++) {
        int who = k * turn % COUNT, server = who % SERVERS;
        char name[64];

        if (who % without == 0) {
            continue;
        }
        snprintf(name, sizeof name, "%s%s%d", SYLLABLES[who % 6], SYLLABLES[who / 6 % 6], who);
        assert_true(image_builder_add(b,
                                      &(struct image_source){.id = who,
                                                             .power_score = COUNT - rank,
                                                             .rank = rank + 1,
                                                             .server_rank = ++server_rank[server],
                                                             .group = server,
                                                             .name = name,
                                                             .name_len = strlen(name)},
                                      &e));
        rank++;
    }
    img = image_builder_finish(b, &e);
    assert_non_null(img);
    return img;
}

static void same(const struct complete *a, const struct complete *b)
{
    static const char *const TYPED[] = {"",     "a",     "A", "ㄱ", "나",
                                        "ㄴㅁ", "용사1", "z", "zz", "ㅇㅅ"};

    for (int server = IMAGE_ANY; server < SERVERS; server++) {
        for (size_t i = 0; i < ARRAY_LEN(TYPED); i++) {
            const struct image_row *x[COMPLETE_MAX], *y[COMPLETE_MAX];
            uint32_t n = complete_find(a, server, TYPED[i], strlen(TYPED[i]), x, COMPLETE_MAX);

            assert_int_equal(complete_find(b, server, TYPED[i], strlen(TYPED[i]), y, COMPLETE_MAX),
                             n);
            for (uint32_t k = 0; k < n; k++) {
                assert_ptr_equal(x[k], y[k]);
            }
        }
    }
}

static void test_from_any_other_generation(void **state)
{
    /* Who is in both, who left and who came; the later one knows nothing of the earlier one. */
    struct image *before = build(1, 7, 5), *now = build(9, 11, 7);
    struct complete *old = complete_build(before, NULL);
    struct complete *fresh = complete_build(now, NULL), *from_old = complete_build(now, old);
    const struct image_row *found[COMPLETE_MAX];

    (void)state;
    assert_non_null(old);
    assert_non_null(fresh);
    assert_non_null(from_old);
    assert_true(complete_find(fresh, IMAGE_ANY, "용사", strlen("용사"), found, COMPLETE_MAX) > 5);
    same(fresh, from_old);
    complete_unref(old);
    complete_unref(fresh);
    complete_unref(from_old);
    image_unref(before);
    image_unref(now);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_from_any_other_generation)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
