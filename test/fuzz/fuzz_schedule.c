/* Definitions of schedules, crontabs, and what is told of ledgers that hold anything. */

#include <stdlib.h>
#include <string.h>

#include "common/schedule.h"
#include "common/why_ask.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Slots come one after the other, and looking back finds the same ones. */
static void walk(const struct schedule *s, int64_t at_s)
{
    int64_t slot_s, back_s;

    for (int i = 0; i < 5 && schedule_next(s, at_s, &slot_s); i++) {
        MUST(slot_s > at_s);
        MUST(schedule_prev(s, slot_s, &back_s) && back_s == slot_s);
        MUST(i == 0 || (schedule_prev(s, slot_s - 1, &back_s) && back_s == at_s));
        at_s = slot_s;
    }
}

static void tell(const struct schedule *s, const char *json, size_t len)
{
    struct err e;
    cJSON *list = json_parse(json, len, &e);
    struct why_facts f = {.schedule = s,
                          .zone = "UTC",
                          .ledger = list,
                          .notes = list,
                          .periods = list,
                          .now_s = 1000000,
                          .last_s = 999600};
    struct why w;

    why_tell(&f, 999000, &w);
    MUST(w.text[0] != '\0');
    why_tell(&f, 1000700, &w);
    cJSON_Delete(list);
}

/* A time that can be read is one of the years that are shown. */
static void read_time(const char *text)
{
    int64_t at_s;

    if (why_read_time(text, "Europe/Berlin", 1774746000, &at_s)) {
        MUST(at_s > INT64_C(-62200000000) && at_s < INT64_C(253500000000));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct schedule_defaults DEFAULTS = {"celery", 600};
    char *text = malloc(size + 1); /* of its own, so that reading past the end is seen */
    struct schedule s;
    struct cron c;
    struct err e;

    MUST(text);
    memcpy(text, data, size);
    text[size] = '\0';
    MUST(schedule_builtin(0, &DEFAULTS, &s));
    tell(&s, text, size);
    read_time(text);
    if (schedule_parse("fuzz", text, size, &DEFAULTS, &s, &e) ||
        schedule_parse("batch", text, size, &DEFAULTS, &s, &e)) {
        walk(&s, 1774746000); /* the night of a change in Berlin */
    }
    schedule_fini(&s);
    if (cron_parse(text, &c, &e)) {
        struct cron_zone z = zone_of("Europe/Berlin");
        int64_t slot_s;

        MUST(!cron_next(&c, &z, 1774746000, &slot_s) || slot_s > 1774746000);
    } else {
        MUST(e.text[0] != '\0');
    }
    free(text);
    return 0;
}
