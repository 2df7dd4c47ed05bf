#include "api/protocol.h"

#include <event2/http_struct.h>
#include <stdio.h>
#include <string.h>

#include "api/loop.h"

enum fault { HEADERS_TOO_LARGE, STRANGE_VERSION, BODY_OF_A_GET, NO_HOST };

static const struct protocol_fault FAULTS[] = {
    [HEADERS_TOO_LARGE] = {431, NULL, true},
    [STRANGE_VERSION] = {400, NULL, true},
    [BODY_OF_A_GET] = {400, "A GET, HEAD or TRACE request has no body here.", true},
    [NO_HOST] = {400, "A request needs a Host header.", false},
};

static const char *header(const struct evhttp_request *http, const char *name)
{
    return evhttp_find_header(http->input_headers, name);
}

const struct protocol_fault *protocol_check(struct evhttp_request *http)
{
    bool bodyless = (http->type & (EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_TRACE)) != 0;
    const char *length = header(http, "Content-Length");

    if (http->headers_size > LOOP_HEADERS_MAX) {
        return &FAULTS[HEADERS_TOO_LARGE];
    }
    if (http->major != 1) {
        return &FAULTS[STRANGE_VERSION];
    }
    /* evhttp would take the body of a HEAD or TRACE for the next request: a way past a proxy's
     * checks. */
    if (bodyless && (header(http, "Transfer-Encoding") || (length && strcmp(length, "0") != 0))) {
        return &FAULTS[BODY_OF_A_GET];
    }
    return http->minor >= 1 && !header(http, "Host") ? &FAULTS[NO_HOST] : NULL;
}

static const struct {
    unsigned method;
    const char *name;
} METHODS[] = {{EVHTTP_REQ_GET, "GET"},        {EVHTTP_REQ_HEAD, "HEAD"},
               {EVHTTP_REQ_POST, "POST"},      {EVHTTP_REQ_PUT, "PUT"},
               {EVHTTP_REQ_DELETE, "DELETE"},  {EVHTTP_REQ_PATCH, "PATCH"},
               {EVHTTP_REQ_OPTIONS, "OPTIONS"}};

const char *protocol_method(enum evhttp_cmd_type method)
{
    for (size_t i = 0; i < ARRAY_LEN(METHODS); i++) {
        if (METHODS[i].method == method) {
            return METHODS[i].name;
        }
    }
    return "other";
}

void protocol_list_methods(unsigned methods, char allow[PROTOCOL_ALLOW_SIZE])
{
    allow[0] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(METHODS); i++) {
        if (methods & METHODS[i].method) {
            size_t len = strlen(allow);

            snprintf(allow + len, PROTOCOL_ALLOW_SIZE - len, "%s%s", len ? ", " : "",
                     METHODS[i].name);
        }
    }
}
