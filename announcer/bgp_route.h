/*
 * A route as one peer is to see it: a prefix and its path attributes (RFC 4271 section 5).
 */
#ifndef GODWIT_ANNOUNCER_BGP_ROUTE_H
#define GODWIT_ANNOUNCER_BGP_ROUTE_H

#include "announcer/prefix.h"

/* How many of each a route carries at most. */
#define BGP_COMMUNITIES_MAX 32
#define BGP_LARGE_COMMUNITIES_MAX 32
#define BGP_PREPEND_MAX 16

/* GRACEFUL_SHUTDOWN (RFC 8326 section 4). */
#define BGP_COMMUNITY_GRACEFUL_SHUTDOWN 0xffff0000u

/* RFC 8092: shown as global:local1:local2. */
struct bgp_large_community {
	uint32_t global;
	uint32_t local1;
	uint32_t local2;
};

/* All numbers in host order. ORIGIN is always IGP; AS_PATH is made by the session. */
struct bgp_route {
	struct prefix prefix;
	uint8_t next_hop[16]; /* of the prefix's family, network order */
	uint32_t local_pref;  /* sent to internal peers only */
	bool has_med;
	uint32_t med;
	unsigned int prepend; /* our AS number once more, so many times; external peers only */
	uint32_t communities[BGP_COMMUNITIES_MAX]; /* RFC 1997, high half the AS number */
	size_t community_count;
	struct bgp_large_community large[BGP_LARGE_COMMUNITIES_MAX];
	size_t large_count;
};

#endif
