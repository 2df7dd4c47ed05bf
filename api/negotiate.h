#ifndef API_NEGOTIATE_H
#define API_NEGOTIATE_H

#include "common/base.h"

/* Request headers that decide about the form of an answer. Pure; header values may be NULL. */

/* Accept-Encoding allows gzip and likes it at least as much as plain (RFC 9110, 12.5.3). */
bool negotiate_gzip(const char *accept_encoding);

/* If-None-Match holds the tag (weak comparison) or is "*" (RFC 9110, 13.1.2). */
bool negotiate_not_modified(const char *if_none_match, const char *etag);

#endif
