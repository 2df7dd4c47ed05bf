#include "ctl/import_ndjson.h"

#include <string.h>

#include "common/text.h"

void import_ndjson_init(struct import_ndjson *nd)
{
    *nd = (struct import_ndjson){0};
    buf_init(&nd->scratch, 2 * IMPORT_LINE_MAX);
}

void import_ndjson_fini(struct import_ndjson *nd)
{
    buf_fini(&nd->scratch);
}

static bool kind_fits(enum import_type type, enum json_kind kind)
{
    switch (type) {
    case TYPE_TEXT:
    case TYPE_TIME:
        return kind == JSON_STRING;
    case TYPE_INT:
    case TYPE_NUMBER:
        return kind == JSON_NUMBER;
    default:
        return true;
    }
}

/*
 * The string with its escapes resolved. The scratch has room for the whole line from its first use
 * on, so it does not move while spans point into it.
 */
static struct span decoded(struct import_ndjson *nd, struct span raw, size_t line_len)
{
    size_t start = nd->scratch.len;

    if (!memchr(raw.p, '\\', raw.len)) {
        return raw;
    }
    if (start == 0 && !buf_reserve(&nd->scratch, line_len + 1)) {
        return (struct span){0};
    }
    json_scan_decode(raw, &nd->scratch);
    return (struct span){nd->scratch.data + start, nd->scratch.len - start};
}

static bool put_value(struct import_ndjson *nd, const struct json_member *m, int column,
                      struct import_record *rec)
{
    enum import_type type = IMPORT_COLUMNS[column].type;
    struct span v = m->value;

    if (m->kind == JSON_NULL) {
        return true;
    }
    if (!kind_fits(type, m->kind)) {
        return err_set(&rec->e, ERR_PERMANENT, "ValueError", "%s: must be a %s",
                       IMPORT_COLUMNS[column].name,
                       type == TYPE_INT || type == TYPE_NUMBER ? "number" : "string");
    }
    if (type == TYPE_JSON && m->kind == JSON_STRING) {
        v = (struct span){v.p - 1, v.len + 2}; /* with its quotes it is JSON again */
    } else if (m->kind == JSON_STRING) {
        v = decoded(nd, v, rec->consumed);
    }
    rec->cells.cell[column] = v;
    return true;
}

static bool put_member(struct import_ndjson *nd, const struct json_member *m, uint32_t *seen,
                       struct import_record *rec)
{
    char known[400];
    struct span key = decoded(nd, m->key, rec->consumed);
    int column = key.p ? import_column_find(key) : -1;

    if (column < 0) {
        return err_set(&rec->e, ERR_PERMANENT, "ValueError", "unknown key \"%.*s\"; known are %s",
                       (int)(m->key.len < 60 ? m->key.len : 60), m->key.p,
                       import_column_list(known, sizeof known));
    }
    if (*seen & UINT32_C(1) << column) {
        return err_set(&rec->e, ERR_PERMANENT, "ValueError", "key %s is there twice",
                       IMPORT_COLUMNS[column].name);
    }
    *seen |= UINT32_C(1) << column;
    return put_value(nd, m, column, rec);
}

static bool read_object(struct import_ndjson *nd, struct span line, struct import_record *rec)
{
    const uint32_t STATS = UINT32_C(0xff) << COL_STAT_FIRST;
    struct json_scan s;
    struct json_member m;
    uint32_t seen = 0;
    int more;

    json_scan_object(&s, line);
    while ((more = json_scan_member(&s, &m)) > 0) {
        if (!put_member(nd, &m, &seen, rec)) {
            return false;
        }
    }
    if (more < 0) {
        return err_set(&rec->e, ERR_PERMANENT, "ValueError", "not JSON: %s (byte %zu)", s.why,
                       (size_t)(s.p - line.p) + 1);
    }
    rec->cells.has_stat_columns = (seen & STATS) != 0;
    nd->has_id |= (seen & UINT32_C(1) << COL_ID) != 0;
    if (rec->cells.has_stat_columns && (seen & UINT32_C(1) << COL_STATS_PAYLOAD)) {
        return err_set(&rec->e, ERR_PERMANENT, "ValueError",
                       "both stats_payload and stat keys; use one of them");
    }
    return true;
}

static bool is_blank(struct span line)
{
    size_t i = 0;

    while (i < line.len && (line.p[i] == ' ' || line.p[i] == '\t' || line.p[i] == '\r')) {
        i++;
    }
    return i == line.len;
}

enum import_status import_ndjson_next(struct import_ndjson *nd, char *data, size_t len, bool eof,
                                      struct import_record *rec)
{
    const char *nl = memchr(data, '\n', len);
    struct span line = {data, nl ? (size_t)(nl - data) : len};

    if (!nl && !eof) {
        return IMPORT_MORE;
    }
    rec->consumed = line.len + (nl != NULL);
    rec->lines = nl != NULL;
    rec->cells = (struct import_cells){0};
    buf_reset(&nd->scratch);
    if (is_blank(line)) {
        return IMPORT_BLANK;
    }
    if (!text_is_utf8(line.p, line.len)) {
        err_set(&rec->e, ERR_PERMANENT, "ValueError", "not valid UTF-8");
        return IMPORT_BAD;
    }
    return read_object(nd, line, rec) ? IMPORT_ROW : IMPORT_BAD;
}
