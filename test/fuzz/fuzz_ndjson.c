/* NDJSON as an import reads it. What the strict scanner accepts, cJSON must accept as well. */
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/text.h"
#include "ctl/import_ndjson.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void compare_with_cjson(const char *text, size_t len)
{
    enum json_kind kind;
    const char *why;
    struct err e;

    if (text_is_utf8(text, len) && json_scan_check((struct span){text, len}, &kind, &why)) {
        cJSON *v = json_parse(text, len, &e);

        MUST(v);
        MUST(cJSON_IsObject(v) == (kind == JSON_OBJECT));
        cJSON_Delete(v);
    }
}

static void read_all(char *data, size_t len)
{
    struct import_ndjson nd;
    struct import_record rec;
    struct buf out;
    struct err e;

    import_ndjson_init(&nd);
    buf_init(&out, 16 * MIB);
    for (size_t at = 0; at < len; at += rec.consumed) {
        if (import_ndjson_next(&nd, data + at, len - at, true, &rec) == IMPORT_ROW &&
            import_row_encode(&rec.cells, &out, &e)) {
            MUST(import_row_key_len(out.data) <= out.len);
        }
        buf_reset(&out);
        MUST(rec.consumed > 0);
    }
    buf_fini(&out);
    import_ndjson_fini(&nd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size ? size : 1);

    MUST(copy);
    memcpy(copy, data, size);
    compare_with_cjson(copy, size);
    read_all(copy, size);
    free(copy);
    return 0;
}
