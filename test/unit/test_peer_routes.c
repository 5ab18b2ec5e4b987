/* What a peer is told, which next hop it gets, and what the log says of it: the pure parts. */
#include "announcer/peer.h"
#include "announcer/peer_next_hop.h"
#include "announcer/peer_report.h"
#include "announcer/peer_routes.h"
#include "suite.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <string.h>

/* --- helpers ---------------------------------------------------------------------------------- */

static struct sockaddr_storage address(const char *text)
{
	struct sockaddr_storage out = {0};
	struct sockaddr_in *v4 = (struct sockaddr_in *)&out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&out;
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1)
		v4->sin_family = AF_INET;
	else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1)
		v6->sin6_family = AF_INET6;
	else
		CU_FAIL_FATAL("not an address");
	return out;
}

static struct announcement announcement(const char *prefix)
{
	struct announcement out = {.local_pref = 200};
	char error[128];
	CU_ASSERT_EQUAL_FATAL(prefix_parse(prefix, &out.prefix, error, sizeof(error)), 0);
	return out;
}

/* An interface's address as getifaddrs has it. */
struct host_address {
	struct ifaddrs entry;
	struct sockaddr_storage address, mask;
	char name[IFNAMSIZ];
};

static struct ifaddrs *host_add(struct host_address *slot, struct ifaddrs *rest, const char *name,
				const char *text, const char *mask)
{
	memset(slot, 0, sizeof(*slot));
	snprintf(slot->name, sizeof(slot->name), "%s", name);
	slot->address = address(text);
	slot->mask = address(mask);
	slot->entry.ifa_next = rest;
	slot->entry.ifa_name = slot->name;
	slot->entry.ifa_addr = (struct sockaddr *)&slot->address;
	slot->entry.ifa_netmask = (struct sockaddr *)&slot->mask;
	return &slot->entry;
}

#define MASK64 "ffff:ffff:ffff:ffff::"
#define MASK128 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"

/* lo and eth0 of an announcer; the order is a trap at every step. */
static struct ifaddrs *host_of_an_announcer(struct host_address slots[8])
{
	struct ifaddrs *host = NULL;
	host = host_add(&slots[0], host, "eth1", "198.51.100.9", "255.255.255.0");
	host = host_add(&slots[1], host, "eth0", "2001:db8:1::1", MASK64);
	host = host_add(&slots[2], host, "eth0", "203.0.113.1", "255.255.255.0");
	host = host_add(&slots[3], host, "eth0", "fe80::1", MASK64);
	host = host_add(&slots[4], host, "eth0", "2001:db8::77", MASK128);
	host = host_add(&slots[5], host, "eth0", "192.0.2.77", "255.255.255.255");
	host = host_add(&slots[6], host, "lo", "::1", MASK128);
	host = host_add(&slots[7], host, "lo", "127.0.0.1", "255.0.0.0");
	return host;
}

static void check_hops(const struct peer_next_hops *hops, const char *ipv4, const char *ipv6)
{
	char text[INET6_ADDRSTRLEN];
	CU_ASSERT_EQUAL(hops->has_ipv4, ipv4 != NULL);
	CU_ASSERT_EQUAL(hops->has_ipv6, ipv6 != NULL);
	if (ipv4)
		CU_ASSERT_STRING_EQUAL(inet_ntop(AF_INET, hops->ipv4, text, sizeof(text)), ipv4);
	if (ipv6)
		CU_ASSERT_STRING_EQUAL(inet_ntop(AF_INET6, hops->ipv6, text, sizeof(text)), ipv6);
}

/* --- next hops -------------------------------------------------------------------------------- */

static void test_the_given_next_hop_comes_first(void)
{
	const struct announcer_bgp bgp = {.next_hop_interface = "eth0"};
	const struct announcer_peer peer = {
		.ipv4 = true,
		.ipv6 = true,
		.next_hop_ipv4 = address("192.0.2.10"),
		.next_hop_ipv6 = address("2001:db8::10"),
	};
	struct host_address slots[8];
	struct sockaddr_storage local = address("203.0.113.5");
	struct peer_next_hops hops;
	peer_next_hop_choose(&bgp, &peer, &local, host_of_an_announcer(slots), NULL, 0, &hops);
	check_hops(&hops, "192.0.2.10", "2001:db8::10");
	CU_ASSERT_FALSE(peer_next_hop_uses_host(&bgp, &peer));
}

static void test_the_session_gives_its_family_and_the_interface_the_other(void)
{
	const struct announcer_bgp bgp = {.next_hop_interface = "eth0"};
	const struct announcer_peer peer = {.ipv4 = true, .ipv6 = true};
	struct host_address slots[8];
	struct ifaddrs *host = host_of_an_announcer(slots);
	struct sockaddr_storage local = address("203.0.113.5");
	struct peer_next_hops hops;
	peer_next_hop_choose(&bgp, &peer, &local, host, NULL, 0, &hops);
	check_hops(&hops, "203.0.113.5", "2001:db8:1::1");
	local = address("2001:db8:1::5");
	peer_next_hop_choose(&bgp, &peer, &local, host, NULL, 0, &hops);
	check_hops(&hops, "203.0.113.1", "2001:db8:1::5");
	CU_ASSERT_TRUE(peer_next_hop_uses_host(&bgp, &peer));
}

static void test_an_anycast_address_is_no_next_hop(void)
{
	const struct announcer_bgp bgp = {.next_hop_interface = "eth0"};
	const struct announcer_peer peer = {.ipv4 = true, .ipv6 = true};
	struct host_address slots[2];
	struct ifaddrs *host = host_add(&slots[0], NULL, "eth0", "192.0.2.77", "255.255.255.255");
	struct sockaddr_storage local = address("2001:db8:1::5");
	struct announcement list[] = {announcement("192.0.2.77/32")};
	struct peer_next_hops hops;
	peer_next_hop_choose(&bgp, &peer, &local, host, list, 1, &hops);
	check_hops(&hops, NULL, "2001:db8:1::5");
	/* A single host's address that nobody announces will do when there is no better one. */
	peer_next_hop_choose(&bgp, &peer, &local, host, NULL, 0, &hops);
	check_hops(&hops, "192.0.2.77", "2001:db8:1::5");
	host = host_add(&slots[1], host, "eth0", "203.0.113.77", "255.255.255.0");
	peer_next_hop_choose(&bgp, &peer, &local, host, list, 1, &hops);
	check_hops(&hops, "203.0.113.77", "2001:db8:1::5");
}

static void test_a_link_local_session_uses_what_others_can_reach(void)
{
	const struct announcer_bgp bgp = {0};
	const struct announcer_peer peer = {.interface = "eth0", .ipv4 = true, .ipv6 = true};
	struct host_address slots[8];
	struct sockaddr_storage local = address("fe80::1");
	struct peer_next_hops hops;
	peer_next_hop_choose(&bgp, &peer, &local, host_of_an_announcer(slots), NULL, 0, &hops);
	check_hops(&hops, "203.0.113.1", "2001:db8:1::1");
	peer_next_hop_choose(&bgp, &peer, &local, NULL, NULL, 0, &hops);
	check_hops(&hops, NULL, "fe80::1");
	CU_ASSERT_TRUE(peer_next_hop_uses_host(&bgp, &peer));
}

static void test_loopback_is_nobodys_next_hop(void)
{
	const struct announcer_bgp bgp = {.next_hop_interface = "lo"};
	const struct announcer_peer peer = {.ipv4 = true, .ipv6 = true};
	struct host_address slots[8];
	struct sockaddr_storage local = address("203.0.113.5");
	struct peer_next_hops hops;
	peer_next_hop_choose(&bgp, &peer, &local, host_of_an_announcer(slots), NULL, 0, &hops);
	check_hops(&hops, "203.0.113.5", NULL);
}

/* --- routes ----------------------------------------------------------------------------------- */

static void test_a_route_has_the_peers_attributes(void)
{
	struct announcer_peer peer = {
		.ipv4 = true,
		.ipv6 = true,
		.has_med = true,
		.med = 7,
		.prepend = 2,
		.communities = {64512U << 16 | 53, 64512U << 16 | 54},
		.community_count = 2,
		.large = {{64512, 1, 2}},
		.large_count = 1,
	};
	const struct peer_next_hops hops = {.has_ipv4 = true, .ipv4 = {203, 0, 113, 1}};
	struct announcement list[] = {announcement("192.0.2.53/32")};
	struct bgp_route out[1];
	char held_back[PEER_HELD_BACK_MAX];
	CU_ASSERT_EQUAL_FATAL(peer_routes_build(&peer, &hops, list, 1, out, held_back), 1);
	CU_ASSERT_STRING_EQUAL(held_back, "");
	CU_ASSERT_TRUE(prefix_equal(&out[0].prefix, &list[0].prefix));
	CU_ASSERT_EQUAL(memcmp(out[0].next_hop, hops.ipv4, 16), 0);
	CU_ASSERT_EQUAL(out[0].local_pref, 200);
	CU_ASSERT_TRUE(out[0].has_med);
	CU_ASSERT_EQUAL(out[0].med, 7);
	CU_ASSERT_EQUAL(out[0].prepend, 2);
	CU_ASSERT_EQUAL(out[0].community_count, 2);
	CU_ASSERT_EQUAL(out[0].communities[1], 64512U << 16 | 54);
	CU_ASSERT_EQUAL(out[0].large_count, 1);
	CU_ASSERT_EQUAL(out[0].large[0].local2, 2);
}

static void test_a_last_resort_is_marked_even_without_room(void)
{
	struct announcer_peer peer = {.ipv4 = true, .community_count = BGP_COMMUNITIES_MAX};
	const struct peer_next_hops hops = {.has_ipv4 = true, .ipv4 = {203, 0, 113, 1}};
	struct announcement list[] = {announcement("192.0.2.53/32")};
	struct bgp_route out[1];
	char held_back[PEER_HELD_BACK_MAX];
	for (uint32_t i = 0; i < BGP_COMMUNITIES_MAX; i++)
		peer.communities[i] = i + 1;
	list[0].graceful_shutdown = true;
	CU_ASSERT_EQUAL_FATAL(peer_routes_build(&peer, &hops, list, 1, out, held_back), 1);
	CU_ASSERT_EQUAL(out[0].local_pref, 0);
	CU_ASSERT_EQUAL(out[0].community_count, BGP_COMMUNITIES_MAX);
	CU_ASSERT_EQUAL(out[0].communities[BGP_COMMUNITIES_MAX - 1],
			BGP_COMMUNITY_GRACEFUL_SHUTDOWN);

	peer.community_count = 0;
	peer_routes_build(&peer, &hops, list, 1, out, held_back);
	CU_ASSERT_EQUAL(out[0].community_count, 1);
	peer.communities[0] = BGP_COMMUNITY_GRACEFUL_SHUTDOWN;
	peer.community_count = 1;
	peer_routes_build(&peer, &hops, list, 1, out, held_back);
	CU_ASSERT_EQUAL(out[0].community_count, 1);
}

static void test_what_has_no_next_hop_is_named(void)
{
	struct announcer_peer peer = {.ipv4 = true, .ipv6 = true};
	const struct peer_next_hops hops = {.has_ipv4 = true, .ipv4 = {203, 0, 113, 1}};
	struct announcement list[] = {announcement("2001:db8::53/128"),
				      announcement("192.0.2.53/32")};
	struct bgp_route out[2];
	char held_back[PEER_HELD_BACK_MAX];
	CU_ASSERT_EQUAL_FATAL(peer_routes_build(&peer, &hops, list, 2, out, held_back), 1);
	CU_ASSERT_EQUAL(out[0].prefix.family, AF_INET);
	CU_ASSERT_EQUAL(strncmp(held_back, "IPv6: no next hop", 17), 0);
	/* A family the peer is not to have is not missed. */
	peer.ipv6 = false;
	CU_ASSERT_EQUAL(peer_routes_build(&peer, &hops, list, 2, out, held_back), 1);
	CU_ASSERT_STRING_EQUAL(held_back, "");
}

/* --- the log, and who stays ------------------------------------------------------------------- */

static void test_the_same_failure_is_logged_once_a_minute(void)
{
	struct peer_report report = {0};
	uint64_t suppressed = 99;
	CU_ASSERT_TRUE(peer_report_pass(&report, "refused", 1000, &suppressed));
	CU_ASSERT_EQUAL(suppressed, 0);
	CU_ASSERT_FALSE(peer_report_pass(&report, "refused", 2500, &suppressed));
	CU_ASSERT_FALSE(peer_report_pass(&report, "refused", 60999, &suppressed));
	CU_ASSERT_TRUE(peer_report_pass(&report, "refused", 61000, &suppressed));
	CU_ASSERT_EQUAL(suppressed, 2);
	CU_ASSERT_FALSE(peer_report_pass(&report, "no route", 61500, &suppressed));
	CU_ASSERT_TRUE(peer_report_pass(&report, "no route", 62000, &suppressed));
	CU_ASSERT_EQUAL(suppressed, 1);
	peer_report_reset(&report);
	CU_ASSERT_TRUE(peer_report_pass(&report, "no route", 62001, &suppressed));
}

static void test_the_higher_identifier_keeps_what_it_made(void)
{
	CU_ASSERT_TRUE(peer_keeps_outgoing(2, 100, 1, 200));
	CU_ASSERT_FALSE(peer_keeps_outgoing(1, 200, 2, 100));
	CU_ASSERT_TRUE(peer_keeps_outgoing(0x80000000, 1, 0x7fffffff, 1));
	CU_ASSERT_TRUE(peer_keeps_outgoing(1, 200, 1, 100));
	CU_ASSERT_FALSE(peer_keeps_outgoing(1, 100, 1, 200));
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"a next hop that is given comes first", test_the_given_next_hop_comes_first},
		{"the session gives the next hop of its family, the interface the other",
		 test_the_session_gives_its_family_and_the_interface_the_other},
		{"an announced address is never a next hop",
		 test_an_anycast_address_is_no_next_hop},
		{"a link-local session's next hop is what others can reach",
		 test_a_link_local_session_uses_what_others_can_reach},
		{"loopback is nobody's next hop", test_loopback_is_nobodys_next_hop},
		{"a route has the peer's attributes", test_a_route_has_the_peers_attributes},
		{"a last resort is marked even without room",
		 test_a_last_resort_is_marked_even_without_room},
		{"what has no next hop is named", test_what_has_no_next_hop_is_named},
		{"the same failure is logged once a minute",
		 test_the_same_failure_is_logged_once_a_minute},
		{"of two connections the higher identifier's stays",
		 test_the_higher_identifier_keeps_what_it_made},
	};
	return SUITE_RUN("peer_routes", tests);
}
