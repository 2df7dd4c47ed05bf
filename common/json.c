#include "common/json.h"

#include <math.h>
#include <string.h>

#include "common/text.h"

/* Bytes of a word that are below n (at most 128), or are c. */
#define EACH(n)     (UINT64_C(0x0101010101010101) * (n))
#define BELOW(w, n) (((w)-EACH(n)) & ~(w)&EACH(128))
#define EQUAL(w, c) BELOW((w) ^ EACH((unsigned char)(c)), 1)

/* From i on to what matters in a string: its end, a backslash, a control byte. */
static size_t skip_plain(const char *text, size_t i, size_t len)
{
    uint64_t w;

    for (; len - i >= sizeof w; i += sizeof w) {
        memcpy(&w, text + i, sizeof w);
        if (BELOW(w, 0x20) | EQUAL(w, '"') | EQUAL(w, '\\')) {
            break;
        }
    }
    while (i < len && (unsigned char)text[i] >= 0x20 && text[i] != '"' && text[i] != '\\') {
        i++;
    }
    return i;
}

/* *i is behind the opening quote, and afterwards at the closing one or at the end. */
static const char *string_fault(const char *text, size_t *i, size_t len)
{
    for (*i = skip_plain(text, *i, len); *i < len && text[*i] != '"';
         *i = skip_plain(text, *i, len)) {
        if (text[*i] != '\\') {
            return "a control byte in a string";
        }
        if (len - *i > 5 && memcmp(text + *i + 1, "u0000", 5) == 0) {
            return "a NUL in a string"; /* cJSON would drop what follows it */
        }
        *i += len - *i > 1 ? 2 : 1;
    }
    return NULL;
}

/* cJSON takes any of them for white space, a NUL as well. */
static bool is_stray(char c)
{
    return (unsigned char)c < 0x20 && c != '\n' && c != '\t' && c != '\r';
}

/*
 * What cJSON does not check, in one pass over the brackets and strings: the nesting (its own limit
 * of 1,000 is too deep for our stack) and raw control bytes (RFC 8259, sections 2 and 7).
 */
static const char *structure_fault(const char *text, size_t len)
{
    const char *fault = NULL;
    int depth = 0;

    for (size_t i = 0; i < len && !fault; i++) {
        switch (text[i]) {
        case '"':
            i++;
            fault = string_fault(text, &i, len);
            break;
        case '[':
        case '{':
            fault = ++depth > JSON_DEPTH_MAX ? "nested too deep" : NULL;
            break;
        case ']':
        case '}':
            depth--;
            break;
        default:
            fault = is_stray(text[i]) ? "a control byte" : NULL;
            break;
        }
    }
    return fault;
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
