#include "api/client.h"

#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <string.h>
#include <strings.h>

#include "common/text.h"

/* Who is connected. */
static bool read_peer(const struct request *rq, struct net_addr *out)
{
    char text[NET_TEXT_SIZE];
    char *peer = NULL;
    ev_uint16_t port = 0;

    if (rq->http->evcon) {
        evhttp_connection_get_peer(rq->http->evcon, &peer, &port);
    }
    if (!peer || !text_copy(text, sizeof text, peer)) {
        return false;
    }
    text[strcspn(text, "%")] = '\0'; /* an interface */
    return net_parse(text, out);
}

void client_address(const struct request *rq, struct net_addr *out)
{
    struct evkeyval *h;
    bool more;

    *out = (struct net_addr){0};
    more = read_peer(rq, out);

    /* Several headers are one list: the last of them was added last. */
    for (h = TAILQ_LAST(rq->http->input_headers, evkeyvalq); h && more;
         h = TAILQ_PREV(h, evkeyvalq, next)) {
        if (strcasecmp(h->key, "X-Forwarded-For") == 0) {
            more = net_step_back(&rq->loop->proxies, h->value, out);
        }
    }
}

const char *client_text(const struct request *rq, char out[NET_TEXT_SIZE])
{
    struct net_addr a;

    client_address(rq, &a);
    return net_client_text(&a, out);
}
