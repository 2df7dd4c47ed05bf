#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/plaync.h"

#define DATA      "test/data/source/"
#define ROWS_MAX  100
#define COLUMNS   27
#define FIRST_SUM 11 /* column of sheet_attack */

/* ---- recorded characters ---- */

static char *slurp(const char *path)
{
    FILE *f = fopen(path, "rb");
    char *text;
    long size;

    assert_non_null(f);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    size = ftell(f);
    rewind(f);
    text = malloc((size_t)size + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, (size_t)size, f), (size_t)size);
    text[size] = '\0';
    fclose(f);
    return text;
}

static cJSON *load(const char *n)
{
    char path[128];
    struct err e = {0};
    char *text;
    cJSON *doc;

    snprintf(path, sizeof path, DATA "%s.json", n);
    text = slurp(path);
    doc = json_parse(text, strlen(text), &e);
    free(text);
    if (!doc) {
        fail_msg("%s: %s", path, e.text);
    }
    return doc;
}

/* Cuts a line of plain CSV (no quotes) into its fields; empty ones count. */
static int split(char *line, char *fields[COLUMNS])
{
    int n = 0;

    for (char *p = line; p && n < COLUMNS;) {
        fields[n++] = strsep(&p, ",");
    }
    return n;
}

static void add_worn(const cJSON *doc, struct plaync_sums *sums)
{
    struct plaync_slots slots;
    struct err e = {0};
    const cJSON *board, *entry;

    assert_int_equal(plaync_read_equipment(json_get_obj(doc, "equipment"), &slots, &e), PLAYNC_OK);
    assert_true(slots.count > 20);
    cJSON_ArrayForEach(entry, json_get_arr(doc, "items"))
    {
        const cJSON *item = json_get_obj(entry, "item");
        int64_t id; /* not always the one of the list: somebody changed arms meanwhile */

        assert_true(json_get_i64(item, "id", 1, INT64_MAX, &id));
        assert_int_equal(plaync_add_item(item, id, sums, &e), PLAYNC_OK);
    }
    cJSON_ArrayForEach(board, json_get_arr(doc, "boards"))
    {
        assert_int_equal(plaync_add_board(board, sums, &e), PLAYNC_OK);
    }
}

static void check_stats(const char *n, char *const *want, const int64_t *got)
{
    for (int i = 0; i < STAT_COUNT; i++) {
        if (atoll(want[i]) != got[i]) {
            fail_msg("character %s: %s is %" PRId64 ", expected %s", n, STAT_NAMES[i], got[i],
                     want[i]);
        }
    }
}

static void check_profile(const char *n, char *const *f, const struct plaync_info *info)
{
    static const char *const CLASSES[] = {"2", "3", "4", "5", "6", "7", "8", "9"};
    static const char *const NAMES[] = {"Gladiator",    "Templar",  "Ranger", "Assassin",
                                        "Spiritmaster", "Sorcerer", "Cleric", "Chanter"};

    assert_string_equal(info->name, f[3]);
    assert_int_equal(info->key.server_id, atoi(f[2]));
    for (size_t i = 0; i < ARRAY_LEN(CLASSES); i++) {
        if (strcmp(CLASSES[i], f[5]) == 0) {
            assert_string_equal(plaync_class_of(info->pc_id), NAMES[i]);
        }
    }
    assert_int_equal(info->level, atoi(f[6]));
    assert_string_equal(info->legion, f[7]);
    assert_int_equal(info->power, atoll(f[8]) > 0 ? atoll(f[8]) : -1);
    if (info->item_level != atoll(f[9])) {
        fail_msg("character %s: item level %" PRId64 ", expected %s", n, info->item_level, f[9]);
    }
}

/* The figures were computed by others from the same answers. */
static void test_recorded_characters(void **state)
{
    char *csv = slurp(DATA "characters.csv");
    char *rest = csv, *line;
    int sheets = 0, all = 0;

    (void)state;
    (void)strsep(&rest, "\n"); /* the head */
    while ((line = strsep(&rest, "\n")) && *line) {
        char *f[COLUMNS];
        struct plaync_info info;
        struct plaync_sums sums = {0};
        int64_t stats[STAT_COUNT];
        struct err e = {0};
        cJSON *doc;

        assert_int_equal(split(line, f), COLUMNS);
        doc = load(f[0]);
        if (plaync_read_info(json_get_obj(doc, "info"), NULL, &info, &e) != PLAYNC_OK) {
            fail_msg("character %s: %s", f[0], e.text);
        }
        check_profile(f[0], f, &info);
        plaync_stats_profile(&info, stats);
        check_stats(f[0], f + FIRST_SUM + STAT_COUNT, stats);
        if (json_get_arr(doc, "items")) {
            add_worn(doc, &sums);
            plaync_stats_sheet(&info, &sums, stats);
            check_stats(f[0], f + FIRST_SUM, stats);
            sheets++;
        }
        all++;
        cJSON_Delete(doc);
    }
    free(csv);
    assert_int_equal(sheets, 26);
    assert_int_equal(all, 40);
}

/* ---- texts ---- */

static void test_amounts(void **state)
{
    static const struct {
        const char *text;
        bool ok;
        int64_t hundredths;
        bool percent;
    } CASES[] = {
        {"346", true, 34600, false}, {"+80", true, 8000, false},
        {"12.5%", true, 1250, true}, {"-10%", true, -1000, true},
        {"+3.97%", true, 397, true}, {"0%", true, 0, true},
        {"1.999", true, 199, false}, {"", false, 0, false},
        {"+", false, 0, false},      {"%", false, 0, false},
        {"1e5", false, 0, false},    {"12,5", false, 0, false},
        {"5 %", false, 0, false},    {"0x10", false, 0, false},
        {"1.2.3", false, 0, false},  {"99999999999999999999", false, 0, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        int64_t v = 0;
        bool percent = false;

        if (plaync_read_amount(CASES[i].text, &v, &percent) != CASES[i].ok ||
            (CASES[i].ok && (v != CASES[i].hundredths || percent != CASES[i].percent))) {
            fail_msg("\"%s\": %" PRId64 " %d", CASES[i].text, v, percent);
        }
    }
}

static void test_names(void **state)
{
    static const struct {
        const char *html;
        const char *name; /* NULL: refused */
    } CASES[] = {
        {"<strong>Fofo</strong>", "Fofo"},
        {"a<strong>b</strong>c", "abc"},
        {"R&amp;D", "R&D"},
        {"&amp;lt;", "&lt;"}, /* unescaped once */
        {"&lt;b&gt;", "<b>"},
        {"&#48324;&#x1F600;", "별😀"},
        {"A & B", "A & B"},
        {"&nosuch;", "&nosuch;"},
        {"&#xD800;", "&#xD800;"},
        {"half <strong", NULL},
        {"\xff", NULL},
        {"a\tb", NULL},
        {"&#10;", NULL},
    };
    char out[PLAYNC_NAME_SIZE];
    char big[2 * PLAYNC_NAME_SIZE];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        bool ok = plaync_clean_name(CASES[i].html, out);

        if (ok != (CASES[i].name != NULL) || (ok && strcmp(out, CASES[i].name) != 0)) {
            fail_msg("%s: %d %s", CASES[i].html, ok, ok ? out : "");
        }
    }
    memset(big, 'a', sizeof big);
    big[sizeof big - 1] = '\0';
    assert_false(plaync_clean_name(big, out));
}

static void test_ids(void **state)
{
    char out[PLAYNC_ID_SIZE];

    (void)state;
    assert_true(plaync_decode_id("8uG90RpNbMFNJtZ0%3D", out));
    assert_string_equal(out, "8uG90RpNbMFNJtZ0=");
    assert_true(plaync_decode_id("DQkBJERS6s1O-_x=", out));
    assert_string_equal(out, "DQkBJERS6s1O-_x=");
    assert_false(plaync_decode_id("a%253D", out)); /* encoded twice: a percent sign is no part */
    assert_false(plaync_decode_id("a%3", out));
    assert_false(plaync_decode_id("a%zz", out));
    assert_false(plaync_decode_id("a b", out));
    assert_false(plaync_decode_id("", out));
    assert_false(plaync_decode_id("a%00b", out));
}

/* ---- answers ---- */

static cJSON *parse(const char *text)
{
    struct err e = {0};
    cJSON *doc = json_parse(text, strlen(text), &e);

    if (!doc) {
        fail_msg("%s: %s", text, e.text);
    }
    return doc;
}

static void test_judgement(void **state)
{
    static const struct {
        long status;
        const char *type;
        const char *body; /* NULL: no JSON */
        enum plaync_verdict verdict;
    } CASES[] = {
        {200, "application/json", "{}", PLAYNC_OK},
        {200, "application/json;charset=UTF-8", "{}", PLAYNC_OK},
        {200, "application/jsonp", "{}", PLAYNC_UNAVAILABLE},
        {200, "text/html", NULL, PLAYNC_BUSY},
        {200, "application/json", NULL, PLAYNC_BUSY},
        {404, "application/json", "{\"code\":\"resource.not_found\"}", PLAYNC_NOT_FOUND},
        {404, "application/problem+json", "{\"code\":\"resource.not_found\"}", PLAYNC_NOT_FOUND},
        {404, "application/json",
         "{\"result\":{\"exceptionClassName\":\"NoResourceFoundException\"}}", PLAYNC_UNAVAILABLE},
        {400, "application/json", "{\"code\":\"BAD_REQUEST\"}", PLAYNC_UNAVAILABLE},
        {403, "text/plain", NULL, PLAYNC_BUSY},
        {429, NULL, NULL, PLAYNC_BUSY},
        {503, "application/json", "{}", PLAYNC_BUSY},
        {500, "application/json", "{}", PLAYNC_UNAVAILABLE},
        {302, NULL, NULL, PLAYNC_BUSY},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        cJSON *doc = CASES[i].body ? parse(CASES[i].body) : NULL;
        struct err e = {0};

        if (plaync_judge(CASES[i].status, CASES[i].type, doc, &e) != CASES[i].verdict) {
            fail_msg("case %zu", i);
        }
        cJSON_Delete(doc);
    }
}

static void test_search(void **state)
{
    cJSON *doc =
        parse("{\"list\":["
              "{\"characterId\":\"AAA%3D\",\"name\":\"<strong>Fo</strong>x\",\"serverId\":1001},"
              "{\"characterId\":\"BBB%3D\",\"name\":\"<strong>Fo</strong>\",\"serverId\":1002},"
              "{\"characterId\":\"%\",\"name\":\"<strong>Fo</strong>\",\"serverId\":1001},"
              "{\"characterId\":\"CCC%3D\",\"name\":\"<strong>Fo</strong>\",\"serverId\":1001,"
              "\"pcId\":14,\"level\":45}],\"pagination\":{\"total\":4}}");
    cJSON *no_list = parse("{\"list\":null}");
    cJSON *broken = parse("{\"list\":[{\"characterId\":\"%\",\"name\":\"Fo\",\"serverId\":1001}]}");
    cJSON *texts =
        parse("{\"list\":[{\"characterId\":\"A\",\"name\":\"Fo\",\"serverId\":\"1001\"}],"
              "\"pagination\":{\"endPage\":\"3\"}}");
    struct plaync_hit hit;
    struct err e = {0};

    (void)state;
    assert_int_equal(plaync_read_search(doc, "Fo", 1001, &hit, &e), PLAYNC_OK);
    assert_string_equal(hit.key.character_id, "CCC=");
    assert_int_equal(hit.pc_id, 14);
    assert_int_equal(plaync_read_search(doc, "fo", 1001, &hit, &e), PLAYNC_NOT_FOUND);
    assert_int_equal(plaync_read_search(doc, "Fo", 2001, &hit, &e), PLAYNC_NOT_FOUND);
    assert_int_equal(plaync_read_search(no_list, "Fo", 1001, &hit, &e), PLAYNC_UNAVAILABLE);
    assert_int_equal(plaync_read_search(broken, "Fo", 1001, &hit, &e), PLAYNC_UNAVAILABLE);
    assert_int_equal(plaync_read_search(broken, "Fox", 1001, &hit, &e), PLAYNC_NOT_FOUND);
    assert_int_equal(plaync_read_search(texts, "Fo", 1001, &hit, &e), PLAYNC_OK);
    assert_true(plaync_has_more(texts, 2));
    assert_false(plaync_has_more(texts, 3));
    assert_false(plaync_has_more(doc, 1));
    cJSON_Delete(broken);
    cJSON_Delete(texts);
    cJSON_Delete(doc);
    cJSON_Delete(no_list);
}

static void test_info_of_somebody_else(void **state)
{
    cJSON *doc = load("30");
    struct plaync_info info;
    struct plaync_key key;
    struct err e = {0};

    (void)state;
    assert_int_equal(plaync_read_info(json_get_obj(doc, "info"), NULL, &info, &e), PLAYNC_OK);
    key = info.key;
    assert_int_equal(plaync_read_info(json_get_obj(doc, "info"), &key, &info, &e), PLAYNC_OK);
    key.server_id++;
    assert_int_equal(plaync_read_info(json_get_obj(doc, "info"), &key, &info, &e),
                     PLAYNC_UNAVAILABLE);
    key = info.key;
    key.character_id[0] ^= 1;
    assert_int_equal(plaync_read_info(json_get_obj(doc, "info"), &key, &info, &e),
                     PLAYNC_UNAVAILABLE);
    cJSON_Delete(doc);
}

static void test_missing_character(void **state)
{
    cJSON *info_doc = parse("{\"profile\":{\"characterId\":null,\"characterName\":null,"
                            "\"regionName\":\"\"},\"stat\":{\"statList\":null}}");
    cJSON *worn = parse("{\"equipment\":{\"equipmentList\":null,\"skinList\":null},"
                        "\"skill\":{\"skillList\":null}}");
    cJSON *naked = parse("{\"equipment\":{\"equipmentList\":null},\"skill\":{\"skillList\":[]}}");
    struct plaync_slots slots;
    struct plaync_info info;
    struct err e = {0};

    (void)state;
    assert_int_equal(plaync_read_info(info_doc, NULL, &info, &e), PLAYNC_NOT_FOUND);
    assert_int_equal(plaync_read_equipment(worn, &slots, &e), PLAYNC_NOT_FOUND);
    assert_int_equal(plaync_read_equipment(naked, &slots, &e), PLAYNC_OK);
    assert_int_equal(slots.count, 0);
    cJSON_Delete(info_doc);
    cJSON_Delete(worn);
    cJSON_Delete(naked);
}

static void test_items(void **state)
{
    static const struct {
        const char *item;
        enum plaync_verdict verdict;
        enum plaync_sum sum;
        int64_t hundredths;
    } CASES[] = {
        {"{\"id\":0}", PLAYNC_OK, SUM_CRITICAL, 0},
        {"{\"id\":8}", PLAYNC_UNAVAILABLE, SUM_CRITICAL, 0},
        {"{}", PLAYNC_UNAVAILABLE, SUM_CRITICAL, 0},
        {"{\"id\":7,\"mainStats\":null,\"subStats\":[{\"id\":\"Critical\",\"value\":\"5\"}]}",
         PLAYNC_OK, SUM_CRITICAL, 500},
        {"{\"id\":7,\"mainStats\":[{\"id\":\"Critical\",\"value\":\"0\",\"extra\":\"120\","
         "\"exceed\":true}]}",
         PLAYNC_OK, SUM_CRITICAL, 12000},
        {"{\"id\":7,\"magicStoneStat\":[{\"id\":\"AmplifyAllDamage\",\"value\":\"+100\"}]}",
         PLAYNC_OK, SUM_AMPLIFY_ALL, 100},
        {"{\"id\":7,\"magicStoneStat\":[{\"id\":\"HPMax\",\"value\":\"+60\"}]}", PLAYNC_OK,
         SUM_HP_MAX, 6000},
        {"{\"id\":7,\"subStats\":[{\"id\":\"Critical\",\"value\":\"many\"}]}", PLAYNC_UNAVAILABLE,
         SUM_CRITICAL, 0},
        {"{\"id\":7,\"subStats\":[{\"id\":\"Critical\",\"value\":5}]}", PLAYNC_UNAVAILABLE,
         SUM_CRITICAL, 0},
        {"{\"id\":7,\"subStats\":{}}", PLAYNC_UNAVAILABLE, SUM_CRITICAL, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        cJSON *doc = parse(CASES[i].item);
        struct plaync_sums sums = {0};
        struct err e = {0};

        if (plaync_add_item(doc, 7, &sums, &e) != CASES[i].verdict ||
            sums.at[CASES[i].sum] != CASES[i].hundredths) {
            fail_msg("%s: %" PRId64, CASES[i].item, sums.at[CASES[i].sum]);
        }
        cJSON_Delete(doc);
    }
}

/* The whole text decides: critical resistance begins like critical. */
static void test_boards(void **state)
{
    cJSON *doc = parse("{\"openStatEffectList\":[{\"desc\":\"치명타 +100\"},"
                       "{\"desc\":\"치명타 저항 +7\"},{\"desc\":\"Critical Hit +3\"},"
                       "{\"desc\":\"전투 속도 +5%\"},{\"desc\":null},{\"desc\":\"nonsense\"}]}");
    cJSON *broken = parse("{\"openStatEffectList\":[{\"desc\":\"치명타 +1,000\"}]}");
    struct plaync_sums sums = {0};
    struct err e = {0};

    (void)state;
    assert_int_equal(plaync_add_board(doc, &sums, &e), PLAYNC_OK);
    assert_int_equal(sums.at[SUM_CRITICAL], 10300);
    assert_int_equal(sums.at[SUM_COMBAT_SPEED], 500);
    assert_int_equal(plaync_add_board(broken, &sums, &e), PLAYNC_UNAVAILABLE);
    assert_int_equal(sums.at[SUM_CRITICAL], 10300);
    cJSON_Delete(doc);
    cJSON_Delete(broken);
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(test_recorded_characters),
        cmocka_unit_test(test_amounts),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_judgement),
        cmocka_unit_test(test_search),
        cmocka_unit_test(test_info_of_somebody_else),
        cmocka_unit_test(test_missing_character),
        cmocka_unit_test(test_items),
        cmocka_unit_test(test_boards),
    };

    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
