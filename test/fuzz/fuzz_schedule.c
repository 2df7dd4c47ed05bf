/* Definitions of schedules and crontabs: what is read has slots that follow each other. */
#include <stdlib.h>
#include <string.h>

#include "common/schedule.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FROM_S 1735689600 /* 2025-01-01 */

static int utc(const void *ctx, int64_t unix_s)
{
    (void)ctx;
    (void)unix_s;
    return 0;
}

static void check_cron(const char *text)
{
    static const struct cron_zone UTC = {.offset_s = utc};
    struct cron c;
    struct err e = {.text = ""};
    int64_t next, again;

    if (!cron_parse(text, &c, &e)) {
        MUST(e.text[0] != '\0');
        return;
    }
    if (!cron_next(&c, &UTC, FROM_S, &next)) {
        return; /* February 30 */
    }
    MUST(next > FROM_S && next % 60 == 0);
    MUST(cron_prev(&c, &UTC, next, &again) && again == next);
    MUST(cron_next(&c, &UTC, next - 1, &again) && again == next);
    MUST(!cron_prev(&c, &UTC, next - 1, &again) || again <= FROM_S);
}

static void check_definition(const char *text, size_t len)
{
    static const struct schedule_defaults DEFAULTS = {.queue = "celery", .batch_interval_s = 600};
    char when[SCHEDULE_WHEN_SIZE];
    struct schedule s;
    struct err e = {.text = ""};
    int64_t next, again;

    if (!schedule_parse("nightly", text, len, &DEFAULTS, &s, &e)) {
        MUST(e.text[0] != '\0');
        return;
    }
    MUST(s.task[0] && s.queue[0] && strlen(schedule_when(&s, when)) < sizeof when);
    if (schedule_next(&s, FROM_S, &next)) {
        MUST(next > FROM_S);
        MUST(schedule_prev(&s, next, &again) && again == next);
    }
    schedule_fini(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);

    MUST(text);
    memcpy(text, data, size);
    text[size] = '\0';
    check_cron(text);
    check_definition(text, size);
    free(text);
    return 0;
}
