#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/json.h"

/*
 * cJSON's own printer takes 15 digits for enough when the rest is "close", and writes large whole
 * numbers as 1e+15: values that pass through us would change, and Python would read a float
 * where an int was sent.
 */
#define PRINT_BYTES_MAX ((size_t)1 << 31)
#define WHOLE_MAX       1e17 /* beyond, a double has no digits to show */

static bool add_number(struct buf *out, double v)
{
    char text[40];
    int digits = 15;

    if (!isfinite(v)) {
        return buf_addstr(out, "null");
    }
    if (v == floor(v) && fabs(v) < WHOLE_MAX) {
        return buf_addf(out, "%.0f", v);
    }
    do {
        snprintf(text, sizeof text, "%.*g", digits, v);
    } while (strtod(text, NULL) != v && ++digits <= 17);
    return buf_addstr(out, text);
}

static bool add_value(struct buf *out, const cJSON *v);

static bool add_members(struct buf *out, const cJSON *v, bool named)
{
    bool ok = buf_addch(out, named ? '{' : '[');

    for (const cJSON *i = v->child; ok && i; i = i->next) {
        if (named) {
            ok = buf_add_json(out, i->string, strlen(i->string)) && buf_addch(out, ':');
        }
        ok = ok && add_value(out, i) && (!i->next || buf_addch(out, ','));
    }
    return ok && buf_addch(out, named ? '}' : ']');
}

/* As deep as the value is: json_parse bounds that. */
static bool add_value(struct buf *out, const cJSON *v)
{
    switch (v->type & 0xff) {
    case cJSON_String:
        return buf_add_json(out, v->valuestring, strlen(v->valuestring));
    case cJSON_Number:
        return add_number(out, v->valuedouble);
    case cJSON_Object:
        return add_members(out, v, true);
    case cJSON_Array:
        return add_members(out, v, false);
    case cJSON_True:
        return buf_addstr(out, "true");
    case cJSON_False:
        return buf_addstr(out, "false");
    case cJSON_Raw:
        return buf_addstr(out, v->valuestring);
    default:
        return buf_addstr(out, "null");
    }
}

bool json_add(struct buf *out, const cJSON *v)
{
    return v && add_value(out, v);
}

char *json_print(const cJSON *v)
{
    struct buf out;

    buf_init(&out, PRINT_BYTES_MAX);
    if (!json_add(&out, v)) {
        buf_fini(&out);
        return NULL;
    }
    return buf_take(&out, NULL);
}
