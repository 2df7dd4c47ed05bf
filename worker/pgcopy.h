#ifndef WORKER_PGCOPY_H
#define WORKER_PGCOPY_H

#include <endian.h>
#include <string.h>

#include "common/base.h"

/*
 * The binary format of COPY (PostgreSQL manual, COPY, "Binary Format"). PostgreSQL sends whole rows
 * per message, with the header before the first and the trailer in a message of its own or after
 * the header; a row cut in two is malformed here.
 */

/* len -1: NULL. data is borrowed from the message. */
struct pgcopy_field {
    const char *data;
    int32_t len;
};

struct pgcopy_reader {
    const char *p;
    const char *end;
    bool started; /* the header has been read */
    bool ended;   /* the trailer has */
};

enum pgcopy_next { PGCOPY_ROW, PGCOPY_NO_MORE, PGCOPY_MALFORMED };

void pgcopy_reader_init(struct pgcopy_reader *r);
/* The next message. Borrowed until pgcopy_read says PGCOPY_NO_MORE. */
void pgcopy_feed(struct pgcopy_reader *r, const void *message, size_t len);
/* The next row of the message, which must have exactly n fields. */
enum pgcopy_next pgcopy_read(struct pgcopy_reader *r, struct pgcopy_field *fields, int n);

/* False when NULL or of another size. */
bool pgcopy_to_i32(const struct pgcopy_field *f, int32_t *out) MUST_CHECK;
bool pgcopy_to_i64(const struct pgcopy_field *f, int64_t *out) MUST_CHECK;
bool pgcopy_to_double(const struct pgcopy_field *f, double *out) MUST_CHECK;
bool pgcopy_to_bool(const struct pgcopy_field *f, bool *out) MUST_CHECK;

/*
 * Writers put bytes at p and return what follows; the caller has made room. A field is its length
 * (4 bytes) and its value.
 */
#define PGCOPY_HEADER_SIZE  19
#define PGCOPY_TRAILER_SIZE 2
char *pgcopy_put_header(char *p);
char *pgcopy_put_trailer(char *p);

static inline char *pgcopy_put_u16(char *p, uint16_t v)
{
    v = htobe16(v);
    memcpy(p, &v, sizeof v);
    return p + sizeof v;
}
static inline char *pgcopy_put_u32(char *p, uint32_t v)
{
    v = htobe32(v);
    memcpy(p, &v, sizeof v);
    return p + sizeof v;
}
static inline char *pgcopy_put_u64(char *p, uint64_t v)
{
    v = htobe64(v);
    memcpy(p, &v, sizeof v);
    return p + sizeof v;
}

/* A row starts with its number of fields. */
static inline char *pgcopy_put_row(char *p, int fields)
{
    return pgcopy_put_u16(p, (uint16_t)fields);
}
static inline char *pgcopy_put_null(char *p)
{
    return pgcopy_put_u32(p, UINT32_MAX);
}
static inline char *pgcopy_put_i32(char *p, int32_t v)
{
    return pgcopy_put_u32(pgcopy_put_u32(p, sizeof v), (uint32_t)v);
}
static inline char *pgcopy_put_i64(char *p, int64_t v)
{
    return pgcopy_put_u64(pgcopy_put_u32(p, sizeof v), (uint64_t)v);
}
static inline char *pgcopy_put_double(char *p, double v)
{
    uint64_t bits;

    memcpy(&bits, &v, sizeof bits);
    return pgcopy_put_u64(pgcopy_put_u32(p, sizeof bits), bits);
}
static inline char *pgcopy_put_bool(char *p, bool v)
{
    p = pgcopy_put_u32(p, 1);
    *p = v ? 1 : 0;
    return p + 1;
}
static inline char *pgcopy_put_text(char *p, const char *text, size_t len)
{
    p = pgcopy_put_u32(p, (uint32_t)len);
    memcpy(p, text, len);
    return p + len;
}
/*
 * The head of an array of one dimension: its n > 0 elements follow, each put like a field of its
 * own, element_bytes in all. Source: array_recv() of PostgreSQL.
 */
#define PGCOPY_ARRAY_HEAD_SIZE 24
#define PGCOPY_OID_INT8        20
#define PGCOPY_OID_INT4        23
#define PGCOPY_OID_VARCHAR     1043
static inline char *pgcopy_put_array(char *p, uint32_t element_oid, uint32_t n,
                                     size_t element_bytes)
{
    p = pgcopy_put_u32(p, (uint32_t)(PGCOPY_ARRAY_HEAD_SIZE - 4 + element_bytes));
    p = pgcopy_put_u32(p, 1); /* dimensions */
    p = pgcopy_put_u32(p, 0); /* no NULLs */
    p = pgcopy_put_u32(p, element_oid);
    p = pgcopy_put_u32(p, n);
    return pgcopy_put_u32(p, 1); /* number of the first */
}

/* Between the Unix epoch and PostgreSQL's, 2000-01-01. */
#define PGCOPY_EPOCH_US INT64_C(946684800000000)

#endif
