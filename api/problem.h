#ifndef API_PROBLEM_H
#define API_PROBLEM_H

#include "common/buf.h"

/* Errors as documents (RFC 9457), the same on the public and on the admin side. */
#define PROBLEM_MAX  (4 * KIB)
#define PROBLEM_TYPE "application/problem+json"

/* extra: a further member, or NULL. */
struct problem {
    int status;
    const char *detail; /* a sentence that says what to do */
    const char *extra_key, *extra;
};

/* Appends the document; detail and extra must be valid UTF-8. */
bool problem_write(struct buf *out, const struct problem *p) MUST_CHECK;

/* "Not Found" */
const char *problem_reason(int status);

#endif
