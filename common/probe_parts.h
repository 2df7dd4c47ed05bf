#ifndef COMMON_PROBE_PARTS_H
#define COMMON_PROBE_PARTS_H

#include <sys/socket.h>
#include <sys/un.h>

#include "common/probe.h"

/* The inside of probe.h: probe.c (the server), probe_ask.c (who asks, addresses). */
struct probe_addr {
    struct sockaddr_storage any;
    socklen_t len;
};
bool probe_parse_listen(const char *listen, struct probe_addr *a, struct err *e) MUST_CHECK;
const char *probe_kind_name(enum probe_kind kind);

#endif
