#include <event2/http.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "api/admin/route.h"
#include "api/assets.h"
#include "api/openapi.h"
#include "api/protocol.h"

/*
 * The description of the admin side: admin/openapi.json for the whole, an operation for each row,
 * and the shapes of answers from admin/schemas/, a file beside each table of rows.
 */
static const char SCHEMAS_FOLDER[] = "admin/schemas/";

static cJSON *read_asset(const struct asset *a)
{
    struct err e;
    cJSON *doc = a ? json_parse(a->begin, (size_t)(a->end - a->begin), &e) : NULL;

    MUST(doc); /* ours, compiled in */
    return doc;
}

static void add_schemas(cJSON *schemas)
{
    for (size_t i = 0; i < ASSET_COUNT; i++) {
        cJSON *part, *one;

        if (strncmp(ASSETS[i].name, SCHEMAS_FOLDER, sizeof SCHEMAS_FOLDER - 1) != 0) {
            continue;
        }
        part = read_asset(&ASSETS[i]);
        while ((one = cJSON_DetachItemFromArray(part, 0)) != NULL) {
            MUST(!cJSON_GetObjectItemCaseSensitive(schemas, one->string));
            cJSON_AddItemToObject(schemas, one->string, one);
        }
        cJSON_Delete(part);
    }
}

static cJSON *make_success(const struct admin_route *r)
{
    cJSON *o = cJSON_CreateObject(), *content;

    cJSON_AddStringToObject(o, "description", "The answer.");
    content = cJSON_AddObjectToObject(o, "content");
    openapi_add_ref(cJSON_AddObjectToObject(content, "application/json"), "schema", "schemas",
                    r->schema);
    return o;
}

static void add_body(cJSON *operation, const struct admin_route *r)
{
    cJSON *o = cJSON_AddObjectToObject(operation, "requestBody");
    cJSON *content = cJSON_AddObjectToObject(o, "content");

    cJSON_AddBoolToObject(o, "required", true);
    cJSON_AddItemToObject(cJSON_AddObjectToObject(content, "application/json"), "schema",
                          admin_body_schema(r->body, r->body_count));
}

static void add_key(cJSON *params)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddStringToObject(o, "$ref", "#/components/parameters/IdempotencyKey");
    cJSON_AddItemToArray(params, o);
}

static cJSON *make_operation(const struct admin_route *r)
{
    cJSON *o = cJSON_CreateObject(), *params, *responses;
    char status[16];

    cJSON_AddStringToObject(o, "operationId", r->id);
    cJSON_AddStringToObject(o, "summary", r->summary);
    cJSON_AddStringToObject(o, "x-scope", r->open ? "none" : token_scope_name(r->scope));
    params = cJSON_AddArrayToObject(o, "parameters");
    openapi_add_params(params, r->ids, admin_route_ids(r), "path");
    openapi_add_params(params, r->params, r->param_count, "query");
    if (r->action) {
        add_key(params);
    }
    if (r->body) {
        add_body(o, r);
    }
    responses = cJSON_AddObjectToObject(o, "responses");
    snprintf(status, sizeof status, "%d", r->status ? r->status : 200);
    cJSON_AddItemToObject(responses, status, make_success(r));
    openapi_add_ref(responses, "4XX", "responses", "Problem");
    openapi_add_ref(responses, "503", "responses", "Unavailable");
    return o;
}

static void add_row(cJSON *paths, const struct admin_route *r)
{
    cJSON *path = cJSON_GetObjectItemCaseSensitive(paths, r->path);
    char method[16];

    if (!r->schema) { /* a page, not data */
        return;
    }
    if (!path) {
        path = cJSON_AddObjectToObject(paths, r->path);
    }
    snprintf(method, sizeof method, "%s", protocol_method(r->method));
    for (char *p = method; *p; p++) {
        *p = (char)(*p | 0x20);
    }
    cJSON_AddItemToObject(path, method, make_operation(r));
}

cJSON *admin_openapi(void)
{
    cJSON *doc = read_asset(asset_find("admin/openapi.json")), *paths;

    add_schemas(json_get_obj(json_get_obj(doc, "components"), "schemas"));
    paths = cJSON_AddObjectToObject(doc, "paths");
    for (size_t t = 0; t < ADMIN_ROUTES_COUNT; t++) {
        for (size_t i = 0; i < ADMIN_ROUTES[t]->count; i++) {
            add_row(paths, &ADMIN_ROUTES[t]->rows[i]);
        }
    }
    return doc;
}
