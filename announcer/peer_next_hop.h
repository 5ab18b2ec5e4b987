/*
 * Where a peer is to send what it sends to an announced address: the next hop of each family.
 *
 * In this order: the one configured for the peer; our own address in its session, when that is of
 * the family; an address of bgp.next_hop_interface; for a session over link-local addresses an
 * address of the session's interface, and last our link-local address itself. An interface's
 * address is taken when others can reach it: not loopback, not link-local; and rather one that has
 * a network than a single host's, which on an announcer is often itself an anycast address. One
 * that is announced is never taken.
 */
#ifndef GODWIT_ANNOUNCER_PEER_NEXT_HOP_H
#define GODWIT_ANNOUNCER_PEER_NEXT_HOP_H

#include "announcer/config.h"
#include "announcer/speaker.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct ifaddrs;

/* A next hop for each family, if there is one; network order, IPv4 in the first 4 octets. */
struct peer_next_hops {
	bool has_ipv4, has_ipv6;
	uint8_t ipv4[16];
	uint8_t ipv6[16];
};

/*
 * Chooses, from `local`, our address in the session, and the host's addresses as getifaddrs(3)
 * gives them (NULL: none). Pure.
 */
void peer_next_hop_choose(const struct announcer_bgp *bgp, const struct announcer_peer *peer,
			  const struct sockaddr_storage *local, const struct ifaddrs *host,
			  const struct announcement *list, size_t count,
			  struct peer_next_hops *out);

/* True when the choice may change with the host's addresses. */
bool peer_next_hop_uses_host(const struct announcer_bgp *bgp, const struct announcer_peer *peer);

#endif
