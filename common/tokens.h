#ifndef COMMON_TOKENS_H
#define COMMON_TOKENS_H

#include "common/json.h"
#include "common/pg.h"
#include "common/token.h"

/* The table of tokens (admin_tokens). Documents never hold a token, nor its hash. */
#define TOKENS_MAX         1000 /* alive at the same time */
#define TOKENS_DAYS_MAX    3650
#define TOKENS_SECONDS_MAX ((int64_t)TOKENS_DAYS_MAX * 86400)

/*
 * Makes one: {"id", "name", "scope", "created_at", "expires_at"}, and its text in token, which is
 * nowhere else. expires_s: seconds from now, 0: never. NULL and *e on failure.
 */
cJSON *tokens_create(PGconn *c, const char *name, enum token_scope scope, int64_t expires_s,
                     char token[TOKEN_SIZE], struct err *e) MUST_CHECK;

/*
 * {"tokens": [{"id", "name", "scope", "state": "active", "expired" or "revoked", "created_at",
 * "expires_at", "revoked_at", "last_used_at"}, ...]}, the newest first.
 */
cJSON *tokens_list(PGconn *c, struct err *e) MUST_CHECK;

/*
 * Revokes the one of this number: what it was before, as in the list. "LookupError" when there is
 * none, or it was revoked before.
 */
cJSON *tokens_revoke(PGconn *c, int64_t id, struct err *e) MUST_CHECK;

#endif
