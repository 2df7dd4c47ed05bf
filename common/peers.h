#ifndef COMMON_PEERS_H
#define COMMON_PEERS_H

#include <sys/socket.h>

#include "common/net.h"

/*
 * How many connections each client address has, so that one client cannot take the places of all.
 * An address is an IPv4 address or an IPv6 network of 64 bits, of which whoever has one has all.
 * For any number of threads; memory is bounded by the number of connections.
 */
struct peers;

/*
 * each: connections of one address. all: places there are, over all addresses. exempt (borrowed,
 * NULL: none): proxies, whose connections are of many.
 */
struct peers *peers_new(unsigned each, unsigned all, const struct net_list *exempt);
void peers_free(struct peers *p); /* NULL is fine */

/*
 * One more connection from there; *key is for peers_remove(), of family 0 when it is not counted:
 * 127.0.0.1, ::1 and what is no internet address are not, as the exempt ones. False: the address
 * (in *key) has its share already, and this one is not counted.
 */
bool peers_add(struct peers *p, const struct sockaddr *sa, struct net_addr *key) MUST_CHECK;
void peers_remove(struct peers *p, const struct net_addr *key);

#endif
