#ifndef API_POST_H
#define API_POST_H

#include "api/query.h"
#include "api/request.h"
#include "common/json.h"

/*
 * What is posted: JSON, strictly. Each of these answers the request itself (400, 415) when it
 * refuses.
 */

/*
 * The same without an answer: NULL, and *status and *detail of the refusal.
 */
cJSON *post_parse(struct evhttp_request *http, int *status, const char **detail) MUST_CHECK;

/* The body as an object, the caller's (cJSON_Delete); NULL: refused. */
cJSON *post_read(const struct request *rq) MUST_CHECK;

/* Every member is one of the n known ones and comes once. what: "The body", "A character". */
bool post_check_members(const struct request *rq, const cJSON *obj, const char *what,
                        const char *const *known, size_t n) MUST_CHECK;

/* A member that is text as a parameter is: 1 to QUERY_TEXT_CHARS characters, no control ones. */
bool post_text(const struct request *rq, const cJSON *obj, const char *key,
               struct query_value *out) MUST_CHECK;
/* The same without the blanks around it: a slip of the hand, as no name has any. */
bool post_name(const struct request *rq, const cJSON *obj, const char *key,
               struct query_value *out) MUST_CHECK;

#endif
