#ifndef API_CLIENT_H
#define API_CLIENT_H

#include "api/request.h"
#include "common/net.h"

/* Whom a request is from, behind the proxies that are trusted. Family 0: nobody knows. */
void client_address(const struct request *rq, struct net_addr *out);
/* Whom limits are about. */
const char *client_text(const struct request *rq, char out[NET_TEXT_SIZE]);

#endif
