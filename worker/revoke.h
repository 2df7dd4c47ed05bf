#ifndef WORKER_REVOKE_H
#define WORKER_REVOKE_H

#include "common/rdsa.h"

/*
 * Revoking tasks: the set of revoked ids (revoked.h), kept in Redis so that it survives a restart
 * and reaches workers that were away; and what is waiting in the delayed set ends at once. What
 * this worker holds is the consumer's to end.
 */
struct revoke;

struct revoke_config {
    struct event_base *base;
    int64_t result_expires_s;
    /* There are new ids: what waits here is to be looked at. */
    void (*on_change)(void *ctx);
    /* A delayed message was dropped for it. */
    void (*on_dropped)(void *ctx, const char *id);
    void *ctx;
};

struct revoke *revoke_new(const struct revoke_config *config);
/* After its connection. */
void revoke_free(struct revoke *rv);

/* An id is revoked. ctx: the struct revoke. */
bool revoke_has(void *ctx, const char *id);
/* Adds one; nothing else happens before revoke_commit. */
void revoke_add(struct revoke *rv, const char *id);
/* Writes what is new to Redis, has waiting jobs looked at and looks through the delayed set. */
void revoke_commit(struct revoke *rv);
/* Asks for what Redis knows on a connection that is up. When it is answered, Redis is told what it
 * does not know, over the one that revoke_set_talk has given. */
void revoke_load(struct revoke *rv, struct rdsa *conn);
void revoke_set_talk(struct revoke *rv, struct rdsa *talk);

struct revoked *revoke_set(struct revoke *rv);

#endif
