/*
 * BFD packets from anybody, and what a session makes of those that are good: the input is cut into
 * records of a time step (one octet, units of 8 ms) and a packet of 24 octets.
 */
#include "announcer/bfd_session.h"
#include "fuzz.h"

#include <string.h>

#define RECORD_SIZE (1 + BFD_PACKET_SIZE)

static const struct bfd_session_options options = {
	.discriminator = 1, .min_tx_us = 50000, .min_rx_us = 50000, .multiplier = 3, .seed = 1};

/* What is read is built and read again as it was; octets behind the length do not matter. */
static void check_packet(const struct bfd_packet *packet)
{
	uint8_t octets[BFD_PACKET_SIZE];
	uint8_t again[BFD_PACKET_SIZE];
	struct bfd_packet read;

	FUZZ_CHECK(packet->multiplier != 0 && packet->my_discriminator != 0);
	bfd_packet_build(packet, octets);
	FUZZ_CHECK(bfd_packet_parse(octets, sizeof(octets), &read) == BFD_PACKET_GOOD);
	bfd_packet_build(&read, again);
	FUZZ_CHECK(memcmp(octets, again, sizeof(octets)) == 0);
}

/* All that is due is said in a few packets, each of which any peer would take. */
static void check_sent(struct bfd_session *session, int64_t now_us)
{
	struct bfd_packet packet;
	struct bfd_packet read;
	uint8_t octets[BFD_PACKET_SIZE];
	int count = 0;

	while (bfd_session_next_packet(session, now_us, &packet)) {
		FUZZ_CHECK(++count <= 2);
		FUZZ_CHECK(!(packet.poll && packet.final));
		FUZZ_CHECK(packet.state == BFD_UP || packet.desired_min_tx_us >= BFD_SLOW_US);
		bfd_packet_build(&packet, octets);
		FUZZ_CHECK(bfd_packet_parse(octets, sizeof(octets), &read) == BFD_PACKET_GOOD);
	}
	FUZZ_CHECK(session->interval_us >= options.min_tx_us);
	FUZZ_CHECK(bfd_session_deadline_us(session) > now_us);
	FUZZ_CHECK(session->state != BFD_UP || session->remote_discriminator != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bfd_session session;
	struct bfd_packet packet;
	int64_t now_us = 0;

	if (bfd_packet_parse(data, size, &packet) == BFD_PACKET_GOOD)
		check_packet(&packet);
	bfd_session_init(&session, &options, now_us);
	for (; size >= RECORD_SIZE; data += RECORD_SIZE, size -= RECORD_SIZE) {
		now_us += data[0] * 8000;
		if (bfd_packet_parse(data + 1, BFD_PACKET_SIZE, &packet) == BFD_PACKET_GOOD) {
			check_packet(&packet);
			bfd_session_receive(&session, &packet, now_us);
		}
		bfd_session_tick(&session, now_us);
		check_sent(&session, now_us);
	}
	bfd_session_shut(&session, now_us);
	check_sent(&session, now_us);
	return 0;
}
