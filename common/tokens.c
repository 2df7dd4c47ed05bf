#include "common/tokens.h"

#include <stdio.h>
#include <string.h>

#define EXPIRY_SQL                                                                                 \
    "CASE WHEN $4::bigint > 0 THEN clock_timestamp() + make_interval(secs => $4::bigint) END"

static const char CREATE_SQL[] =
    "INSERT INTO admin_tokens (name, scope, token_hash, expires_at)"
    " SELECT $1, $2, $3::bytea, " EXPIRY_SQL
    " WHERE (SELECT count(*) FROM admin_tokens WHERE revoked_at IS NULL"
    "        AND (expires_at IS NULL OR expires_at > now())) < $5::int"
    " RETURNING json_build_object('id', id, 'name', name, 'scope', scope,"
    " 'created_at', " PG_ISO("created_at") ", 'expires_at', " PG_ISO("expires_at") ")";

#define TOKEN_JSON                                                                                                \
    "json_build_object('id', t.id, 'name', t.name, 'scope', t.scope, 'state',"                                    \
    " CASE WHEN t.revoked_at IS NOT NULL THEN 'revoked'"                                                          \
    " WHEN t.expires_at <= now() THEN 'expired' ELSE 'active' END,"                                               \
    " 'created_at', " PG_ISO("t.created_at") ", 'expires_at', " PG_ISO("t.expires_at") ", 'revoked_at', " PG_ISO( \
        "t.revoked_at") ", 'last_used_at', " PG_ISO("t.last_used_at") ")"

/* Those that live first, so that old ones never push them out. */
static const char LIST_SQL[] =
    "SELECT json_build_object('tokens', coalesce(json_agg(" TOKEN_JSON " ORDER BY t.id DESC),"
    " '[]')) FROM (SELECT * FROM admin_tokens ORDER BY revoked_at IS NOT NULL, id DESC"
    " LIMIT 2000) AS t";

static const char REVOKE_SQL[] =
    "UPDATE admin_tokens AS n SET revoked_at = clock_timestamp() FROM admin_tokens AS t"
    " WHERE n.id = $1::bigint AND t.id = n.id AND n.revoked_at IS NULL RETURNING " TOKEN_JSON;

cJSON *tokens_create(PGconn *c, const char *name, enum token_scope scope, int64_t expires_s,
                     char token[TOKEN_SIZE], struct err *e)
{
    unsigned char hash[TOKEN_HASH_SIZE];
    char hex[TOKEN_HEX_SIZE], seconds[24], most[16];
    const char *values[] = {name, token_scope_name(scope), hex, seconds, most};
    cJSON *doc;

    token_make(token);
    token_hash(token, TOKEN_SIZE - 1, hash);
    token_hash_hex(hash, hex);
    snprintf(seconds, sizeof seconds, "%" PRId64, expires_s);
    snprintf(most, sizeof most, "%d", TOKENS_MAX);
    doc = pg_document(c, CREATE_SQL, ARRAY_LEN(values), values, e);
    if (!doc && strcmp(e->type, "LookupError") == 0) {
        err_set(e, ERR_PERMANENT, "ValueError", "there are %d tokens already; revoke some",
                TOKENS_MAX);
    }
    return doc;
}

cJSON *tokens_list(PGconn *c, struct err *e)
{
    return pg_document(c, LIST_SQL, 0, NULL, e);
}

cJSON *tokens_revoke(PGconn *c, int64_t id, struct err *e)
{
    char number[24];
    const char *values[] = {number};

    snprintf(number, sizeof number, "%" PRId64, id);
    return pg_document(c, REVOKE_SQL, ARRAY_LEN(values), values, e);
}
