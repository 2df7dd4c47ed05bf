#include "common/cron.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "common/text.h"

#define DAY_S          INT64_C(86400)
#define ALL_HOURS      UINT32_C(0xffffff)
#define FIELDS         5
#define ITEM_SIZE      32
#define NAME_BYTES_MIN 3

/* ---- reading ---- */

static const char *const WEEKDAYS[] = {"sunday",   "monday", "tuesday", "wednesday",
                                       "thursday", "friday", "saturday"};
static const char *const MONTHS[] = {"january",   "february", "march",    "april",
                                     "may",       "june",     "july",     "august",
                                     "september", "october",  "november", "december"};

struct field {
    const char *name;
    int min, max;
    const char *const *names; /* of min, min + 1, ...; NULL: numbers only */
};

static const struct field FIELD[FIELDS] = {
    {"minute", 0, 59, NULL},  {"hour", 0, 23, NULL},           {"day of month", 1, 31, NULL},
    {"month", 1, 12, MONTHS}, {"day of week", 0, 6, WEEKDAYS},
};

static bool refuse(struct err *e, const struct field *f, const char *item)
{
    return err_set(e, ERR_PERMANENT, "ValueError",
                   "%s: \"%.40s\" is not *, a value from %d to %d%s, a range or */step", f->name,
                   item, f->min, f->max, f->names ? " or a name" : "");
}

static bool read_value(const struct field *f, const char *s, size_t len, int *out)
{
    int64_t n;

    if (text_n_to_i64(s, len, f->min, f->max, &n)) {
        *out = (int)n;
        return true;
    }
    for (int i = 0; f->names && i <= f->max - f->min; i++) {
        if ((len == NAME_BYTES_MIN || len == strlen(f->names[i])) &&
            strncasecmp(s, f->names[i], len) == 0) {
            *out = f->min + i;
            return true;
        }
    }
    return false;
}

/* "*", "7" or "7-9"; *range: more than one value was meant, so a step may follow. */
static bool read_span(const struct field *f, const char *s, size_t len, int *from, int *to,
                      bool *range)
{
    const char *dash = memchr(s, '-', len);

    *range = dash || (len == 1 && *s == '*');
    if (len == 1 && *s == '*') {
        *from = f->min;
        *to = f->max;
        return true;
    }
    if (!dash) {
        bool ok = read_value(f, s, len, from);

        *to = *from;
        return ok;
    }
    return read_value(f, s, (size_t)(dash - s), from) &&
           read_value(f, dash + 1, (size_t)(s + len - dash - 1), to);
}

static bool read_item(const struct field *f, const char *item, uint64_t *bits, struct err *e)
{
    const char *slash = strchr(item, '/');
    size_t len = slash ? (size_t)(slash - item) : strlen(item);
    int from = 0, to = 0, size = f->max - f->min + 1, count;
    int64_t step = 1;
    bool range;

    if (!read_span(f, item, len, &from, &to, &range) ||
        (slash && (!range || !text_to_i64(slash + 1, 1, 100000, &step)))) {
        return refuse(e, f, item);
    }
    count = (to - from + size) % size + 1; /* goes round when to < from */
    for (int64_t i = 0; i < count; i += step) {
        *bits |= UINT64_C(1) << (f->min + (from - f->min + i) % size);
    }
    return true;
}

static bool read_field(const struct field *f, const char *text, size_t len, uint64_t *bits,
                       struct err *e)
{
    const char *end = text + len;

    *bits = 0;
    for (const char *s = text; s <= end; s++) {
        const char *comma = memchr(s, ',', (size_t)(end - s));
        size_t n = (size_t)((comma ? comma : end) - s);
        char item[ITEM_SIZE];

        if (n == 0 || n >= sizeof item) {
            return refuse(e, f, n == 0 ? "" : text);
        }
        memcpy(item, s, n);
        item[n] = '\0';
        if (!read_item(f, item, bits, e)) {
            return false;
        }
        s += n;
    }
    return true;
}

bool cron_parse(const char *text, struct cron *c, struct err *e)
{
    uint64_t bits[FIELDS];
    int n = 0;

    if (strlen(text) >= CRON_TEXT_SIZE) {
        return err_set(e, ERR_PERMANENT, "ValueError", "longer than %d bytes", CRON_TEXT_SIZE - 1);
    }
    for (const char *s = text; *s;) {
        size_t len = strcspn(s, " \t");

        if (len > 0 && (n == FIELDS || !read_field(&FIELD[n], s, len, &bits[n], e))) {
            return n == FIELDS ? err_set(e, ERR_PERMANENT, "ValueError", "more than five fields")
                               : false;
        }
        n += len > 0;
        s += len;
        s += strspn(s, " \t");
    }
    if (n != FIELDS) {
        return err_set(e, ERR_PERMANENT, "ValueError",
                       "expected five fields: minute hour day-of-month month day-of-week");
    }
    *c = (struct cron){bits[0], (uint32_t)bits[1], (uint32_t)bits[2], (uint32_t)bits[3],
                       (uint32_t)bits[4]};
    return true;
}

/* ---- days ---- */

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* The civil date of a day since 1970-01-01 (Gregorian for ever; Hinnant's algorithm). */
static void civil(int64_t day, int *month, int *mday)
{
    int64_t shifted = day + 719468;
    int64_t of_era = shifted - floor_div(shifted, 146097) * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t from_march = (5 * of_year + 2) / 153;

    *mday = (int)(of_year - (153 * from_march + 2) / 5) + 1;
    *month = (int)(from_march < 10 ? from_march + 3 : from_march - 9);
}

static bool day_matches(const struct cron *c, int64_t day)
{
    int64_t weekday = day + 4 - floor_div(day + 4, 7) * 7; /* 1970-01-01 was a Thursday */
    int month, mday;

    civil(day, &month, &mday);
    return (c->months >> month & 1) && (c->days >> mday & 1) && (c->weekdays >> weekday & 1);
}

/* ---- local time ---- */

static int64_t local_s(const struct cron_zone *z, int64_t unix_s)
{
    return unix_s + z->offset_s(z->ctx, unix_s);
}

/*
 * The first moment at which the clock shows `wall` (seconds of local time since 1970) or, in a gap,
 * the first one at which it shows something later. No zone is a day away from UTC, so a day on both
 * sides holds the change that matters.
 */
static int64_t first_moment(const struct cron_zone *z, int64_t wall)
{
    int64_t before = wall - z->offset_s(z->ctx, wall - DAY_S);
    int64_t after = wall - z->offset_s(z->ctx, wall + DAY_S);
    int64_t low = wall - DAY_S, high = wall + DAY_S;

    if (local_s(z, before) == wall && (before <= after || local_s(z, after) != wall)) {
        return before;
    }
    if (local_s(z, after) == wall) {
        return after;
    }
    while (high - low > 1) { /* low shows something earlier, high something later */
        int64_t mid = low + (high - low) / 2;

        if (local_s(z, mid) >= wall) {
            high = mid;
        } else {
            low = mid;
        }
    }
    return high;
}

/* The first slot of the local day that is later than after_s; every local time once. */
static bool next_fixed(const struct cron *c, const struct cron_zone *z, int64_t day,
                       int64_t after_s, int64_t *slot_s)
{
    for (int hour = 0; hour < 24; hour++) {
        int64_t wall = day * DAY_S + hour * 3600;

        if (!(c->hours >> hour & 1) || first_moment(z, wall + 59 * 60) <= after_s) {
            continue;
        }
        for (int minute = 0; minute < 60; minute++) {
            if (c->minutes >> minute & 1) {
                *slot_s = first_moment(z, wall + minute * 60);
                if (*slot_s > after_s) {
                    return true;
                }
            }
        }
    }
    return false;
}

/* The same for every minute that the clock really shows on that day. */
static bool next_shown(const struct cron *c, const struct cron_zone *z, int64_t day,
                       int64_t after_s, int64_t *slot_s)
{
    int64_t from = first_moment(z, day * DAY_S);
    int64_t until = first_moment(z, (day + 1) * DAY_S) + 3 * 3600; /* midnight may come twice */

    if (after_s >= from) {
        from = after_s + 60 - (local_s(z, after_s) % 60 + 60) % 60;
    }
    for (int64_t s = from; s < until; s += 60) {
        int64_t wall = local_s(z, s);

        if (floor_div(wall, DAY_S) == day && (c->minutes >> (wall - day * DAY_S) / 60 % 60 & 1) &&
            wall % 60 == 0) {
            *slot_s = s;
            return true;
        }
    }
    return false;
}

bool cron_next(const struct cron *c, const struct cron_zone *z, int64_t after_s, int64_t *slot_s)
{
    /* One day back: clocks that go back at midnight show the end of a day twice. */
    int64_t first = floor_div(local_s(z, after_s), DAY_S) - 1;

    for (int64_t day = first; day < first + CRON_HORIZON_DAYS; day++) {
        if (day_matches(c, day) &&
            (c->hours == ALL_HOURS ? next_shown : next_fixed)(c, z, day, after_s, slot_s)) {
            return true;
        }
    }
    return false;
}

/* Looks back further and further for a moment whose next slot is due, then closes in on the last.
 */
bool cron_prev(const struct cron *c, const struct cron_zone *z, int64_t at_s, int64_t *slot_s)
{
    static const int64_t BACK_S[] = {
        120, 3700, DAY_S, 32 * DAY_S, 400 * DAY_S, 3000 * DAY_S, (CRON_HORIZON_DAYS - 2) * DAY_S};
    int64_t low, high = at_s, found = 0;
    size_t i = 0;

    while (i < ARRAY_LEN(BACK_S) && !(cron_next(c, z, at_s - BACK_S[i], &found) && found <= at_s)) {
        i++;
    }
    if (i == ARRAY_LEN(BACK_S)) {
        return false;
    }
    low = found - 1; /* its next slot is due; that of at_s is not */
    while (high - low > 1) {
        int64_t mid = low + (high - low) / 2;

        if (cron_next(c, z, mid, &found) && found <= at_s) {
            low = found - 1 > mid ? found - 1 : mid;
        } else {
            high = mid;
        }
    }
    *slot_s = low + 1;
    return true;
}
