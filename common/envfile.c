#include "common/envfile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"

#define BLANKS " \t\r"

static bool refuse(struct err *e, int line, const char *what)
{
    return err_set(e, ERR_PERMANENT, "ConfigError", "line %d: %s", line, what);
}

/* The name's length when s starts with NAME=, else 0. */
static size_t name_length(const char *s)
{
    static const char LETTERS[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    static const char ALL[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
    size_t len = strspn(s, ALL);

    return len > 0 && strchr(LETTERS, s[0]) && s[len] == '=' ? len : 0;
}

/* Takes the quotes off in place. NULL: the closing one is missing or something follows it. */
static char *unquote(char *s)
{
    char quote = *s;
    char *out = s;
    char *p = s + 1;

    for (; *p && *p != quote; p++) {
        if (quote == '"' && *p == '\\' && p[1] && strchr("\"\\$`", p[1])) {
            p++;
        }
        *out++ = *p;
    }
    if (*p != quote || p[1 + strspn(p + 1, BLANKS)] != '\0') {
        return NULL;
    }
    *out = '\0';
    return s;
}

/* Cuts the blanks off the end. */
static void trim(char *s)
{
    size_t len = strlen(s);

    while (len > 0 && strchr(BLANKS, s[len - 1])) {
        len--;
    }
    s[len] = '\0';
}

static bool parse_line(char *s, int line, envfile_take_fn take, void *ctx, struct err *e)
{
    size_t len;
    char *value;

    s += strspn(s, BLANKS);
    if (*s == '\0' || *s == '#' || *s == ';') {
        return true;
    }
    len = name_length(s);
    if (len == 0) {
        return refuse(e, line, "expected NAME=value");
    }
    s[len] = '\0';
    value = s + len + 1;
    value += strspn(value, BLANKS);
    if (*value == '"' || *value == '\'') {
        value = unquote(value);
    } else {
        trim(value);
    }
    if (!value) {
        return refuse(e, line, "quotes that do not match");
    }
    if (text_has_control(value, strlen(value))) {
        return refuse(e, line, "a control character");
    }
    return take(ctx, s, value, e);
}

bool envfile_parse(const char *text, size_t len, envfile_take_fn take, void *ctx, struct err *e)
{
    char *copy, *next;
    bool ok = true;

    if (len > ENVFILE_BYTES_MAX || memchr(text, '\0', len) || !text_is_utf8(text, len)) {
        return err_set(e, ERR_PERMANENT, "ConfigError",
                       "expected at most %zu bytes of UTF-8 without NUL", ENVFILE_BYTES_MAX);
    }
    copy = strndup(text, len);
    if (!copy) {
        return err_set(e, ERR_RETRYABLE, "MemoryError", "out of memory");
    }
    next = copy;
    for (int line = 1; ok && next; line++) {
        char *s = next;

        next = strchr(s, '\n');
        if (next) {
            *next++ = '\0';
        }
        ok = parse_line(s, line, take, ctx, e);
    }
    free(copy);
    return ok;
}

static bool take_nothing(UNUSED void *ctx, UNUSED const char *name, UNUSED const char *value,
                         UNUSED struct err *e)
{
    return true;
}

static bool take_into_environment(UNUSED void *ctx, const char *name, const char *value,
                                  struct err *e)
{
    return setenv(name, value, 1) == 0 || err_set(e, ERR_RETRYABLE, "MemoryError", "out of memory");
}

/* NULL and *e when it cannot be read. */
static char *read_file(const char *path, size_t *len, struct err *e)
{
    FILE *f = fopen(path, "re");
    char *text = f ? malloc(ENVFILE_BYTES_MAX + 2) : NULL;

    if (text) {
        *len = fread(text, 1, ENVFILE_BYTES_MAX + 1, f);
    }
    if (!text || ferror(f)) {
        err_set(e, ERR_PERMANENT, "ConfigError", "%s", strerror(errno));
        free(text);
        text = NULL;
    }
    if (f) {
        fclose(f);
    }
    return text;
}

bool envfile_load(const char *path, struct err *e)
{
    size_t len = 0;
    char *text = read_file(path, &len, e);
    bool ok = text && envfile_parse(text, len, take_nothing, NULL, e) &&
              envfile_parse(text, len, take_into_environment, NULL, e);

    free(text);
    return ok || err_prefix(e, path);
}
