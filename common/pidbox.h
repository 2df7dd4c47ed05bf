#ifndef COMMON_PIDBOX_H
#define COMMON_PIDBOX_H

#include "common/envelope.h"

/*
 * Remote control as Celery's programs do it: a request is published on a channel that every worker
 * listens to, each answer is pushed to a list of the one who asked. Pure.
 */
#define PIDBOX_CHANNEL_SIZE   40
#define PIDBOX_REPLY_EXCHANGE "reply.celery.pidbox"
#define PIDBOX_ROUTING_MAX    200 /* bytes of a reply's routing key */
#define PIDBOX_LIST_SIZE      (PIDBOX_ROUTING_MAX + sizeof "." PIDBOX_REPLY_EXCHANGE)
#define PIDBOX_MEMBER_SIZE    (2 * PIDBOX_LIST_SIZE)
#define PIDBOX_BINDINGS       "_kombu.binding." PIDBOX_REPLY_EXCHANGE /* set of members */
#define PIDBOX_PATTERN_MAX    256
#define PIDBOX_METHOD_MAX     100
#define PIDBOX_TICKET_MAX     200

/* "/<db>.celery.pidbox" */
void pidbox_channel(char out[PIDBOX_CHANNEL_SIZE], int db);

/* A request that somebody sent; texts live in it. */
struct pidbox_request {
    struct envelope envelope;
    const char *method;
    const cJSON *arguments;   /* object; NULL: none */
    const cJSON *destination; /* array of texts; NULL: everybody */
    const char *pattern;      /* with matcher; NULL: everybody */
    const char *matcher;
    const char *ticket;   /* NULL: none */
    const char *reply_to; /* routing key; NULL: no answer is wanted */
    int64_t clock;        /* the sender's, 0: none */
};
/* False and *e, which names the fault; r is left in a state for pidbox_request_fini either way. */
bool pidbox_read_request(const char *bytes, size_t len, struct pidbox_request *r,
                         struct err *e) MUST_CHECK;
void pidbox_request_fini(struct pidbox_request *r);

enum pidbox_address {
    PIDBOX_OURS,
    PIDBOX_OTHERS,
    PIDBOX_UNKNOWN_MATCHER, /* whether it is ours cannot be told */
};
enum pidbox_address pidbox_address(const struct pidbox_request *r, const char *node);

/* Python's fnmatch: * ? [seq] [!seq]. Time at most the product of the lengths. */
bool pidbox_glob(const char *pattern, const char *text);

/* The list for answers. False when the routing key is too long. */
bool pidbox_list(char out[PIDBOX_LIST_SIZE], const char *routing_key) MUST_CHECK;
/* What whoever waits for answers puts into PIDBOX_BINDINGS meanwhile. False: too long. */
bool pidbox_member(char out[PIDBOX_MEMBER_SIZE], const char *routing_key) MUST_CHECK;
/* An answer: {node: value}, value as JSON text. ticket NULL: the request had none. */
struct pidbox_reply {
    const char *reply_to;
    const char *ticket;
    const char *node;
    const char *value;
    int64_t clock;
};
/* Appends its envelope. False when out has failed, or is full. */
bool pidbox_write_reply(struct buf *out, const struct pidbox_reply *r);

/* A request of ours. arguments: JSON text of an object; destination: one node, NULL: everybody;
 * ticket and reply_to NULL: no answer is wanted. */
struct pidbox_ask {
    const char *method;
    const char *arguments;
    const char *destination;
    const char *ticket;
    const char *reply_to;
    int64_t clock;
};
bool pidbox_write_request(struct buf *out, const struct pidbox_ask *a);

#endif
