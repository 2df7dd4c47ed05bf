#ifndef CTL_MIGRATE_PLAN_H
#define CTL_MIGRATE_PLAN_H

#include <libpq-fe.h>

#include "common/schema.h"

/*
 * What the database has against what a program knows, in order of version. Pure: reads only the
 * rows it is given.
 */
enum migrate_state {
    MIGRATE_APPLIED,
    MIGRATE_PENDING,
    MIGRATE_EDITED,  /* applied, but the file is another one now */
    MIGRATE_UNKNOWN, /* applied by a newer program */
    MIGRATE_STATE_COUNT
};
extern const char *const MIGRATE_STATE_NAMES[MIGRATE_STATE_COUNT];

struct migrate_line {
    int version;
    enum migrate_state state;
    const char *name;              /* of `known` or of the rows */
    const char *applied_at;        /* of the rows; "" when pending */
    const struct migration *known; /* NULL when unknown */
};

struct migrate_plan {
    struct migrate_line *lines;
    size_t n;
};

/*
 * rows: version, name, checksum, applied_at in order of version, or NULL for none; known: in order
 * of version. The plan points into both. False when memory is out. migrate_plan_fini() frees.
 */
bool migrate_plan_make(struct migrate_plan *p, const PGresult *rows, const struct migration *known,
                       size_t n_known, struct err *e) MUST_CHECK;
void migrate_plan_fini(struct migrate_plan *p);

/* False and *e when the program must not touch this database: unknown, edited, out of order. */
bool migrate_plan_check(const struct migrate_plan *p, struct err *e) MUST_CHECK;

/* Nothing is pending, edited or unknown. */
bool migrate_plan_up_to_date(const struct migrate_plan *p);

#endif
