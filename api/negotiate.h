#ifndef API_NEGOTIATE_H
#define API_NEGOTIATE_H

#include "common/base.h"

/* HTTP's rules about forms of an answer and about keeping it. Pure; header values may be NULL. */

/* Accept-Encoding allows gzip and likes it at least as much as plain (RFC 9110, 12.5.3). */
bool negotiate_gzip(const char *accept_encoding);

/* If-None-Match holds the tag (weak comparison) or is "*" (RFC 9110, 13.1.2). */
bool negotiate_not_modified(const char *if_none_match, const char *etag);

/* Accept names text/html, as browsers do who open an address. */
bool negotiate_html(const char *accept);

/*
 * Which of the languages (subtags as "ko", in lower case) Accept-Language likes best; of equal ones
 * the first. Only texts in other languages are liked: last, whatever that is. Nothing is: first.
 */
size_t negotiate_language(const char *accept_language, const char *const *languages, size_t n);

/*
 * Seconds until the next ranking is expected, at least 1: batches run at the multiples of
 * interval_s, and the last one was that of generated_us.
 */
int64_t negotiate_max_age_s(int64_t generated_us, int64_t now_us, int64_t interval_s);

#endif
