/* Addresses of the site, and what is kept of its answers. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/mem.h"
#include "common/source_answer.h"
#include "common/source_raw.h"
#include "common/source_site.h"

static const struct source_settings PLAIN = {.adapter = "plaync",
                                             .search_url = "",
                                             .base_url = "",
                                             .lang = "",
                                             .race = "auto",
                                             .contact = "x"};
static const struct plaync_key WHO = {"AB_c-9=", 2013};

static struct source_site site_of(const char *region)
{
    struct source_settings s = PLAIN;
    struct source_site site;

    s.region = region;
    source_site_init(&site, &s);
    return site;
}

static void check_search(const char *region, const char *name, int server_id, const char *want)
{
    struct source_site site = site_of(region);
    struct buf url;

    buf_init(&url, KIB);
    assert_true(source_site_search(&site, &url, name, server_id, 2));
    assert_string_equal(url.data, want);
    buf_fini(&url);
}

static void test_search_addresses(void **state)
{
    (void)state;
    check_search("kr", "가 b", 1001,
                 "https://api-search.plaync.com/aion2/search/v2/character"
                 "?keyword=%EA%B0%80%20b&serverId=1001&page=2&size=100");
    check_search("tw", "a&b=c%", 2013,
                 "https://tw.ncsoft.com/aion2/api/search/character"
                 "?keyword=a%26b%3Dc%25&race=2&serverId=2013&page=2&size=100");
    check_search("eu", "x", 1306,
                 "https://api-search.plaync.com/aion2global/search/v2/character"
                 "?keyword=x&serverId=1306&page=2&size=100&region=eu&localeInfo=en-US");
}

static void check_url(const struct buf *url, bool ok, const char *want)
{
    assert_true(ok);
    assert_string_equal(url->data, want);
}

static void test_other_addresses(void **state)
{
    const struct plaync_slot slot = {.item_id = 110430015, .enchant = 15, .slot_pos = 1};
    const struct plaync_slot beyond = {.item_id = 5, .enchant = 20, .exceed = 3, .slot_pos = 46};
    struct source_site tw = site_of("tw"), eu = site_of("eu");
    struct buf url;

    (void)state;
    buf_init(&url, KIB);
    check_url(&url, source_site_info(&tw, &url, &WHO),
              "https://tw.ncsoft.com/aion2/api/character/info"
              "?lang=zh&characterId=AB_c-9%3D&serverId=2013");
    buf_reset(&url);
    check_url(&url, source_site_equipment(&eu, &url, &WHO),
              "https://aion2.plaync.com/api/character/equipment"
              "?lang=en-US&characterId=AB_c-9%3D&serverId=2013&region=eu");
    buf_reset(&url);
    check_url(
        &url, source_site_item(&tw, &url, &WHO, &slot),
        "https://tw.ncsoft.com/aion2/api/character/equipment/item"
        "?lang=zh&characterId=AB_c-9%3D&serverId=2013&id=110430015&enchantLevel=15&slotPos=1");
    buf_reset(&url);
    assert_true(source_site_item(&tw, &url, &WHO, &beyond));
    assert_non_null(strstr(url.data, "&enchantLevel=20&exceedLevel=3&slotPos=46"));
    buf_reset(&url);
    check_url(&url, source_site_board(&tw, &url, &WHO, 31),
              "https://tw.ncsoft.com/aion2/api/character/daevanion/detail"
              "?lang=zh&characterId=AB_c-9%3D&serverId=2013&boardId=31");
    buf_fini(&url);
}

static void test_settings_win(void **state)
{
    struct source_settings s = PLAIN;
    struct source_site site;
    struct buf url;

    (void)state;
    s.region = "tw";
    s.search_url = "http://127.0.0.1:1/find?v=2";
    s.base_url = "http://127.0.0.1:1";
    s.lang = "zh TW";
    s.race = "no";
    source_site_init(&site, &s);
    buf_init(&url, KIB);
    assert_true(source_site_search(&site, &url, "x", 1001, 1));
    assert_string_equal(url.data,
                        "http://127.0.0.1:1/find?v=2&keyword=x&serverId=1001&page=1&size=100");
    buf_reset(&url);
    assert_true(source_site_info(&site, &url, &WHO));
    assert_string_equal(url.data, "http://127.0.0.1:1/api/character/info?lang=zh%20TW"
                                  "&characterId=AB_c-9%3D&serverId=2013");
    buf_fini(&url);
}

/* ---- what is kept ---- */

static struct raw *sample(void)
{
    struct raw *r = mem_alloc(sizeof *r);

    *r = (struct raw){.region = "tw", .at_s = 1000, .item_count = 3, .board_count = 1};
    r->info.key = WHO;
    strcpy(r->info.name, "a\"b");
    for (int i = 0; i < 3; i++) {
        r->items[i] = (struct raw_item){.slot = {100 + i, 15, i, 10 + i}, .at_s = 1000 + i};
        r->items[i].sums.at[SUM_CRITICAL] = 100 * (i + 1);
    }
    r->items[2].at_s = 0; /* no answer yet */
    r->boards[0] = (struct raw_board){.id = 31, .at_s = 900};
    r->boards[0].sums.at[SUM_HP_MAX] = -7;
    return r;
}

static void test_parts_are_read_again(void **state)
{
    struct raw *r = sample(), *again = mem_alloc(sizeof *again);
    struct plaync_key other = WHO;
    char *text = raw_print(r);

    (void)state;
    assert_true(raw_read_parts(text, "tw", &WHO, again));
    assert_int_equal(again->item_count, 2);
    assert_int_equal(again->board_count, 1);
    assert_memory_equal(again->items, r->items, 2 * sizeof r->items[0]);
    assert_memory_equal(again->boards, r->boards, sizeof r->boards[0]);
    assert_false(raw_read_parts(text, "kr", &WHO, again));
    other.server_id++;
    assert_false(raw_read_parts(text, "tw", &other, again));
    assert_int_equal(again->item_count, 0);
    other = WHO;
    other.character_id[0]++;
    assert_false(raw_read_parts(text, "tw", &other, again));
    free(text);
    free(r);
    free(again);
}

static void test_an_item_does_when_nothing_has_changed(void **state)
{
    struct raw *r = sample();
    struct plaync_slot slot = r->items[1].slot;
    int *const FIELDS[] = {&slot.enchant, &slot.exceed, &slot.slot_pos};
    struct plaync_sums sums;

    (void)state;
    assert_ptr_equal(raw_find_item(r, &slot, 1001), &r->items[1]);
    assert_null(raw_find_item(r, &slot, 1002));
    for (size_t i = 0; i < ARRAY_LEN(FIELDS); i++) {
        ++*FIELDS[i];
        assert_null(raw_find_item(r, &slot, 0));
        --*FIELDS[i];
    }
    slot.item_id++;
    assert_null(raw_find_item(r, &slot, 0));
    assert_non_null(raw_find_board(r, 31, 900));
    assert_null(raw_find_board(r, 31, 901));
    assert_null(raw_find_board(r, 32, 0));
    raw_add_up(r, &sums);
    assert_int_equal(sums.at[SUM_CRITICAL], 600);
    assert_int_equal(sums.at[SUM_HP_MAX], -7);
    free(r);
}

/* ---- answers for other processes ---- */

static void test_answers_are_read_again(void **state)
{
    char stats[] = "{\"mode\":\"profile\"}", raw[] = "{}";
    struct source_person p = {.server = "Siel",
                              .name = "가\"b",
                              .level = 45,
                              .power = INT64_C(9007199254740991),
                              .item_level = -1,
                              .mode = SOURCE_MODE_PROFILE,
                              .stats_payload = stats,
                              .raw_payload = raw};
    struct source_reply replies[] = {{SOURCE_FOUND, &p, 0, ""},
                                     {SOURCE_RESTING, NULL, 61234, "it rests"},
                                     {SOURCE_UNAVAILABLE, NULL, 0, "it is away"}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
        char *text = source_answer_print(&replies[i]);
        struct source_answer a;
        struct err e;

        assert_true(source_answer_read(text, &a, &e));
        assert_int_equal(a.reply.outcome, replies[i].outcome);
        assert_int_equal(a.reply.retry_after_ms, replies[i].retry_after_ms);
        assert_string_equal(a.reply.reason, replies[i].reason);
        assert_int_equal(a.reply.person != NULL, i == 0);
        if (i == 0) {
            assert_string_equal(a.person.name, p.name);
            assert_true(a.person.power == p.power);
            assert_int_equal(a.person.item_level, -1);
            assert_string_equal(a.person.stats_payload, stats);
            assert_string_equal(a.person.mode, SOURCE_MODE_PROFILE);
        }
        source_answer_fini(&a);
        free(text);
    }
}

static void test_answers_that_are_none(void **state)
{
    static const char *const TEXTS[] = {
        "",
        "{}",
        "[]",
        "{\"outcome\":\"lost\",\"reason\":\"\",\"retry_after_ms\":0}",
        "{\"outcome\":\"found\",\"reason\":\"\",\"retry_after_ms\":0}",
        "{\"outcome\":\"resting\",\"reason\":\"\",\"retry_after_ms\":-1}",
        "{\"outcome\":\"found\",\"reason\":\"\",\"retry_after_ms\":0,\"person\":{\"server\":\"Siel\","
        "\"name\":\"x\",\"class\":\"\",\"legion\":\"\",\"source_id\":\"\",\"level\":1,\"power\":-1,"
        "\"item_level\":-1,\"mode\":\"other\",\"stats\":\"{}\"}}"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++) {
        struct source_answer a;
        struct err e;

        assert_false(source_answer_read(TEXTS[i], &a, &e));
        assert_null(a.person.stats_payload);
    }
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(test_search_addresses),
        cmocka_unit_test(test_other_addresses),
        cmocka_unit_test(test_settings_win),
        cmocka_unit_test(test_parts_are_read_again),
        cmocka_unit_test(test_an_item_does_when_nothing_has_changed),
        cmocka_unit_test(test_answers_are_read_again),
        cmocka_unit_test(test_answers_that_are_none),
    };

    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
