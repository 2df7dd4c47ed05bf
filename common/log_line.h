#ifndef COMMON_LOG_LINE_H
#define COMMON_LOG_LINE_H

#include "common/base.h"

/* Lines of the log as text: reading logfmt, and the same as JSON. Pure. */

/* One key=value of a line; both point into it. */
struct log_field {
    const char *key;
    size_t key_len;
    const char *value; /* without its quotes, escapes as they are */
    size_t len;
    bool quoted;
};
/* The next one; *at moves behind it. False at the end. A word without "=" is a key without value.
 */
bool log_next_field(const char **at, struct log_field *f);
bool log_has_field(const char *line, const char *key);

/* So that a line is written whole, whatever reads it: what one write() puts into a pipe at once. */
#define LOG_JSON_MAX 4000
/*
 * The line as one JSON object: numbers that stand without quotes are numbers, everything else is
 * text. A key that was there before gets a number ("pid_2"). What is no UTF-8 becomes U+FFFD. What
 * would be too long is cut off, and "clipped":true says so. Returns the length.
 */
size_t log_to_json(const char *line, char out[LOG_JSON_MAX]);

#endif
