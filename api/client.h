#ifndef API_CLIENT_H
#define API_CLIENT_H

#include "api/request.h"
#include "common/net.h"

/* Whom limits are about: the address of the client behind the proxies that are trusted. */
const char *client_text(const struct request *rq, char out[NET_TEXT_SIZE]);

#endif
