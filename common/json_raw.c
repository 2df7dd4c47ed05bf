#include "common/json_raw.h"

#include <ctype.h>
#include <string.h>

#include "common/json.h"

static void skip_space(const char **at, const char *end)
{
    while (*at < end && memchr(" \t\r\n", **at, 4)) {
        (*at)++;
    }
}

bool json_raw_char(const char **at, const char *end, char c)
{
    skip_space(at, end);
    if (*at < end && **at == c) {
        (*at)++;
        return true;
    }
    return false;
}

static bool skip_word(const char **at, const char *end, const char *word)
{
    size_t len = strlen(word);

    if ((size_t)(end - *at) < len || memcmp(*at, word, len) != 0) {
        return false;
    }
    *at += len;
    return true;
}

static bool skip_string(const char **at, const char *end)
{
    if (!skip_word(at, end, "\"")) {
        return false;
    }
    while (*at < end && **at != '"') {
        if ((unsigned char)**at < 0x20 || (**at == '\\' && ++*at == end)) {
            return false;
        }
        (*at)++;
    }
    return skip_word(at, end, "\"");
}

static bool skip_digits(const char **at, const char *end)
{
    const char *from = *at;

    while (*at < end && isdigit((unsigned char)**at)) {
        (*at)++;
    }
    return *at > from;
}

static bool skip_number(const char **at, const char *end)
{
    skip_word(at, end, "-");
    if (!skip_digits(at, end) || (skip_word(at, end, ".") && !skip_digits(at, end))) {
        return false;
    }
    if (*at < end && (**at == 'e' || **at == 'E')) {
        (*at)++;
        if (*at < end && (**at == '+' || **at == '-')) {
            (*at)++;
        }
        return skip_digits(at, end);
    }
    return true;
}

static bool skip_scalar(const char **at, const char *end)
{
    static const char *const WORDS[] = {"null", "true", "false", "NaN", "Infinity", "-Infinity"};

    for (size_t i = 0; i < ARRAY_LEN(WORDS); i++) {
        if (skip_word(at, end, WORDS[i])) {
            return true;
        }
    }
    return *at < end && **at == '"' ? skip_string(at, end) : skip_number(at, end);
}

static bool skip_value(const char **at, const char *end, int depth);

/* Members of an array or of an object, up to and with the closing bracket. */
static bool skip_members(const char **at, const char *end, bool named, int depth)
{
    char close = named ? '}' : ']';

    if (json_raw_char(at, end, close)) {
        return true;
    }
    do {
        skip_space(at, end);
        if (named && (!skip_string(at, end) || !json_raw_char(at, end, ':'))) {
            return false;
        }
        if (!skip_value(at, end, depth)) {
            return false;
        }
    } while (json_raw_char(at, end, ','));
    return json_raw_char(at, end, close);
}

static bool skip_value(const char **at, const char *end, int depth)
{
    skip_space(at, end);
    if (depth > JSON_DEPTH_MAX) {
        return false;
    }
    if (skip_word(at, end, "[")) {
        return skip_members(at, end, false, depth + 1);
    }
    if (skip_word(at, end, "{")) {
        return skip_members(at, end, true, depth + 1);
    }
    return skip_scalar(at, end);
}

bool json_raw_value(const char **at, const char *end, struct json_span *value)
{
    skip_space(at, end);
    value->at = *at;
    if (!skip_value(at, end, 0)) {
        return false;
    }
    value->len = (size_t)(*at - value->at);
    return true;
}
