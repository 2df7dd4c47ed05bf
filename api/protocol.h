#ifndef API_PROTOCOL_H
#define API_PROTOCOL_H

#include <event2/http.h>

#include "common/base.h"

/* What HTTP asks for and evhttp does not check, for every listener of this program. */
struct protocol_fault {
    int status;
    const char *detail; /* NULL: evhttp_send_error() knows what to say */
    bool close;         /* what follows on the connection cannot be told apart any more */
};

/* NULL: the request is well-formed. */
const struct protocol_fault *protocol_check(struct evhttp_request *http);

/* "GET"; "other" for what we know nothing of. */
const char *protocol_method(enum evhttp_cmd_type method);
/* "GET, HEAD" of EVHTTP_REQ_*, combined. */
#define PROTOCOL_ALLOW_SIZE 64
void protocol_list_methods(unsigned methods, char allow[PROTOCOL_ALLOW_SIZE]);

#endif
