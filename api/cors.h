#ifndef API_CORS_H
#define API_CORS_H

#include "common/err.h"

/*
 * Which pages of other origins may read our answers (CORS_ORIGINS): none, some, or "*". Pure.
 */

/* A list of origins "https://example.org" or "http://localhost:3000", commas between; "" is none.
 */
bool cors_check_list(const char *list, struct err *e) MUST_CHECK;
/* One origin by itself. */
bool cors_is_origin(const char *s);
/* The origin is in the list, or the list is "*". */
bool cors_allows(const char *list, const char *origin);

#endif
