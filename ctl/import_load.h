#ifndef CTL_IMPORT_LOAD_H
#define CTL_IMPORT_LOAD_H

#include <libpq-fe.h>

#include "common/buf.h"
#include "common/err.h"

/* A chunk is one transaction. */
#define IMPORT_CHUNK_ROWS  50000
#define IMPORT_CHUNK_BYTES (32 * MIB)

struct import_counts {
    uint64_t imported, updated, unchanged;
    uint64_t superseded; /* the same character came again later in the chunk */
    uint64_t refused;    /* by PostgreSQL */
};

struct load_row {
    size_t at, len; /* the tuple in `bytes` */
    uint64_t line;
    bool superseded;
};

/* Gathers rows and writes them to characters, a chunk at a time. */
struct import_load {
    PGconn *c; /* borrowed */
    struct buf bytes;
    struct load_row *rows;
    size_t n;
    uint32_t *slots; /* hash table of keys: index of a row + 1 */
    struct import_counts counts;
    void (*on_refused)(void *arg, uint64_t line, const char *why);
    void *arg;
};

/* Checks the schema and prepares the session. import_load_fini() in any case. */
bool import_load_init(struct import_load *l, PGconn *c, struct err *e) MUST_CHECK;
void import_load_fini(struct import_load *l);

/*
 * Takes note of the tuple that import_row_encode() has appended to l->bytes at `at`, and writes the
 * chunk when it is full. False: PostgreSQL fails as a whole; what was written before stays.
 */
bool import_load_row(struct import_load *l, size_t at, uint64_t line, struct err *e) MUST_CHECK;
/* Writes what is gathered. */
bool import_load_flush(struct import_load *l, struct err *e) MUST_CHECK;

#endif
