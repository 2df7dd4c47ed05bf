/* Bodies and the cache of answers: references, forms, bounds. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

#include "api/cache.h"
#include "common/mem.h"

static struct body *make(const char *text)
{
    struct body *b = body_new(text, strlen(text), false);

    assert_non_null(b);
    return b;
}

static void test_a_body_is_compressed_when_it_pays(void **state)
{
    char text[4096], back[4096];
    z_stream z = {0};
    struct body *b;

    (void)state;
    memset(text, 'a', sizeof text);
    b = body_new(text, BODY_GZIP_MIN, true);
    assert_false(b->gzip);
    assert_int_equal(b->len, BODY_GZIP_MIN);
    body_unref(b);
    b = body_new(text, sizeof text, true);
    assert_true(b->gzip);
    assert_true(b->len < 100);
    assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
    z.next_in = (unsigned char *)b->data;
    z.avail_in = (uInt)b->len;
    z.next_out = (unsigned char *)back;
    z.avail_out = sizeof back;
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(z.total_out, sizeof text);
    assert_memory_equal(back, text, sizeof text);
    inflateEnd(&z);
    body_unref(b);
}

static void test_no_memory_is_no_body(void **state)
{
    (void)state;
    mem_fail_at(1);
    assert_null(body_new("x", 1, false));
    mem_fail_at(0);
}

static void test_targets_and_forms_are_told_apart(void **state)
{
    struct cache *c = cache_new();
    struct body *plain = make("plain"), *packed = make("packed");

    (void)state;
    cache_put(c, "/a?x=1", 0, plain);
    cache_put(c, "/a?x=1", 1, packed);
    assert_ptr_equal(cache_get(c, "/a?x=1", 0), plain);
    assert_ptr_equal(cache_get(c, "/a?x=1", 1), packed);
    assert_null(cache_get(c, "/a?x=1", 2));
    assert_null(cache_get(c, "/a?x=", 0));
    assert_null(cache_get(c, "/a?x=12", 0));
    cache_clear(c);
    assert_null(cache_get(c, "/a?x=1", 0));
    assert_int_equal(plain->refs, 1);
    body_unref(plain);
    body_unref(packed);
    cache_free(c);
}

static void test_long_targets_are_not_kept(void **state)
{
    struct cache *c = cache_new();
    struct body *b = make("x");
    char target[CACHE_KEY_MAX + 2];

    (void)state;
    memset(target, 'a', sizeof target);
    target[CACHE_KEY_MAX + 1] = '\0';
    cache_put(c, target, 0, b);
    assert_null(cache_get(c, target, 0));
    target[CACHE_KEY_MAX] = '\0';
    cache_put(c, target, 0, b);
    assert_ptr_equal(cache_get(c, target, 0), b);
    cache_free(c);
    assert_int_equal(b->refs, 1);
    body_unref(b);
}

static void test_bytes_are_bounded(void **state)
{
    struct cache *c = cache_new();
    size_t len = 100 * KIB, kept = 0;
    char *data = calloc(len, 1), target[32];

    (void)state;
    assert_non_null(data);
    for (int i = 0; i < 500; i++) {
        struct body *b = body_new(data, len, false);

        snprintf(target, sizeof target, "/t%d", i);
        cache_put(c, target, 0, b);
        assert_ptr_equal(cache_get(c, target, 0), b);
        body_unref(b);
    }
    for (int i = 0; i < 500; i++) {
        snprintf(target, sizeof target, "/t%d", i);
        kept += cache_get(c, target, 0) ? len : 0;
    }
    assert_in_range(kept, len, CACHE_BYTES_MAX);
    cache_free(c);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_body_is_compressed_when_it_pays),
        cmocka_unit_test(test_no_memory_is_no_body),
        cmocka_unit_test(test_targets_and_forms_are_told_apart),
        cmocka_unit_test(test_long_targets_are_not_kept),
        cmocka_unit_test(test_bytes_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
