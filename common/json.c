#include "common/json.h"

#include <math.h>
#include <string.h>

#include "common/text.h"

/*
 * What cJSON does not check, in one pass over the brackets and strings: the nesting (its own limit
 * of 1,000 is too deep for our stack) and raw control bytes in strings (RFC 8259, section 7).
 */
static const char *structure_fault(const char *text, size_t len)
{
    int depth = 0;
    bool in_string = false;

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];

        if (in_string && c < 0x20) {
            return "a control byte in a string";
        }
        if (in_string && c == '\\') {
            if (len - i > 5 && memcmp(text + i + 1, "u0000", 5) == 0) {
                return "a NUL in a string"; /* cJSON would drop what follows it */
            }
            i++;
        } else if (c == '"') {
            in_string = !in_string;
        } else if (!in_string && (c == '[' || c == '{') && ++depth > JSON_DEPTH_MAX) {
            return "nested too deep";
        } else if (!in_string && (c == ']' || c == '}')) {
            depth--;
        }
    }
    return NULL;
}

static size_t skip_space(const char *text, size_t i, size_t len)
{
    while (i < len && (text[i] == ' ' || text[i] == '\t' || text[i] == '\n' || text[i] == '\r')) {
        i++;
    }
    return i;
}

cJSON *json_parse(const char *text, size_t len, struct err *e)
{
    const char *end = NULL, *fault;
    cJSON *v;

    if (len == 0) {
        err_set(e, ERR_PERMANENT, "ValueError", "the text is empty, expected JSON");
        return NULL;
    }
    fault = text_is_utf8(text, len) ? structure_fault(text, len) : "not valid UTF-8";
    if (fault) {
        err_set(e, ERR_PERMANENT, "ValueError", "not JSON: %s", fault);
        return NULL;
    }
    v = cJSON_ParseWithLengthOpts(text, len, &end, false);
    if (!v) {
        err_set(e, ERR_PERMANENT, "ValueError", "not JSON: error near byte %zu",
                end ? (size_t)(end - text) : (size_t)0);
        return NULL;
    }
    if (skip_space(text, (size_t)(end - text), len) != len) {
        err_set(e, ERR_PERMANENT, "ValueError", "not JSON: more text after the value at byte %zu",
                (size_t)(end - text));
        cJSON_Delete(v);
        return NULL;
    }
    return v;
}

const char *json_get_str(const cJSON *obj, const char *key)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(obj, key));
}

cJSON *json_get_obj(const cJSON *obj, const char *key)
{
    cJSON *v = cJSON_GetObjectItemCaseSensitive(obj, key);

    return cJSON_IsObject(v) ? v : NULL;
}

cJSON *json_get_arr(const cJSON *obj, const char *key)
{
    cJSON *v = cJSON_GetObjectItemCaseSensitive(obj, key);

    return cJSON_IsArray(v) ? v : NULL;
}

bool json_get_bool(const cJSON *obj, const char *key, bool fallback)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(obj, key);

    return cJSON_IsBool(v) ? cJSON_IsTrue(v) : fallback;
}

bool json_get_i64(const cJSON *obj, const char *key, int64_t min, int64_t max, int64_t *out)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(obj, key);

    if (!cJSON_IsNumber(v) || v->valuedouble != floor(v->valuedouble) ||
        v->valuedouble < (double)min || v->valuedouble > (double)max ||
        fabs(v->valuedouble) > 9007199254740992.0) {
        return false;
    }
    *out = (int64_t)v->valuedouble;
    return true;
}

bool json_has(const cJSON *obj, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(obj, key);

    return v && !cJSON_IsNull(v);
}
