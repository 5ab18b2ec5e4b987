/* A route is the peer's own attributes and one announcement; see the header. */
#include "announcer/peer_routes.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static void route_add_community(struct bgp_route *route, uint32_t community)
{
	for (size_t i = 0; i < route->community_count; i++) {
		if (route->communities[i] == community)
			return;
	}
	if (route->community_count == BGP_COMMUNITIES_MAX)
		route->community_count--;
	route->communities[route->community_count++] = community;
}

static void route_fill(struct bgp_route *route, const struct announcer_peer *peer,
		       const uint8_t next_hop[16], const struct announcement *announcement)
{
	memset(route, 0, sizeof(*route));
	route->prefix = announcement->prefix;
	memcpy(route->next_hop, next_hop, sizeof(route->next_hop));
	route->local_pref = announcement->local_pref;
	route->has_med = peer->has_med;
	route->med = peer->med;
	route->prepend = peer->prepend;
	memcpy(route->communities, peer->communities, sizeof(route->communities));
	route->community_count = peer->community_count;
	memcpy(route->large, peer->large, sizeof(route->large));
	route->large_count = peer->large_count;
	if (announcement->graceful_shutdown) {
		route_add_community(route, BGP_COMMUNITY_GRACEFUL_SHUTDOWN);
		route->local_pref = 0;
	}
}

static void routes_explain(size_t ipv4, size_t ipv6, char held_back[PEER_HELD_BACK_MAX])
{
	static const char advice[] = "set next_hop_interface, or the peer's next_hop";
	held_back[0] = '\0';
	if (ipv4 > 0 && ipv6 > 0)
		snprintf(held_back, PEER_HELD_BACK_MAX, "IPv4 and IPv6: no next hop (%s)", advice);
	else if (ipv4 > 0)
		snprintf(held_back, PEER_HELD_BACK_MAX, "IPv4: no next hop (%s_ipv4)", advice);
	else if (ipv6 > 0)
		snprintf(held_back, PEER_HELD_BACK_MAX, "IPv6: no next hop (%s_ipv6)", advice);
}

size_t peer_routes_build(const struct announcer_peer *peer, const struct peer_next_hops *hops,
			 const struct announcement *list, size_t count, struct bgp_route *out,
			 char held_back[PEER_HELD_BACK_MAX])
{
	size_t without_ipv4 = 0;
	size_t without_ipv6 = 0;
	size_t built = 0;
	for (size_t i = 0; i < count; i++) {
		bool v6 = list[i].prefix.family == AF_INET6;
		if (v6 ? !peer->ipv6 : !peer->ipv4)
			continue;
		if (v6 ? hops->has_ipv6 : hops->has_ipv4)
			route_fill(&out[built++], peer, v6 ? hops->ipv6 : hops->ipv4, &list[i]);
		else if (v6)
			without_ipv6++;
		else
			without_ipv4++;
	}
	routes_explain(without_ipv4, without_ipv6, held_back);
	return built;
}
