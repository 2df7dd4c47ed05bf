#include "ctl/import_row.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/realm.h"
#include "common/text.h"

#define NAME_CHARS_MAX 64
#define LEVEL_MAX      100000
#define STAT_MAX       1e12 /* above, the batch would refuse the character */
#define STAT_COUNT     (COL_STAT_LAST - COL_STAT_FIRST + 1)
#define TUPLE_FIELDS   8
#define JSONB_VERSION  1
#define EPOCH_2000_US  INT64_C(946684800000000) /* PostgreSQL counts from 2000-01-01 */

const struct import_column_info IMPORT_COLUMNS[COL_COUNT] = {
    [COL_SERVER] = {"server", TYPE_TEXT, true},
    [COL_NAME] = {"name", TYPE_TEXT, true},
    [COL_CLASS] = {"class", TYPE_TEXT, true},
    [COL_LEVEL] = {"level", TYPE_INT, true},
    [COL_POWER] = {"power", TYPE_INT, false},
    [COL_STATS_PAYLOAD] = {"stats_payload", TYPE_JSON, false},
    [COL_RAW_PAYLOAD] = {"raw_payload", TYPE_JSON, false},
    [COL_LAST_FETCHED_AT] = {"last_fetched_at", TYPE_TIME, false},
    [COL_ID] = {"id", TYPE_IGNORED, false},
    [COL_STAT_FIRST] = {"attack", TYPE_NUMBER, false},
    [COL_STAT_FIRST + 1] = {"damage_amp", TYPE_NUMBER, false},
    [COL_STAT_FIRST + 2] = {"crit_rate", TYPE_NUMBER, false},
    [COL_STAT_FIRST + 3] = {"crit_damage", TYPE_NUMBER, false},
    [COL_STAT_FIRST + 4] = {"attack_speed", TYPE_NUMBER, false},
    [COL_STAT_FIRST + 5] = {"defense", TYPE_NUMBER, false},
    [COL_STAT_FIRST + 6] = {"damage_reduction", TYPE_NUMBER, false},
    [COL_STAT_LAST] = {"hp", TYPE_NUMBER, false},
};

int import_column_find(struct span name)
{
    for (int i = 0; i < COL_COUNT; i++) {
        if (strlen(IMPORT_COLUMNS[i].name) == name.len &&
            memcmp(IMPORT_COLUMNS[i].name, name.p, name.len) == 0) {
            return i;
        }
    }
    return -1;
}

const char *import_column_list(char *out, size_t cap)
{
    size_t at = 0;

    out[0] = '\0';
    for (int i = 0; i < COL_COUNT; i++) {
        if (IMPORT_COLUMNS[i].type != TYPE_IGNORED && at < cap) {
            at += (size_t)snprintf(out + at, cap - at, "%s%s", at ? ", " : "",
                                   IMPORT_COLUMNS[i].name);
        }
    }
    return out;
}

/* Says "column: "value" what", with the value clipped at a whole character. */
static bool refuse(struct err *e, int column, struct span v, const char *what)
{
    size_t shown = v.len < 40 ? v.len : 40;

    while (shown < v.len && shown > 0 && ((unsigned char)v.p[shown] & 0xc0) == 0x80) {
        shown--;
    }
    return err_set(e, ERR_PERMANENT, "ValueError", "%s: \"%.*s%s\" %s", IMPORT_COLUMNS[column].name,
                   (int)shown, v.p, shown < v.len ? "..." : "", what);
}

static bool refuse_short(struct err *e, int column, const char *what)
{
    return err_set(e, ERR_PERMANENT, "ValueError", "%s: %s", IMPORT_COLUMNS[column].name, what);
}

static void put_be(struct buf *out, uint64_t v, int bytes)
{
    char b[8];

    for (int i = 0; i < bytes; i++) {
        b[i] = (char)(v >> (8 * (bytes - 1 - i)));
    }
    buf_add(out, b, (size_t)bytes);
}

static void put_null(struct buf *out)
{
    put_be(out, UINT32_MAX, 4);
}

/* A server by any of its names becomes the one that everybody stores. */
static struct span canonical_server(struct span v)
{
    char text[4 * NAME_CHARS_MAX + 1];
    const char *name = NULL;

    if (v.len < sizeof text) {
        memcpy(text, v.p, v.len);
        text[v.len] = '\0';
        name = realm_canonical(text);
    }
    return name ? (struct span){name, strlen(name)} : v;
}

static bool put_text(struct buf *out, const struct import_cells *c, int column, struct err *e)
{
    struct span v = c->cell[column];
    size_t chars;

    if (v.len == 0) {
        return refuse_short(e, column, "is missing");
    }
    chars = text_utf8_count(v.p, v.len);
    if (chars > NAME_CHARS_MAX) {
        return refuse(e, column, v, "is longer than 64 characters");
    }
    if (text_has_control(v.p, v.len)) {
        return refuse_short(e, column, "has a control character in it");
    }
    if (column == COL_SERVER && v.len == 3 && memcmp(v.p, "all", 3) == 0) {
        return refuse(e, column, v, "names the board over all servers; no server can have it");
    }
    if (column == COL_SERVER) {
        v = canonical_server(v);
    }
    put_be(out, v.len, 4);
    buf_add(out, v.p, v.len);
    return true;
}

static bool put_int(struct buf *out, const struct import_cells *c, int column, struct err *e)
{
    struct span v = c->cell[column];
    int bytes = column == COL_LEVEL ? 4 : 8;
    int64_t max = column == COL_LEVEL ? LEVEL_MAX : INT64_MAX, n;

    if (v.len == 0) {
        if (IMPORT_COLUMNS[column].required) {
            return refuse_short(e, column, "is missing");
        }
        put_null(out);
        return true;
    }
    if (!text_n_to_i64(v.p, v.len, INT64_MIN, INT64_MAX, &n)) {
        return refuse(e, column, v, "is not a whole number");
    }
    if (n < 0 || n > max) {
        return refuse(e, column, v,
                      column == COL_LEVEL ? "is not between 0 and 100000"
                                          : "is not between 0 and 9223372036854775807");
    }
    put_be(out, (uint64_t)bytes, 4);
    put_be(out, (uint64_t)n, bytes);
    return true;
}

static bool put_json(struct buf *out, const struct import_cells *c, int column, struct err *e)
{
    struct span v = c->cell[column];
    enum json_kind kind;
    const char *why;

    if (v.len == 0) {
        put_null(out);
        return true;
    }
    if (!json_scan_check(v, &kind, &why)) {
        return err_set(e, ERR_PERMANENT, "ValueError", "%s: not JSON: %s",
                       IMPORT_COLUMNS[column].name, why);
    }
    if (column == COL_STATS_PAYLOAD && kind != JSON_OBJECT) {
        return refuse_short(e, column, "is not a JSON object");
    }
    put_be(out, v.len + 1, 4);
    buf_addch(out, JSONB_VERSION);
    buf_add(out, v.p, v.len);
    return true;
}

static bool check_stat(struct span v, int column, struct err *e)
{
    char text[64];
    double d;

    if (v.len >= sizeof text || !json_scan_is_number(v)) {
        return refuse(e, column, v, "is not a number");
    }
    memcpy(text, v.p, v.len);
    text[v.len] = '\0';
    d = strtod(text, NULL); /* the locale stays "C" in our programs */
    if (!(d >= 0 && d <= STAT_MAX)) {
        return refuse(e, column, v, "is not between 0 and 1000000000000");
    }
    return true;
}

/* The eight stat columns as one JSON object; an empty one is left out. */
static bool put_stat_columns(struct buf *out, const struct import_cells *c, struct err *e)
{
    char json[STAT_COUNT * 96];
    size_t at = 0;

    json[at++] = '{';
    for (int i = COL_STAT_FIRST; i <= COL_STAT_LAST; i++) {
        struct span v = c->cell[i];

        if (v.len == 0) {
            continue;
        }
        if (!check_stat(v, i, e)) {
            return false;
        }
        at += (size_t)snprintf(json + at, sizeof json - at, "%s\"%s\":%.*s", at > 1 ? "," : "",
                               IMPORT_COLUMNS[i].name, (int)v.len, v.p);
    }
    json[at++] = '}';
    put_be(out, at + 1, 4);
    buf_addch(out, JSONB_VERSION);
    buf_add(out, json, at);
    return true;
}

static bool put_stats(struct buf *out, const struct import_cells *c, struct err *e)
{
    return c->has_stat_columns ? put_stat_columns(out, c, e)
                               : put_json(out, c, COL_STATS_PAYLOAD, e);
}

static bool put_time(struct buf *out, const struct import_cells *c, int column, struct err *e)
{
    struct span v = c->cell[column];
    char text[64];
    int64_t us;

    if (v.len == 0) {
        put_null(out);
        return true;
    }
    if (v.len < sizeof text) {
        memcpy(text, v.p, v.len);
        text[v.len] = '\0';
    }
    if (v.len >= sizeof text || strlen(text) != v.len || !clock_parse_iso(text, &us)) {
        return refuse(e, column, v, "is not a time like 2026-01-10T12:00:00Z");
    }
    put_be(out, 8, 4);
    put_be(out, (uint64_t)(us - EPOCH_2000_US), 8);
    return true;
}

bool import_row_encode(const struct import_cells *cells, struct buf *out, struct err *e)
{
    size_t before = out->len;

    put_be(out, TUPLE_FIELDS, 2);
    if (put_text(out, cells, COL_SERVER, e) && put_text(out, cells, COL_NAME, e) &&
        put_text(out, cells, COL_CLASS, e) && put_int(out, cells, COL_LEVEL, e) &&
        put_int(out, cells, COL_POWER, e) && put_stats(out, cells, e) &&
        put_json(out, cells, COL_RAW_PAYLOAD, e) && put_time(out, cells, COL_LAST_FETCHED_AT, e)) {
        return !out->failed || err_set(e, ERR_RETRYABLE, "MemoryError", "out of memory");
    }
    if (!out->failed) {
        out->len = before;
    }
    return false;
}

static size_t get_be32(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;

    return (size_t)u[0] << 24 | (size_t)u[1] << 16 | (size_t)u[2] << 8 | u[3];
}

size_t import_row_key_len(const char *tuple)
{
    size_t server_len = get_be32(tuple + 2);

    return 2 + 4 + server_len + 4 + get_be32(tuple + 2 + 4 + server_len);
}
