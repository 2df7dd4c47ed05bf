#ifndef API_BODY_H
#define API_BODY_H

#include "common/base.h"

/*
 * The bytes of an answer, counted, because the cache and any number of connections may be sending
 * them. All references of one body belong to one thread.
 */
struct body {
    unsigned refs;
    bool gzip;
    size_t len;
    char data[];
};

#define BODY_MAX      (8 * MIB)
#define BODY_GZIP_MIN 1024 /* shorter ones are sent as they are */

/* A copy with one reference, compressed when want_gzip and long enough. NULL: memory is out. */
struct body *body_new(const char *data, size_t len, bool want_gzip) MUST_CHECK;
struct body *body_ref(struct body *b);
void body_unref(struct body *b); /* NULL is fine */

#endif
