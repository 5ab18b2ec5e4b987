/*
 * From what is to be announced to what one peer is told: its next hops, local preference (internal
 * peers), MED, communities, prepending. Pure.
 */
#ifndef GODWIT_ANNOUNCER_PEER_ROUTES_H
#define GODWIT_ANNOUNCER_PEER_ROUTES_H

#include "announcer/bgp_route.h"
#include "announcer/config.h"
#include "announcer/peer_next_hop.h"
#include "announcer/speaker.h"

#include <stddef.h>

/* Room for the words about what is not announced. */
#define PEER_HELD_BACK_MAX 160

/*
 * Writes a route for each of `count` announcements that has a next hop; `out` has room for all of
 * them. A last resort (announcement.graceful_shutdown, RFC 8326) carries GRACEFUL_SHUTDOWN among
 * its communities, in the place of the last configured one if there is no room, and local
 * preference 0. Returns how many; `held_back` says what was left out and why, or is "".
 */
size_t peer_routes_build(const struct announcer_peer *peer, const struct peer_next_hops *hops,
			 const struct announcement *list, size_t count, struct bgp_route *out,
			 char held_back[PEER_HELD_BACK_MAX]);

#endif
