#ifndef WORKER_COPY_H
#define WORKER_COPY_H

#include "common/buf.h"
#include "common/pg.h"
#include "worker/pgcopy.h"

/* COPY in binary over one connection, blocking, in bounded memory. */

#define COPY_FIELDS_MAX 16
#define SQLSTATE_SIZE   6

/* Takes one row; false stops the copy with *e. */
typedef bool (*copy_row_fn)(void *ctx, const struct pgcopy_field *fields, struct err *e);

struct copy_source {
    const char *sql; /* COPY ... TO STDOUT (FORMAT binary) */
    int fields;
    copy_row_fn take;
    void *ctx;
};

/* Every row of one message. */
bool copy_take_message(const struct copy_source *s, struct pgcopy_reader *in, const char *bytes,
                       size_t len, struct err *e);
/*
 * Runs it to its end. On failure sqlstate (may be NULL) is what the server said, or "": then the
 * connection is of no use any more.
 */
bool copy_read(PGconn *c, const struct copy_source *s, char sqlstate[SQLSTATE_SIZE],
               struct err *e) MUST_CHECK;

struct copy_writer {
    PGconn *c;
    struct buf out;
};
/* sql: COPY ... FROM STDIN (FORMAT binary). */
bool copy_write_begin(struct copy_writer *w, PGconn *c, const char *sql, struct err *e) MUST_CHECK;
/* Room for a row of at most this size, sending what is full; NULL and *e on failure. */
char *copy_write_room(struct copy_writer *w, size_t row_bytes, struct err *e) MUST_CHECK;
/* The row written into that room ends here. */
void copy_write_row(struct copy_writer *w, const char *end);
/* Ends the copy when ok, else gives it up (the server's transaction fails then). Frees. */
bool copy_write_end(struct copy_writer *w, bool ok, struct err *e) MUST_CHECK;

#endif
