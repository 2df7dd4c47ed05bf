/* Details of characters: packing of payloads, and the store against a plain array. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/details.h"
#include "common/mem.h"

/* ---- packing ---- */

#define REST(mode)                                                                                 \
    mode ", \"attack\": 409, \"defense\": 643, \"crit_rate\": 78, \"damage_amp\": 196, "           \
         "\"crit_damage\": 253, \"attack_speed\": 100, \"damage_reduction\": 16777215}"

static const char *const PACKABLE[] = {
    "{\"hp\": 13474" REST(""),
    "{\"hp\": 0" REST(""),
    "{\"hp\": 13474" REST(", \"mode\": \"sheet\""),
    "{\"hp\": 13474" REST(", \"mode\": \"profile\""),
};
static const char *const OTHER[] = {
    "",
    "{}",
    "null",
    "{\"hp\": 1}",
    "{\"hp\": -1" REST(""),
    "{\"hp\": 01" REST(""),
    "{\"hp\": 1.0" REST(""),
    "{\"hp\": " REST(""),
    "{\"hp\": 16777216" REST(""),
    "{\"hp\": 99999999999999999999999999" REST(""),
    "{\"hp\":1" REST(""),
    "{\"hp\": 1" REST("") " ",
    "{\"hp\": 1" REST(", \"mode\": \"Sheet\""),
    "{\"hp\": 1" REST(", \"mode\": null"),
    "{\"hp\": 1" REST(", \"x\": 1"),
};

static void test_what_is_packed_prints_as_before(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(PACKABLE); i++) {
        struct packed_stats p;
        struct buf b;

        buf_init(&b, 1024);
        assert_true(packed_parse(PACKABLE[i], strlen(PACKABLE[i]), &p));
        packed_print(&b, &p);
        assert_string_equal(b.data, PACKABLE[i]);
        assert_int_equal(p.value[STAT_ATTACK], 409);
        buf_fini(&b);
    }
}

static void test_anything_else_is_not_packed(void **state)
{
    struct packed_stats p;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(OTHER); i++) {
        assert_false(packed_parse(OTHER[i], strlen(OTHER[i]), &p));
    }
    for (size_t cut = 0; cut < strlen(PACKABLE[2]); cut++) {
        char *copy = mem_strndup(PACKABLE[2], cut); /* a read past the end shows under ASan */

        assert_false(packed_parse(copy, cut, &p));
        free(copy);
    }
}

/* ---- the store ---- */

#define IDS 3000

/* What the store should hold of an id. */
struct model {
    bool there, sure;
    int version;
};

static struct detail detail_of(int64_t id, int version)
{
    struct detail d = {.id = id,
                       .power = version,
                       .fetched_us = id * 10 + version,
                       .level = version % 100,
                       .item_level = DETAIL_UNKNOWN,
                       .failed_last = version % 2,
                       .mode = DETAIL_SHEET,
                       .kind = version % 3 ? DETAIL_PACKED : DETAIL_TEXT};

    snprintf(d.cls, sizeof d.cls, "class%d", version % 7);
    snprintf(d.legion, sizeof d.legion, version % 5 ? "legion%d" : "", (int)id);
    if (d.kind == DETAIL_TEXT) {
        d.text = mem_alloc(64);
        d.text_len = (size_t)snprintf(d.text, 64, "{\"hp\": %d.5}", version);
    } else {
        d.packed.value[STAT_HP] = (uint32_t)version;
    }
    return d;
}

static void put(struct details *s, int64_t id, int version)
{
    struct detail d = detail_of(id, version);

    details_put(s, &d, (uint32_t)id);
    detail_fini(&d);
}

static void check(struct details *s, int64_t id, const struct model *m)
{
    struct detail want = detail_of(id, m->version), d = {0};
    enum details_found found = details_get(s, id, (uint32_t)id, &d);

    assert_int_equal(found, !m->there ? DETAILS_NONE : m->sure ? DETAILS_SURE : DETAILS_DOUBT);
    if (m->there) {
        assert_int_equal(d.id, id);
        assert_int_equal(d.power, want.power);
        assert_int_equal(d.fetched_us, want.fetched_us);
        assert_int_equal(d.level, want.level);
        assert_int_equal(d.item_level, DETAIL_UNKNOWN);
        assert_int_equal(d.failed_last, want.failed_last);
        assert_int_equal(d.kind, want.kind);
        assert_string_equal(d.cls, want.cls);
        assert_string_equal(d.legion, want.legion);
        if (d.kind == DETAIL_TEXT) {
            assert_string_equal(d.text, want.text);
        } else {
            assert_int_equal(d.packed.value[STAT_HP], want.packed.value[STAT_HP]);
        }
    }
    detail_fini(&d);
    detail_fini(&want);
}

/* One random step on both. */
static void step(struct details *s, struct model *m, int64_t id, int n)
{
    switch (rand() % 4) {
    case 0:
        details_remove(s, id);
        m->there = false;
        break;
    case 1:
        details_doubt(s, id);
        m->sure = false;
        break;
    default:
        put(s, id, n);
        *m = (struct model){true, true, n};
    }
}

static void test_the_store_does_what_an_array_does(void **state)
{
    struct details *s = details_new();
    static struct model models[IDS];
    uint32_t count = 0;

    (void)state;
    srand(7);
    memset(models, 0, sizeof models);
    for (int n = 1; n <= 20000; n++) {
        int64_t id = rand() % IDS;

        step(s, &models[id], id, n);
    }
    for (int64_t id = 0; id < IDS; id++) {
        check(s, id, &models[id]);
        count += models[id].there;
    }
    assert_int_equal(details_count(s), count);
    details_free(s);
}

static void test_who_is_not_read_again_is_swept(void **state)
{
    struct details *s = details_new();
    struct detail d;

    (void)state;
    for (int64_t id = 1; id <= 10; id++) {
        put(s, id, 1);
    }
    details_doubt_all(s);
    assert_int_equal(details_get(s, 1, 1, &d), DETAILS_DOUBT);
    for (int64_t id = 1; id <= 10; id += 2) {
        put(s, id, 1);
    }
    details_doubt(s, 3); /* hears of a change: it is read next */
    put(s, 3, 4);
    details_sweep(s, details_epoch(s));
    assert_int_equal(details_count(s), 5);
    for (int64_t id = 1; id <= 10; id++) {
        check(s, id, &(struct model){id % 2, true, id == 3 ? 4 : 1});
    }
    details_free(s);
}

static void test_only_who_is_in_doubt_is_removed_as_such(void **state)
{
    struct details *s = details_new();

    (void)state;
    put(s, 1, 1);
    put(s, 2, 1);
    details_doubt(s, 1);
    details_remove_doubted(s, 1);
    details_remove_doubted(s, 2);
    check(s, 1, &(struct model){0});
    check(s, 2, &(struct model){true, true, 1});
    details_free(s);
}

static void test_another_name_is_not_found(void **state)
{
    struct details *s = details_new();
    struct detail d;

    (void)state;
    put(s, 5, 1);
    assert_int_equal(details_get(s, 5, 6, &d), DETAILS_NONE);
    assert_int_not_equal(details_key("ab", 2, "c", 1), details_key("a", 1, "bc", 2));
    details_free(s);
}

static void test_a_long_payload_is_not_kept(void **state)
{
    struct details *s = details_new();
    struct detail d = {.id = 5, .kind = DETAIL_LONG};

    (void)state;
    put(s, 5, 3);
    details_put(s, &d, 5);
    check(s, 5, &(struct model){0});
    assert_int_equal(details_count(s), 0);
    details_free(s);
}

/* Each allocation on the way fails once: the character is not kept, nothing else suffers. */
static void test_out_of_memory(void **state)
{
    (void)state;
    for (unsigned nth = 1; nth <= 8; nth++) {
        struct details *s = details_new();
        struct detail d = detail_of(5, 3);

        mem_fail_at(nth);
        details_put(s, &d, 5);
        mem_fail_at(0);
        detail_fini(&d);
        put(s, 6, 3);
        check(s, 6, &(struct model){true, true, 3});
        assert_in_range(details_count(s), 1, 2);
        details_free(s);
    }
}

static void test_places_are_of_one_day(void **state)
{
    struct details *s = details_new();
    struct details_place place;

    (void)state;
    put(s, 1, 1);
    put(s, 2, 1);
    assert_false(details_get_place(s, 1, &place));
    details_begin_day(s, "2026-11-22");
    assert_false(details_get_place(s, 1, &place));
    details_put_place(s, 1, 7, 3);
    details_put_place(s, 9, 8, 4); /* nobody */
    put(s, 1, 2);                  /* a change does not touch it */
    assert_true(details_get_place(s, 1, &place));
    assert_string_equal(place.day, "2026-11-22");
    assert_int_equal(place.rank, 7);
    assert_int_equal(place.server_rank, 3);
    assert_false(details_get_place(s, 2, &place));
    assert_false(details_get_place(s, 9, &place));
    check(s, 1, &(struct model){true, true, 2});
    details_begin_day(s, "2026-11-23");
    assert_false(details_get_place(s, 1, &place));
    for (int i = 0; i < 5000; i++) { /* the numbers of days begin again */
        details_begin_day(s, "2026-11-24");
        details_put_place(s, 2, (uint32_t)i + 1, 1);
        assert_true(details_get_place(s, 2, &place) && place.rank == (uint32_t)i + 1);
    }
    details_free(s);
}

static void test_states(void **state)
{
    const int64_t now = 1000 * INT64_C(1000000);

    (void)state;
    assert_int_equal(detail_state_of(now, false, now, 10), DETAIL_LIVE);
    assert_int_equal(detail_state_of(now - 10000000, false, now, 10), DETAIL_LIVE);
    assert_int_equal(detail_state_of(now - 10000001, false, now, 10), DETAIL_STALE);
    assert_int_equal(detail_state_of(DETAIL_NO_TIME, false, now, 10), DETAIL_STALE);
    assert_int_equal(detail_state_of(now, true, now, 10), DETAIL_UNAVAILABLE);
    assert_int_equal(detail_state_of(DETAIL_NO_TIME, true, now, 10), DETAIL_UNAVAILABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_packed_prints_as_before),
        cmocka_unit_test(test_anything_else_is_not_packed),
        cmocka_unit_test(test_the_store_does_what_an_array_does),
        cmocka_unit_test(test_who_is_not_read_again_is_swept),
        cmocka_unit_test(test_only_who_is_in_doubt_is_removed_as_such),
        cmocka_unit_test(test_another_name_is_not_found),
        cmocka_unit_test(test_a_long_payload_is_not_kept),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_places_are_of_one_day),
        cmocka_unit_test(test_states),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
