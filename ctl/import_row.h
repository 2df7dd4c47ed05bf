#ifndef CTL_IMPORT_ROW_H
#define CTL_IMPORT_ROW_H

#include "common/err.h"
#include "ctl/json_scan.h"

/* Longest line (CSV: record) that an import takes. */
#define IMPORT_LINE_MAX (32 * MIB)

/* The columns of a CSV file, the keys of an NDJSON line. */
enum import_column {
    COL_SERVER,
    COL_NAME,
    COL_CLASS,
    COL_LEVEL,
    COL_POWER,
    COL_STATS_PAYLOAD,
    COL_RAW_PAYLOAD,
    COL_LAST_FETCHED_AT,
    COL_ID,
    COL_STAT_FIRST,
    COL_STAT_LAST = COL_STAT_FIRST + 7,
    COL_COUNT
};

enum import_type { TYPE_TEXT, TYPE_INT, TYPE_NUMBER, TYPE_JSON, TYPE_TIME, TYPE_IGNORED };

extern const struct import_column_info {
    const char *name;
    enum import_type type;
    bool required;
} IMPORT_COLUMNS[COL_COUNT];

/* One row as text. Absent and, but for the required ones, empty cells mean "not known". */
struct import_cells {
    struct span cell[COL_COUNT];
    bool has_stat_columns; /* all eight empty then mean {}, not "not known" */
};

/* What a parser makes of the start of its data. */
enum import_status {
    IMPORT_ROW,   /* cells are filled in */
    IMPORT_BLANK, /* nothing in it: skip it */
    IMPORT_BAD,   /* e says why: count it as skipped */
    IMPORT_MORE,  /* not complete: call again with more data */
    IMPORT_FATAL, /* e says why the whole file cannot be read */
};

struct import_record {
    struct import_cells cells; /* into the data or the parser's scratch; until the next call */
    size_t consumed, lines;
    struct err e;
};

/* The column of that name, or -1. */
int import_column_find(struct span name);
/* "server, name, ..." in out (cap bytes). */
const char *import_column_list(char *out, size_t cap);

/*
 * Checks the cells and appends a tuple of COPY BINARY: server, name, class, level, power,
 * stats_payload, raw_payload, last_fetched_at. On refusal out is as before and *e says what is
 * wrong. server and name come first, so the start of a tuple is its key.
 */
bool import_row_encode(const struct import_cells *cells, struct buf *out, struct err *e) MUST_CHECK;
/* Bytes of the key at the start of a tuple that import_row_encode() made. */
size_t import_row_key_len(const char *tuple);

#endif
