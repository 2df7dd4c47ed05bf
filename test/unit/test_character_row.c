#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/character_row.h"
#include "common/text.h"

static char stats[] = "{\"hp\":1,\"mode\":\"sheet\"}";
static char profile[] = "{\"hp\":1,\"mode\":\"profile\"}";
static char raw[] = "{\"source\":\"plaync\"}";

static struct source_person person(void)
{
    struct source_person p = {
        .server = "Siel",
        .name = "나무꾼",
        .cls = "Ranger",
        .legion = "달빛",
        .source_id = "x1=",
        .level = 45,
        .power = 292421,
        .item_level = 3120,
        .mode = SOURCE_MODE_SHEET,
        .stats_payload = stats,
        .raw_payload = raw,
    };

    return p;
}

static void test_values(void **state)
{
    struct source_person p = person();
    struct character_row row;
    struct err e = {0};

    (void)state;
    assert_true(character_row_fill(&row, &p, &e));
    assert_string_equal(row.values[0], "Siel");
    assert_string_equal(row.values[1], "나무꾼");
    assert_string_equal(row.values[2], "Ranger");
    assert_string_equal(row.values[3], "45");
    assert_string_equal(row.values[4], "292421");
    assert_string_equal(row.values[5], "3120");
    assert_string_equal(row.values[6], "달빛");
    assert_string_equal(row.values[7], "x1=");
    assert_string_equal(row.values[8], stats);
    assert_string_equal(row.values[9], raw);
    assert_string_equal(row.values[10], "false");
}

static void test_what_is_not_known(void **state)
{
    struct source_person p = person();
    struct character_row row;
    struct err e = {0};

    (void)state;
    p.power = p.item_level = -1;
    p.cls[0] = p.legion[0] = p.source_id[0] = '\0';
    p.raw_payload = NULL;
    p.mode = SOURCE_MODE_PROFILE;
    p.stats_payload = profile;
    assert_true(character_row_fill(&row, &p, &e));
    assert_null(row.values[4]);
    assert_null(row.values[5]);
    assert_null(row.values[7]);
    assert_null(row.values[9]);
    assert_string_equal(row.values[2], "");
    assert_string_equal(row.values[6], "");
    assert_string_equal(row.values[10], "true");
}

#define SIXTY_FOUR                                                                                     \
    "나나나나나나나나나나나나나나나나나나나나나나나나나나나나나나나나" \
    "나나나나나나나나나나나나나나나나나나나나나나나나나나나나나나나나"

static void test_texts(void **state)
{
    static const struct {
        size_t offset;
        const char *text;
        bool ok;
    } CASES[] = {
        {offsetof(struct source_person, name), SIXTY_FOUR, true},
        {offsetof(struct source_person, name), SIXTY_FOUR "a", false},
        {offsetof(struct source_person, name), "", false},
        {offsetof(struct source_person, name), "a\nb", false},
        {offsetof(struct source_person, name), "a\xff", false},
        {offsetof(struct source_person, server), "", false},
        {offsetof(struct source_person, server), "all", false},
        {offsetof(struct source_person, server), "All", true},
        {offsetof(struct source_person, server), SIXTY_FOUR "a", false},
        {offsetof(struct source_person, cls), SIXTY_FOUR "a", false},
        {offsetof(struct source_person, legion), SIXTY_FOUR, true},
        {offsetof(struct source_person, legion), SIXTY_FOUR "a", false},
        {offsetof(struct source_person, legion), "\x7f", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct source_person p = person();
        struct character_row row;
        struct err e = {0};

        strcpy((char *)&p + CASES[i].offset, CASES[i].text);
        if (character_row_fill(&row, &p, &e) != CASES[i].ok) {
            fail_msg("case %zu: %s", i, e.text);
        }
        assert_int_equal(e.cls, CASES[i].ok ? ERR_NONE : ERR_PERMANENT);
    }
}

static void test_numbers(void **state)
{
    static const struct {
        int64_t level, power, item_level;
        bool ok;
    } CASES[] = {
        {0, -1, -1, true},
        {100000, INT64_MAX, INT32_MAX, true},
        {-1, 0, 0, false},
        {100001, 0, 0, false},
        {1, -2, 0, false},
        {1, 0, -2, false},
        {1, 0, INT64_C(1) << 31, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct source_person p = person();
        struct character_row row;
        struct err e = {0};

        p.level = CASES[i].level;
        p.power = CASES[i].power;
        p.item_level = CASES[i].item_level;
        if (character_row_fill(&row, &p, &e) != CASES[i].ok) {
            fail_msg("case %zu: %s", i, e.text);
        }
    }
}

static void test_payloads(void **state)
{
    static char bad[][32] = {"", "{", "[]", "{}", "{\"mode\":7}", "{\"mode\":\"profile\"}"};
    struct source_person p = person();
    struct character_row row;
    struct err e;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        p.stats_payload = bad[i];
        assert_false(character_row_fill(&row, &p, &e));
    }
    p.stats_payload = NULL;
    assert_false(character_row_fill(&row, &p, &e));
    p.stats_payload = stats;
    p.raw_payload = bad[1];
    assert_false(character_row_fill(&row, &p, &e));
    p.raw_payload = bad[2];
    assert_true(character_row_fill(&row, &p, &e));
}

static void test_reasons(void **state)
{
    char out[CHARACTER_REASON_SIZE], text[2000];

    (void)state;
    assert_string_equal(character_row_reason("the site rests", out), "the site rests");
    assert_string_equal(character_row_reason("a\nb\tc", out), "a b c");
    assert_string_equal(character_row_reason("a\xff", out), "a?");
    for (size_t shift = 0; shift < 3; shift++) {
        memset(text, 'a', shift);
        text[shift] = '\0';
        while (strlen(text) < 1900) {
            strcat(text, "나");
        }
        character_row_reason(text, out);
        assert_true(strlen(out) > CHARACTER_REASON_SIZE - 4);
        assert_null(strchr(out, '?'));
        assert_memory_equal(out, text, strlen(out));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),   cmocka_unit_test(test_what_is_not_known),
        cmocka_unit_test(test_texts),    cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_payloads), cmocka_unit_test(test_reasons),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
