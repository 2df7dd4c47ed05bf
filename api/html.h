#ifndef API_HTML_H
#define API_HTML_H

#include "common/buf.h"

/* Texts put into texts. Pure. */

/*
 * Appends s for an element or a quoted attribute: nothing in it is markup. Marks that turn the
 * direction of writing (U+202A to 202E, U+2066 to 2069, U+200E, U+200F, U+061C) are left out: in a
 * name they would reach beyond it.
 */
void html_add_text(struct buf *b, const char *s);

/* The value of a name, or NULL: there is none (a bug of the template). */
typedef const char *(*html_value_fn)(const void *arg, const char *name, size_t len);

/* Appends the template with a value for each {{name}}, as it is. */
void html_fill(struct buf *b, const char *template, html_value_fn value, const void *arg);
/* The same into HTML: every value through html_add_text(). */
void html_fill_escaped(struct buf *b, const char *template, html_value_fn value, const void *arg);

#endif
