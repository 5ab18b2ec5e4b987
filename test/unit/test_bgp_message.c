/* BGP messages octet by octet: what is written, what is taken, what is refused and how. */
#include "announcer/bgp_message.h"
#include "announcer/bgp_open.h"
#include "announcer/bgp_update.h"
#include "bgp_wire.h"
#include "suite.h"

#include <stdlib.h>
#include <sys/socket.h>

/* AS 64512 at 192.0.2.1, its peer AS 64513. */
static const struct bgp_session_options external = {
	.local_as = 64512,
	.peer_as = 64513,
	.router_id = 0xc0000201,
	.hold_time_s = 9,
	.ipv4 = true,
	.ipv6 = true,
};

/* ---- The header ---- */

static void assert_header_refused(const char *header, uint8_t subcode, const char *data)
{
	uint8_t octets[WIRE_MAX];
	struct bgp_fault fault = {0};

	CU_ASSERT_EQUAL_FATAL(wire_hex(header, octets), BGP_HEADER_SIZE);
	CU_ASSERT_EQUAL(bgp_message_check_header(octets, &fault), -1);
	CU_ASSERT_EQUAL(fault.code, BGP_ERROR_HEADER);
	CU_ASSERT_EQUAL(fault.subcode, subcode);
	CU_ASSERT_TRUE(wire_is(fault.data, fault.data_size, data));
	CU_ASSERT_NOT_EQUAL(fault.words[0], '\0');
}

#define MARKER "ffffffffffffffff ffffffffffffffff "

static void test_bad_headers_are_named(void)
{
	assert_header_refused("ffffffffffffffff fffffffffffffffe 0013 04", 1, "");
	assert_header_refused("474554202f20485454502f312e310d0a 0013 04", 1, "");
	assert_header_refused(MARKER "0012 04", 2, "0012");
	assert_header_refused(MARKER "0000 04", 2, "0000");
	assert_header_refused(MARKER "1001 02", 2, "1001");
	assert_header_refused(MARKER "ffff 02", 2, "ffff");
	assert_header_refused(MARKER "001c 01", 2, "001c");
	assert_header_refused(MARKER "0016 02", 2, "0016");
	assert_header_refused(MARKER "0014 03", 2, "0014");
	assert_header_refused(MARKER "0014 04", 2, "0014");
	assert_header_refused(MARKER "0016 05", 2, "0016");
	assert_header_refused(MARKER "0013 00", 3, "00");
	assert_header_refused(MARKER "0013 06", 3, "06");
	assert_header_refused(MARKER "0013 ff", 3, "ff");
}

static void test_good_headers_give_the_size(void)
{
	const struct {
		const char *header;
		int size;
	} headers[] = {{MARKER "001d 01", 29},   {MARKER "1000 01", 4096}, {MARKER "0017 02", 23},
		       {MARKER "1000 02", 4096}, {MARKER "0015 03", 21},   {MARKER "0013 04", 19},
		       {MARKER "0017 05", 23}};
	struct bgp_fault fault;
	uint8_t octets[WIRE_MAX];

	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		wire_hex(headers[i].header, octets);
		CU_ASSERT_EQUAL(bgp_message_check_header(octets, &fault), headers[i].size);
	}
}

static void test_small_messages_are_written(void)
{
	uint8_t out[BGP_MESSAGE_MAX];
	uint8_t data[5000] = {0xab, 0xcd};
	size_t size = bgp_message_write_keepalive(out);

	CU_ASSERT_TRUE(wire_is(out, size, MARKER "0013 04"));
	size = bgp_message_write_notification(out, 2, 6, NULL, 0);
	CU_ASSERT_TRUE(wire_is(out, size, MARKER "0015 03 02 06"));
	size = bgp_message_write_notification(out, 3, 1, data, 2);
	CU_ASSERT_TRUE(wire_is(out, size, MARKER "0017 03 03 01 abcd"));
	CU_ASSERT_EQUAL(bgp_message_write_notification(out, 3, 1, data, sizeof(data)),
			BGP_MESSAGE_MAX);
}

/* ---- OPEN ---- */

static void test_open_says_who_we_are(void)
{
	struct bgp_session_options options = external;
	uint8_t out[BGP_MESSAGE_MAX];
	size_t size = bgp_open_write(&options, out);

	CU_ASSERT_TRUE(wire_is(out, size,
			       MARKER "0033 01 04 fc00 0009 c0000201 16 02 14"
				      "0104 00010001 0104 00020001 0200 4104 0000fc00"));
	options.local_as = 4200000000;
	options.ipv4 = false;
	options.hold_time_s = 0;
	size = bgp_open_write(&options, out);
	CU_ASSERT_TRUE(wire_is(out, size,
			       MARKER "002d 01 04 5ba0 0000 c0000201 10 02 0e"
				      "0104 00020001 0200 4104 fa56ea00"));
}

static int read_open(const struct bgp_session_options *options, const char *body,
		     struct bgp_open *open, struct bgp_fault *fault)
{
	uint8_t message[WIRE_MAX];
	size_t size = wire_message(BGP_MESSAGE_OPEN, body, message);
	/* On the heap, in memory of its size: reading beyond it is seen. */
	uint8_t *copy = malloc(size);
	static uint8_t kept[WIRE_MAX];

	CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
	memcpy(copy, message, size);
	int result = bgp_open_read(copy, size, options, open, fault);
	if (result != 0 && fault->data_size > 0) {
		memcpy(kept, fault->data, fault->data_size);
		fault->data = kept;
	}
	free(copy);
	return result;
}

static void assert_open_refused(const struct bgp_session_options *options, const char *body,
				uint8_t subcode, const char *data, const char *words)
{
	struct bgp_fault fault = {0};
	struct bgp_open open;

	CU_ASSERT_EQUAL(read_open(options, body, &open, &fault), -1);
	CU_ASSERT_EQUAL(fault.code, BGP_ERROR_OPEN);
	CU_ASSERT_EQUAL(fault.subcode, subcode);
	CU_ASSERT_TRUE(wire_is(fault.data, fault.data_size, data));
	CU_ASSERT_STRING_EQUAL(fault.words, words);
}

static void test_open_of_a_peer_is_read(void)
{
	struct bgp_session_options options = external;
	struct bgp_fault fault;
	struct bgp_open open;

	/* No capability at all: BGP as it was before RFC 5492. */
	CU_ASSERT_EQUAL_FATAL(read_open(&options, "04 fc01 00b4 c0000202 00", &open, &fault), 0);
	CU_ASSERT_EQUAL(open.as, 64513);
	CU_ASSERT_EQUAL(open.hold_time_s, 180);
	CU_ASSERT_EQUAL(open.router_id, 0xc0000202);
	CU_ASSERT_TRUE(open.ipv4 && !open.ipv6 && !open.as4);

	/* Families in parameters of their own, 4-octet AS, and capabilities nobody knows. */
	CU_ASSERT_EQUAL_FATAL(read_open(&options,
					"04 fc01 0000 c0000202 1e 0206 0104 00020001"
					"0206 4104 0000fc01 0202 0200 0208 4600 8000 4002 0078",
					&open, &fault),
			      0);
	CU_ASSERT_EQUAL(open.hold_time_s, 0);
	CU_ASSERT_TRUE(!open.ipv4 && open.ipv6 && open.as4);

	options.peer_as = 4200000001;
	CU_ASSERT_EQUAL_FATAL(read_open(&options,
					"04 5ba0 0003 c0000202 0e 020c 4104 fa56ea01 0104 00010001",
					&open, &fault),
			      0);
	CU_ASSERT_EQUAL(open.as, 4200000001);
	CU_ASSERT_TRUE(open.ipv4 && !open.ipv6 && open.as4);
}

static void test_open_with_extended_parameters_is_read(void)
{
	struct bgp_fault fault;
	struct bgp_open open;

	/* RFC 9072: the first length says nothing but that there are any. */
	CU_ASSERT_EQUAL_FATAL(read_open(&external,
					"04 fc01 0009 c0000202 ff ff 000f 02 000c"
					"0104 00020001 4104 0000fc01",
					&open, &fault),
			      0);
	CU_ASSERT_TRUE(open.ipv6 && open.as4);
	CU_ASSERT_EQUAL(read_open(&external,
				  "04 fc01 0009 c0000202 01 ff 000f 02 000c"
				  "0104 00020001 4104 0000fc01",
				  &open, &fault),
			0);
	assert_open_refused(&external, "04 fc01 0009 c0000202 ff ff 0010 02 000c 0104 00020001", 0,
			    "", "peer's OPEN and its optional parameters differ in length");
	assert_open_refused(&external, "04 fc01 0009 c0000202 ff ff 0002 02 00", 0, "",
			    "peer's OPEN has a parameter that is cut off");
}

static void test_open_with_a_bad_field_is_refused(void)
{
	struct bgp_session_options internal = external;
	struct bgp_session_options large = external;

	internal.peer_as = internal.local_as;
	large.peer_as = 4200000001;
	assert_open_refused(&external, "03 fc01 0009 c0000202 00", 1, "0004",
			    "peer speaks BGP version 3, not 4");
	assert_open_refused(&external, "04 fc02 0009 c0000202 00", 2, "",
			    "bad peer AS: its OPEN says 64514, expected 64513");
	assert_open_refused(&external, "04 0000 0009 c0000202 00", 2, "",
			    "bad peer AS: its OPEN says 0, expected 64513");
	assert_open_refused(&external, "04 fc01 0009 c0000202 08 0206 4104 0000fc02", 2, "",
			    "bad peer AS: its OPEN says both 64513 and 64514");
	assert_open_refused(&external, "04 5ba0 0009 c0000202 08 0206 4104 00000000", 2, "",
			    "bad peer AS: its OPEN says 0, expected 64513");
	assert_open_refused(&large, "04 5ba0 0009 c0000202 00", 2, "",
			    "bad peer AS: its OPEN says 23456, expected 4200000001 (it cannot do "
			    "4-octet AS numbers)");
	assert_open_refused(&external, "04 fc01 0001 c0000202 00", 6, "",
			    "unacceptable hold time: peer offers 1 s");
	assert_open_refused(&external, "04 fc01 0002 c0000202 00", 6, "",
			    "unacceptable hold time: peer offers 2 s");
	assert_open_refused(&external, "04 fc01 0009 00000000 00", 3, "",
			    "bad BGP identifier: peer's is 0.0.0.0");
	assert_open_refused(&internal, "04 fc00 0009 c0000201 00", 3, "",
			    "bad BGP identifier: internal peer has the same as we");
}

static void test_an_external_peer_may_have_our_identifier(void)
{
	struct bgp_fault fault;
	struct bgp_open open;

	/* RFC 6286 section 2.3: told apart by their AS numbers. */
	CU_ASSERT_EQUAL(read_open(&external, "04 fc01 0009 c0000201 00", &open, &fault), 0);
}

static void test_open_with_bad_parameters_is_refused(void)
{
	const char *cut = "peer's OPEN has a parameter that is cut off";
	const char *cut_capability = "peer's OPEN has a capability that is cut off";
	const char *length = "peer's OPEN and its optional parameters differ in length";

	assert_open_refused(&external, "04 fc01 0009 c0000202 02 0100", 4, "",
			    "peer's OPEN has optional parameter 1, which is not supported");
	assert_open_refused(&external, "04 fc01 0009 c0000202 01", 0, "", length);
	assert_open_refused(&external, "04 fc01 0009 c0000202 00 0200", 0, "", length);
	assert_open_refused(&external, "04 fc01 0009 c0000202 02 ff00", 0, "", cut);
	assert_open_refused(&external, "04 fc01 0009 c0000202 01 02", 0, "", cut);
	assert_open_refused(&external, "04 fc01 0009 c0000202 03 0202 02", 0, "", cut);
	assert_open_refused(&external, "04 fc01 0009 c0000202 03 0201 02", 0, "", cut_capability);
	assert_open_refused(&external, "04 fc01 0009 c0000202 06 0204 4104 0000", 0, "",
			    cut_capability);
	assert_open_refused(&external, "04 fc01 0009 c0000202 06 0204 4102 fc01", 0, "",
			    "peer's OPEN has a capability 65 of 2 octets, not 4");
	assert_open_refused(&external, "04 fc01 0009 c0000202 04 0202 0100", 0, "",
			    "peer's OPEN has a capability 1 of 0 octets, not 4");
}

static void test_open_without_a_common_family_is_refused(void)
{
	struct bgp_session_options options = external;

	assert_open_refused(&options, "04 fc01 0009 c0000202 08 0206 0104 00010002", 7,
			    "0104 00010001 0104 00020001",
			    "unsupported capability: peer does not offer IPv4 or IPv6 unicast");
	options.ipv4 = false;
	assert_open_refused(&options, "04 fc01 0009 c0000202 00", 7, "0104 00020001",
			    "unsupported capability: peer does not offer IPv6 unicast");
}

/* ---- UPDATE, received ---- */

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

/* ---- UPDATE, sent ---- */

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

/* ---- Words ---- */

static void assert_words(uint8_t code, uint8_t subcode, const char *expected)
{
	char words[BGP_ERROR_MAX];

	CU_ASSERT_STRING_EQUAL(bgp_error_format(code, subcode, words, sizeof(words)), expected);
}

static void test_errors_have_words(void)
{
	assert_words(1, 1, "bad message header: connection not synchronized");
	assert_words(2, 2, "bad OPEN: bad peer AS");
	assert_words(2, 0, "bad OPEN");
	assert_words(3, 11, "bad UPDATE: malformed AS_PATH");
	assert_words(4, 0, "hold timer expired");
	assert_words(5, 3, "unexpected message: in Established");
	assert_words(6, 0, "ceased, no reason given");
	assert_words(6, 2, "administrative shutdown");
	assert_words(6, 10, "BFD down");
	assert_words(6, 99, "error 6/99");
	assert_words(2, 200, "bad OPEN (2/200)");
	assert_words(8, 0, "send hold timer expired");
	assert_words(0, 0, "error 0/0");
	assert_words(255, 255, "error 255/255");
}

static void assert_received(uint8_t subcode, const char *data, const char *expected)
{
	uint8_t octets[WIRE_MAX];
	size_t size = wire_hex(data, octets);
	char words[BGP_ERROR_MAX];

	CU_ASSERT_STRING_EQUAL(bgp_error_format_received(6, subcode, octets, size, words),
			       expected);
}

static void test_a_peers_message_is_shown_and_safe(void)
{
	assert_received(2, "", "peer closed: administrative shutdown");
	assert_received(2, "00", "peer closed: administrative shutdown");
	assert_received(2, "03 62 79 65", "peer closed: administrative shutdown \"bye\"");
	assert_received(4, "03 62 79 65 ff", "peer closed: administrative reset \"bye\"");
	/* Longer than what came: the words are dropped, the close counts. */
	assert_received(2, "04 62 79 65", "peer closed: administrative shutdown");
	/* Only these two carry one. */
	assert_received(3, "03 62 79 65", "peer closed: peer de-configured");
	/* A line break, an escape, a NUL, C1, "turn the direction", half a character, overlong,
	 * a surrogate, beyond Unicode. */
	assert_received(2, "04 0a 1b 00 7f", "peer closed: administrative shutdown \"????\"");
	assert_received(2, "02 c29b", "peer closed: administrative shutdown \"?\"");
	assert_received(2, "03 e280ae", "peer closed: administrative shutdown \"?\"");
	assert_received(2, "04 61 e282 62", "peer closed: administrative shutdown \"a??b\"");
	assert_received(2, "02 c0af", "peer closed: administrative shutdown \"??\"");
	assert_received(2, "03 eda080", "peer closed: administrative shutdown \"???\"");
	assert_received(2, "04 f4908080", "peer closed: administrative shutdown \"????\"");
	assert_received(2, "03 e282ac", "peer closed: administrative shutdown \"\xe2\x82\xac\"");
	assert_received(2, "04 f09f9880",
			"peer closed: administrative shutdown \"\xf0\x9f\x98\x80\"");
}

static void test_a_peers_longest_message_is_shown_whole(void)
{
	uint8_t data[256];
	char words[BGP_ERROR_MAX];

	memset(data, 'x', sizeof(data));
	data[0] = 255;
	bgp_error_format_received(6, 2, data, sizeof(data), words);
	CU_ASSERT_EQUAL(strlen(words), strlen("peer closed: administrative shutdown \"\"") + 255);
	CU_ASSERT_EQUAL(words[strlen(words) - 1], '"');
}

static void test_our_message_is_cut_between_characters(void)
{
	char message[400];
	uint8_t out[BGP_SHUTDOWN_MESSAGE_MAX + 1];

	CU_ASSERT_TRUE(wire_is(out, bgp_shutdown_write("bye", out), "03 627965"));
	CU_ASSERT_TRUE(wire_is(out, bgp_shutdown_write("", out), "00"));
	memset(message, 'x', sizeof(message));
	message[399] = '\0';
	CU_ASSERT_EQUAL(bgp_shutdown_write(message, out), 256);
	CU_ASSERT_EQUAL(out[0], 255);
	memcpy(message + 253, "\xe2\x82\xac", 3); /* would end one octet too far */
	CU_ASSERT_EQUAL(bgp_shutdown_write(message, out), 254);
	CU_ASSERT_EQUAL(out[0], 253);
}

int main(void)
{
	const struct suite_test tests[] = {
		{"bad headers are named", test_bad_headers_are_named},
		{"good headers give the size", test_good_headers_give_the_size},
		{"small messages are written", test_small_messages_are_written},
		{"OPEN says who we are", test_open_says_who_we_are},
		{"OPEN of a peer is read", test_open_of_a_peer_is_read},
		{"OPEN with extended parameters is read",
		 test_open_with_extended_parameters_is_read},
		{"OPEN with a bad field is refused", test_open_with_a_bad_field_is_refused},
		{"an external peer may have our identifier",
		 test_an_external_peer_may_have_our_identifier},
		{"OPEN with bad parameters is refused", test_open_with_bad_parameters_is_refused},
		{"OPEN without a common family is refused",
		 test_open_without_a_common_family_is_refused},
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
		{"IPv4 goes out in the classic fields", test_ipv4_goes_out_in_the_classic_fields},
		{"IPv6 goes out in MP_REACH_NLRI, first of all",
		 test_ipv6_goes_out_in_mp_reach_first_of_all},
		{"attributes that are asked for are sent",
		 test_attributes_that_are_asked_for_are_sent},
		{"old peers get 2 octets, and AS4_PATH", test_old_peers_get_2_octets_and_as4_path},
		{"withdrawals carry nothing else", test_withdrawals_carry_nothing_else},
		{"the largest attributes leave room", test_the_largest_attributes_leave_room},
		{"errors have words", test_errors_have_words},
		{"a peer's message is shown, and safe", test_a_peers_message_is_shown_and_safe},
		{"a peer's longest message is shown whole",
		 test_a_peers_longest_message_is_shown_whole},
		{"our message is cut between characters",
		 test_our_message_is_cut_between_characters},
	};
	return SUITE_RUN("bgp_message", tests);
}
