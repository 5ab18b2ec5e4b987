/* What a peer is told when what it should know changes. */
#include "announcer/bgp_advertise.h"
#include "announcer/bgp_message.h"
#include "announcer/bgp_update.h"
#include "bgp_wire.h"
#include "suite.h"

#include <arpa/inet.h>

#define ROUTES_MAX 3000

static const struct bgp_agreement external = {
	.local_as = 64512, .as4 = true, .ipv4 = true, .ipv6 = true};

static struct bgp_advertise advertise;
static struct bgp_route routes[ROUTES_MAX];
static uint8_t message[BGP_MESSAGE_MAX];

static struct bgp_route make_route(const char *text)
{
	struct bgp_route route = {0};
	char error[128];

	CU_ASSERT_EQUAL_FATAL(prefix_parse(text, &route.prefix, error, sizeof(error)), 0);
	inet_pton(route.prefix.family,
		  route.prefix.family == AF_INET ? "198.51.100.1" : "2001:db8:1::1",
		  route.next_hop);
	route.local_pref = 200;
	return route;
}

static void set_routes(size_t count)
{
	CU_ASSERT_EQUAL_FATAL(bgp_advertise_set(&advertise, routes, count), 0);
}

/* The next UPDATE is of this size and says so much; all of them are good. */
static void assert_next(const struct bgp_agreement *agreement, size_t announced, size_t withdrawn)
{
	struct bgp_update update = {0};
	struct bgp_fault fault;
	size_t size = bgp_advertise_next(&advertise, agreement, message);

	CU_ASSERT_TRUE_FATAL(size > 0);
	CU_ASSERT_EQUAL(bgp_message_check_header(message, &fault), (int)size);
	CU_ASSERT_EQUAL(bgp_update_read(message, size, agreement, &update, &fault), 0);
	CU_ASSERT_EQUAL(update.announced, announced);
	CU_ASSERT_EQUAL(update.withdrawn, withdrawn);
	CU_ASSERT_STRING_EQUAL(update.problem, "");
}

static void assert_quiet(const struct bgp_agreement *agreement)
{
	CU_ASSERT_EQUAL(bgp_advertise_next(&advertise, agreement, message), 0);
}

static void test_only_the_difference_is_said(void)
{
	assert_quiet(&external);
	routes[0] = make_route("192.0.2.53/32");
	set_routes(1);
	CU_ASSERT_EQUAL(bgp_advertise_count(&advertise), 0);
	assert_next(&external, 1, 0);
	CU_ASSERT_EQUAL(bgp_advertise_count(&advertise), 1);
	CU_ASSERT_TRUE(bgp_advertise_has(&advertise, &routes[0].prefix));
	assert_quiet(&external);
	set_routes(1);
	assert_quiet(&external);

	routes[1] = make_route("192.0.2.54/32");
	set_routes(2);
	assert_next(&external, 1, 0);
	assert_quiet(&external);

	set_routes(1);
	size_t size = bgp_advertise_next(&advertise, &external, message);
	CU_ASSERT_TRUE(wire_is(message, size, MARKER "001c 02 0005 20c0000236 0000"));
	assert_quiet(&external);
	CU_ASSERT_FALSE(bgp_advertise_has(&advertise, &routes[1].prefix));
	CU_ASSERT_EQUAL(bgp_advertise_count(&advertise), 1);
	bgp_advertise_clear(&advertise);
}

static void test_a_change_that_is_taken_back_is_not_said(void)
{
	routes[0] = make_route("192.0.2.53/32");
	set_routes(1);
	set_routes(0);
	assert_quiet(&external);
	set_routes(1);
	assert_next(&external, 1, 0);
	set_routes(0);
	set_routes(1);
	assert_quiet(&external);
	bgp_advertise_clear(&advertise);
}

static void test_withdrawals_go_first(void)
{
	routes[0] = make_route("192.0.2.1/32");
	routes[1] = make_route("2001:db8::1/128");
	set_routes(2);
	assert_next(&external, 1, 0);
	assert_next(&external, 1, 0);
	routes[0] = make_route("192.0.2.2/32");
	routes[1] = make_route("2001:db8::2/128");
	routes[2] = make_route("192.0.2.3/32");
	set_routes(3);
	assert_next(&external, 0, 1);
	assert_next(&external, 0, 1);
	assert_next(&external, 2, 0);
	assert_next(&external, 1, 0);
	assert_quiet(&external);
	bgp_advertise_clear(&advertise);
}

static void test_equal_attributes_share_an_update(void)
{
	for (size_t i = 0; i < 6; i++) {
		char text[32];
		snprintf(text, sizeof(text), "192.0.2.%zu/32", i);
		routes[i] = make_route(text);
	}
	routes[1].has_med = true;
	routes[2].communities[0] = BGP_COMMUNITY_GRACEFUL_SHUTDOWN;
	routes[2].community_count = 1;
	routes[4].communities[0] = BGP_COMMUNITY_GRACEFUL_SHUTDOWN;
	routes[4].community_count = 1;
	routes[5].large_count = 1;
	set_routes(6);
	assert_next(&external, 2, 0); /* 0 and 3 */
	assert_next(&external, 1, 0);
	assert_next(&external, 2, 0); /* 2 and 4 */
	assert_next(&external, 1, 0);
	assert_quiet(&external);
	bgp_advertise_clear(&advertise);
}

static void test_changed_attributes_are_announced_again(void)
{
	routes[0] = make_route("192.0.2.53/32");
	set_routes(1);
	assert_next(&external, 1, 0);
	routes[0].has_med = true;
	set_routes(1);
	assert_next(&external, 1, 0);
	routes[0].med = 5;
	set_routes(1);
	assert_next(&external, 1, 0);
	routes[0].prepend = 1;
	set_routes(1);
	assert_next(&external, 1, 0);
	routes[0].next_hop[3] = 9;
	set_routes(1);
	assert_next(&external, 1, 0);
	routes[0].communities[routes[0].community_count++] = 1;
	set_routes(1);
	assert_next(&external, 1, 0);
	routes[0].communities[0] = 2;
	set_routes(1);
	assert_next(&external, 1, 0);
	routes[0].large[routes[0].large_count++].local2 = 1;
	set_routes(1);
	assert_next(&external, 1, 0);
	routes[0].large[0].local2 = 2;
	set_routes(1);
	assert_next(&external, 1, 0);
	/* What an external peer is not told of, it is not told again for. */
	routes[0].local_pref = 100;
	set_routes(1);
	assert_quiet(&external);
	bgp_advertise_clear(&advertise);
}

static void test_local_preference_concerns_internal_peers(void)
{
	struct bgp_agreement internal = external;

	internal.internal = true;
	routes[0] = make_route("192.0.2.53/32");
	set_routes(1);
	assert_next(&internal, 1, 0);
	routes[0].local_pref = 100;
	set_routes(1);
	assert_next(&internal, 1, 0);
	routes[0].prepend = 3;
	set_routes(1);
	assert_quiet(&internal);
	bgp_advertise_clear(&advertise);
}

static void test_a_family_that_is_not_agreed_on_is_not_said(void)
{
	struct bgp_agreement ipv6_only = external;

	ipv6_only.ipv4 = false;
	routes[0] = make_route("192.0.2.53/32");
	routes[1] = make_route("2001:db8::53/128");
	set_routes(2);
	assert_next(&ipv6_only, 1, 0);
	assert_quiet(&ipv6_only);
	CU_ASSERT_FALSE(bgp_advertise_has(&advertise, &routes[0].prefix));
	CU_ASSERT_TRUE(bgp_advertise_has(&advertise, &routes[1].prefix));
	bgp_advertise_repeat(&advertise, AF_INET);
	assert_quiet(&ipv6_only);
	set_routes(0);
	assert_next(&ipv6_only, 0, 1);
	assert_quiet(&ipv6_only);
	bgp_advertise_clear(&advertise);
}

static void test_a_family_is_said_again_when_asked_for(void)
{
	routes[0] = make_route("192.0.2.53/32");
	routes[1] = make_route("2001:db8::53/128");
	set_routes(2);
	assert_next(&external, 1, 0);
	assert_next(&external, 1, 0);
	bgp_advertise_repeat(&advertise, AF_INET6);
	bgp_advertise_repeat(&advertise, AF_INET6);
	/* Still due when the list is set once more before it was sent. */
	set_routes(2);
	assert_next(&external, 1, 0);
	CU_ASSERT_EQUAL(message[BGP_HEADER_SIZE + 5], BGP_ATTRIBUTE_MP_REACH);
	assert_quiet(&external);
	/* A withdrawal that waits is not turned into anything else. */
	bgp_advertise_repeat(&advertise, AF_INET);
	set_routes(0);
	assert_next(&external, 0, 1);
	assert_next(&external, 0, 1);
	assert_quiet(&external);
	bgp_advertise_clear(&advertise);
}

static void test_the_first_of_two_counts(void)
{
	routes[0] = make_route("192.0.2.53/32");
	routes[1] = make_route("192.0.2.53/32");
	routes[1].has_med = true;
	set_routes(2);
	size_t size = bgp_advertise_next(&advertise, &external, message);
	CU_ASSERT_TRUE(wire_is(message, size,
			       MARKER "0030 02 0000 0014"
				      "400101 00 400206 0201 0000fc00 400304 c6336401 20c0000235"));
	assert_quiet(&external);
	CU_ASSERT_EQUAL(bgp_advertise_count(&advertise), 1);
	bgp_advertise_clear(&advertise);
}

static void test_many_routes_take_several_updates(void)
{
	size_t told = 0;
	size_t messages = 0;
	size_t size;

	for (size_t i = 0; i < ROUTES_MAX; i++) {
		char text[64];
		snprintf(text, sizeof(text), i % 2 ? "10.0.%zu.%zu/32" : "2001:db8:%zx::%zx/128",
			 i / 256, i % 256);
		routes[i] = make_route(text);
	}
	set_routes(ROUTES_MAX);
	for (int withdrawing = 0; withdrawing < 2; withdrawing++) {
		told = 0;
		messages = 0;
		while ((size = bgp_advertise_next(&advertise, &external, message)) > 0) {
			struct bgp_update update;
			struct bgp_fault fault;
			CU_ASSERT_EQUAL_FATAL(bgp_message_check_header(message, &fault), (int)size);
			CU_ASSERT_EQUAL_FATAL(
				bgp_update_read(message, size, &external, &update, &fault), 0);
			told += withdrawing ? update.withdrawn : update.announced;
			messages++;
		}
		CU_ASSERT_EQUAL(told, ROUTES_MAX);
		/* 5 octets each for IPv4, 17 for IPv6, in messages of 4096. */
		CU_ASSERT_EQUAL(messages, 2 + 7);
		CU_ASSERT_EQUAL(bgp_advertise_count(&advertise), withdrawing ? 0 : ROUTES_MAX);
		set_routes(0);
	}
	bgp_advertise_clear(&advertise);
}

int main(void)
{
	const struct suite_test tests[] = {
		{"only the difference is said", test_only_the_difference_is_said},
		{"a change that is taken back is not said",
		 test_a_change_that_is_taken_back_is_not_said},
		{"withdrawals go first", test_withdrawals_go_first},
		{"equal attributes share an UPDATE", test_equal_attributes_share_an_update},
		{"changed attributes are announced again",
		 test_changed_attributes_are_announced_again},
		{"local preference concerns internal peers",
		 test_local_preference_concerns_internal_peers},
		{"a family that is not agreed on is not said",
		 test_a_family_that_is_not_agreed_on_is_not_said},
		{"a family is said again when asked for",
		 test_a_family_is_said_again_when_asked_for},
		{"the first of two counts", test_the_first_of_two_counts},
		{"many routes take several UPDATEs", test_many_routes_take_several_updates},
	};
	return SUITE_RUN("bgp_advertise", tests);
}
