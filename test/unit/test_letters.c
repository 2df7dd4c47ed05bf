/* Dead letters and quarantined messages: reading entries, and which ones a filter means. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/letters.h"

#define DEAD                                                                                        \
    "{\"at\": 1000, \"id\": \"id-1\", \"task\": \"reports.send\", \"error\": \"ValueError: Boom\"," \
    " \"retries\": 3, \"b64\": \"aGVsbG8=\"}"

static void entries_are_read(void **state)
{
    struct letter l;
    struct buf b;
    cJSON *doc;

    (void)state;
    letter_read(&l, &LETTERS_DEAD, DEAD, strlen(DEAD), &doc);
    assert_string_equal(l.id, "id-1");
    assert_string_equal(l.task, "reports.send");
    assert_string_equal(l.reason, "ValueError: Boom");
    assert_int_equal(l.at_s, 1000);
    assert_int_equal(l.bytes, 5);
    assert_null(l.list);
    assert_int_equal(strlen(l.handle), 16);
    buf_init(&b, MIB);
    assert_true(letter_bytes(&l, &b));
    assert_string_equal(b.data, "hello");
    buf_fini(&b);
    cJSON_Delete(doc);
}

static void other_forms_of_entries(void **state)
{
    static const struct {
        const char *entry;
        bool has_bytes;
        int64_t bytes;
    } CASES[] = {
        {"{\"at\": 1, \"reason\": \"r\", \"q\": \"celery\", \"b64\": \"\"}", true, 0},
        {"{\"at\": 1, \"reason\": \"r\", \"q\": \"x\", \"b64\": \"\", \"text\": \"abc\"}", true, 3},
        {"{\"at\": 1, \"key\": \"aion2:oversized:1:1\", \"bytes\": 99, \"b64\": \"\"}", false, 99},
        {"{\"b64\": \"not base64\"}", false, 6},
        {"{\"b64\": 7}", false, 0},
        {"{}", false, 0},
        {"[]", false, 2},
        {"junk", false, 4},
        {"", false, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct letter l;
        struct buf b;
        cJSON *doc, *shown;

        letter_read(&l, &LETTERS_QUARANTINE, CASES[i].entry, strlen(CASES[i].entry), &doc);
        buf_init(&b, MIB);
        assert_int_equal(letter_bytes(&l, &b), CASES[i].has_bytes);
        assert_int_equal(l.bytes, CASES[i].bytes);
        shown = letter_json(&l);
        assert_non_null(json_get_str(shown, "handle"));
        cJSON_Delete(shown);
        buf_fini(&b);
        cJSON_Delete(doc);
    }
}

static void filters_say_which(void **state)
{
    static const char *const ID[] = {"x", "id-1"}, *const OTHER[] = {"id-2"},
                             *const HALF[] = {"id"};
    static const struct {
        struct letter_filter f;
        bool matches;
    } CASES[] = {
        {{0}, true},
        {{.names = ID, .name_count = 2}, true},
        {{.names = OTHER, .name_count = 1}, false},
        {{.names = HALF, .name_count = 1}, false},
        {{.task = "reports.send"}, true},
        {{.task = "reports.*"}, true},
        {{.task = "reports"}, false},
        {{.task = "*"}, true},
        {{.reason = "boom"}, true},
        {{.reason = "ValueError"}, true},
        {{.reason = "KeyError"}, false},
        {{.older_s = 60}, true},
        {{.older_s = 100}, true},
        {{.older_s = 101}, false},
        {{.task = "reports.*", .reason = "boom", .older_s = 1}, true},
        {{.task = "reports.*", .reason = "bang", .older_s = 1}, false},
        {{.names = ID, .name_count = 2, .task = "other"}, false},
    };
    struct letter l;
    cJSON *doc;

    (void)state;
    letter_read(&l, &LETTERS_DEAD, DEAD, strlen(DEAD), &doc);
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        assert_int_equal(letter_matches(&CASES[i].f, &l, 1100), CASES[i].matches);
    }
    cJSON_Delete(doc);
}

static void a_handle_may_be_short_but_not_too_short(void **state)
{
    struct letter l;
    cJSON *doc;
    char handle[LETTER_HANDLE_SIZE];
    const char *names[] = {handle};
    struct letter_filter f = {.names = names, .name_count = 1};

    (void)state;
    letter_read(&l, &LETTERS_DEAD, DEAD, strlen(DEAD), &doc);
    for (size_t len = 0; len <= 16; len++) {
        memcpy(handle, l.handle, len);
        handle[len] = '\0';
        assert_int_equal(letter_matches(&f, &l, 0), len >= LETTER_HANDLE_MIN);
    }
    handle[15] = handle[15] == '0' ? '1' : '0';
    assert_false(letter_matches(&f, &l, 0));
    cJSON_Delete(doc);
}

static void what_says_nothing_matches_no_condition(void **state)
{
    static const struct letter_filter CONDITIONS[] = {
        {.task = "*"}, {.reason = ""}, {.older_s = 1}};
    struct letter l;
    cJSON *doc;

    (void)state;
    letter_read(&l, &LETTERS_DEAD, "junk", 4, &doc);
    for (size_t i = 0; i < ARRAY_LEN(CONDITIONS); i++) {
        assert_false(letter_matches(&CONDITIONS[i], &l, 1 << 30));
    }
    cJSON_Delete(doc);
}

static void where_a_list_goes_on(void **state)
{
    static const char *const BAD[] = {"",
                                      "5",
                                      ".",
                                      "5.",
                                      "5.0123",
                                      "x.0123456789abcdef",
                                      "5.0123456789abcdeg",
                                      "5.0123456789abcdef0",
                                      "5.0123456789ABCDEF"};
    struct letter_filter f = {0};

    (void)state;
    assert_true(letters_read_before("1700000000.0123456789abcdef", &f));
    assert_int_equal(f.before_s, 1700000000);
    assert_string_equal(f.before, "0123456789abcdef");
    assert_true(letters_read_before("-1.0123456789abcdef", &f));
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        assert_false(letters_read_before(BAD[i], &f));
    }
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(entries_are_read),
        cmocka_unit_test(other_forms_of_entries),
        cmocka_unit_test(filters_say_which),
        cmocka_unit_test(a_handle_may_be_short_but_not_too_short),
        cmocka_unit_test(what_says_nothing_matches_no_condition),
        cmocka_unit_test(where_a_list_goes_on),
    };

    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
