#include "common/conf.h"

#include <stdlib.h>
#include <string.h>

#include "common/text.h"

static const char *raw_value(const struct conf_item *item, bool *from_env)
{
    const char *v = getenv(item->name);

    *from_env = v && *v;
    return *from_env ? v : item->default_str;
}

static bool parse_bool(const char *s, bool *out)
{
    static const struct {
        const char *word;
        bool value;
    } WORDS[] = {{"1", true},  {"true", true},   {"yes", true}, {"on", true},
                 {"0", false}, {"false", false}, {"no", false}, {"off", false}};

    for (size_t i = 0; i < ARRAY_LEN(WORDS); i++) {
        if (strcmp(s, WORDS[i].word) == 0) {
            *out = WORDS[i].value;
            return true;
        }
    }
    return false;
}

static bool is_choice(const char *choices, const char *s)
{
    size_t len = strlen(s);

    for (const char *p = choices; p; p = strchr(p, '|') ? strchr(p, '|') + 1 : NULL) {
        if (strncmp(p, s, len) == 0 && (p[len] == '|' || p[len] == '\0') && len > 0) {
            return true;
        }
    }
    return false;
}

static bool load_one(const struct conf_item *item, void *settings, struct err *e)
{
    bool from_env;
    const char *raw = raw_value(item, &from_env);
    char *field = (char *)settings + item->offset;

    switch (item->type) {
    case CONF_T_STR:
        if (strlen(raw) > (size_t)item->max || text_has_control(raw, strlen(raw))) {
            return err_set(e, ERR_PERMANENT, "ConfigError",
                           "%s: longer than %" PRId64 " bytes or holds control characters",
                           item->name, item->max);
        }
        memcpy(field, &raw, sizeof raw);
        return true;
    case CONF_T_INT:
        if (!text_to_i64(raw, item->min, item->max, (int64_t *)(void *)field)) {
            return err_set(e, ERR_PERMANENT, "ConfigError",
                           "%s=%s: must be a whole number from %" PRId64 " to %" PRId64, item->name,
                           raw, item->min, item->max);
        }
        return true;
    case CONF_T_BOOL:
        if (!parse_bool(raw, (bool *)field)) {
            return err_set(e, ERR_PERMANENT, "ConfigError", "%s=%s: must be true or false",
                           item->name, raw);
        }
        return true;
    case CONF_T_CHOICE:
        if (!is_choice(item->choices, raw)) {
            return err_set(e, ERR_PERMANENT, "ConfigError", "%s=%s: must be one of %s", item->name,
                           raw, item->choices);
        }
        memcpy(field, &raw, sizeof raw);
        return true;
    }
    MUST(!"a known type");
}

bool conf_load(const struct conf_item *items, size_t n, void *settings, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        if (!load_one(&items[i], settings, e)) {
            return false;
        }
    }
    return true;
}

#define HELP_INDENT  27 /* where what a setting means stands */
#define HELP_COLUMNS 80

/* Text in the column of the meanings, broken at spaces; the first line is begun already. */
static void print_meaning(FILE *out, const char *text)
{
    int column = HELP_INDENT;

    while (*text) {
        int len = (int)strcspn(text, " ");

        if (column > HELP_INDENT && column + 1 + len > HELP_COLUMNS) {
            fprintf(out, "\n%*s", HELP_INDENT, "");
            column = HELP_INDENT;
        }
        column += fprintf(out, "%s%.*s", column > HELP_INDENT ? " " : "", len, text);
        text += len;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

/* A name that reaches into the column of the meanings has a line of its own. */
static void print_name(FILE *out, const char *name)
{
    if (strlen(name) > HELP_INDENT - 4) {
        fprintf(out, "  %s\n%*s", name, HELP_INDENT, "");
    } else {
        fprintf(out, "  %-*s", HELP_INDENT - 2, name);
    }
}

void conf_print_help(const struct conf_item *items, size_t n, FILE *out)
{
    fputs("Settings (environment variables):\n", out);
    for (size_t i = 0; i < n; i++) {
        const struct conf_item *item = &items[i];

        print_name(out, item->name);
        print_meaning(out, item->help);
        fprintf(out, "%*sdefault: %s", HELP_INDENT, "",
                *item->default_str ? item->default_str : "(none)");
        if (item->type == CONF_T_INT) {
            fprintf(out, "; %" PRId64 " to %" PRId64, item->min, item->max);
        } else if (item->type == CONF_T_CHOICE) {
            fprintf(out, "; one of %s", item->choices);
        }
        fputc('\n', out);
    }
}

void conf_each(const struct conf_item *items, size_t n,
               void (*fn)(void *ctx, const struct conf_item *item, const char *value,
                          bool from_env),
               void *ctx)
{
    for (size_t i = 0; i < n; i++) {
        bool from_env;
        const char *v = raw_value(&items[i], &from_env);

        if (items[i].flag == CONF_SECRET && *v) {
            v = "***";
        } else if (items[i].flag == CONF_SECRET_URL) {
            v = conf_mask_url(v);
        }
        fn(ctx, &items[i], v, from_env);
    }
}

static void print_item(void *out, const struct conf_item *item, const char *value, bool from_env)
{
    fprintf(out, "%s=%s  (%s)\n", item->name, value, from_env ? "environment" : "default");
}

void conf_print_effective(const struct conf_item *items, size_t n, FILE *out)
{
    conf_each(items, n, print_item, out);
}

/* Everything from start up to the next of `stops` (or the end) becomes ***. */
static void mask_span(char *url, size_t cap, char *start, const char *stops)
{
    char rest[1024];
    size_t left = cap - (size_t)(start - url);

    text_copy(rest, sizeof rest, start + strcspn(start, stops));
    if (left > 4) {
        memcpy(start, "***", 4);
        text_copy(start + 3, left - 3, rest);
    }
}

/* password=x and sslpassword=x, in a URL's query or in libpq's "key = 'value'" notation. */
static void mask_passwords(char *out, size_t cap)
{
    static const char KEY[] = "password";
    char *p = out;

    while ((p = strstr(p, KEY)) != NULL) {
        p += strlen(KEY);
        p += strspn(p, " ");
        if (*p == '=') {
            p += 1 + strspn(p + 1, " ");
            mask_span(out, cap, p, *p == '\'' ? "" : "& "); /* quoted: to the end */
        }
    }
}

const char *conf_mask_url(const char *url)
{
    static __thread char out[1024];
    char *scheme, *at, *secret;

    text_copy(out, sizeof out, url);
    scheme = strstr(out, "://");
    if (scheme) {
        char *host = scheme + 3;
        size_t authority = strcspn(host, "/?");

        /* "redis://secret@host": what stands alone there is a password. */
        at = memrchr(host, '@', authority);
        secret = at ? memchr(host, ':', (size_t)(at - host)) : NULL;
        if (at && !secret && strncmp(out, "redis", 5) == 0) {
            secret = host - 1;
        }
        if (secret) {
            char rest[1024];

            text_copy(rest, sizeof rest, at);
            secret++;
            snprintf(secret, sizeof out - (size_t)(secret - out), "***%s", rest);
        }
    }
    mask_passwords(out, sizeof out);
    return out;
}
