#ifndef API_OPENAPI_H
#define API_OPENAPI_H

#include <cjson/cJSON.h>

#include "api/query.h"
#include "common/buf.h"

/*
 * The description of the api (OpenAPI 3.1): what openapi.json says of it as a whole and of the
 * shapes of answers, and an operation for each row of the route table. Appends the document.
 */
bool openapi_build(struct buf *out) MUST_CHECK;

/* ---- parts of it, for the description of the admin side as well ---- */

/* parent.key = {"$ref": "#/components/kind/name"} */
void openapi_add_ref(cJSON *parent, const char *key, const char *kind, const char *name);
/* Appends the n parameters; where: "query" or "path". */
void openapi_add_params(cJSON *list, const struct query_param *params, size_t n, const char *where);
/* The schema of one value. */
cJSON *openapi_value_schema(const struct query_param *p);

#endif
