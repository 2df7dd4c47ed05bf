#include "api/cors.h"

#include <string.h>

static const char SPACES[] = " \t";

/* The next origin of the list, without spaces around; false at its end. */
static bool next_origin(const char **list, const char **origin, size_t *len)
{
    *list += strspn(*list, " \t,");
    if (!**list) {
        return false;
    }
    *origin = *list;
    *len = strcspn(*list, ",");
    *list += *len;
    while (*len > 0 && strchr(SPACES, (*origin)[*len - 1])) {
        (*len)--;
    }
    return true;
}

/* scheme://host[:port], as browsers send it: no path, no user, nothing in upper case. */
static bool is_origin(const char *s, size_t len)
{
    static const char *const SCHEMES[] = {"https://", "http://"};

    for (size_t i = 0; i < ARRAY_LEN(SCHEMES); i++) {
        size_t n = strlen(SCHEMES[i]);

        if (len <= n || strncmp(s, SCHEMES[i], n) != 0) {
            continue;
        }
        for (size_t k = n; k < len; k++) {
            if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789.-:[]", s[k])) {
                return false;
            }
        }
        return true;
    }
    return false;
}

bool cors_is_origin(const char *s)
{
    return is_origin(s, strlen(s));
}

bool cors_check_list(const char *list, struct err *e)
{
    const char *origin;
    size_t len;

    if (strcmp(list, "*") == 0) {
        return true;
    }
    while (next_origin(&list, &origin, &len)) {
        if (!is_origin(origin, len)) {
            return err_set(e, ERR_PERMANENT, "ConfigError",
                           "CORS_ORIGINS: expected \"*\" or origins as https://example.org, with "
                           "commas between, not \"%.*s\"",
                           (int)(len < 100 ? len : 100), origin);
        }
    }
    return true;
}

bool cors_allows(const char *list, const char *origin)
{
    const char *one;
    size_t len;

    if (strcmp(list, "*") == 0) {
        return true;
    }
    while (next_origin(&list, &one, &len)) {
        if (strlen(origin) == len && memcmp(one, origin, len) == 0) {
            return true;
        }
    }
    return false;
}
