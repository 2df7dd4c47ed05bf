#ifndef COMMON_REVOCATION_H
#define COMMON_REVOCATION_H

#include "common/json.h"
#include "common/nodes.h"

/*
 * The ids of tasks that must not be run, as they stand in Redis (aion2:revoked: id -> when, by
 * Redis' clock). A worker reads them whenever it connects; those that run are told over pidbox.
 */
#define REVOCATION_KEEP_S   86400
#define REVOCATION_MAX      50000
#define REVOCATION_ID_MAX   255  /* bytes */
#define REVOCATION_ONCE_MAX 1000 /* ids in one call */

/* Notes ids, in one step. False and *e when Redis fails, or there are more than can be in one call.
 */
bool revocation_note(redisContext *c, const char *const *ids, int n, struct err *e) MUST_CHECK;

/* Whether it can be the id of a task at all. */
bool revocation_id_ok(const char *id);

/* Notes ids and tells all workers now. */
struct revocation {
    const char *const *ids;
    int n;
    bool terminate;                    /* also what runs */
    const char *signal;                /* with it, NULL: SIGTERM */
    int64_t timeout_ms;                /* for the workers' answers */
    const volatile sig_atomic_t *stop; /* as in nodes.h; may be NULL */
};
/*
 * {"revoked": [ids], "nodes": {node: answer}}; an answer with "error" is one that would not. No
 * node at all: nobody listens now, those that come later will heed it. db: of REDIS_URL. NULL and
 * *e.
 */
cJSON *revocation_run(redisContext *c, int db, const struct revocation *r,
                      struct err *e) MUST_CHECK;

#endif
