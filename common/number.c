#include "common/number.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * No decimal needs more than 768 digits to be told from its neighbours' midpoint; what follows
 * matters only by being zero or not.
 */
#define DIGITS_MAX     800
#define EXPONENT_CLAMP INT64_C(1000000000000)
#define LIMIT_EXPONENT 13 /* 1e12 is 0.1 * 10^13 */

/* 0.DIGITS * 10^exponent, without leading zeros. */
struct decimal {
    char digits[DIGITS_MAX];
    size_t count;        /* significant digits seen, trailing zeros included */
    size_t last_nonzero; /* how many of them there are without trailing zeros */
    int64_t exponent;
    bool negative;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static void add_digit(struct decimal *d, char c)
{
    if (d->count < DIGITS_MAX) {
        d->digits[d->count] = c;
    }
    d->count++;
    if (c != '0') {
        d->last_nonzero = d->count;
    }
}

/* The part before the point: 0, or digits that do not start with 0. */
static const char *read_whole_part(const char *p, const char *end, struct decimal *d)
{
    if (p == end || !is_digit(*p)) {
        return NULL;
    }
    if (*p == '0') {
        return p + 1;
    }
    for (; p < end && is_digit(*p); p++) {
        add_digit(d, *p);
        d->exponent++;
    }
    return p;
}

/* At the point. */
static const char *read_fraction(const char *p, const char *end, struct decimal *d)
{
    const char *first = ++p;

    for (; p < end && is_digit(*p); p++) {
        if (d->count == 0 && *p == '0') {
            d->exponent--;
        } else {
            add_digit(d, *p);
        }
    }
    return p > first ? p : NULL;
}

/* At the e. */
static const char *read_exponent(const char *p, const char *end, struct decimal *d)
{
    int64_t value = 0;
    bool negative = false;
    const char *first;

    p++;
    if (p < end && (*p == '+' || *p == '-')) {
        negative = *p == '-';
        p++;
    }
    for (first = p; p < end && is_digit(*p); p++) {
        if (value < EXPONENT_CLAMP) {
            value = value * 10 + (*p - '0');
        }
    }
    d->exponent += negative ? -value : value;
    return p > first ? p : NULL;
}

static const char *read_decimal(const char *p, const char *end, struct decimal *d)
{
    d->count = d->last_nonzero = 0;
    d->exponent = 0;
    d->negative = p < end && *p == '-';
    p = read_whole_part(d->negative ? p + 1 : p, end, d);
    if (p && p < end && *p == '.') {
        p = read_fraction(p, end, d);
    }
    if (p && p < end && (*p == 'e' || *p == 'E')) {
        p = read_exponent(p, end, d);
    }
    return p;
}

static bool above_limit(const struct decimal *d)
{
    if (d->last_nonzero == 0 || d->exponent < LIMIT_EXPONENT) {
        return false;
    }
    return d->exponent > LIMIT_EXPONENT || d->digits[0] > '1' || d->last_nonzero > 1;
}

/*
 * A mantissa below 2^53 and a power of ten up to 10^22 are doubles, so one division or
 * multiplication of them rounds once and correctly.
 */
static bool exact_small(const struct decimal *d, double *out)
{
    static const double POWERS[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    int64_t shift = d->exponent - (int64_t)d->last_nonzero;
    uint64_t mantissa = 0;

    if (d->last_nonzero > 15 || shift < -22 || shift > 22) {
        return false;
    }
    for (size_t i = 0; i < d->last_nonzero; i++) {
        mantissa = mantissa * 10 + (uint64_t)(d->digits[i] - '0');
    }
    *out = shift < 0 ? (double)mantissa / POWERS[-shift] : (double)mantissa * POWERS[shift];
    return true;
}

static double nearest_double(const struct decimal *d)
{
    char text[DIGITS_MAX + 48];
    size_t n = d->last_nonzero < DIGITS_MAX ? d->last_nonzero : DIGITS_MAX;
    double v;

    if (n == 0 || d->exponent < -400) {
        return 0.0; /* far below the least double */
    }
    if (exact_small(d, &v)) {
        return v;
    }
    memcpy(text, "0.", 2);
    memcpy(text + 2, d->digits, n);
    snprintf(text + 2 + n, sizeof text - 2 - n, "%se%" PRId64,
             d->last_nonzero > DIGITS_MAX ? "1" : "", d->exponent);
    return strtod(text, NULL);
}

size_t number_read(const char *text, size_t len, struct number *out)
{
    struct decimal d;
    const char *end = read_decimal(text, text + len, &d);

    if (!end) {
        return 0;
    }
    out->negative = d.negative && d.last_nonzero > 0;
    out->above = !out->negative && above_limit(&d);
    out->whole = (int64_t)d.last_nonzero <= d.exponent || d.last_nonzero == 0;
    out->value = out->negative || out->above ? 0.0 : nearest_double(&d);
    return (size_t)(end - text);
}
