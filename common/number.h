#ifndef COMMON_NUMBER_H
#define COMMON_NUMBER_H

#include "common/base.h"

/* A JSON number of any length, judged on its decimal digits. */
struct number {
    double value; /* the nearest double; only when neither negative nor above the limit */
    bool negative;
    bool above; /* more than NUMBER_LIMIT */
    bool whole;
};
#define NUMBER_LIMIT      1e12
#define NUMBER_LIMIT_TEXT "1e12"

/* Reads one number at the start of text; the bytes it took, or 0 when there is none. */
size_t number_read(const char *text, size_t len, struct number *out);

#endif
