/* What the admin side reads of a request: the path, an id in it, the body. */

#include <stdlib.h>
#include <string.h>

#include "api/admin/route.h"
#include "common/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct admin_field FIELDS[] = {
    {"reason", ADMIN_TEXT, false, 0, 200, NULL, ""},
    {"count", ADMIN_INT, true, 1, 9, NULL, ""},
    {"all", ADMIN_BOOL, false, 0, 0, NULL, ""},
    {"kind", ADMIN_TEXT, false, 0, 0, "one|two", ""},
    {"names", ADMIN_TEXTS, false, 1, 2, NULL, ""},
    {"more", ADMIN_OBJECT, false, 0, 0, NULL, ""},
};

static void read_body(const char *text, size_t len)
{
    struct query_error q = {{0}, {0}};
    struct err e;
    cJSON *body = json_parse(text, len, &e);
    int64_t count;

    if (cJSON_IsObject(body)) {
        if (admin_check_body(body, FIELDS, ARRAY_LEN(FIELDS), &q)) {
            MUST(json_get_i64(body, "count", 1, 9, &count));
        } else {
            MUST(text_is_utf8(q.param, strlen(q.param)) && *q.detail);
        }
    }
    cJSON_Delete(body);
}

static void read_path(const char *path)
{
    static const struct query_param ID = {"id", QUERY_TEXT, 0, QUERY_PAIR_CHARS, 0, ""};
    struct admin_segment ids[ADMIN_PATH_IDS_MAX];
    struct query_value v;
    struct query_error e;

    if (admin_path_matches("/admin/batches/{id}/cancel", path, ids)) {
        MUST(ids[0].len > 0 && !memchr(ids[0].at, '/', ids[0].len));
        if (query_parse_value(&ID, ids[0].at, ids[0].len, &v, &e)) {
            MUST(v.len > 0 && text_is_utf8(v.text, v.len) && !text_has_control(v.text, v.len));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *s = malloc(size + 1); /* of its own, so that reading past the end is seen */

    MUST(s);
    memcpy(s, data, size);
    s[size] = '\0';
    read_path(s);
    read_body(s, size);
    token_scrub(s);
    free(s);
    return 0;
}
