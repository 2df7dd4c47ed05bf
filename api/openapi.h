#ifndef API_OPENAPI_H
#define API_OPENAPI_H

#include "common/buf.h"

/*
 * The description of the api (OpenAPI 3.1): what openapi.json says of it as a whole and of the
 * shapes of answers, and an operation for each row of the route table. Appends the document.
 */
bool openapi_build(struct buf *out) MUST_CHECK;

#endif
