#ifndef WORKER_REVOKED_H
#define WORKER_REVOKED_H

#include "common/base.h"

/*
 * Ids of tasks that must not run: a set that forgets. What is in it also stands in Redis
 * (revoke.h), so that it survives us. Pure.
 */
#define REVOKED_MAX    50000
#define REVOKED_KEEP_S 86400
#define REVOKED_ID_MAX 255 /* bytes; no task has a longer id */

struct revoked;

struct revoked_entry {
    const char *id;
    int64_t at_ms; /* monotonic: when it was revoked */
    unsigned done; /* of enum revoked_done */
};

/* What has been done about an id. */
enum revoked_done {
    REVOKED_STORED = 1, /* Redis knows it */
    REVOKED_SOUGHT = 2, /* the delayed set was looked through for it */
};

struct revoked *revoked_new(void);
void revoked_free(struct revoked *r);
int revoked_count(const struct revoked *r);
bool revoked_has(const struct revoked *r, const char *id);
/*
 * True when it was not there. The oldest go when there are more than REVOKED_MAX. An id that no
 * task can have, and one for which there is no memory, is not added.
 */
bool revoked_add(struct revoked *r, const char *id, int64_t at_ms);
void revoked_mark(struct revoked *r, const char *id, unsigned done);
/* Takes that mark from all that were revoked at that time or later. */
void revoked_unmark_since(struct revoked *r, int64_t at_ms, unsigned done);
void revoked_forget_before(struct revoked *r, int64_t at_ms);
/* The newest first, until fn returns false. fn must not change the set. */
void revoked_each(const struct revoked *r, bool (*fn)(void *ctx, const struct revoked_entry *e),
                  void *ctx);

#endif
