#include "api/html.h"

#include <string.h>

static const char *entity_of(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

/* Bytes of the direction mark that s begins with, 0: none. */
static size_t mark_length(const char *s)
{
    static const char *const MARKS[] = {
        "\xe2\x80\x8e", "\xe2\x80\x8f", "\xe2\x80\xaa", "\xe2\x80\xab",
        "\xe2\x80\xac", "\xe2\x80\xad", "\xe2\x80\xae", "\xe2\x81\xa6",
        "\xe2\x81\xa7", "\xe2\x81\xa8", "\xe2\x81\xa9", "\xd8\x9c",
    };

    if (*s != '\xe2' && *s != '\xd8') {
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(MARKS); i++) {
        if (strncmp(s, MARKS[i], strlen(MARKS[i])) == 0) {
            return strlen(MARKS[i]);
        }
    }
    return 0;
}

void html_add_text(struct buf *b, const char *s)
{
    while (*s) {
        const char *entity = entity_of(*s);
        size_t mark = mark_length(s);

        if (entity) {
            buf_addstr(b, entity);
        } else if (mark == 0) {
            buf_addch(b, *s);
        }
        s += mark ? mark : 1;
    }
}

typedef void (*add_fn)(struct buf *b, const char *s);

static void add_plain(struct buf *b, const char *s)
{
    buf_addstr(b, s);
}

static void fill(struct buf *b, const char *template, html_value_fn value, const void *arg,
                 add_fn add)
{
    for (const char *open; (open = strstr(template, "{{")) != NULL;) {
        const char *close = strstr(open, "}}");
        const char *text = close ? value(arg, open + 2, (size_t)(close - open - 2)) : NULL;

        MUST(text); /* templates are ours */
        buf_add(b, template, (size_t)(open - template));
        add(b, text);
        template = close + 2;
    }
    buf_addstr(b, template);
}

void html_fill(struct buf *b, const char *template, html_value_fn value, const void *arg)
{
    fill(b, template, value, arg, add_plain);
}

void html_fill_escaped(struct buf *b, const char *template, html_value_fn value, const void *arg)
{
    fill(b, template, value, arg, html_add_text);
}
