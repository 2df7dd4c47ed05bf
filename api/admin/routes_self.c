#include <stdlib.h>
#include <string.h>

#include "api/admin/route.h"
#include "common/changes.h"
#include "common/tokens.h"

/* The admin side about itself: who asks, what was changed, which tokens there are. */

static void whoami(struct admin_call *c)
{
    cJSON *doc = cJSON_CreateObject();

    cJSON_AddStringToObject(doc, "principal", c->who->name);
    cJSON_AddStringToObject(doc, "scope", token_scope_name(c->who->scope));
    cJSON_AddStringToObject(doc, "address", c->who->address);
    admin_reply(c, 200, doc);
}

static const struct query_param AUDIT_PARAMS[] = {
    {"before", QUERY_INT, 1, INT64_MAX, 0,
     "goes on after this one: next_before of the page before"},
    {"limit", QUERY_INT, 1, CHANGES_PAGE_MAX, 50, "how many"},
    {"principal", QUERY_TEXT_OPTIONAL, 0, QUERY_PAIR_CHARS, 0, "only by this one"},
    {"action", QUERY_TEXT_OPTIONAL, 0, 0, 0, "only of this kind, as batch.start"},
    {"refused", QUERY_INT, 0, 1, 0, "1: only what was not done"},
};

static void list_changes(struct admin_call *c)
{
    const struct changes_filter f = {.before = c->values[0].number,
                                     .limit = c->values[1].number,
                                     .principal = c->values[2].text,
                                     .action = c->values[3].text,
                                     .refused = c->values[4].number == 1};
    struct err e;

    admin_document(c, changes_list(c->pg, &f, &e), &e);
}

static void list_tokens(struct admin_call *c)
{
    struct err e;

    admin_document(c, tokens_list(c->pg, &e), &e);
}

static const struct query_param TOKEN_IDS[] = {
    {"id", QUERY_INT, 1, INT64_MAX, 0, "number of the token"},
};

static void revoke_token(struct admin_call *c)
{
    int64_t id = c->ids[0].number;
    struct err e;

    admin_target(c, "token %" PRId64, id);
    c->before = tokens_revoke(c->pg, id, &e);
    if (!c->before) {
        admin_fail(c, &e);
        return;
    }
    admin_reply(c, 200, cJSON_Duplicate(c->before, true));
}

static void describe(struct admin_call *c)
{
    admin_reply(c, 200, admin_openapi());
}

static const struct admin_route ROWS[] = {
    {.method = EVHTTP_REQ_GET,
     .path = "/admin/whoami",
     .scope = TOKEN_READ,
     .fn = whoami,
     .id = "whoami",
     .summary = "Who you are here, and what you may do.",
     .schema = "Who"},
    {.method = EVHTTP_REQ_GET,
     .path = "/admin/audit",
     .scope = TOKEN_READ,
     .needs = ADMIN_PG,
     .fn = list_changes,
     .params = AUDIT_PARAMS,
     .param_count = ARRAY_LEN(AUDIT_PARAMS),
     .id = "audit",
     .summary = "The log of changes and refused requests, the newest first.",
     .schema = "Changes"},
    {.method = EVHTTP_REQ_GET,
     .path = "/admin/tokens",
     .scope = TOKEN_ADMIN,
     .needs = ADMIN_PG,
     .fn = list_tokens,
     .id = "tokens",
     .summary = "The tokens, without themselves.",
     .schema = "Tokens"},
    {.method = EVHTTP_REQ_POST,
     .path = "/admin/tokens/{id}/revoke",
     .scope = TOKEN_ADMIN,
     .needs = ADMIN_PG,
     .fn = revoke_token,
     .ids = TOKEN_IDS,
     .action = "token.revoke",
     .id = "revokeToken",
     .summary = "Ends a token; it is refused within two seconds.",
     .schema = "Token"},
    {.method = EVHTTP_REQ_GET,
     .path = "/admin/openapi.json",
     .scope = TOKEN_READ,
     .fn = describe,
     .id = "adminOpenapi",
     .summary = "This description.",
     .schema = "OpenApi"},
};
const struct admin_routes ADMIN_ROUTES_SELF = {ROWS, ARRAY_LEN(ROWS)};
