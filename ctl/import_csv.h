#ifndef CTL_IMPORT_CSV_H
#define CTL_IMPORT_CSV_H

#include "ctl/import_row.h"

#define CSV_FIELDS_MAX 64

enum csv_status { CSV_RECORD, CSV_MORE, CSV_BAD };

struct csv_record {
    struct span field[CSV_FIELDS_MAX]; /* into the data; valid until the data changes */
    size_t n;        /* fields there are; only the first CSV_FIELDS_MAX are kept */
    size_t consumed; /* bytes to go on behind */
    size_t lines;    /* line ends within them */
    const char *why; /* CSV_BAD: static text */
};

/*
 * The first record of data (RFC 4180; lines end in LF or CRLF). A quote may hold commas, line ends
 * and doubled quotes, which are undoubled in place. CSV_MORE: not complete, call again with more.
 * CSV_BAD: go on behind the first line of the record, so that one stray quote costs one line.
 */
enum csv_status csv_parse(char *data, size_t len, bool eof, struct csv_record *r) MUST_CHECK;

struct import_csv {
    int column[CSV_FIELDS_MAX]; /* what each field is, by the header */
    size_t n;                   /* fields of the header, 0 before it was read */
    bool has_stat_columns, has_id;
    struct csv_record record;
};

/* The next row; the first record is the header. Start with a zeroed struct. */
enum import_status import_csv_next(struct import_csv *csv, char *data, size_t len, bool eof,
                                   struct import_record *rec) MUST_CHECK;

#endif
