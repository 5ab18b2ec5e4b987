/*
 * Path attributes (RFC 4271 section 4.3 and 5), both ways: one route's as octets, and a check of
 * whatever a peer sends. One table says what each attribute has to look like and what becomes of
 * an UPDATE in which it does not (RFC 7606): its routes are treated as withdrawn, the attribute is
 * left out, or - where not even the routes can be told - the session ends.
 *
 * Also NLRI, the form of prefixes in UPDATEs. Pure; any octets are safe.
 */
#ifndef GODWIT_ANNOUNCER_BGP_ATTRIBUTES_H
#define GODWIT_ANNOUNCER_BGP_ATTRIBUTES_H

#include "announcer/bgp_error.h"
#include "announcer/bgp_route.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What two OPENs agreed on, as far as UPDATEs depend on it. */
struct bgp_agreement {
	uint32_t local_as;
	bool internal; /* the peer is in our AS */
	bool as4;      /* AS numbers have 4 octets in AS_PATH (RFC 6793) */
	bool ipv4;     /* families both offer */
	bool ipv6;
};

/* Attribute flags (RFC 4271 section 4.3). */
#define BGP_FLAG_OPTIONAL 0x80
#define BGP_FLAG_TRANSITIVE 0x40
#define BGP_FLAG_EXTENDED 0x10 /* the length has 2 octets */

enum bgp_attribute {
	BGP_ATTRIBUTE_ORIGIN = 1,
	BGP_ATTRIBUTE_AS_PATH = 2,
	BGP_ATTRIBUTE_NEXT_HOP = 3,
	BGP_ATTRIBUTE_MED = 4,
	BGP_ATTRIBUTE_LOCAL_PREF = 5,
	BGP_ATTRIBUTE_ATOMIC_AGGREGATE = 6,
	BGP_ATTRIBUTE_AGGREGATOR = 7,
	BGP_ATTRIBUTE_COMMUNITIES = 8,   /* RFC 1997 */
	BGP_ATTRIBUTE_ORIGINATOR_ID = 9, /* RFC 4456 */
	BGP_ATTRIBUTE_CLUSTER_LIST = 10, /* RFC 4456 */
	BGP_ATTRIBUTE_MP_REACH = 14,     /* RFC 4760 */
	BGP_ATTRIBUTE_MP_UNREACH = 15,   /* RFC 4760 */
	BGP_ATTRIBUTE_EXTENDED = 16,     /* RFC 4360 */
	BGP_ATTRIBUTE_AS4_PATH = 17,     /* RFC 6793 */
	BGP_ATTRIBUTE_AS4_AGGREGATOR = 18,
	BGP_ATTRIBUTE_LARGE = 32, /* RFC 8092 */
};

/* Most octets bgp_attributes_write writes. */
#define BGP_ATTRIBUTES_MAX 768

/*
 * Writes all attributes of a route for such a peer but MP_REACH_NLRI, which is the UPDATE's.
 * Returns the octets written.
 */
size_t bgp_attributes_write(const struct bgp_route *route, const struct bgp_agreement *agreement,
			    uint8_t out[BGP_ATTRIBUTES_MAX]);

/* True when bgp_attributes_write and the next hop would be the same: one UPDATE can carry both. */
bool bgp_attributes_equal(const struct bgp_route *a, const struct bgp_route *b,
			  const struct bgp_agreement *agreement);

/* What a check of the attributes found. */
struct bgp_attributes {
	size_t announced; /* prefixes in MP_REACH_NLRI, of families both offer */
	size_t withdrawn; /* and in MP_UNREACH_NLRI */
	bool reaches;     /* there is an MP_REACH_NLRI */
	bool describes;   /* there are attributes beside MP_UNREACH_NLRI */
	char problem[96]; /* "": good. Else the routes are to be treated as withdrawn */

	/* The problem as a NOTIFICATION would have it. */
	uint8_t subcode;
	const uint8_t *data;
	size_t data_size;
};

/*
 * Checks `size` octets of attributes; `has_nlri`: IPv4 routes follow behind them. 0, or -1 with the
 * fault when the session has to end.
 */
int bgp_attributes_check(const uint8_t *attributes, size_t size, bool has_nlri,
			 const struct bgp_agreement *agreement, struct bgp_attributes *out,
			 struct bgp_fault *fault);

/* A prefix as NLRI: its length in bits, then as many octets as those need (section 4.3). */
size_t bgp_nlri_size(const struct prefix *prefix);
uint8_t *bgp_nlri_put(uint8_t *out, const struct prefix *prefix);

/* How many prefixes the octets hold, -1 when one is too long or cut off; `family` is AF_INET.. */
int bgp_nlri_count(const uint8_t *nlri, size_t size, int family);

#endif
