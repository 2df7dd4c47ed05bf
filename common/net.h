#ifndef COMMON_NET_H
#define COMMON_NET_H

#include <sys/socket.h>

#include "common/err.h"

/*
 * IP addresses, networks of them, and whom a request is from when proxies stand before us. Pure.
 * An IPv4 address that is written as an IPv6 one (::ffff:1.2.3.4) is the IPv4 address.
 */
#define NET_LIST_MAX  64
#define NET_TEXT_SIZE 64 /* "2001:db8:1:2::/64" and the like */

struct net_addr {
    int family; /* AF_INET or AF_INET6; 0: none */
    unsigned char bytes[16];
};

/* "1.2.3.4" or "::1", exactly. */
bool net_parse(const char *text, struct net_addr *out) MUST_CHECK;
/* False: no IP address. */
bool net_from_sockaddr(const struct sockaddr *sa, struct net_addr *out) MUST_CHECK;
/* The address itself, "unknown" without one. */
const char *net_text(const struct net_addr *a, char out[NET_TEXT_SIZE]);
/* Whom limits are about: an IPv4 address, or the network (/64) that an IPv6 address is in. */
const char *net_client_text(const struct net_addr *a, char out[NET_TEXT_SIZE]);

struct net_list {
    int count;
    struct {
        struct net_addr addr;
        int bits;
    } at[NET_LIST_MAX];
};

/* "10.0.0.0/8, ::1": addresses and networks with commas between; "": none. */
bool net_list_parse(const char *text, struct net_list *out, struct err *e) MUST_CHECK;
bool net_list_has(const struct net_list *list, const struct net_addr *a);

/*
 * Goes one X-Forwarded-For header back, from its right end: *a is whom we believe in so far. While
 * that is one of the trusted proxies, it is believed in whom it names. False: *a is the client (it
 * is not trusted, or what it named is no address). True: all were proxies; the header before this
 * one, if there is any, goes on.
 */
bool net_step_back(const struct net_list *trusted, const char *forwarded_for, struct net_addr *a);

#endif
