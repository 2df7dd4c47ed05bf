#include "api/route.h"

#include <event2/http_struct.h>
#include <string.h>

#include "api/board.h"
#include "api/negotiate.h"
#include "common/text.h"

static const struct route {
    const char *path;
    const char *allow; /* of the methods below */
    unsigned methods;
    void (*handle)(const struct request *rq);
} ROUTES[] = {
    {"/api/ranking/top", "GET, HEAD", EVHTTP_REQ_GET | EVHTTP_REQ_HEAD, handle_top},
    {"/api/ranking", "GET, HEAD", EVHTTP_REQ_GET | EVHTTP_REQ_HEAD, handle_page},
    {"/api/character", "GET, HEAD", EVHTTP_REQ_GET | EVHTTP_REQ_HEAD, handle_character},
    {"/api/updates", "GET, HEAD", EVHTTP_REQ_GET | EVHTTP_REQ_HEAD, handle_updates},
    {"/api/servers", "GET, HEAD", EVHTTP_REQ_GET | EVHTTP_REQ_HEAD, handle_servers},
    {"/health", "GET, HEAD", EVHTTP_REQ_GET | EVHTTP_REQ_HEAD, handle_health},
};

static const struct route *find_route(const char *path)
{
    for (size_t i = 0; i < ARRAY_LEN(ROUTES); i++) {
        if (strcmp(ROUTES[i].path, path) == 0) {
            return &ROUTES[i];
        }
    }
    return NULL;
}

static const char *header(const struct evhttp_request *http, const char *name)
{
    return evhttp_find_header(http->input_headers, name);
}

/* What evhttp lets through and HTTP does not. True: answered. */
static bool refuse_protocol(const struct request *rq)
{
    struct evhttp_request *http = rq->http;
    bool bodyless = (http->type & (EVHTTP_REQ_GET | EVHTTP_REQ_HEAD)) != 0;
    const char *length = header(http, "Content-Length");

    if (http->headers_size > LOOP_HEADERS_MAX) {
        evhttp_send_error(http, 431, NULL);
        return true;
    }
    if (http->major != 1) {
        evhttp_send_error(http, 400, NULL);
        return true;
    }
    /* evhttp would take the body of a GET for the next request: a way past a proxy's checks. */
    if (bodyless && (header(http, "Transfer-Encoding") || (length && strcmp(length, "0") != 0))) {
        evhttp_add_header(http->output_headers, "Connection", "close");
        reply_problem(rq, 400, NULL, "A GET or HEAD request has no body here.");
        return true;
    }
    if (http->minor >= 1 && !header(http, "Host")) {
        reply_problem(rq, 400, NULL, "A request needs a Host header.");
        return true;
    }
    return false;
}

static void dispatch(const struct request *rq, const char *path)
{
    const struct route *r = path ? find_route(path) : NULL;

    if (!r) {
        reply_problem(rq, 404, NULL, "There is nothing at this address.");
    } else if (!(r->methods & rq->http->type)) {
        reply_not_allowed(rq, r->allow);
    } else {
        r->handle(rq);
    }
}

void route_request(struct evhttp_request *http, void *arg)
{
    struct loop *loop = arg;
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(http);
    struct request rq = {
        .http = http,
        .loop = loop,
        .query = uri ? evhttp_uri_get_query(uri) : NULL,
        .head = http->type == EVHTTP_REQ_HEAD,
        .gzip = negotiate_gzip(header(http, "Accept-Encoding")),
    };

    if (!refuse_protocol(&rq) && !board_answer_cached(&rq)) {
        dispatch(&rq, uri ? evhttp_uri_get_path(uri) : NULL);
    }
}
