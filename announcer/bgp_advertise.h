/*
 * What one peer has been told (Adj-RIB-Out, RFC 4271 section 3.2) beside what it should know, and
 * the UPDATEs that lead from one to the other: withdrawals before all else, for a route that should
 * be gone does harm, one that comes a message later only waits. Routes whose attributes are equal
 * share an UPDATE.
 *
 * Nothing is held back for a minimum interval (RFC 4271 section 9.2.1): whoever decides what is
 * announced has waited for `rise` good answers, and a withdrawal must not wait at all.
 *
 * Made for tens of routes; look-ups are linear. Pure but for its memory.
 */
#ifndef GODWIT_ANNOUNCER_BGP_ADVERTISE_H
#define GODWIT_ANNOUNCER_BGP_ADVERTISE_H

#include "announcer/bgp_attributes.h"
#include "announcer/bgp_session.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One prefix: as the peer should know it, and as it does. */
struct bgp_advertised {
	struct bgp_route wanted;
	struct bgp_route sent;
	bool is_wanted;
	bool is_sent;
	bool again; /* to be sent though the peer knows it */
};

/* Zeroed memory is an empty one. */
struct bgp_advertise {
	struct bgp_advertised *entries;
	size_t count;
};

void bgp_advertise_clear(struct bgp_advertise *advertise);

/*
 * What the peer should know from now on; copies. Of a prefix that stands there twice the first
 * counts. 0, or -1 when out of memory: nothing changed.
 */
int bgp_advertise_set(struct bgp_advertise *advertise, const struct bgp_route *routes,
		      size_t count);

/* The peer asked for a family's routes again (RFC 2918). */
void bgp_advertise_repeat(struct bgp_advertise *advertise, int family);

/*
 * Writes the next UPDATE that is due, and takes it as sent. Returns its size, 0 when nothing is to
 * be said. Routes of families that are not agreed on are left out.
 */
size_t bgp_advertise_next(struct bgp_advertise *advertise, const struct bgp_agreement *agreement,
			  uint8_t out[BGP_MESSAGE_MAX]);

/* Prefixes the peer has been told of and not withdrawn; of one, true. */
size_t bgp_advertise_count(const struct bgp_advertise *advertise);
bool bgp_advertise_has(const struct bgp_advertise *advertise, const struct prefix *prefix);

#endif
