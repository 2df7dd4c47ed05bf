#ifndef COMMON_CHANGES_H
#define COMMON_CHANGES_H

#include "common/json.h"
#include "common/pg.h"

/*
 * The log of changes (table admin_audit): who changed what, and what was refused. A change is
 * written down before it is made and completed afterwards, so none is missing whatever dies in
 * between; its status stays null then.
 */
#define CHANGES_PAGE_MAX 500

struct change {
    const char *principal;       /* who */
    const char *address;         /* from where */
    const char *action;          /* "batch.start" */
    const char *target;          /* "batch 17" */
    const char *key;             /* Idempotency-Key, NULL: none */
    int status;                  /* as in HTTP; 0: not known yet */
    const char *detail;          /* NULL: nothing to say */
    const cJSON *before, *after; /* NULL: nothing to say */
};

/* Writes it down. Its number, or -1 and *e. */
int64_t changes_add(PGconn *c, const struct change *ch, struct err *e);
/* How it ended: target, status, detail, before and after of ch. */
bool changes_finish(PGconn *c, int64_t id, const struct change *ch, struct err *e) MUST_CHECK;

/*
 * {"items": [{"id", "at", "principal", "address", "action", "target", "status", "detail",
 * "before", "after", "idempotency_key"}, ...], "next_before": id or null}, newest first.
 * NULL and *e on failure.
 */
struct changes_filter {
    int64_t before;        /* only with a smaller number; 0: from the newest on */
    int64_t limit;         /* 1 to CHANGES_PAGE_MAX */
    const char *principal; /* "": any */
    const char *action;    /* "": any */
    bool refused;          /* only what was not done (status 400 and above) */
};
cJSON *changes_list(PGconn *c, const struct changes_filter *f, struct err *e) MUST_CHECK;

#endif
