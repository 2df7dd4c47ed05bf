#ifndef CTL_TABLE_H
#define CTL_TABLE_H

#include "ctl/term.h"

/*
 * A table for people: every column as wide as it needs to be; what is too much for the terminal is
 * taken from the columns that may shrink. Rows are added cell by cell.
 */
#define TABLE_COLUMNS_MAX 12
#define TABLE_ROWS_MAX    20000

struct table_column {
    const char *title;
    bool right;  /* numbers */
    int shrinks; /* may become this narrow; negative: only when the others did; 0: never cut */
};

struct table {
    const struct table_column *columns;
    int n;
    struct table_cell *cells; /* owned */
    size_t count, cap;
    enum term_colour titles;
};

void table_init(struct table *t, const struct table_column *columns, int n);
/* The next cell, left to right, row after row. Text is copied; NULL is "". */
void table_add(struct table *t, enum term_colour c, const char *text);
void table_addf(struct table *t, enum term_colour c, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* A whole number with separators. */
void table_add_number(struct table *t, enum term_colour c, int64_t n);
/*
 * Prints titles and rows, each line begun with `indent` spaces and ended with its last text;
 * nothing without rows.
 */
void table_print(const struct table *t, const struct term *term, int indent);
void table_fini(struct table *t);

#endif
