#ifndef CTL_TERM_H
#define CTL_TERM_H

#include <stdio.h>

#include "common/buf.h"

/*
 * Printing for people: colours where they are wanted, text from outside made harmless and fitted
 * into columns, numbers and durations as one reads them.
 */
#define TERM_COLUMNS 80

enum term_colour { TERM_PLAIN, TERM_BOLD, TERM_DIM, TERM_GREEN, TERM_YELLOW, TERM_RED, TERM_CYAN };

struct term {
    FILE *out;
    bool colour;
    int width; /* columns to print in, whatever out is; 0: ask it */
};

#define TERM_WIDTH_MIN 40
#define TERM_WIDTH_MAX 1000

/* Colours only when out is a terminal that can, and NO_COLOR (no-color.org) is not set. */
void term_init(struct term *t, FILE *out);

/*
 * Columns to print in: COLUMNS when that is set, else what the terminal says. 0 when out is no
 * terminal: there is no limit then.
 */
int term_width(const struct term *t);

/* printf in a colour. */
void term_print(const struct term *t, enum term_colour c, const char *fmt, ...) PRINTF_LIKE(3, 4);

/*
 * Text in a column: at most `width` cells wide, padded to the right (width > 0) or to the left
 * (width < 0); cut text ends in "…". Control characters become "?", so that no text can
 * command the terminal. NULL prints as "".
 */
void term_cell(const struct term *t, enum term_colour c, int width, const char *text);

/* The same without padding, for the end of a line. */
void term_text(const struct term *t, enum term_colour c, int max_width, const char *text);

/*
 * Text over several lines up to TERM_COLUMNS, each begun with `indent` spaces and ended with a line
 * feed; broken at spaces. What does not fit into max_lines ends in "…".
 */
void term_wrap(const struct term *t, enum term_colour c, int indent, int max_lines,
               const char *text);

#define TERM_TEXT_SIZE 512

/*
 * What term_cell prints, without colour and padding. Returns its width in cells: wide (Korean,
 * Chinese, Japanese) characters take two.
 */
int term_fit(char out[TERM_TEXT_SIZE], const char *text, int width);

/*
 * The same without a limit in cells: control characters (also line feeds) become "?". Cut where
 * out is full.
 */
void term_clean(char *out, size_t cap, const char *text);

/*
 * Text with its line feeds, each line begun with `indent` spaces and harmless; at most max_lines,
 * then "…". The last line ends with a line feed, too.
 */
void term_lines(const struct term *t, enum term_colour c, int indent, int max_lines,
                const char *text);

/*
 * Appends a line that was printed in colours: at most `width` cells of it, with all its colours.
 */
void term_clip(struct buf *out, const char *line, size_t len, int width);

/* JSON as text: what could command a terminal inside its strings is written as \\uXXXX. */
void term_put_json(FILE *out, const char *json);

#define TERM_NUMBER_SIZE 40

/* "1,234,567"; text in buf. */
const char *term_number(char buf[TERM_NUMBER_SIZE], int64_t n);
/* "512 B", "4.0 KiB", "16.0 MiB"; text in buf. */
const char *term_bytes(char buf[TERM_NUMBER_SIZE], int64_t bytes);
/* "0:07", "12:34", "3:00:00", "2 d 03:00", "200 d"; negative ones with a minus sign. */
const char *term_duration(char buf[TERM_NUMBER_SIZE], int64_t seconds);

#endif
