#ifndef COMMON_B64_H
#define COMMON_B64_H

#include "common/buf.h"

/* Standard alphabet with padding (RFC 4648 section 4). */
bool b64_encode(struct buf *out, const void *bytes, size_t len);
/* Strict: no white space, right padding. False when malformed or out is full. */
bool b64_decode(struct buf *out, const char *text, size_t len) MUST_CHECK;

#endif
