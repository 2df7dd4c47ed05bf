#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "api/admin/route.h"
#include "common/text.h"

static PRINTF_LIKE(3, 4) bool refuse(struct query_error *e, const char *param, const char *fmt, ...)
{
    va_list ap;

    text_copy(e->param, sizeof e->param, param);
    text_make_utf8(e->param);
    va_start(ap, fmt);
    vsnprintf(e->detail, sizeof e->detail, fmt, ap);
    va_end(ap);
    return false;
}

bool admin_is_word(const char *words, const char *text)
{
    size_t len = strlen(text);

    for (const char *w = words; *w; w += strcspn(w, "|"), w += *w == '|') {
        if (strcspn(w, "|") == len && memcmp(w, text, len) == 0) {
            return true;
        }
    }
    return false;
}

static bool check_text(const struct admin_field *f, const cJSON *v, struct query_error *e)
{
    const char *text = cJSON_GetStringValue(v);
    size_t chars = text ? text_utf8_count(text, strlen(text)) : 0;

    if (f->words) {
        return (text && admin_is_word(f->words, text)) ||
               refuse(e, f->name, "%s must be one of %s.", f->name, f->words);
    }
    return (text && !text_has_control(text, strlen(text)) && chars >= (size_t)f->min &&
            chars <= (size_t)f->max) ||
           refuse(e, f->name,
                  "%s must be text of %" PRId64 " to %" PRId64
                  " characters, without control characters.",
                  f->name, f->min, f->max);
}

static bool check_int(const struct admin_field *f, const cJSON *v, struct query_error *e)
{
    double d = cJSON_GetNumberValue(v);

    return (cJSON_IsNumber(v) && d >= (double)f->min && d <= (double)f->max &&
            d == (double)(int64_t)d) ||
           refuse(e, f->name, "%s must be a whole number from %" PRId64 " to %" PRId64 ".", f->name,
                  f->min, f->max);
}

static bool check_bool(const struct admin_field *f, const cJSON *v, struct query_error *e)
{
    return cJSON_IsBool(v) || refuse(e, f->name, "%s must be true or false.", f->name);
}

static bool check_object(const struct admin_field *f, const cJSON *v, struct query_error *e)
{
    return cJSON_IsObject(v) || refuse(e, f->name, "%s must be an object.", f->name);
}

static bool check_array(const struct admin_field *f, const cJSON *v, struct query_error *e)
{
    return cJSON_IsArray(v) || refuse(e, f->name, "%s must be an array.", f->name);
}

#define TEXTS_CHARS 255 /* of each */

static bool check_texts(const struct admin_field *f, const cJSON *v, struct query_error *e)
{
    const struct admin_field one = {.name = f->name, .min = 1, .max = TEXTS_CHARS};
    const cJSON *item;
    int64_t n = 0;

    if (!check_array(f, v, e)) {
        return false;
    }
    cJSON_ArrayForEach(item, v)
    {
        if (++n > f->max || !check_text(&one, item, e)) {
            break;
        }
    }
    return (!item && n >= f->min) ||
           refuse(e, f->name, "%s must be an array of %" PRId64 " to %" PRId64 " texts.", f->name,
                  f->min, f->max);
}

static const struct {
    const char *type; /* in the description */
    bool (*check)(const struct admin_field *f, const cJSON *v, struct query_error *e);
} KINDS[] = {
    [ADMIN_TEXT] = {"string", check_text},  [ADMIN_INT] = {"integer", check_int},
    [ADMIN_BOOL] = {"boolean", check_bool}, [ADMIN_OBJECT] = {"object", check_object},
    [ADMIN_ARRAY] = {"array", check_array}, [ADMIN_TEXTS] = {"array", check_texts},
};

static const struct admin_field *find_field(const struct admin_field *fields, size_t n,
                                            const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(fields[i].name, name) == 0) {
            return &fields[i];
        }
    }
    return NULL;
}

/* How often the name comes in the object. */
static int count_of(const cJSON *body, const char *name)
{
    int n = 0;

    for (const cJSON *m = body->child; m; m = m->next) {
        n += strcmp(m->string, name) == 0;
    }
    return n;
}

bool admin_check_body(const cJSON *body, const struct admin_field *fields, size_t n,
                      struct query_error *e)
{
    for (const cJSON *m = body->child; m; m = m->next) {
        const struct admin_field *f = find_field(fields, n, m->string);

        if (!f) {
            return refuse(e, m->string, "The body has a member that is not known.");
        }
        if (!KINDS[f->kind].check(f, m, e)) {
            return false;
        }
    }
    for (size_t i = 0; i < n; i++) {
        int times = count_of(body, fields[i].name);

        if (times > 1) {
            return refuse(e, fields[i].name, "The body has %s more than once.", fields[i].name);
        }
        if (times == 0 && fields[i].required) {
            return refuse(e, fields[i].name, "%s is missing.", fields[i].name);
        }
    }
    return true;
}

static void add_words(cJSON *schema, const char *words)
{
    cJSON *list = cJSON_AddArrayToObject(schema, "enum");

    for (const char *w = words; *w; w += strcspn(w, "|"), w += *w == '|') {
        char word[64];

        snprintf(word, sizeof word, "%.*s", (int)strcspn(w, "|"), w);
        cJSON_AddItemToArray(list, cJSON_CreateString(word));
    }
}

static void add_bounds(cJSON *schema, const struct admin_field *f)
{
    static const char *const BOUNDS[][2] = {
        [ADMIN_TEXT] = {"minLength", "maxLength"},
        [ADMIN_INT] = {"minimum", "maximum"},
        [ADMIN_BOOL] = {NULL, NULL},
        [ADMIN_OBJECT] = {NULL, NULL},
        [ADMIN_ARRAY] = {NULL, NULL},
        [ADMIN_TEXTS] = {"minItems", "maxItems"},
    };

    if (f->words) {
        add_words(schema, f->words);
    } else if (BOUNDS[f->kind][0]) {
        cJSON_AddNumberToObject(schema, BOUNDS[f->kind][0], (double)f->min);
        cJSON_AddNumberToObject(schema, BOUNDS[f->kind][1], (double)f->max);
    }
    if (f->kind == ADMIN_TEXTS) {
        cJSON *items = cJSON_AddObjectToObject(schema, "items");

        cJSON_AddStringToObject(items, "type", "string");
        cJSON_AddNumberToObject(items, "minLength", 1);
        cJSON_AddNumberToObject(items, "maxLength", TEXTS_CHARS);
    }
}

cJSON *admin_body_schema(const struct admin_field *fields, size_t n)
{
    cJSON *schema = cJSON_CreateObject(), *members, *required;

    cJSON_AddStringToObject(schema, "type", "object");
    required = cJSON_AddArrayToObject(schema, "required");
    members = cJSON_AddObjectToObject(schema, "properties");
    for (size_t i = 0; i < n; i++) {
        cJSON *o = cJSON_AddObjectToObject(members, fields[i].name);

        cJSON_AddStringToObject(o, "type", KINDS[fields[i].kind].type);
        cJSON_AddStringToObject(o, "description", fields[i].help);
        add_bounds(o, &fields[i]);
        if (fields[i].required) {
            cJSON_AddItemToArray(required, cJSON_CreateString(fields[i].name));
        }
    }
    cJSON_AddFalseToObject(schema, "additionalProperties");
    return schema;
}
