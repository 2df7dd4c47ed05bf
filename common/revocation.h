#ifndef COMMON_REVOCATION_H
#define COMMON_REVOCATION_H

#include "common/rds.h"

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

#endif
