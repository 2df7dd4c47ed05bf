#include "worker/rate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 23

static bool bad_number(const char *text, size_t len, struct err *e)
{
    return err_set(e, ERR_PERMANENT, "ValueError",
                   "ValueError(\"could not convert string to float: '%.*s'\")", (int)len, text);
}

bool rate_parse(const char *text, double *per_s, struct err *e)
{
    size_t len = strcspn(text, "/");
    const char *unit = text[len] ? text + len + 1 : "s";
    double divisor = strcmp(unit, "h") == 0 ? 3600 : strcmp(unit, "m") == 0 ? 60 : 1;
    char *end;
    double n;

    if (text[0] == '\0') {
        *per_s = 0;
        return true;
    }
    if (strlen(text) > TEXT_MAX || strspn(text, "0123456789.") != len || len == 0) {
        return bad_number(text, len < TEXT_MAX ? len : TEXT_MAX, e);
    }
    if (divisor == 1 && strcmp(unit, "s") != 0) {
        return err_set(e, ERR_PERMANENT, "ValueError", "KeyError('%s')", unit);
    }
    n = strtod(text, &end);
    if (end != text + len || !isfinite(n)) {
        return bad_number(text, len, e);
    }
    *per_s = n / divisor;
    return true;
}
