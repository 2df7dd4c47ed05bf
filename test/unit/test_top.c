#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/top.h"

static cJSON *read(const char *text)
{
    struct err e;
    cJSON *v = json_parse(text, strlen(text), &e);

    assert_non_null(v);
    return v;
}

static double rate(const cJSON *doc, const char *name)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(json_get_obj(doc, "rates"), name);

    return v ? v->valuedouble : -1;
}

static void rates_are_what_changed(void **state)
{
    cJSON *a = read("{\"counters\":{\"taken\":10,\"done\":100,\"dead\":5},\"queues\":["
                    "{\"name\":\"q\",\"ready\":7},{\"name\":\"gone\",\"ready\":1}]}");
    cJSON *b =
        read("{\"counters\":{\"taken\":20,\"done\":100,\"dead\":4,\"retried\":3},\"queues\":["
             "{\"name\":\"q\",\"ready\":3},{\"name\":\"new\",\"ready\":9}]}");
    const cJSON *q;

    (void)state;
    top_add_rates(b, a, 4);
    assert_true(rate(b, "over_s") == 4 && rate(b, "taken") == 2.5 && rate(b, "done") == 0);
    assert_true(rate(b, "retried") == 0.75);
    assert_true(rate(b, "dead") == -1); /* it went back: nothing can be said */
    q = cJSON_GetArrayItem(json_get_arr(b, "queues"), 0);
    assert_true(cJSON_GetObjectItem(q, "change")->valuedouble == -1);
    q = cJSON_GetArrayItem(json_get_arr(b, "queues"), 1);
    assert_null(cJSON_GetObjectItem(q, "change"));
    cJSON_Delete(a);
    cJSON_Delete(b);
}

static void without_an_earlier_look_there_are_none(void **state)
{
    cJSON *doc = read("{\"counters\":{\"taken\":10},\"queues\":[]}");

    (void)state;
    top_add_rates(doc, NULL, 1);
    top_add_rates(doc, doc, 0);
    assert_null(json_get_obj(doc, "rates"));
    cJSON_Delete(doc);
}

/* A document with n of everything. */
static cJSON *make_document(int n)
{
    static const char *const LISTS[] = {"workers", "queues", "timetable", "runs", "dead_letters"};
    cJSON *doc = read("{\"at\":\"2026-11-23T10:00:00.000000Z\",\"redis\":{\"reachable\":true,"
                      "\"version\":\"7\"},\"postgresql\":{\"reachable\":false,\"error\":\"no\"}}");

    for (size_t i = 0; i < ARRAY_LEN(LISTS); i++) {
        cJSON *list = cJSON_AddArrayToObject(doc, LISTS[i]);

        for (int k = 0; k < n; k++) {
            cJSON *one =
                read("{\"name\":\"n\",\"task\":\"t\",\"alive\":true,\"when\":\"w\",\"id\":1,"
                     "\"lists\":[{\"length\":1},{},{},{}],"
                     "\"running\":[{\"id\":\"i\",\"task\":\"t\",\"for_s\":5}]}");

            cJSON_AddItemToArray(list, one);
        }
    }
    return doc;
}

static int lines_of(const cJSON *doc, const struct top_view *v, int width)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    struct term t = {.out = out, .width = width};
    int n = 0;

    top_print(&t, doc, v);
    fclose(out);
    for (const char *p = text; *p; p++) {
        n += *p == '\n';
    }
    n += len > 0 && text[len - 1] != '\n';
    free(text);
    return n;
}

static void a_screen_is_as_high_as_the_terminal(void **state)
{
    (void)state;
    for (int n = 0; n <= 40; n += 8) {
        cJSON *doc = make_document(n);

        for (int rows = 13; rows <= 300; rows += 7) {
            for (int pane = 0; pane <= TOP_PANES; pane++) {
                struct top_view v = {.rows = rows, .pane = pane, .live = true, .interval_s = 2};

                assert_int_equal(lines_of(doc, &v, 80), rows);
            }
        }
        cJSON_Delete(doc);
    }
}

static void without_a_limit_everything_is_shown(void **state)
{
    cJSON *doc = make_document(100);
    struct top_view v = {.rows = 0};

    (void)state;
    assert_true(lines_of(doc, &v, 0) > 600);
    cJSON_Delete(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_are_what_changed),
        cmocka_unit_test(without_an_earlier_look_there_are_none),
        cmocka_unit_test(a_screen_is_as_high_as_the_terminal),
        cmocka_unit_test(without_a_limit_everything_is_shown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
