#include "common/clock.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/text.h"

int64_t clock_mono_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t clock_mono_ms(void)
{
    return clock_mono_us() / 1000;
}

int64_t clock_wall_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* "2025-12-31T21:47:16", made once a second: log lines and results ask for it all the time. */
static const char *second_text(int64_t second)
{
    static __thread int64_t known = INT64_MIN;
    static __thread char text[CLOCK_ISO_SIZE];
    time_t t = (time_t)second;
    struct tm tm;

    if (second != known) {
        MUST(gmtime_r(&t, &tm));
        snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d", tm.tm_year + 1900,
                 tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
        known = second;
    }
    return text;
}

const char *clock_iso(int64_t wall_us, const char *suffix, char buf[CLOCK_ISO_SIZE])
{
    int64_t us = wall_us % 1000000;
    const char *second;
    size_t len;

    if (us < 0) {
        us += 1000000;
    }
    second = second_text((wall_us - us) / 1000000);
    len = strlen(second);
    memcpy(buf, second, len);
    buf[len] = '.';
    for (size_t i = len + 6; i > len; i--) {
        buf[i] = (char)('0' + us % 10);
        us /= 10;
    }
    snprintf(buf + len + 7, CLOCK_ISO_SIZE - len - 7, "%s", suffix);
    return buf;
}

/* n digits at *s within min..max; moves *s on. */
static bool digits(const char **s, int n, int min, int max, int *out)
{
    int64_t v;

    for (int i = 0; i < n; i++) {
        if (!isdigit((unsigned char)(*s)[i])) {
            return false;
        }
    }
    if (!text_n_to_i64(*s, (size_t)n, min, max, &v)) {
        return false;
    }
    *s += n;
    *out = (int)v;
    return true;
}

static bool literal(const char **s, char c)
{
    if (**s != c) {
        return false;
    }
    (*s)++;
    return true;
}

/* ".123456789" or nothing; more than microseconds is cut off. */
static bool fraction(const char **s, int64_t *us)
{
    int64_t scale = 100000;

    *us = 0;
    if (!literal(s, '.')) {
        return true;
    }
    if (!isdigit((unsigned char)**s)) {
        return false;
    }
    for (; isdigit((unsigned char)**s); (*s)++) {
        *us += (**s - '0') * scale;
        scale /= 10;
    }
    return true;
}

/* "", "Z", "+05:30", "+0530": seconds east of UTC. */
static bool zone(const char **s, int *east_s)
{
    int sign = **s == '-' ? -1 : 1, hours, minutes;

    *east_s = 0;
    if (**s == '\0' || literal(s, 'Z')) {
        return **s == '\0';
    }
    if (!literal(s, '+') && !literal(s, '-')) {
        return false;
    }
    if (!digits(s, 2, 0, 23, &hours)) {
        return false;
    }
    (void)literal(s, ':');
    if (!digits(s, 2, 0, 59, &minutes)) {
        return false;
    }
    *east_s = sign * (hours * 3600 + minutes * 60);
    return **s == '\0';
}

bool clock_parse_iso(const char *s, int64_t *wall_us)
{
    struct tm tm = {0};
    int year, month, east_s;
    int64_t us;
    time_t t;

    if (!digits(&s, 4, 1970, 9999, &year) || !literal(&s, '-') || !digits(&s, 2, 1, 12, &month) ||
        !literal(&s, '-') || !digits(&s, 2, 1, 31, &tm.tm_mday) ||
        !(literal(&s, 'T') || literal(&s, ' ')) || !digits(&s, 2, 0, 23, &tm.tm_hour) ||
        !literal(&s, ':') || !digits(&s, 2, 0, 59, &tm.tm_min) || !literal(&s, ':') ||
        !digits(&s, 2, 0, 60, &tm.tm_sec) || !fraction(&s, &us) || !zone(&s, &east_s)) {
        return false;
    }
    tm.tm_year = year - 1900;
    tm.tm_mon = month - 1;
    t = timegm(&tm);
    if (tm.tm_mon != month - 1) {
        return false; /* timegm moved on from something like February 30 */
    }
    *wall_us = ((int64_t)t - east_s) * 1000000 + us;
    return true;
}
