#ifndef COMMON_JSON_H
#define COMMON_JSON_H

#include <cjson/cJSON.h>

#include "common/buf.h"
#include "common/err.h"

/*
 * cJSON with the strictness that text from outside needs: size, depth (JSON_DEPTH_MAX), UTF-8,
 * nothing after the value, no NUL, and no control bytes in strings. NULL and *e on refusal.
 * The caller frees with cJSON_Delete.
 */
#define JSON_DEPTH_MAX 64
cJSON *json_parse(const char *text, size_t len, struct err *e) MUST_CHECK;

/* Unformatted text, owned by the caller (free()); NULL when memory is out. Numbers keep their
 * value: whole ones are written as such, others with the digits they need. */
char *json_print(const cJSON *v);
/* The same at the end of a buffer. False when v is NULL or the buffer is full. */
bool json_add(struct buf *out, const cJSON *v);

/* The member's value, or NULL / the fallback when it is absent or of another type. */
const char *json_get_str(const cJSON *obj, const char *key);
cJSON *json_get_obj(const cJSON *obj, const char *key);
cJSON *json_get_arr(const cJSON *obj, const char *key);
bool json_get_bool(const cJSON *obj, const char *key, bool fallback);
/* True when it is there and a whole number within the range. */
bool json_get_i64(const cJSON *obj, const char *key, int64_t min, int64_t max, int64_t *out);
/* Member that is there and not null. */
bool json_has(const cJSON *obj, const char *key);

#endif
