#include "api/detail.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/text.h"

enum {
    COL_CLASS = DETAIL_COL_NAME + 1,
    COL_LEVEL,
    COL_POWER,
    COL_FETCHED,
    COL_FAILED,
    COL_LEGION,
    COL_ITEM_LEVEL,
    COL_MODE,
    COL_HAS_STATS,
    COL_STATS
};

/* A column as a whole number, or_null where it is NULL. */
static bool read_number(const PGresult *r, int row, int col, int64_t or_null, int64_t *out)
{
    *out = or_null;
    return PQgetisnull(r, row, col) ||
           text_to_i64(PQgetvalue(r, row, col), INT64_MIN, INT64_MAX, out);
}

static bool read_name(const PGresult *r, int row, int col, char out[DETAIL_NAME_MAX + 1])
{
    size_t len = (size_t)PQgetlength(r, row, col);

    if (len > DETAIL_NAME_MAX) {
        return false;
    }
    memcpy(out, PQgetvalue(r, row, col), len + 1);
    return true;
}

static enum detail_mode read_mode(const PGresult *r, int row)
{
    if (PQgetisnull(r, row, COL_MODE)) {
        return DETAIL_NO_MODE;
    }
    return strcmp(PQgetvalue(r, row, COL_MODE), "profile") == 0 ? DETAIL_PROFILE : DETAIL_SHEET;
}

static bool read_stats(const PGresult *r, int row, struct detail *out)
{
    const char *text = PQgetvalue(r, row, COL_STATS);

    out->text_len = (size_t)PQgetlength(r, row, COL_STATS);
    if (PQgetvalue(r, row, COL_HAS_STATS)[0] != 't') {
        out->kind = DETAIL_NO_STATS;
    } else if (PQgetisnull(r, row, COL_STATS)) {
        out->kind = DETAIL_LONG;
    } else if (packed_parse(text, out->text_len, &out->packed)) {
        out->kind = DETAIL_PACKED;
    } else {
        out->kind = DETAIL_TEXT;
        out->text = mem_try_array(out->text_len + 1, 1);
        if (!out->text) {
            return false;
        }
        memcpy(out->text, text, out->text_len);
    }
    return true;
}

bool detail_read(const PGresult *r, int row, struct detail *out)
{
    int64_t level, item_level;

    out->text = NULL;
    if (!read_number(r, row, DETAIL_COL_ID, 0, &out->id) ||
        !read_number(r, row, COL_LEVEL, 0, &level) ||
        !read_number(r, row, COL_POWER, DETAIL_UNKNOWN, &out->power) ||
        !read_number(r, row, COL_FETCHED, DETAIL_NO_TIME, &out->fetched_us) ||
        !read_number(r, row, COL_ITEM_LEVEL, DETAIL_UNKNOWN, &item_level)) {
        return false;
    }
    out->level = (int32_t)level;
    out->item_level = (int32_t)item_level;
    out->failed_last = PQgetvalue(r, row, COL_FAILED)[0] == 't';
    out->mode = read_mode(r, row);
    return read_name(r, row, COL_CLASS, out->cls) && read_name(r, row, COL_LEGION, out->legion) &&
           read_stats(r, row, out);
}

void detail_fini(struct detail *d)
{
    free(d->text);
    d->text = NULL;
}

void detail_copy(struct detail *out, const struct detail *d)
{
    *out = *d;
    if (d->text) {
        out->text = mem_try_array(d->text_len + 1, 1);
        out->kind = out->text ? d->kind : DETAIL_LONG;
    }
    if (out->text) {
        memcpy(out->text, d->text, d->text_len);
    }
}

enum payload_kind detail_read_stats(const struct detail *d, double out[STAT_COUNT],
                                    struct payload_fault *fault)
{
    struct payload_stats stats;
    enum payload_kind kind;

    if (d->mode == DETAIL_PROFILE) {
        return PAYLOAD_PROFILE; /* also where the text was reduced to the eight */
    }
    if (d->kind == DETAIL_PACKED) {
        for (int s = 0; s < STAT_COUNT; s++) {
            out[s] = d->packed.value[s];
        }
        return PAYLOAD_STATS;
    }
    if (d->kind != DETAIL_TEXT) {
        return PAYLOAD_EMPTY;
    }
    kind = payload_parse(d->text, d->text_len, &stats, fault);
    if (kind == PAYLOAD_STATS) {
        memcpy(out, stats.value, sizeof stats.value);
    }
    return kind;
}

void detail_add_stats(struct buf *b, const struct detail *d)
{
    switch (d->kind) {
    case DETAIL_PACKED:
        packed_print(b, &d->packed);
        return;
    case DETAIL_TEXT:
        buf_add(b, d->text, d->text_len);
        return;
    case DETAIL_NO_STATS:
    case DETAIL_LONG:
        buf_addstr(b, "null");
        return;
    }
    MUST(!"a known kind");
}

enum detail_state detail_state_of(int64_t fetched_us, bool failed_last, int64_t now_us,
                                  int64_t stale_after_s)
{
    if (failed_last) {
        return DETAIL_UNAVAILABLE;
    }
    if (fetched_us == DETAIL_NO_TIME || fetched_us < now_us - stale_after_s * 1000000) {
        return DETAIL_STALE;
    }
    return DETAIL_LIVE;
}
