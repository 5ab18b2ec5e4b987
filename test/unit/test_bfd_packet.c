/* BFD control packets: what is read back, and what is refused. */
#include "announcer/bfd_packet.h"
#include "suite.h"

#include <string.h>

/* Up, poll, multiplier 3, with every number different. */
static const uint8_t good[BFD_PACKET_SIZE] = {
	0x20, 0xe0, 3,    24,   0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08,
	0x00, 0x01, 0x86, 0xa0, 0x00, 0x03, 0x0d, 0x40, 0x00, 0x00, 0x00, 0x07,
};

static enum bfd_packet_error parse_changed(size_t at, uint8_t value)
{
	uint8_t octets[BFD_PACKET_SIZE];
	struct bfd_packet packet;

	memcpy(octets, good, sizeof(octets));
	octets[at] = value;
	return bfd_packet_parse(octets, sizeof(octets), &packet);
}

static void test_fields_are_read(void)
{
	struct bfd_packet packet;

	CU_ASSERT_EQUAL_FATAL(bfd_packet_parse(good, sizeof(good), &packet), BFD_PACKET_GOOD);
	CU_ASSERT_EQUAL(packet.state, BFD_UP);
	CU_ASSERT_EQUAL(packet.diagnostic, 0);
	CU_ASSERT_TRUE(packet.poll);
	CU_ASSERT_FALSE(packet.final);
	CU_ASSERT_FALSE(packet.demand);
	CU_ASSERT_EQUAL(packet.multiplier, 3);
	CU_ASSERT_EQUAL(packet.my_discriminator, 0x01020304);
	CU_ASSERT_EQUAL(packet.your_discriminator, 0x05060708);
	CU_ASSERT_EQUAL(packet.desired_min_tx_us, 100000);
	CU_ASSERT_EQUAL(packet.required_min_rx_us, 200000);
	CU_ASSERT_EQUAL(packet.required_min_echo_rx_us, 7);
}

static void test_what_is_built_is_read_back(void)
{
	for (unsigned int bits = 0; bits < 16; bits++) {
		const struct bfd_packet packet = {
			.state = (enum bfd_state)(bits & 3),
			.diagnostic = (uint8_t)(31 - bits),
			.poll = bits & 1,
			.final = bits & 2,
			.control_plane_independent = bits & 4,
			.demand = bits & 8,
			.multiplier = (uint8_t)(bits + 1),
			.my_discriminator = 0xfffffffe,
			.your_discriminator = 0x80000001,
			.desired_min_tx_us = UINT32_MAX,
			.required_min_rx_us = bits,
			.required_min_echo_rx_us = 0x01000000,
		};
		uint8_t octets[BFD_PACKET_SIZE];
		uint8_t again[BFD_PACKET_SIZE];
		struct bfd_packet read;
		bfd_packet_build(&packet, octets);
		CU_ASSERT_EQUAL_FATAL(bfd_packet_parse(octets, sizeof(octets), &read),
				      BFD_PACKET_GOOD);
		bfd_packet_build(&read, again);
		CU_ASSERT_EQUAL(memcmp(octets, again, sizeof(octets)), 0);
		CU_ASSERT_EQUAL(read.state, packet.state);
		CU_ASSERT_EQUAL(read.diagnostic, packet.diagnostic);
		CU_ASSERT_EQUAL(read.demand, packet.demand);
	}
}

static void test_short_packets_are_refused(void)
{
	struct bfd_packet packet;

	for (size_t size = 0; size < sizeof(good); size++)
		CU_ASSERT_EQUAL(bfd_packet_parse(good, size, &packet), BFD_PACKET_SHORT);
}

static void test_lengths_are_checked(void)
{
	uint8_t longer[BFD_PACKET_SIZE + 4] = {0};
	struct bfd_packet packet;

	CU_ASSERT_EQUAL(parse_changed(3, 23), BFD_PACKET_LENGTH);
	CU_ASSERT_EQUAL(parse_changed(3, 25), BFD_PACKET_LENGTH);
	CU_ASSERT_EQUAL(parse_changed(3, 0), BFD_PACKET_LENGTH);
	/* Octets behind the packet's own length are nobody's business. */
	memcpy(longer, good, sizeof(good));
	CU_ASSERT_EQUAL(bfd_packet_parse(longer, sizeof(longer), &packet), BFD_PACKET_GOOD);
	longer[3] = sizeof(longer);
	CU_ASSERT_EQUAL(bfd_packet_parse(longer, sizeof(longer), &packet), BFD_PACKET_GOOD);
}

static void test_other_versions_are_refused(void)
{
	CU_ASSERT_EQUAL(parse_changed(0, 0x00), BFD_PACKET_VERSION);
	CU_ASSERT_EQUAL(parse_changed(0, 0x40), BFD_PACKET_VERSION);
	CU_ASSERT_EQUAL(parse_changed(0, 0xe0), BFD_PACKET_VERSION);
}

static void test_reserved_bits_are_refused(void)
{
	CU_ASSERT_EQUAL(parse_changed(1, 0xe1), BFD_PACKET_MULTIPOINT);
	CU_ASSERT_EQUAL(parse_changed(1, 0xe4), BFD_PACKET_AUTHENTICATED);
	CU_ASSERT_EQUAL(parse_changed(1, 0xea), BFD_PACKET_GOOD); /* C and D are fine */
}

static void test_zeros_are_refused(void)
{
	uint8_t octets[BFD_PACKET_SIZE];
	struct bfd_packet packet;

	CU_ASSERT_EQUAL(parse_changed(2, 0), BFD_PACKET_MULTIPLIER);
	memcpy(octets, good, sizeof(octets));
	memset(octets + 4, 0, 4);
	CU_ASSERT_EQUAL(bfd_packet_parse(octets, sizeof(octets), &packet),
			BFD_PACKET_DISCRIMINATOR);
}

static void test_only_who_is_down_need_not_know_us(void)
{
	static const enum bfd_packet_error expected[] = {
		[BFD_ADMIN_DOWN] = BFD_PACKET_GOOD,
		[BFD_DOWN] = BFD_PACKET_GOOD,
		[BFD_INIT] = BFD_PACKET_NO_SESSION,
		[BFD_UP] = BFD_PACKET_NO_SESSION,
	};
	uint8_t octets[BFD_PACKET_SIZE];
	struct bfd_packet packet;

	memcpy(octets, good, sizeof(octets));
	memset(octets + 8, 0, 4);
	for (unsigned int state = 0; state < 4; state++) {
		octets[1] = (uint8_t)(state << 6);
		CU_ASSERT_EQUAL(bfd_packet_parse(octets, sizeof(octets), &packet), expected[state]);
	}
}

static void test_everything_has_words(void)
{
	for (int error = BFD_PACKET_GOOD; error <= BFD_PACKET_NO_SESSION; error++)
		CU_ASSERT_STRING_NOT_EQUAL(bfd_packet_error_text((enum bfd_packet_error)error),
					   "unknown error");
	CU_ASSERT_STRING_EQUAL(bfd_state_name(BFD_ADMIN_DOWN), "admin down");
	CU_ASSERT_STRING_EQUAL(bfd_state_name(BFD_UP), "up");
	CU_ASSERT_STRING_EQUAL(bfd_diagnostic_name(1), "control detection time expired");
	CU_ASSERT_STRING_EQUAL(bfd_diagnostic_name(7), "administratively down");
	CU_ASSERT_STRING_EQUAL(bfd_diagnostic_name(31), "reserved");
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"fields are read", test_fields_are_read},
		{"what is built is read back", test_what_is_built_is_read_back},
		{"short packets are refused", test_short_packets_are_refused},
		{"lengths are checked", test_lengths_are_checked},
		{"other versions are refused", test_other_versions_are_refused},
		{"reserved bits are refused", test_reserved_bits_are_refused},
		{"zeros are refused", test_zeros_are_refused},
		{"only who is down need not know us", test_only_who_is_down_need_not_know_us},
		{"everything has words", test_everything_has_words},
	};
	return SUITE_RUN("bfd_packet", tests);
}
