/*
 * UPDATE messages octet by octet: what is taken, what withdraws its routes, what ends the session.
 */
#include "announcer/bgp_message.h"
#include "announcer/bgp_update.h"
#include "bgp_wire.h"
#include "suite.h"

#include <stdlib.h>

static const struct bgp_agreement to_external = {
	.local_as = 64512, .as4 = true, .ipv4 = true, .ipv6 = true};

static int read_update(const struct bgp_agreement *agreement, const char *body,
		       struct bgp_update *update, struct bgp_fault *fault)
{
	uint8_t message[WIRE_MAX];
	size_t size = wire_message(BGP_MESSAGE_UPDATE, body, message);
	uint8_t *copy = malloc(size);
	static uint8_t kept[WIRE_MAX];

	CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
	memcpy(copy, message, size);
	int result = bgp_update_read(copy, size, agreement, update, fault);
	if (result != 0 && fault->data_size > 0) {
		memcpy(kept, fault->data, fault->data_size);
		fault->data = kept;
	}
	free(copy);
	return result;
}

/* Attributes between their length and one IPv4 route. */
static int read_attributes(const struct bgp_agreement *agreement, const char *attributes,
			   struct bgp_update *update, struct bgp_fault *fault)
{
	uint8_t octets[WIRE_MAX];
	char body[4096];

	snprintf(body, sizeof(body), "0000 %04zx %s 20 c6336401", wire_hex(attributes, octets),
		 attributes);
	return read_update(agreement, body, update, fault);
}

static void assert_withdrawn(const struct bgp_agreement *agreement, const char *attributes,
			     const char *problem)
{
	struct bgp_fault fault;
	struct bgp_update update;

	CU_ASSERT_EQUAL_FATAL(read_attributes(agreement, attributes, &update, &fault), 0);
	if (strcmp(update.problem, problem) != 0)
		fprintf(stderr, "\n    %s: \"%s\"\n", attributes, update.problem);
	CU_ASSERT_STRING_EQUAL(update.problem, problem);
}

static void assert_reset(const char *body, uint8_t subcode, const char *data)
{
	struct bgp_fault fault = {0};
	struct bgp_update update;

	CU_ASSERT_EQUAL(read_update(&to_external, body, &update, &fault), -1);
	CU_ASSERT_EQUAL(fault.code, BGP_ERROR_UPDATE);
	CU_ASSERT_EQUAL(fault.subcode, subcode);
	CU_ASSERT_TRUE(wire_is(fault.data, fault.data_size, data));
	CU_ASSERT_NOT_EQUAL(fault.words[0], '\0');
}

#define ORIGIN "400101 00 "
#define AS_PATH "400206 0201 0000fc01 "
#define NEXT_HOP "400304 c0000202 "
#define GOOD ORIGIN AS_PATH NEXT_HOP

static void test_updates_are_counted(void)
{
	struct bgp_fault fault;
	struct bgp_update update;

	/* The end of a table (RFC 4724). */
	CU_ASSERT_EQUAL(read_update(&to_external, "0000 0000", &update, &fault), 0);
	CU_ASSERT_TRUE(update.announced == 0 && update.withdrawn == 0 && !update.problem[0]);

	CU_ASSERT_EQUAL(read_update(&to_external,
				    "0008 00 18c63364 10cb00 0014" GOOD "20c6336401 00 18c63365",
				    &update, &fault),
			0);
	CU_ASSERT_EQUAL(update.withdrawn, 3);
	CU_ASSERT_EQUAL(update.announced, 3);
	CU_ASSERT_STRING_EQUAL(update.problem, "");

	/* IPv6, both ways in one. */
	CU_ASSERT_EQUAL(
		read_update(&to_external,
			    "0000 0036"
			    "800e1b 0002 01 10 20010db8000000000000000000000002 00 2020010db8 00"
			    "800f08 0002 01 2020010db9" ORIGIN AS_PATH,
			    &update, &fault),
		0);
	CU_ASSERT_EQUAL(update.announced, 2);
	CU_ASSERT_EQUAL(update.withdrawn, 1);
	CU_ASSERT_STRING_EQUAL(update.problem, "");
}

static void test_routes_of_other_families_are_passed_over(void)
{
	struct bgp_fault fault;
	struct bgp_update update;

	/* VPN-IPv4 and an AFI that is nobody's: their NLRI cannot be read, and need not be. */
	CU_ASSERT_EQUAL(
		read_update(&to_external,
			    "0000 0021"
			    "800e0a 0001 80 04 c0000202 00 ff 800f04 4004 47 ff" ORIGIN AS_PATH,
			    &update, &fault),
		0);
	CU_ASSERT_EQUAL(update.announced, 0);
	CU_ASSERT_EQUAL(update.withdrawn, 0);
	CU_ASSERT_STRING_EQUAL(update.problem, "");

	/* Withdrawals alone have no attributes to be wrong; their own flags may be. */
	CU_ASSERT_EQUAL(read_update(&to_external, "0000 0006 c00f03 000201", &update, &fault), 0);
	CU_ASSERT_STRING_EQUAL(update.problem, "flags that are wrong (attribute 15)");
}

static void test_malformed_attributes_withdraw_the_routes(void)
{
	const struct {
		const char *attributes;
		const char *problem;
	} cases[] = {
		{GOOD, ""},
		{GOOD "800404 00000064 c00804 fc000035 c01008 0002fc0000000064"
		      "e0200c 0000fc00 00000001 00000002 400600 c00708 0000fc01 c0000202",
		 ""},
		{AS_PATH NEXT_HOP, "no ORIGIN"},
		{ORIGIN NEXT_HOP, "no AS_PATH"},
		{ORIGIN AS_PATH, "no NEXT_HOP"},
		{"400101 03" AS_PATH NEXT_HOP, "a malformed value (attribute 1)"},
		{"400100" AS_PATH NEXT_HOP, "a malformed value (attribute 1)"},
		{"c00101 00" AS_PATH NEXT_HOP, "flags that are wrong (attribute 1)"},
		{"000101 00" AS_PATH NEXT_HOP, "flags that are wrong (attribute 1)"},
		{ORIGIN "400206 0001 0000fc01" NEXT_HOP, "a malformed value (attribute 2)"},
		{ORIGIN "400206 0301 0000fc01" NEXT_HOP, "a malformed value (attribute 2)"},
		{ORIGIN "400206 0202 0000fc01" NEXT_HOP, "a malformed value (attribute 2)"},
		{ORIGIN "400202 0200" NEXT_HOP, "a malformed value (attribute 2)"},
		{ORIGIN "400201 02" NEXT_HOP, "a malformed value (attribute 2)"},
		{ORIGIN "400206 0201 00000000" NEXT_HOP, "a malformed value (attribute 2)"},
		{ORIGIN "400204 0201 fc01" NEXT_HOP, "a malformed value (attribute 2)"},
		{ORIGIN AS_PATH "400303 c00002", "a malformed value (attribute 3)"},
		{ORIGIN AS_PATH "400310 20010db8000000000000000000000002",
		 "a malformed value (attribute 3)"},
		{GOOD "800403 000064", "a malformed value (attribute 4)"},
		{GOOD "c00803 fc0000", "a malformed value (attribute 8)"},
		{GOOD "c00800", "a malformed value (attribute 8)"},
		{GOOD "c01007 00000000000000", "a malformed value (attribute 16)"},
		{GOOD "c0200b 0000fc00 00000001 000000", "a malformed value (attribute 32)"},
		{GOOD "c02000", "a malformed value (attribute 32)"},
		/* Cut off: the routes behind can still be found. */
		{GOOD "40", "an attribute that is cut off (attribute 0)"},
		{GOOD "c008", "an attribute that is cut off (attribute 8)"},
		{GOOD "d00800", "an attribute that is cut off (attribute 8)"},
		{GOOD "c00808 fc000035", "an attribute that is cut off (attribute 8)"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_withdrawn(&to_external, cases[i].attributes, cases[i].problem);
}

static void test_what_may_be_left_out_is(void)
{
	/* Discarded by RFC 7606: malformed ATOMIC_AGGREGATE, AGGREGATOR and AS4_PATH; what only
	 * internal peers may say; the second of two; unknown optional ones. */
	assert_withdrawn(&to_external, GOOD "400601 00", "");
	assert_withdrawn(&to_external, GOOD "c00701 00", "");
	assert_withdrawn(&to_external, GOOD "c01103 020100", "");
	assert_withdrawn(&to_external, GOOD "400501 00 800901 00 800a01 00", "");
	assert_withdrawn(&to_external, GOOD "400101 09", "");
	assert_withdrawn(&to_external, GOOD "80fe00 c0fd02 abcd", "");
}

static void test_internal_peers_have_rules_of_their_own(void)
{
	struct bgp_agreement internal = to_external;

	internal.internal = true;
	assert_withdrawn(&internal, ORIGIN "400200" NEXT_HOP "400504 00000064", "");
	assert_withdrawn(&internal, ORIGIN "400206 0301 0000fc01" NEXT_HOP "400504 00000064", "");
	assert_withdrawn(&internal, GOOD, "no LOCAL_PREF");
	assert_withdrawn(&internal, GOOD "400503 000064", "a malformed value (attribute 5)");
	assert_withdrawn(&internal, GOOD "400504 00000064 800903 c00002",
			 "a malformed value (attribute 9)");
	assert_withdrawn(&internal, GOOD "400504 00000064 800a00",
			 "a malformed value (attribute 10)");
}

static void test_as_numbers_of_2_octets_are_read_as_such(void)
{
	struct bgp_agreement old = to_external;

	old.as4 = false;
	assert_withdrawn(&old, ORIGIN "400204 0201 fc01" NEXT_HOP, "");
	assert_withdrawn(&old, ORIGIN "400206 0202 fc01 0000" NEXT_HOP,
			 "a malformed value (attribute 2)");
	assert_withdrawn(&old, GOOD, "a malformed value (attribute 2)");
}

static void test_what_hides_the_routes_ends_the_session(void)
{
	/* Lengths beyond the message. */
	assert_reset("0001 0000", 1, "");
	assert_reset("ffff 0000", 1, "");
	assert_reset("0000 0001", 1, "");
	assert_reset("0005 20c6336401 0001", 1, "");
	/* Prefixes that cannot be. */
	assert_reset("0001 21 0000", 10, "");
	assert_reset("0005 21c6336401 0000", 10, "");
	assert_reset("0004 20c63364 0000", 10, "");
	assert_reset("0000 0014" GOOD "20c63364", 10, "");
	assert_reset("0000 0014" GOOD "ff", 10, "");
	/* Multiprotocol routes that cannot be read; the data is the attribute. */
	assert_reset("0000 0007 800e04 00020100", 9, "800e04 00020100");
	assert_reset("0000 0005 800f02 0002", 9, "800f02 0002");
	assert_reset("0000 0009 800e06 0002 01 10 2001", 9, "800e06 0002 01 10 2001");
	assert_reset("0000 000c 800e09 0002 01 04 c0000202 00", 9, "800e09 0002 01 04 c0000202 00");
	assert_reset("0000 0008 800f05 0002 01 8120", 9, "800f05 0002 01 8120");
	assert_reset("0000 0008 800f05 0002 01 1020", 9, "800f05 0002 01 1020");
	/* Cut off, or there twice. */
	assert_reset("0000 0007 800f08 0002 0100", 1, "");
	assert_reset("0000 000c 800f03 000201 800f03 000201", 1, "");
	/* Malformed, and no route beside it: nobody knows which one was meant (RFC 7606
	 * section 5.2).
	 */
	assert_reset("0000 0011" ORIGIN AS_PATH "800401 00", 5, "800401 00");
	assert_reset("0005 20c6336401 0004 400101 07", 6, "400101 07");
	assert_reset("0000 0004 c00101 00", 4, "c00101 00");
	assert_reset("0000 0005 400202 0900", 11, "400202 0900");
	assert_reset("0000 0004 c008 04 00", 1, "");
	/* Well known, but not to us. */
	assert_reset("0000 0005 40fe02 abcd", 2, "40fe02 abcd");
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"UPDATEs are counted", test_updates_are_counted},
		{"routes of other families are passed over",
		 test_routes_of_other_families_are_passed_over},
		{"malformed attributes withdraw the routes",
		 test_malformed_attributes_withdraw_the_routes},
		{"what may be left out is", test_what_may_be_left_out_is},
		{"internal peers have rules of their own",
		 test_internal_peers_have_rules_of_their_own},
		{"AS numbers of 2 octets are read as such",
		 test_as_numbers_of_2_octets_are_read_as_such},
		{"what hides the routes ends the session",
		 test_what_hides_the_routes_ends_the_session},
	};

	return SUITE_RUN("bgp_update", tests);
}
