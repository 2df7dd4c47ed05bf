#include "ctl/table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/text.h"

#define GAP 2 /* spaces between columns */

struct table_cell {
    char *text; /* owned, harmless */
    int width;
    enum term_colour colour;
};

void table_init(struct table *t, const struct table_column *columns, int n)
{
    MUST(n > 0 && n <= TABLE_COLUMNS_MAX);
    *t = (struct table){.columns = columns, .n = n, .titles = TERM_DIM};
}

void table_add(struct table *t, enum term_colour c, const char *text)
{
    char fitted[TERM_TEXT_SIZE];
    int width = term_fit(fitted, text, TERM_TEXT_SIZE);

    if (t->count == t->cap) {
        size_t cap = t->cap ? 2 * t->cap : 64;
        struct table_cell *more = cap <= (size_t)TABLE_ROWS_MAX * TABLE_COLUMNS_MAX
                                      ? mem_try_resize(t->cells, cap, sizeof *more)
                                      : NULL;

        if (!more) {
            return; /* what is there is shown */
        }
        t->cells = more;
        t->cap = cap;
    }
    t->cells[t->count++] = (struct table_cell){mem_strdup(fitted), width, c};
}

void table_addf(struct table *t, enum term_colour c, const char *fmt, ...)
{
    char text[TERM_TEXT_SIZE];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    text_make_utf8(text); /* it may have been cut within a character */
    table_add(t, c, text);
}

void table_add_number(struct table *t, enum term_colour c, int64_t n)
{
    char text[TERM_NUMBER_SIZE];

    table_add(t, c, term_number(text, n));
}

/* What every column needs; the sum with the gaps. */
static int natural_widths(const struct table *t, int widths[])
{
    char title[TERM_TEXT_SIZE];
    int total = GAP * (t->n - 1);

    for (int i = 0; i < t->n; i++) {
        widths[i] = term_fit(title, t->columns[i].title, TERM_TEXT_SIZE);
        for (size_t k = (size_t)i; k < t->count; k += (size_t)t->n) {
            widths[i] = t->cells[k].width > widths[i] ? t->cells[k].width : widths[i];
        }
        total += widths[i];
    }
    return total;
}

/* The widest column that may still give a cell: sign 1 the willing ones, -1 the others. */
static int widest_of(const struct table *t, const int widths[], int sign)
{
    int widest = -1;

    for (int i = 0; i < t->n; i++) {
        int least = t->columns[i].shrinks * sign;

        if (least > 0 && widths[i] > least && (widest < 0 || widths[i] > widths[widest])) {
            widest = i;
        }
    }
    return widest;
}

/* Takes `excess` cells from the columns that may shrink. */
static void shrink(const struct table *t, int widths[], int excess)
{
    for (; excess > 0; excess--) {
        int widest = widest_of(t, widths, 1);

        widest = widest < 0 ? widest_of(t, widths, -1) : widest;
        if (widest < 0) {
            return;
        }
        widths[widest]--;
    }
}

/* Cells of a row up to the last one that has text; nothing stands behind that one. */
static int used_cells(const struct table_cell *row, int n)
{
    while (n > 0 && row[n - 1].width == 0) {
        n--;
    }
    return n;
}

static void print_row(const struct table *t, const struct term *term, int indent,
                      const int widths[], const struct table_cell *row)
{
    int n = used_cells(row, t->n);

    for (int i = 0; i < n; i++) {
        fprintf(term->out, "%*s", i > 0 ? GAP : indent, "");
        if (t->columns[i].right) {
            term_cell(term, row[i].colour, -widths[i], row[i].text);
        } else if (i == n - 1) {
            term_text(term, row[i].colour, widths[i], row[i].text);
        } else {
            term_cell(term, row[i].colour, widths[i], row[i].text);
        }
    }
    fputc('\n', term->out);
}

static void print_titles(const struct table *t, const struct term *term, int indent,
                         const int widths[])
{
    struct table_cell titles[TABLE_COLUMNS_MAX];

    for (int i = 0; i < t->n; i++) {
        titles[i] = (struct table_cell){.text = mem_strdup(t->columns[i].title),
                                        .width = (int)strlen(t->columns[i].title),
                                        .colour = t->titles};
    }
    print_row(t, term, indent, widths, titles);
    for (int i = 0; i < t->n; i++) {
        free(titles[i].text);
    }
}

void table_print(const struct table *t, const struct term *term, int indent)
{
    int widths[TABLE_COLUMNS_MAX], limit = term_width(term);
    int total = natural_widths(t, widths);

    if (t->count == 0) {
        return;
    }
    if (limit > 0) {
        shrink(t, widths, total + indent - limit);
    }
    print_titles(t, term, indent, widths);
    for (size_t k = 0; k + (size_t)t->n <= t->count; k += (size_t)t->n) {
        print_row(t, term, indent, widths, t->cells + k);
    }
}

void table_fini(struct table *t)
{
    for (size_t i = 0; i < t->count; i++) {
        free(t->cells[i].text);
    }
    free(t->cells);
    *t = (struct table){0};
}
