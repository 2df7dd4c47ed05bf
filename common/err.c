#include "common/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/text.h"

/*
 * An error is one line of UTF-8: library messages bring newlines with them, a server may speak in
 * another encoding before a session stands, and clipping can cut a character in two. Messages and
 * tables would refuse such a text, and with it why the task failed.
 */
static void make_presentable(char *s)
{
    size_t len = strlen(s);

    text_make_utf8(s);
    while (len > 0 && (s[len - 1] == '\n' || s[len - 1] == ' ')) {
        s[--len] = '\0';
    }
    for (; *s; s++) {
        if ((unsigned char)*s < 0x20 || *s == 0x7f) {
            *s = ' '; /* what a file holds must not steer the terminal either */
        }
    }
}

bool err_set(struct err *e, enum err_class cls, const char *type, const char *fmt, ...)
{
    char text[sizeof e->text]; /* an argument may be e->text itself */
    va_list ap;

    if (!e) {
        return false;
    }
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    make_presentable(text);
    e->cls = cls;
    text_copy(e->type, sizeof e->type, type);
    memcpy(e->text, text, sizeof text);
    e->wait_s = 0;
    return false;
}

bool err_prefix(struct err *e, const char *what)
{
    char text[sizeof e->text];

    if (e) {
        text_copy(text, sizeof text, e->text);
        snprintf(e->text, sizeof e->text, "%.120s: %.270s", what, text);
        text_make_utf8(e->text);
    }
    return false;
}

const char *err_class_name(enum err_class cls)
{
    static const char *const NAMES[ERR_CLASS_COUNT] = {
        [ERR_NONE] = "none",           [ERR_RETRYABLE] = "retryable", [ERR_PERMANENT] = "permanent",
        [ERR_CANCELLED] = "cancelled", [ERR_LOST] = "lost",
    };

    MUST(cls < ERR_CLASS_COUNT);
    return NAMES[cls];
}
