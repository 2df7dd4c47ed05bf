#ifndef API_ROUTE_H
#define API_ROUTE_H

#include "api/query.h"
#include "api/request.h"

/*
 * Every address is a row of one table: the request is checked against it before its handler is
 * called, and the description of the api is made from it.
 */
/* values[i] belongs to params[i] of the row; they are gone when the handler returns. */
typedef void (*handler_fn)(const struct request *rq, const struct query_value *values);

struct route {
    const char *path; /* with a slash at its end (and not alone): of everything below */
    unsigned methods; /* EVHTTP_REQ_*, combined */
    handler_fn handle;
    const struct query_param *params;
    size_t param_count;
    /* For the description of the api: */
    const char *id;      /* operationId */
    const char *summary; /* one sentence for people */
    const char *schema;  /* of a good answer, in openapi.json; NULL: a page for people */
    const char *type;    /* its media type */
    bool cached;         /* answers carry an ETag */
    const char *body;    /* schema of what is posted, NULL: nothing is */
    bool limited;        /* a client may ask only so often */
};
extern const struct route ROUTES[];
extern const size_t ROUTE_COUNT;

/*
 * A page or a file of one: the description of the api leaves it out, and parameters that it does
 * not know or cannot read are passed over, because links pick up all kinds on their way.
 */
bool route_is_page(const struct route *r);

/* evhttp's callback for every well-formed request; arg is the struct loop. */
void route_request(struct evhttp_request *http, void *arg);

/* The handlers; each answers now or, with a request_keep(), in a later turn. */
void handle_top(const struct request *rq, const struct query_value *values);
void handle_page(const struct request *rq, const struct query_value *values);
void handle_around(const struct request *rq, const struct query_value *values);
void handle_cutoffs(const struct request *rq, const struct query_value *values);
void handle_distribution(const struct request *rq, const struct query_value *values);
void handle_csv(const struct request *rq, const struct query_value *values);
void handle_ndjson(const struct request *rq, const struct query_value *values);
void handle_character(const struct request *rq, const struct query_value *values);
void handle_complete(const struct request *rq, const struct query_value *values);
void handle_explain(const struct request *rq, const struct query_value *values);
void handle_history(const struct request *rq, const struct query_value *values);
void handle_many(const struct request *rq, const struct query_value *values);
void handle_search(const struct request *rq, const struct query_value *values);
void handle_legions(const struct request *rq, const struct query_value *values);
void handle_compare(const struct request *rq, const struct query_value *values);
void handle_updates(const struct request *rq, const struct query_value *values);
void handle_servers(const struct request *rq, const struct query_value *values);
void handle_health(const struct request *rq, const struct query_value *values);
void handle_openapi(const struct request *rq, const struct query_value *values);
/* Pages and their files; the values are PAGE_VALUES of page.h. */
void show_ranking(const struct request *rq, const struct query_value *values);
void show_character(const struct request *rq, const struct query_value *values);
void show_compare(const struct request *rq, const struct query_value *values);
void show_servers(const struct request *rq, const struct query_value *values);
void show_score(const struct request *rq, const struct query_value *values);
void send_asset(const struct request *rq, const struct query_value *values);

#endif
