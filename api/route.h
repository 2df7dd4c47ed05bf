#ifndef API_ROUTE_H
#define API_ROUTE_H

#include "api/request.h"

/* evhttp's callback for every well-formed request; arg is the struct loop. */
void route_request(struct evhttp_request *http, void *arg);

/* The handlers; each answers now or, with a request_keep(), in a later turn. */
void handle_top(const struct request *rq);
void handle_page(const struct request *rq);
void handle_character(const struct request *rq);
void handle_updates(const struct request *rq);
void handle_servers(const struct request *rq);
void handle_health(const struct request *rq);

#endif
