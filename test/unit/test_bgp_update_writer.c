/* UPDATE messages octet by octet: what is written for routes and withdrawals. */
#include "announcer/bgp_message.h"
#include "announcer/bgp_update.h"
#include "bgp_wire.h"
#include "suite.h"

#include <sys/socket.h>

static const struct bgp_agreement to_external = {
	.local_as = 64512, .as4 = true, .ipv4 = true, .ipv6 = true};

static struct bgp_route make_route(const char *prefix, const char *next_hop)
{
	struct bgp_route route = {0};
	struct prefix hop;
	char error[128];

	CU_ASSERT_EQUAL_FATAL(prefix_parse(prefix, &route.prefix, error, sizeof(error)), 0);
	CU_ASSERT_EQUAL_FATAL(prefix_parse(next_hop, &hop, error, sizeof(error)), 0);
	memcpy(route.next_hop, hop.address, sizeof(hop.address));
	route.local_pref = 200;
	return route;
}

static void assert_route_written(const struct bgp_route *route,
				 const struct bgp_agreement *agreement, const char *expected)
{
	struct bgp_update_writer writer;
	uint8_t out[BGP_MESSAGE_MAX];

	bgp_update_begin_routes(&writer, route, agreement, out);
	CU_ASSERT_TRUE(bgp_update_add(&writer, &route->prefix));
	size_t size = bgp_update_finish(&writer);
	CU_ASSERT_TRUE(wire_is(out, size, expected));

	/* What we write is what we would take. */
	struct bgp_fault fault;
	struct bgp_update update;
	CU_ASSERT_EQUAL(bgp_update_read(out, size, agreement, &update, &fault), 0);
	CU_ASSERT_EQUAL(update.announced, 1);
	CU_ASSERT_STRING_EQUAL(update.problem, "");
}

static void test_ipv4_goes_out_in_the_classic_fields(void)
{
	struct bgp_route route = make_route("192.0.2.53/32", "198.51.100.1");
	struct bgp_agreement internal = to_external;

	internal.internal = true;
	assert_route_written(&route, &to_external,
			     MARKER "0030 02 0000 0014"
				    "400101 00 400206 0201 0000fc00 400304 c6336401 20 c0000235");
	assert_route_written(&route, &internal,
			     MARKER "0031 02 0000 0015"
				    "400101 00 400200 400304 c6336401 400504 000000c8 20 c0000235");
	route.prefix.length = 0;
	memset(route.prefix.address, 0, 16);
	assert_route_written(&route, &to_external,
			     MARKER "002c 02 0000 0014"
				    "400101 00 400206 0201 0000fc00 400304 c6336401 00");
}

static void test_ipv6_goes_out_in_mp_reach_first_of_all(void)
{
	struct bgp_route route = make_route("2001:db8::53/128", "2001:db8:1::1");

	assert_route_written(&route, &to_external,
			     MARKER "004e 02 0000 0037"
				    "900e 0026 0002 01 10 20010db8000100000000000000000001 00"
				    "80 20010db8000000000000000000000053"
				    "400101 00 400206 0201 0000fc00");
}

static void test_attributes_that_are_asked_for_are_sent(void)
{
	struct bgp_route route = make_route("192.0.2.0/24", "198.51.100.1");

	route.has_med = true;
	route.med = 10;
	route.prepend = 2;
	route.communities[0] = BGP_COMMUNITY_GRACEFUL_SHUTDOWN;
	route.communities[1] = 0xfc000035;
	route.community_count = 2;
	route.large[0] = (struct bgp_large_community){4200000000, 1, 2};
	route.large_count = 1;
	assert_route_written(&route, &to_external,
			     MARKER "0058 02 0000 003d"
				    "400101 00 40020e 0203 0000fc00 0000fc00 0000fc00"
				    "400304 c6336401 800404 0000000a c00808 ffff0000 fc000035"
				    "c0200c fa56ea00 00000001 00000002 18 c00002");
}

static void test_old_peers_get_2_octets_and_as4_path(void)
{
	struct bgp_route route = make_route("192.0.2.53/32", "198.51.100.1");
	struct bgp_agreement old = to_external;

	old.as4 = false;
	route.prepend = 1;
	assert_route_written(&route, &old,
			     MARKER "0030 02 0000 0014"
				    "400101 00 400206 0202 fc00 fc00 400304 c6336401 20 c0000235");
	old.local_as = 4200000000;
	assert_route_written(&route, &old,
			     MARKER "003d 02 0000 0021"
				    "400101 00 400206 0202 5ba0 5ba0 400304 c6336401"
				    "c0110a 0202 fa56ea00 fa56ea00 20 c0000235");
	old.internal = true;
	assert_route_written(&route, &old,
			     MARKER "0031 02 0000 0015"
				    "400101 00 400200 400304 c6336401 400504 000000c8 20 c0000235");
}

static void test_withdrawals_carry_nothing_else(void)
{
	struct bgp_update_writer writer;
	struct bgp_route ipv4 = make_route("192.0.2.53/32", "198.51.100.1");
	struct bgp_route ipv6 = make_route("2001:db8::/32", "2001:db8:1::1");
	uint8_t out[BGP_MESSAGE_MAX];

	bgp_update_begin_withdrawal(&writer, AF_INET, out);
	CU_ASSERT_TRUE(bgp_update_add(&writer, &ipv4.prefix));
	CU_ASSERT_TRUE(
		wire_is(out, bgp_update_finish(&writer), MARKER "001c 02 0005 20c0000235 0000"));
	bgp_update_begin_withdrawal(&writer, AF_INET6, out);
	CU_ASSERT_TRUE(bgp_update_add(&writer, &ipv6.prefix));
	CU_ASSERT_TRUE(wire_is(out, bgp_update_finish(&writer),
			       MARKER "0023 02 0000 000c 900f 0008 0002 01 20 20010db8"));
}

static void test_the_largest_attributes_leave_room(void)
{
	const char *prefixes[][2] = {{"192.0.2.53/32", "198.51.100.1"},
				     {"2001:db8::53/128", "2001:db8:1::1"}};
	const struct bgp_agreement old = {.local_as = 4200000000, .ipv4 = true, .ipv6 = true};

	for (size_t i = 0; i < 2; i++) {
		struct bgp_route route = make_route(prefixes[i][0], prefixes[i][1]);
		struct bgp_update_writer writer;
		struct bgp_fault fault;
		struct bgp_update update;
		uint8_t out[BGP_MESSAGE_MAX];
		size_t added = 0;

		route.has_med = true;
		route.prepend = BGP_PREPEND_MAX;
		route.community_count = BGP_COMMUNITIES_MAX;
		route.large_count = BGP_LARGE_COMMUNITIES_MAX;
		bgp_update_begin_routes(&writer, &route, &old, out);
		while (bgp_update_add(&writer, &route.prefix))
			added++;
		size_t size = bgp_update_finish(&writer);
		CU_ASSERT_TRUE(size <= BGP_MESSAGE_MAX && size > BGP_MESSAGE_MAX - 17);
		CU_ASSERT_EQUAL(bgp_message_check_header(out, &fault), (int)size);
		CU_ASSERT_EQUAL(bgp_update_read(out, size, &old, &update, &fault), 0);
		CU_ASSERT_EQUAL(update.announced, added);
		CU_ASSERT_STRING_EQUAL(update.problem, "");
		CU_ASSERT_TRUE(added > 150);
	}
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"IPv4 goes out in the classic fields", test_ipv4_goes_out_in_the_classic_fields},
		{"IPv6 goes out in MP_REACH_NLRI, first of all",
		 test_ipv6_goes_out_in_mp_reach_first_of_all},
		{"attributes that are asked for are sent",
		 test_attributes_that_are_asked_for_are_sent},
		{"old peers get 2 octets, and AS4_PATH", test_old_peers_get_2_octets_and_as4_path},
		{"withdrawals carry nothing else", test_withdrawals_carry_nothing_else},
		{"the largest attributes leave room", test_the_largest_attributes_leave_room},
	};

	return SUITE_RUN("bgp_update_writer", tests);
}
