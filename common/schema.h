#ifndef COMMON_SCHEMA_H
#define COMMON_SCHEMA_H

#include <libpq-fe.h>

#include "common/err.h"

/* Migrations are compiled in from migrations/NNNN_name.sql, in order of their number. */
struct migration {
    int version;
    const char *name; /* "0001_base" */
    const char *sql;
    const char *checksum; /* sha256 of the file, hex */
};
extern const struct migration SCHEMA_MIGRATIONS[];
extern const int SCHEMA_MIGRATION_COUNT;

/* Advisory lock keys, one place so that they never collide. */
#define SCHEMA_LOCK_MIGRATE INT64_C(0x61696f6e32000001)
#define SCHEMA_LOCK_BATCH   INT64_C(0x61696f6e32000002)

/* Channel on which a published generation is announced; the payload is the run id. */
#define SCHEMA_NOTIFY_CHANNEL "aion2_ranking"

/*
 * The programs call this at start: true when the database has exactly the migrations of this
 * program. Otherwise *e says what to do: run "aion2ctl migrate" (behind, retryable: a worker may
 * wait for it), upgrade the program (newer) or restore the file (edited), both permanent.
 */
bool schema_check(PGconn *c, struct err *e) MUST_CHECK;

#endif
