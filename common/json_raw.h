#ifndef COMMON_JSON_RAW_H
#define COMMON_JSON_RAW_H

#include "common/base.h"

/*
 * Walks over JSON text without reading it into anything, for values that are only passed on: their
 * digits stay as they are, and so do NaN, Infinity and -Infinity, which Python writes and which
 * are no JSON. Strict otherwise, but for escapes in strings; the caller sees to it that the text is
 * UTF-8.
 */
struct json_span {
    const char *at;
    size_t len;
};

/* The value that begins at *at (white space before it is skipped); *at is behind it then. False
 * when there is none or it is nested deeper than JSON_DEPTH_MAX. */
bool json_raw_value(const char **at, const char *end, struct json_span *value) MUST_CHECK;
/* Skips white space and then the character; false when another one is there. */
bool json_raw_char(const char **at, const char *end, char c) MUST_CHECK;

#endif
