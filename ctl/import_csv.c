#include "ctl/import_csv.h"

#include <string.h>

#include "common/text.h"

struct cursor {
    char *data;
    size_t len, at;
    bool eof;
    uint64_t doubled; /* bit i: field i holds doubled quotes */
};

static size_t count_lines(const char *data, size_t len)
{
    const char *p = data, *end = data + len;
    size_t n = 0;

    while (p < end && (p = memchr(p, '\n', (size_t)(end - p))) != NULL) {
        n++;
        p++;
    }
    return n;
}

static enum csv_status bad(struct cursor *c, struct csv_record *r, const char *why)
{
    const char *nl = memchr(c->data, '\n', c->len);

    if (!nl && !c->eof) {
        return CSV_MORE;
    }
    r->why = why;
    r->consumed = nl ? (size_t)(nl - c->data) + 1 : c->len;
    r->lines = nl ? 1 : 0;
    return CSV_BAD;
}

static void keep_field(struct cursor *c, struct csv_record *r, size_t start, size_t end, bool dbl)
{
    if (r->n < CSV_FIELDS_MAX) {
        r->field[r->n] = (struct span){c->data + start, end - start};
        c->doubled |= (uint64_t)dbl << r->n;
    }
    r->n++;
}

/* c->at is at the opening quote; behind the closing one afterwards. */
static enum csv_status quoted_field(struct cursor *c, struct csv_record *r)
{
    size_t start = c->at + 1, at = start;
    bool doubled = false;

    for (;;) {
        const char *q = memchr(c->data + at, '"', c->len - at);

        if (!q) {
            return c->eof ? bad(c, r, "a quoted field is never closed") : CSV_MORE;
        }
        at = (size_t)(q - c->data);
        if (at + 1 == c->len && !c->eof) {
            return CSV_MORE; /* the next byte may double it */
        }
        if (at + 1 == c->len || c->data[at + 1] != '"') {
            keep_field(c, r, start, at, doubled);
            c->at = at + 1;
            return CSV_RECORD;
        }
        doubled = true;
        at += 2;
    }
}

/* Up to the next comma or line end; the CR of a CRLF is not part of it. */
static enum csv_status plain_field(struct cursor *c, struct csv_record *r)
{
    size_t start = c->at, at = start;

    while (at < c->len && c->data[at] != ',' && c->data[at] != '\n' && c->data[at] != '"') {
        at++;
    }
    if (at == c->len && !c->eof) {
        return CSV_MORE;
    }
    if (at < c->len && c->data[at] == '"') {
        return bad(c, r, "a quote inside a field that does not start with one");
    }
    c->at = at;
    if (at > start && c->data[at - 1] == '\r' && (at == c->len || c->data[at] == '\n')) {
        at--;
    }
    keep_field(c, r, start, at, false);
    return CSV_RECORD;
}

static struct span undouble(struct span f, char *data)
{
    char *to = data + (f.p - data);
    const char *from = f.p, *end = f.p + f.len;
    char *start = to;

    while (from < end) {
        from += *from == '"'; /* the first of two */
        *to++ = *from++;
    }
    return (struct span){start, (size_t)(to - start)};
}

static enum csv_status complete(struct cursor *c, struct csv_record *r)
{
    r->consumed = c->at;
    r->lines = count_lines(c->data, c->at);
    for (size_t i = 0; c->doubled; i++, c->doubled >>= 1) {
        if (c->doubled & 1) {
            r->field[i] = undouble(r->field[i], c->data);
        }
    }
    return CSV_RECORD;
}

/* Behind a field: a comma (CSV_MORE here means: one more field), a line end or the end of all. */
static bool at_line_end(struct cursor *c)
{
    size_t at = c->at;

    if (at == c->len) {
        return true;
    }
    if (c->data[at] == '\r' && at + 1 < c->len && c->data[at + 1] == '\n') {
        at++;
    } else if (c->data[at] == '\r' && at + 1 == c->len) {
        c->at = c->len;
        return true;
    }
    if (c->data[at] != '\n') {
        return false;
    }
    c->at = at + 1;
    return true;
}

enum csv_status csv_parse(char *data, size_t len, bool eof, struct csv_record *r)
{
    struct cursor c = {data, len, 0, eof, 0};

    r->n = 0;
    r->why = NULL;
    for (;;) {
        bool quoted = c.at < len && data[c.at] == '"';
        enum csv_status st = quoted ? quoted_field(&c, r) : plain_field(&c, r);

        if (st != CSV_RECORD) {
            return st;
        }
        if (c.at < len && data[c.at] == ',') {
            c.at++;
            continue;
        }
        if (!eof && (c.at == len || (data[c.at] == '\r' && c.at + 1 == len))) {
            return CSV_MORE;
        }
        if (at_line_end(&c)) {
            return complete(&c, r);
        }
        return bad(&c, r, "text behind the closing quote of a field");
    }
}

static bool header_has(const struct import_csv *csv, int column)
{
    for (size_t i = 0; i < csv->n; i++) {
        if (csv->column[i] == column) {
            return true;
        }
    }
    return false;
}

static bool header_add(struct import_csv *csv, struct span name, struct err *e)
{
    char known[400];
    int column = import_column_find(name);

    if (column < 0) {
        return err_set(e, ERR_PERMANENT, "ValueError", "unknown column \"%.*s\"; known are %s",
                       (int)(name.len < 60 ? name.len : 60), name.p,
                       import_column_list(known, sizeof known));
    }
    if (header_has(csv, column)) {
        return err_set(e, ERR_PERMANENT, "ValueError", "column %s is there twice",
                       IMPORT_COLUMNS[column].name);
    }
    csv->column[csv->n++] = column;
    csv->has_id |= column == COL_ID;
    csv->has_stat_columns |= column >= COL_STAT_FIRST && column <= COL_STAT_LAST;
    return true;
}

static bool read_header(struct import_csv *csv, const struct csv_record *r, struct err *e)
{
    if (r->n > CSV_FIELDS_MAX) {
        return err_set(e, ERR_PERMANENT, "ValueError", "the header has %zu columns, too many",
                       r->n);
    }
    for (size_t i = 0; i < r->n; i++) {
        if (!header_add(csv, r->field[i], e)) {
            return false;
        }
    }
    for (int c = 0; c < COL_COUNT; c++) {
        if (IMPORT_COLUMNS[c].required && !header_has(csv, c)) {
            return err_set(e, ERR_PERMANENT, "ValueError", "the header lacks the column %s",
                           IMPORT_COLUMNS[c].name);
        }
    }
    if (csv->has_stat_columns && header_has(csv, COL_STATS_PAYLOAD)) {
        return err_set(e, ERR_PERMANENT, "ValueError",
                       "the header has both stats_payload and stat columns; use one of them");
    }
    return true;
}

static enum import_status fill_cells(const struct import_csv *csv, struct import_record *rec)
{
    const struct csv_record *r = &csv->record;

    if (r->n != csv->n) {
        err_set(&rec->e, ERR_PERMANENT, "ValueError", "%zu fields, but the header has %zu", r->n,
                csv->n);
        return IMPORT_BAD;
    }
    rec->cells = (struct import_cells){.has_stat_columns = csv->has_stat_columns};
    for (size_t i = 0; i < r->n; i++) {
        rec->cells.cell[csv->column[i]] = r->field[i];
    }
    return IMPORT_ROW;
}

enum import_status import_csv_next(struct import_csv *csv, char *data, size_t len, bool eof,
                                   struct import_record *rec)
{
    struct csv_record *r = &csv->record;
    enum csv_status st = csv_parse(data, len, eof, r);

    if (st == CSV_MORE) {
        return IMPORT_MORE;
    }
    rec->consumed = r->consumed;
    rec->lines = r->lines;
    if (st == CSV_BAD || !text_is_utf8(data, r->consumed)) {
        err_set(&rec->e, ERR_PERMANENT, "ValueError", "%s", r->why ? r->why : "not valid UTF-8");
        return csv->n ? IMPORT_BAD : IMPORT_FATAL;
    }
    if (r->n == 1 && r->field[0].len == 0) {
        return IMPORT_BLANK;
    }
    if (csv->n == 0) {
        return read_header(csv, r, &rec->e) ? IMPORT_BLANK : IMPORT_FATAL;
    }
    return fill_cells(csv, rec);
}
