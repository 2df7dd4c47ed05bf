#include "worker/pgcopy.h"

#define SIGNATURE      "PGCOPY\n\377\r\n"
#define SIGNATURE_SIZE 11 /* with its NUL */
#define TRAILER        0xffff
#define FLAGS_CRITICAL UINT32_C(0xffff0000) /* bits that a reader must know */

void pgcopy_reader_init(struct pgcopy_reader *r)
{
    memset(r, 0, sizeof *r);
}

void pgcopy_feed(struct pgcopy_reader *r, const void *message, size_t len)
{
    r->p = message;
    r->end = r->p + len;
}

static bool take(struct pgcopy_reader *r, void *dst, size_t len)
{
    if ((size_t)(r->end - r->p) < len) {
        return false;
    }
    memcpy(dst, r->p, len);
    r->p += len;
    return true;
}

static bool take_u16(struct pgcopy_reader *r, uint16_t *out)
{
    bool ok = take(r, out, sizeof *out);

    *out = ok ? be16toh(*out) : 0;
    return ok;
}

static bool take_u32(struct pgcopy_reader *r, uint32_t *out)
{
    bool ok = take(r, out, sizeof *out);

    *out = ok ? be32toh(*out) : 0;
    return ok;
}

static bool read_header(struct pgcopy_reader *r)
{
    char signature[SIGNATURE_SIZE];
    uint32_t flags;
    uint32_t extension;

    if (!take(r, signature, sizeof signature) || memcmp(signature, SIGNATURE, SIGNATURE_SIZE) ||
        !take_u32(r, &flags) || (flags & FLAGS_CRITICAL) || !take_u32(r, &extension) ||
        (size_t)(r->end - r->p) < extension) {
        return false;
    }
    r->p += extension;
    return true;
}

static bool read_field(struct pgcopy_reader *r, struct pgcopy_field *f)
{
    uint32_t len;

    if (!take_u32(r, &len)) {
        return false;
    }
    f->data = r->p;
    f->len = (int32_t)len;
    if (len == UINT32_MAX) {
        return true;
    }
    if (len > INT32_MAX || (size_t)(r->end - r->p) < len) {
        return false;
    }
    r->p += len;
    return true;
}

enum pgcopy_next pgcopy_read(struct pgcopy_reader *r, struct pgcopy_field *fields, int n)
{
    uint16_t count;

    if (r->p == r->end) {
        return PGCOPY_NO_MORE;
    }
    if (!r->started && !read_header(r)) {
        return PGCOPY_MALFORMED;
    }
    r->started = true;
    if (r->p == r->end) {
        return PGCOPY_NO_MORE;
    }
    if (r->ended || !take_u16(r, &count)) {
        return PGCOPY_MALFORMED;
    }
    if (count == TRAILER) {
        r->ended = true;
        return r->p == r->end ? PGCOPY_NO_MORE : PGCOPY_MALFORMED;
    }
    if (count != n) {
        return PGCOPY_MALFORMED;
    }
    for (int i = 0; i < n; i++) {
        if (!read_field(r, &fields[i])) {
            return PGCOPY_MALFORMED;
        }
    }
    return PGCOPY_ROW;
}

bool pgcopy_to_i32(const struct pgcopy_field *f, int32_t *out)
{
    uint32_t v;

    if (f->len != sizeof v) {
        return false;
    }
    memcpy(&v, f->data, sizeof v);
    *out = (int32_t)be32toh(v);
    return true;
}

bool pgcopy_to_i64(const struct pgcopy_field *f, int64_t *out)
{
    uint64_t v;

    if (f->len != sizeof v) {
        return false;
    }
    memcpy(&v, f->data, sizeof v);
    *out = (int64_t)be64toh(v);
    return true;
}

bool pgcopy_to_double(const struct pgcopy_field *f, double *out)
{
    int64_t bits;

    if (!pgcopy_to_i64(f, &bits)) {
        return false;
    }
    memcpy(out, &bits, sizeof *out);
    return true;
}

bool pgcopy_to_bool(const struct pgcopy_field *f, bool *out)
{
    if (f->len != 1) {
        return false;
    }
    *out = f->data[0] != 0;
    return true;
}

char *pgcopy_put_header(char *p)
{
    memcpy(p, SIGNATURE, SIGNATURE_SIZE);
    return pgcopy_put_u32(pgcopy_put_u32(p + SIGNATURE_SIZE, 0), 0);
}

char *pgcopy_put_trailer(char *p)
{
    return pgcopy_put_u16(p, TRAILER);
}
