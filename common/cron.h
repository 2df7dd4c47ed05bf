#ifndef COMMON_CRON_H
#define COMMON_CRON_H

#include "common/err.h"

/*
 * Crontab timetables, pure: five fields (minute, hour, day of month, month, day of week) with
 * lists, ranges, steps and names, as Celery's crontab() reads them:
 *
 *   field = item ("," item)*      item = ("*" | value | value "-" value) ["/" step]
 *
 * A range whose end is before its start goes round (fri-mon, 22-2). A step needs "*" or a range.
 * Days of the week are 0 (Sunday) to 6 or names, months 1 to 12 or names; a name is its first three
 * letters or the whole word. Day of month AND day of week must both match (classic cron: or).
 *
 * A slot is a minute of local time, named by the unix second at which it begins. When clocks
 * change:
 *
 *   the hour field has all 24 hours ("*")   slots follow the real time: every matching minute that
 *                                           the clock on the wall shows, as often as it shows it
 *   any other hour field                    every matching local time is one slot: shown twice, it
 *                                           is the first one; left out, it is the first moment
 *                                           after the gap
 */
struct cron {
    uint64_t minutes; /* bit n: minute n */
    uint32_t hours;
    uint32_t days;   /* bits 1 to 31 */
    uint32_t months; /* bits 1 to 12 */
    uint32_t weekdays;
};

#define CRON_TEXT_SIZE 256

/* False when it cannot be read; *e names the field. */
bool cron_parse(const char *text, struct cron *c, struct err *e) MUST_CHECK;

/* A time zone: seconds east of UTC at a moment. */
struct cron_zone {
    int (*offset_s)(const void *ctx, int64_t unix_s);
    const void *ctx;
};

/* No slot for so long means that none ever comes (February 30). 29 February on a given day of the
 * week comes back after 40 years at most. */
#define CRON_HORIZON_DAYS (41 * 366)

/* The first slot later than after_s; false when there is none within the horizon. */
bool cron_next(const struct cron *c, const struct cron_zone *z, int64_t after_s,
               int64_t *slot_s) MUST_CHECK;
/* The last slot at or before at_s; false when there is none within the horizon. */
bool cron_prev(const struct cron *c, const struct cron_zone *z, int64_t at_s,
               int64_t *slot_s) MUST_CHECK;

#endif
