#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/why_ask.h"

/* Slots are the multiples of 600; it is 1000000 s after the epoch, in UTC. */
#define NOW  INT64_C(1000000)
#define SLOT INT64_C(999000)

static cJSON *list(const char *json)
{
    struct err e;
    cJSON *v = json_parse(json, strlen(json), &e);

    assert_non_null(v);
    return v;
}

static struct why ask(const char *ledger, const char *notes, const char *periods, int64_t at_s)
{
    struct schedule s = {.name = "batch", .every_s = 600};
    struct why_facts f = {
        .schedule = &s, .zone = "UTC", .now_s = NOW, .last_s = 999600, .beats = 1};
    cJSON *l = list(ledger), *n = list(notes), *p = list(periods);
    struct why w;

    f.ledger = l;
    f.notes = n;
    f.periods = p;
    why_tell(&f, at_s, &w);
    cJSON_Delete(l);
    cJSON_Delete(n);
    cJSON_Delete(p);
    return w;
}

#define ALIVE "[{\"from\":0,\"to\":1000000}]"

static void check(const struct why *w, enum why_verdict verdict, const char *text)
{
    assert_string_equal(w->text, text);
    assert_int_equal(w->verdict, verdict);
}

static void what_was_sent(void **state)
{
    struct why w;

    (void)state;
    w = ask("[{\"slot\":999000,\"sent_at\":999000.004,\"id\":\"x\",\"missed\":0}]", "[]", ALIVE,
            SLOT + 7);
    check(&w, WHY_SENT,
          "The slot of batch at 1970-01-12 13:30:00 UTC was sent on time (4 ms after it began) as "
          "task x.");
    assert_int_equal(w.slot_s, SLOT);
    assert_string_equal(w.id, "x");
    w = ask(
        "[{\"slot\":999000,\"sent_at\":999125.0,\"id\":\"x\",\"missed\":2,\"missed_from\":997800}]",
        "[{\"what\":\"redis\",\"from\":997700.0,\"to\":999120.0},"
        "{\"what\":\"redis\",\"from\":997701.5,\"to\":999124.0}]",
        ALIVE, SLOT);
    check(
        &w, WHY_SENT,
        "The slot of batch at 1970-01-12 13:30:00 UTC was sent 2 min 5 s late, at 1970-01-12 "
        "13:32:05 UTC as task x, also for the 2 slots missed since 1970-01-12 13:10:00 UTC: Redis "
        "was down from 1970-01-12 13:08:20 UTC to 1970-01-12 13:32:04 UTC.");
    w = ask(
        "[{\"slot\":999000,\"sent_at\":999700.0,\"id\":\"x\",\"missed\":0,\"cancelled\":\"y\"}]",
        "[]", ALIVE, SLOT);
    check(
        &w, WHY_SENT,
        "The slot of batch at 1970-01-12 13:30:00 UTC was caught up 11 min 40 s late, at 1970-01-12 "
        "13:41:40 UTC as task x; its predecessor, task y, was cancelled for it.");
}

static void what_was_skipped(void **state)
{
    struct why w;

    (void)state;
    w = ask(
        "[{\"skipped\":\"paused\",\"by\":\"kim\",\"reason\":\"moving\",\"since\":998000,\"slot\":998400,"
        "\"to\":999600,\"n\":3,\"at\":999600.1}]",
        "[]", ALIVE, SLOT);
    check(&w, WHY_SKIPPED,
          "The slot of batch at 1970-01-12 13:30:00 UTC was skipped: batch was paused by kim since "
          "1970-01-12 13:13:20 UTC (moving).");
    w = ask(
        "[{\"skipped\":\"overlap\",\"with\":\"y\",\"state\":\"held\",\"slot\":999000,\"to\":999000,"
        "\"n\":1,\"at\":999000.1}]",
        "[]", ALIVE, SLOT);
    check(&w, WHY_SKIPPED,
          "The slot of batch at 1970-01-12 13:30:00 UTC was skipped: its predecessor, task y, was "
          "still held by a worker.");
    w = ask("[{\"skipped\":\"late\",\"slot\":999000,\"to\":999000,\"n\":1,\"at\":999100.1}]", "[]",
            "[{\"from\":999095,\"to\":1000000},{\"from\":0,\"to\":998000}]", SLOT);
    check(&w, WHY_SKIPPED,
          "The slot of batch at 1970-01-12 13:30:00 UTC was skipped: it could not be sent within a "
          "minute, and batch skips what it missed; no beat was running from about 1970-01-12 "
          "13:13:20 UTC to 1970-01-12 13:31:35 UTC.");
}

static void what_was_missed(void **state)
{
    static const char SENT[] = "[{\"slot\":999600,\"sent_at\":999600.1,\"id\":\"x\",\"missed\":3,"
                               "\"missed_from\":997800}]";
    struct why w;

    (void)state;
    w = ask(SENT, "[{\"what\":\"clock\",\"at\":999600.0,\"step\":3600.0}]",
            "[{\"from\":999600,\"to\":1000000},{\"from\":0,\"to\":996000}]", SLOT);
    check(
        &w, WHY_MISSED,
        "The slot of batch at 1970-01-12 13:30:00 UTC was not sent: Redis' clock jumped forward by "
        "1 h at 1970-01-12 13:40:00 UTC; the next one that was sent is that of 1970-01-12 13:40:00 UTC.");
    w = ask(SENT, "[]", "[{\"from\":999590,\"to\":1000000}]", SLOT);
    check(
        &w, WHY_MISSED,
        "The slot of batch at 1970-01-12 13:30:00 UTC was not sent: no beat was running before "
        "1970-01-12 13:39:50 UTC; the next one that was sent is that of 1970-01-12 13:40:00 UTC.");
    w = ask(SENT, "[]", ALIVE, SLOT);
    check(
        &w, WHY_MISSED,
        "The slot of batch at 1970-01-12 13:30:00 UTC was not sent: no beat sent it in time, and no "
        "reason is on record; the next one that was sent is that of 1970-01-12 13:40:00 UTC.");
    w = ask("[{\"skipped\":\"missed\",\"slot\":998400,\"to\":999000,\"n\":2,\"at\":999600.1}]",
            "[]", "[{\"from\":999590,\"to\":1000000}]", SLOT);
    check(&w, WHY_MISSED,
          "The slot of batch at 1970-01-12 13:30:00 UTC was not sent: no beat was running before "
          "1970-01-12 13:39:50 UTC.");
    /* Missed before the pause that skipped the rest of the run. */
    w = ask(
        "[{\"skipped\":\"paused\",\"by\":\"kim\",\"since\":999100,\"slot\":998400,\"to\":999600,"
        "\"n\":3,\"at\":999600.1}]",
        "[]", "[{\"from\":999590,\"to\":1000000}]", SLOT);
    assert_int_equal(w.verdict, WHY_MISSED);
    /* Its time came again, and then it was sent. */
    w = ask(
        "[{\"slot\":999000,\"sent_at\":999000.5,\"id\":\"z\",\"missed\":0},"
        "{\"slot\":999600,\"sent_at\":999600.1,\"id\":\"x\",\"missed\":3,\"missed_from\":997800}]",
        "[]", ALIVE, SLOT);
    assert_int_equal(w.verdict, WHY_SENT);
}

static void what_the_ledger_does_not_know(void **state)
{
    struct why w = ask("[]", "[]", ALIVE, NOW + 500);

    (void)state;
    check(&w, WHY_FUTURE, "The slot of batch at 1970-01-12 13:50:00 UTC is due in 3 min 20 s.");
    w = ask("[{\"slot\":999600,\"sent_at\":999600.1,\"id\":\"x\",\"missed\":0}]", "[]", ALIVE, 600);
    check(&w, WHY_UNKNOWN,
          "The slot of batch at 1970-01-01 00:10:00 UTC is older than the ledger, which begins at "
          "1970-01-12 13:40:00 UTC.");
    w = ask("[]", "[]", ALIVE, SLOT);
    assert_int_equal(w.verdict, WHY_UNKNOWN);
    w = ask(
        "[]",
        "[{\"what\":\"resume\",\"schedule\":\"batch\",\"at\":999500},"
        "{\"what\":\"pause\",\"schedule\":\"batch\",\"at\":998000,\"by\":\"kim\",\"reason\":\"r\"}]",
        ALIVE, SLOT);
    check(&w, WHY_SKIPPED,
          "The slot of batch at 1970-01-12 13:30:00 UTC was skipped: batch was paused by kim since "
          "1970-01-12 13:13:20 UTC (r).");
    w = ask("[]", "[]", ALIVE, -1);
    assert_int_equal(w.verdict, WHY_NO_SLOT);
}

static void due_and_not_sent(void **state)
{
    struct schedule s = {.name = "batch", .every_s = 600};
    cJSON *none = cJSON_CreateArray();
    struct why_facts f = {.schedule = &s,
                          .zone = "UTC",
                          .ledger = none,
                          .notes = none,
                          .periods = none,
                          .now_s = NOW,
                          .last_s = 999000};
    struct why w;

    (void)state;
    why_tell(&f, 999700, &w);
    check(
        &w, WHY_WAITING,
        "The slot of batch at 1970-01-12 13:40:00 UTC was due 6 min 40 s ago and has not been dealt "
        "with yet: no beat is running.");
    s.pause = (struct schedule_pause){.on = true, .since_s = 999900, .by = "kim", .reason = "r"};
    why_tell(&f, NOW + 200, &w);
    check(&w, WHY_FUTURE,
          "The slot of batch at 1970-01-12 13:50:00 UTC is due in 3 min 20 s, but will be skipped "
          "unless it is resumed: batch was paused by kim since 1970-01-12 13:45:00 UTC (r).");
    s.pause.on = false;
    s.since_s = NOW;
    why_tell(&f, NOW - 1, &w);
    check(&w, WHY_NO_SLOT,
          "batch has no slot at or before 1970-01-12 13:46:39 UTC: its timetable counts since "
          "1970-01-12 13:46:40 UTC.");
    cJSON_Delete(none);
}

static void whatever_stands_there_is_survived(void **state)
{
    static const char *const STRANGE[] = {
        "[]",
        "[{}]",
        "[{\"slot\":\"x\"}]",
        "[{\"slot\":1e300,\"sent_at\":null}]",
        "[{\"slot\":999000,\"skipped\":\"unheard of\",\"to\":1e18}]",
        "[{\"slot\":999000,\"sent_at\":-5,\"missed\":1e15,\"missed_from\":-7}]",
        "[{\"what\":\"redis\",\"from\":-1e300,\"to\":1e300},{\"what\":5}]",
        "[{\"what\":\"clock\",\"at\":1e300,\"step\":1e300}]",
        "[{\"from\":{},\"to\":[]}]"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(STRANGE); i++) {
        for (size_t k = 0; k < ARRAY_LEN(STRANGE); k++) {
            struct why w = ask(STRANGE[i], STRANGE[k], STRANGE[i], SLOT);

            assert_true(w.text[0] != '\0');
        }
    }
}

static void spans_are_readable(void **state)
{
    static const struct {
        double seconds;
        const char *text;
    } CASES[] = {{0, "0 ms"},    {0.0149, "15 ms"},   {1, "1 s"},         {59.9, "59 s"},
                 {60, "1 min"},  {125, "2 min 5 s"},  {3600, "1 h"},      {7260, "2 h 1 min"},
                 {86400, "1 d"}, {180000, "2 d 2 h"}, {31536000, "365 d"}};
    char text[WHY_SPAN_SIZE];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        assert_string_equal(why_span(CASES[i].seconds, text), CASES[i].text);
    }
}

static void times_are_read_as_people_write_them(void **state)
{
    /* 1970-01-12 13:46:40 UTC is 22:46:40 in Seoul. */
    static const struct {
        const char *text, *zone;
        int64_t at_s; /* -1: no time */
    } CASES[] = {
        {"12:10", "UTC", 950400 + 43800},
        {"12:10:30", "UTC", 950400 + 43830},
        {"12:10", "Asia/Seoul", 950400 + 43800 - 32400},
        {"1970-01-12T12:10", "UTC", 994200},
        {"1970-01-12 12:10:05", "UTC", 994205},
        {"1970-01-12T12:10Z", "Asia/Seoul", 994200},
        {"1970-01-12T12:10+09:00", "UTC", 994200 - 32400},
        {"999000", "Asia/Seoul", 999000},
        {"", "UTC", -1},
        {"12", "UTC", -1},
        {"24:00", "UTC", -1},
        {"12:60", "UTC", -1},
        {"-1:10", "UTC", -1},
        {"12:10:61", "UTC", -1},
        {"12:10x", "UTC", -1},
        {"yesterday", "UTC", -1},
        {"1970-13-12T12:10", "UTC", -1},
        {"1970-01-12T12:10Zx", "UTC", -1},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        int64_t at_s = -1;

        assert_int_equal(why_read_time(CASES[i].text, CASES[i].zone, NOW, &at_s),
                         CASES[i].at_s >= 0);
        assert_int_equal(at_s, CASES[i].at_s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_sent),      cmocka_unit_test(what_was_skipped),
        cmocka_unit_test(what_was_missed),    cmocka_unit_test(what_the_ledger_does_not_know),
        cmocka_unit_test(due_and_not_sent),   cmocka_unit_test(whatever_stands_there_is_survived),
        cmocka_unit_test(spans_are_readable), cmocka_unit_test(times_are_read_as_people_write_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
