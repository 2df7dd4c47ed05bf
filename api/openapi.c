#include "api/openapi.h"

#include <event2/http.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/assets.h"
#include "api/route.h"
#include "common/json.h"

void openapi_add_ref(cJSON *parent, const char *key, const char *kind, const char *name)
{
    char ref[96];
    cJSON *o = cJSON_AddObjectToObject(parent, key);

    snprintf(ref, sizeof ref, "#/components/%s/%s", kind, name);
    cJSON_AddStringToObject(o, "$ref", ref);
}

/* ---- parameters ---- */

cJSON *openapi_value_schema(const struct query_param *p)
{
    cJSON *s = cJSON_CreateObject();

    if (p->kind == QUERY_INT) {
        cJSON_AddStringToObject(s, "type", "integer");
        cJSON_AddNumberToObject(s, "minimum", (double)p->min);
        cJSON_AddNumberToObject(s, "maximum", (double)p->max);
        cJSON_AddNumberToObject(s, "default", (double)p->fallback);
        return s;
    }
    cJSON_AddStringToObject(s, "type", "string");
    cJSON_AddNumberToObject(s, "minLength", p->kind == QUERY_TEXT);
    cJSON_AddNumberToObject(s, "maxLength", query_text_max(p));
    return s;
}

void openapi_add_params(cJSON *list, const struct query_param *params, size_t n, const char *where)
{
    for (size_t i = 0; i < n; i++) {
        const struct query_param *p = &params[i];
        cJSON *o = cJSON_CreateObject();

        cJSON_AddStringToObject(o, "name", p->name);
        cJSON_AddStringToObject(o, "in", where);
        cJSON_AddStringToObject(o, "description", p->help);
        cJSON_AddBoolToObject(o, "required", p->kind == QUERY_TEXT || strcmp(where, "path") == 0);
        cJSON_AddItemToObject(o, "schema", openapi_value_schema(p));
        cJSON_AddItemToArray(list, o);
    }
}

/* ---- operations ---- */

static void add_limit_headers(cJSON *response)
{
    static const char *const NAMES[] = {"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset",
                                        "RateLimit-Policy"};
    cJSON *headers = cJSON_AddObjectToObject(response, "headers");

    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        openapi_add_ref(headers, NAMES[i], "headers", NAMES[i]);
    }
}

static cJSON *make_success(const struct route *r, bool with_body)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddStringToObject(o, "description", "The answer.");
    if (r->limited) {
        add_limit_headers(o);
    }
    if (with_body) {
        cJSON *content = cJSON_AddObjectToObject(o, "content");

        openapi_add_ref(cJSON_AddObjectToObject(content, r->type), "schema", "schemas", r->schema);
    }
    return o;
}

static cJSON *make_body(const struct route *r)
{
    cJSON *o = cJSON_CreateObject();
    cJSON *content = cJSON_AddObjectToObject(o, "content");

    cJSON_AddBoolToObject(o, "required", true);
    openapi_add_ref(cJSON_AddObjectToObject(content, "application/json"), "schema", "schemas",
                    r->body);
    return o;
}

static cJSON *make_operation(const struct route *r, const char *method)
{
    cJSON *o = cJSON_CreateObject();
    cJSON *responses;
    char id[64];

    snprintf(id, sizeof id, "%s%s", r->id, strcmp(method, "head") == 0 ? "Head" : "");
    cJSON_AddStringToObject(o, "operationId", id);
    cJSON_AddStringToObject(o, "summary", r->summary);
    openapi_add_params(cJSON_AddArrayToObject(o, "parameters"), r->params, r->param_count, "query");
    if (r->body && strcmp(method, "post") == 0) {
        cJSON_AddItemToObject(o, "requestBody", make_body(r));
    }
    responses = cJSON_AddObjectToObject(o, "responses");
    cJSON_AddItemToObject(responses, "200", make_success(r, strcmp(method, "head") != 0));
    if (r->cached) {
        openapi_add_ref(responses, "304", "responses", "NotModified");
    }
    if (r->limited) {
        openapi_add_ref(responses, "429", "responses", "TooMany");
    }
    openapi_add_ref(responses, "4XX", "responses", "Problem");
    openapi_add_ref(responses, "503", "responses", "Unavailable");
    return o;
}

static cJSON *make_path(const struct route *r)
{
    static const struct {
        unsigned method;
        const char *name;
    } METHODS[] = {{EVHTTP_REQ_GET, "get"}, {EVHTTP_REQ_HEAD, "head"}, {EVHTTP_REQ_POST, "post"}};
    cJSON *path = cJSON_CreateObject();

    for (size_t i = 0; i < ARRAY_LEN(METHODS); i++) {
        if (r->methods & METHODS[i].method) {
            cJSON_AddItemToObject(path, METHODS[i].name, make_operation(r, METHODS[i].name));
        }
    }
    return path;
}

bool openapi_build(struct buf *out)
{
    const struct asset *base = asset_find("openapi.json");
    struct err e;
    cJSON *doc = base ? json_parse(base->begin, (size_t)(base->end - base->begin), &e) : NULL;
    cJSON *paths;
    char *text;
    bool ok;

    MUST(doc); /* ours, compiled in */
    paths = cJSON_AddObjectToObject(doc, "paths");
    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        if (!route_is_page(&ROUTES[i])) {
            cJSON_AddItemToObject(paths, ROUTES[i].path, make_path(&ROUTES[i]));
        }
    }
    text = json_print(doc);
    ok = text && buf_addstr(out, text);
    free(text);
    cJSON_Delete(doc);
    return ok;
}
