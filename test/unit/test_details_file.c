/* The details store on disk: what comes back, and that no bytes do harm. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "api/details_file.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/text.h"

#define PEOPLE 40
#define CRC_AT 12

static char dir[] = "/tmp/aion2-details-XXXXXX";

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
    char path[64];

    (void)state;
    snprintf(path, sizeof path, "%s/" DETAILS_FILE_NAME, dir);
    unlink(path);
    return rmdir(dir);
}

/* Of every kind there is. */
static struct detail detail_of(int64_t id)
{
    struct detail d = {.id = id,
                       .power = id % 5 ? id * 1000 : DETAIL_UNKNOWN,
                       .fetched_us = id % 7 ? id * 1000000007 : DETAIL_NO_TIME,
                       .level = (int32_t)id % 46,
                       .item_level = id % 3 ? (int32_t)id + 3000 : DETAIL_UNKNOWN,
                       .failed_last = id % 4 == 0,
                       .mode = (enum detail_mode)(id % 3),
                       .kind = (enum detail_stats)(id % 3)};

    snprintf(d.cls, sizeof d.cls, "%s", id % 2 ? "검성" : "Ranger");
    snprintf(d.legion, sizeof d.legion, "%s", id % 5 ? "달빛" : "");
    if (d.kind == DETAIL_TEXT) {
        d.text = mem_alloc(64);
        d.text_len = (size_t)snprintf(d.text, 64, "{\"hp\": %d.5}", (int)id);
    } else if (d.kind == DETAIL_PACKED) {
        for (int s = 0; s < STAT_COUNT; s++) {
            d.packed.value[s] = (uint32_t)(id * 100 + s);
        }
        d.packed.mode = (enum packed_mode)(id % 2);
    }
    return d;
}

static struct details *people(void)
{
    struct details *s = details_new();

    details_begin_day(s, "2026-11-23");
    for (int64_t id = 1; id <= PEOPLE; id++) {
        struct detail d = detail_of(id);

        details_put(s, &d, (uint32_t)id * 3);
        if (id % 2) {
            details_put_place(s, id, (uint32_t)id, (uint32_t)id + 1);
        }
        detail_fini(&d);
    }
    return s;
}

static void store(struct details *s)
{
    struct err e;

    assert_true(details_file_store(dir, s, &e));
}

static void check_person(struct details *s, int64_t id)
{
    struct detail want = detail_of(id), d;
    struct details_place place;
    struct buf a, b;

    assert_int_equal(details_get(s, id, (uint32_t)id * 3, &d), DETAILS_DOUBT);
    assert_int_equal(d.power, want.power);
    assert_int_equal(d.fetched_us, want.fetched_us);
    assert_int_equal(d.level, want.level);
    assert_int_equal(d.item_level, want.item_level);
    assert_int_equal(d.failed_last, want.failed_last);
    assert_int_equal(d.mode, want.mode);
    assert_string_equal(d.cls, want.cls);
    assert_string_equal(d.legion, want.legion);
    buf_init(&a, KIB);
    buf_init(&b, KIB);
    detail_add_stats(&a, &d);
    detail_add_stats(&b, &want);
    assert_string_equal(a.data, b.data);
    assert_int_equal(details_get_place(s, id, &place), id % 2);
    if (id % 2) {
        assert_string_equal(place.day, "2026-11-23");
        assert_int_equal(place.rank, id);
        assert_int_equal(place.server_rank, id + 1);
    }
    buf_fini(&a);
    buf_fini(&b);
    detail_fini(&d);
    detail_fini(&want);
}

static void test_everybody_comes_back(void **state)
{
    struct details *s = people(), *back = details_new();
    struct err e;

    (void)state;
    store(s);
    assert_true(details_file_load(dir, back, &e));
    assert_int_equal(details_count(back), PEOPLE);
    for (int64_t id = 1; id <= PEOPLE; id++) {
        check_person(back, id);
    }
    details_free(s);
    details_free(back);
}

static void test_thousands_over_many_pieces(void **state)
{
    struct details *s = details_new(), *back = details_new();
    char *text = malloc(DETAIL_TEXT_MAX);
    struct err e;

    (void)state;
    memset(text, ' ', DETAIL_TEXT_MAX);
    memcpy(text, "[1", 2);
    text[DETAIL_TEXT_MAX - 1] = ']';
    for (int64_t id = 1; id <= 3000; id++) {
        struct detail d = {
            .id = id, .kind = DETAIL_TEXT, .text = text, .text_len = DETAIL_TEXT_MAX};

        details_put(s, &d, 1);
    }
    for (int64_t id = 1; id <= 3000; id += 3) {
        details_remove(s, id); /* leaves gaps */
    }
    store(s);
    assert_true(details_file_load(dir, back, &e));
    assert_int_equal(details_count(back), 2000);
    details_free(s);
    details_free(back);
    free(text);
}

static void test_nobody(void **state)
{
    struct details *s = details_new();
    struct err e;

    (void)state;
    store(s);
    assert_true(details_file_load(dir, s, &e));
    assert_int_equal(details_count(s), 0);
    details_free(s);
}

static void test_who_is_there_stays(void **state)
{
    struct details *s = people(), *back = details_new();
    struct detail d = {.id = 1, .power = 77, .kind = DETAIL_NO_STATS};
    struct details_place place;
    struct err e;

    (void)state;
    store(s);
    details_begin_day(back, "2026-11-24");
    details_put(back, &d, 3);
    assert_true(details_file_load(dir, back, &e));
    assert_int_equal(details_get(back, 1, 3, &d), DETAILS_SURE);
    assert_int_equal(d.power, 77);
    assert_int_equal(details_count(back), PEOPLE);
    assert_false(details_get_place(back, 3, &place)); /* that was yesterday */
    details_free(s);
    details_free(back);
}

static void test_no_file_and_no_folder(void **state)
{
    struct details *s = details_new();
    struct err e;

    (void)state;
    assert_false(details_file_load("/nowhere", s, &e));
    assert_int_equal(e.cls, ERR_NONE);
    assert_false(details_file_store("/nowhere", s, &e));
    assert_int_equal(e.cls, ERR_RETRYABLE);
    details_free(s);
}

/* ---- damage ---- */

static unsigned char *read_stored(size_t *size)
{
    char path[64];
    unsigned char *bytes;
    struct stat st;
    FILE *f;

    snprintf(path, sizeof path, "%s/" DETAILS_FILE_NAME, dir);
    f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fstat(fileno(f), &st), 0);
    *size = (size_t)st.st_size;
    bytes = malloc(*size + 16);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *size, f), *size);
    fclose(f);
    return bytes;
}

static void put_crc_right(unsigned char *bytes, size_t size)
{
    uint32_t crc;

    memset(bytes + CRC_AT, 0, sizeof crc);
    crc = (uint32_t)crc32(0, bytes, (uInt)size);
    memcpy(bytes + CRC_AT, &crc, sizeof crc);
}

/* Whatever came back can be told without harm. */
static void tell(void *ctx, const struct details_item *it)
{
    struct buf b;
    cJSON *v;

    (void)ctx;
    buf_init(&b, 64 * KIB);
    detail_add_stats(&b, &it->d);
    v = json_parse(b.data, b.len, NULL);
    assert_non_null(v);
    cJSON_Delete(v);
    buf_fini(&b);
    assert_true(text_is_utf8(it->d.cls, strlen(it->d.cls)));
    assert_true(text_is_utf8(it->d.legion, strlen(it->d.legion)));
    assert_in_range(it->d.level, 0, 0xfffff);
}

/* True: it was taken. *count: how many are in the store then. */
static bool load_bytes(const unsigned char *bytes, size_t size, uint32_t *count)
{
    struct details *s = details_new();
    int fd = memfd_create("details", 0);
    uint32_t at = 0;
    struct err e = {0};
    bool ok;

    assert_true(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
    ok = details_file_read(fd, s, &e);
    assert_true(ok || (e.cls == ERR_PERMANENT && *e.text));
    while (details_each(s, &at, tell, NULL)) {
    }
    *count = details_count(s);
    close(fd);
    details_free(s);
    return ok;
}

static void test_any_flipped_byte_is_refused(void **state)
{
    struct details *s = people();
    unsigned char *bytes;
    uint32_t count;
    size_t size;

    (void)state;
    store(s);
    bytes = read_stored(&size);
    assert_true(load_bytes(bytes, size, &count) && count == PEOPLE);
    for (size_t i = 0; i < size; i++) {
        bytes[i] ^= 0x40;
        assert_false(load_bytes(bytes, size, &count));
        assert_int_equal(count, 0);
        bytes[i] ^= 0x40;
    }
    for (size_t n = 0; n < size; n++) {
        assert_false(load_bytes(bytes, n, &count));
        assert_int_equal(count, 0);
    }
    memset(bytes + size, 0, 8);
    assert_false(load_bytes(bytes, size + 8, &count));
    free(bytes);
    details_free(s);
}

/* Somebody wrote it who knows the checksum. */
static void test_any_byte_with_the_right_checksum_does_no_harm(void **state)
{
    static const unsigned char VALUES[] = {0x00, 0x01, 0x03, 0x7f, 0x80, 0xff, '"'};
    struct details *s = people();
    unsigned char *bytes;
    uint32_t count;
    size_t size;

    (void)state;
    store(s);
    bytes = read_stored(&size);
    for (size_t i = 0; i < size; i++) {
        unsigned char before = bytes[i];

        for (size_t v = 0; v < sizeof VALUES && (i < CRC_AT || i >= CRC_AT + 4); v++) {
            bytes[i] = VALUES[v];
            put_crc_right(bytes, size);
            (void)load_bytes(bytes, size, &count);
            assert_in_range(count, 0, PEOPLE);
        }
        bytes[i] = before;
    }
    free(bytes);
    details_free(s);
}

static void test_out_of_memory(void **state)
{
    struct details *s = people();
    unsigned char *bytes;
    size_t size;
    struct err e;

    (void)state;
    store(s);
    bytes = read_stored(&size);
    for (unsigned nth = 1; nth <= 30; nth++) {
        struct details *back = details_new();
        unsigned char *again;
        size_t again_size;

        mem_fail_at(nth);
        (void)!details_file_load(dir, back, &e); /* some may be missing */
        mem_fail_at(0);
        details_free(back);
        mem_fail_at(nth);
        (void)!details_file_store(dir, s, &e);
        mem_fail_at(0);
        again = read_stored(&again_size); /* the old one or the new one */
        assert_true(again_size <= size);
        free(again);
        store(s);
    }
    free(bytes);
    details_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_file_and_no_folder),
        cmocka_unit_test(test_everybody_comes_back),
        cmocka_unit_test(test_thousands_over_many_pieces),
        cmocka_unit_test(test_nobody),
        cmocka_unit_test(test_who_is_there_stays),
        cmocka_unit_test(test_any_flipped_byte_is_refused),
        cmocka_unit_test(test_any_byte_with_the_right_checksum_does_no_harm),
        cmocka_unit_test(test_out_of_memory),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
