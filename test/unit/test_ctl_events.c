/* Lines for events: of real Celery's events, and of what somebody else publishes. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "common/envelope.h"
#include "ctl/events_line.h"
#include "test/unit/wire_data.h"

static struct event_names names;

static char *line_of(const cJSON *event, int width, bool dump)
{
    struct term t = {.colour = false};
    char *text = NULL;
    size_t len;

    t.out = open_memstream(&text, &len);
    assert_non_null(t.out);
    if (dump) {
        event_print_dump(&t, event);
    } else {
        event_print_line(&t, event, &names, width);
    }
    fclose(t.out);
    return text;
}

static void assert_line(const cJSON *event, int width, const char *want)
{
    char *text = line_of(event, width, false);

    assert_string_equal(text, want);
    free(text);
}

/* The first event of a captured publication. */
static void open_captured(const char *name, struct envelope *v, const cJSON **event)
{
    size_t len;
    char *bytes = wire_read(name, &len);
    struct err e;

    assert_true(envelope_open(v, bytes, len, &e));
    *event = cJSON_IsArray(v->body) ? cJSON_GetArrayItem(v->body, 0) : v->body;
    assert_true(event_is_one(*event));
    free(bytes);
}

static void captured_events(void **state)
{
    static const struct {
        const char *name;
        const char *line;
    } CASES[] = {
        {"event-task-sent", "task-sent         gen15328@lab        "
                            "lab.fail[8a814565-3f5f-4fad-abf9-be21a753552d]  queue=celery args=() "
                            "kwargs={}\n"},
        {"event-task-received", "task-received     w1@lab              "
                                "lab.fail[8a814565-3f5f-4fad-abf9-be21a753552d]  args=() "
                                "kwargs={} retries=0\n"},
        {"event-task-failed", "task-failed       w1@lab              "
                              "lab.fail[8a814565-3f5f-4fad-abf9-be21a753552d]  "
                              "exception=ValueError('boom', 7)\n"},
        {"event-task-revoked", "task-revoked      w1@lab              "
                               "[b5d79e45-559f-4c32-bf17-51837f62e4ae]  expired=true\n"},
        {"event-worker-online", "worker-online     w1@lab              "
                                "sw_ident=py-celery sw_ver=5.2.6 pid=15321\n"},
        {"event-worker-heartbeat", "worker-heartbeat  w1@lab              "
                                   "active=0 processed=0 loadavg=[0.04,0.09,0.17]\n"},
    };

    (void)state;
    memset(&names, 0, sizeof names);
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct envelope v;
        const cJSON *event;
        char *text;

        open_captured(CASES[i].name, &v, &event);
        event_names_learn(&names, event);
        text = line_of(event, 0, false);
        assert_string_equal(text + 14, CASES[i].line);
        free(text);
        envelope_fini(&v);
    }
}

static void narrow_lines_are_short(void **state)
{
    struct envelope v;
    const cJSON *event;
    char *text;

    (void)state;
    open_captured("event-task-failed", &v, &event);
    memset(&names, 0, sizeof names);
    assert_line(event, 80,
                "06:04:59  task-failed       w1@lab        [8a814565]  "
                "exception=ValueError('boo…\n");
    text = line_of(event, 0, true);
    assert_non_null(strstr(text, "exception=\"ValueError('boom', 7)\""));
    assert_non_null(strstr(text, "type=\"task-failed\""));
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    free(text);
    envelope_fini(&v);
}

static void others_events_are_harmless(void **state)
{
    static const char *const EVENTS[] = {
        "{\"type\": \"\\u001b[2J\", \"hostname\": 7, \"timestamp\": \"x\"}",
        "{\"type\": \"task-sent\", \"uuid\": \"\\r\\n\", \"name\": \"\\u202e\", \"queue\": {\"a\": []}}",
        "{\"type\": \"task-succeeded\", \"runtime\": 1e300, \"result\": \"\\u009b31m\"}",
        "{\"type\": \"worker-heartbeat\", \"timestamp\": -5, \"loadavg\": null}",
        "{\"type\": \"\", \"timestamp\": 1e308, \"\\u0007\": 1}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(EVENTS); i++) {
        cJSON *event = cJSON_Parse(EVENTS[i]);

        assert_true(event_is_one(event));
        event_names_learn(&names, event);
        for (int dump = 0; dump <= 1; dump++) {
            char *text = line_of(event, 80, dump == 1);

            for (size_t k = 0; k + 1 < strlen(text); k++) {
                assert_true((unsigned char)text[k] >= 0x20 && text[k] != 0x7f);
            }
            assert_null(strstr(text, "\u202e"));
            assert_null(strstr(text, "\xc2\x9b"));
            free(text);
        }
        cJSON_Delete(event);
    }
}

static void what_is_no_event(void **state)
{
    static const char *const OTHERS[] = {"7", "[]", "{}", "null", "{\"type\": 7}", "\"type\""};

    (void)state;
    assert_false(event_is_one(NULL));
    for (size_t i = 0; i < ARRAY_LEN(OTHERS); i++) {
        cJSON *v = cJSON_Parse(OTHERS[i]);

        assert_false(event_is_one(v));
        cJSON_Delete(v);
    }
}

static void the_newest_names_are_known(void **state)
{
    char text[200], id[80];

    (void)state;
    memset(&names, 0, sizeof names);
    for (int i = 0; i < 10000; i++) {
        cJSON *event;

        snprintf(text, sizeof text, "{\"type\": \"t\", \"uuid\": \"id-%d\", \"name\": \"n-%d\"}", i,
                 i);
        event = cJSON_Parse(text);
        event_names_learn(&names, event);
        cJSON_Delete(event);
    }
    assert_string_equal(event_names_find(&names, "id-9999"), "n-9999");
    assert_string_equal(event_names_find(&names, "id-none"), "");
    memset(id, 'x', sizeof id - 1);
    id[sizeof id - 1] = '\0';
    assert_string_equal(event_names_find(&names, id), "");
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(captured_events),
        cmocka_unit_test(narrow_lines_are_short),
        cmocka_unit_test(others_events_are_harmless),
        cmocka_unit_test(what_is_no_event),
        cmocka_unit_test(the_newest_names_are_known),
    };

    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
