/* OPEN messages octet by octet: what is written, what is taken, what is refused and how. */
#include "announcer/bgp_message.h"
#include "announcer/bgp_open.h"
#include "bgp_wire.h"
#include "suite.h"

#include <stdlib.h>

/* AS 64512 at 192.0.2.1, its peer AS 64513. */
static const struct bgp_session_options external = {
	.local_as = 64512,
	.peer_as = 64513,
	.router_id = 0xc0000201,
	.hold_time_s = 9,
	.ipv4 = true,
	.ipv6 = true,
};

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

int main(void)
{
	static const struct suite_test tests[] = {
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
	};

	return SUITE_RUN("bgp_open", tests);
}
