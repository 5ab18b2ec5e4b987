/* The order of choice is in peer_next_hop_choose; see the header for its reasons. */
#include "announcer/peer_next_hop.h"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <string.h>

/* Octets of an address: 4, 16, or 0 when it is neither IPv4 nor IPv6. */
static size_t next_hop_octets(const struct sockaddr *address, const uint8_t **octets)
{
	if (address && address->sa_family == AF_INET) {
		*octets = (const uint8_t *)&((const struct sockaddr_in *)address)->sin_addr;
		return 4;
	}
	if (address && address->sa_family == AF_INET6) {
		*octets = (const uint8_t *)&((const struct sockaddr_in6 *)address)->sin6_addr;
		return 16;
	}
	return 0;
}

static bool next_hop_is_link_local(int family, const uint8_t *octets)
{
	if (family == AF_INET6)
		return octets[0] == 0xfe && (octets[1] & 0xc0) == 0x80;
	return octets[0] == 169 && octets[1] == 254;
}

static bool next_hop_is_loopback(int family, const uint8_t *octets)
{
	static const uint8_t loopback6[16] = {[15] = 1};
	return family == AF_INET6 ? memcmp(octets, loopback6, 16) == 0 : octets[0] == 127;
}

static bool next_hop_is_announced(int family, const uint8_t *octets,
				  const struct announcement *list, size_t count)
{
	size_t size = family == AF_INET6 ? 16 : 4;
	for (size_t i = 0; i < count; i++) {
		const struct prefix *prefix = &list[i].prefix;
		if (prefix->family == family && prefix_is_host(prefix) &&
		    memcmp(prefix->address, octets, size) == 0)
			return true;
	}
	return false;
}

/* A network mask of ones alone, or none. */
static bool next_hop_is_single_host(const struct sockaddr *mask)
{
	const uint8_t *octets = NULL;
	size_t size = next_hop_octets(mask, &octets);
	for (size_t i = 0; i < size; i++) {
		if (octets[i] != 0xff)
			return false;
	}
	return true;
}

static bool next_hop_set(uint8_t out[16], const struct sockaddr *address, int family)
{
	const uint8_t *octets = NULL;
	size_t size = next_hop_octets(address, &octets);
	if (size == 0 || address->sa_family != family)
		return false;
	memset(out, 0, 16);
	memcpy(out, octets, size);
	return true;
}

/* The first of the interface's addresses of the best kind. */
static bool next_hop_find(const struct ifaddrs *host, const char *interface, int family,
			  const struct announcement *list, size_t count, uint8_t out[16])
{
	const struct ifaddrs *found = NULL;
	for (const struct ifaddrs *at = host; at && interface[0]; at = at->ifa_next) {
		const uint8_t *octets = NULL;
		if (next_hop_octets(at->ifa_addr, &octets) == 0 ||
		    at->ifa_addr->sa_family != family || strcmp(at->ifa_name, interface) != 0)
			continue;
		if (next_hop_is_loopback(family, octets) ||
		    next_hop_is_link_local(family, octets) ||
		    next_hop_is_announced(family, octets, list, count))
			continue;
		if (!next_hop_is_single_host(at->ifa_netmask))
			return next_hop_set(out, at->ifa_addr, family);
		if (!found)
			found = at;
	}
	return found && next_hop_set(out, found->ifa_addr, family);
}

void peer_next_hop_choose(const struct announcer_bgp *bgp, const struct announcer_peer *peer,
			  const struct sockaddr_storage *local, const struct ifaddrs *host,
			  const struct announcement *list, size_t count, struct peer_next_hops *out)
{
	const struct sockaddr *own = (const struct sockaddr *)local;
	const uint8_t *octets = NULL;
	bool reachable = next_hop_octets(own, &octets) > 0 &&
			 !next_hop_is_link_local(own->sa_family, octets);

	memset(out, 0, sizeof(*out));
	out->has_ipv4 =
		next_hop_set(out->ipv4, (const struct sockaddr *)&peer->next_hop_ipv4, AF_INET) ||
		(reachable && next_hop_set(out->ipv4, own, AF_INET)) ||
		next_hop_find(host, bgp->next_hop_interface, AF_INET, list, count, out->ipv4) ||
		next_hop_find(host, peer->interface, AF_INET, list, count, out->ipv4) ||
		next_hop_set(out->ipv4, own, AF_INET);
	out->has_ipv6 =
		next_hop_set(out->ipv6, (const struct sockaddr *)&peer->next_hop_ipv6, AF_INET6) ||
		(reachable && next_hop_set(out->ipv6, own, AF_INET6)) ||
		next_hop_find(host, bgp->next_hop_interface, AF_INET6, list, count, out->ipv6) ||
		next_hop_find(host, peer->interface, AF_INET6, list, count, out->ipv6) ||
		next_hop_set(out->ipv6, own, AF_INET6);
}

bool peer_next_hop_uses_host(const struct announcer_bgp *bgp, const struct announcer_peer *peer)
{
	return (bgp->next_hop_interface[0] || peer->interface[0]) &&
	       ((peer->ipv4 && peer->next_hop_ipv4.ss_family == AF_UNSPEC) ||
		(peer->ipv6 && peer->next_hop_ipv6.ss_family == AF_UNSPEC));
}
