#include "api/body.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "common/mem.h"

#define GZIP_LEVEL  4 /* JSON shrinks to about a tenth; higher levels cost more than they save */
#define GZIP_WINDOW (15 + 16)

static struct body *alloc(size_t cap)
{
    struct body *b = mem_try_resize(NULL, sizeof *b + cap, 1);

    if (b) {
        *b = (struct body){.refs = 1};
    }
    return b;
}

static struct body *compressed(const char *data, size_t len)
{
    z_stream z = {0};
    struct body *b = NULL, *fitted;
    int rc;

    if (deflateInit2(&z, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        return NULL;
    }
    b = alloc(deflateBound(&z, len));
    if (b) {
        z.next_in = (unsigned char *)(uintptr_t)data; /* zlib does not write there */
        z.avail_in = (uInt)len;
        z.next_out = (unsigned char *)b->data;
        z.avail_out = (uInt)deflateBound(&z, len);
        rc = deflate(&z, Z_FINISH);
        MUST(rc == Z_STREAM_END);
        b->len = z.total_out;
        b->gzip = true;
        fitted = mem_try_resize(b, sizeof *b + b->len, 1);
        b = fitted ? fitted : b;
    }
    deflateEnd(&z);
    return b;
}

struct body *body_new(const char *data, size_t len, bool want_gzip)
{
    struct body *b;

    MUST(len <= BODY_MAX);
    if (want_gzip && len > BODY_GZIP_MIN) {
        return compressed(data, len);
    }
    b = alloc(len);
    if (b) {
        memcpy(b->data, data, len);
        b->len = len;
    }
    return b;
}

struct body *body_ref(struct body *b)
{
    b->refs++;
    return b;
}

void body_unref(struct body *b)
{
    if (b && --b->refs == 0) {
        free(b);
    }
}
