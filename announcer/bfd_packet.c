/*
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-----+---------+---+-+-+-+-+-+-+---------------+---------------+
 * |Vers |  Diag   |Sta|P|F|C|A|D|M|  Detect Mult  |    Length     |
 * +-----+---------+---+-+-+-+-+-+-+---------------+---------------+
 * |                       My Discriminator                        |
 * |                      Your Discriminator                       |
 * |                    Desired Min TX Interval                    |
 * |                   Required Min RX Interval                    |
 * |                 Required Min Echo RX Interval                 |
 * +---------------------------------------------------------------+
 */
#include "announcer/bfd_packet.h"

#define PACKET_VERSION 1

enum packet_flag {
	FLAG_POLL = 0x20,
	FLAG_FINAL = 0x10,
	FLAG_INDEPENDENT = 0x08,
	FLAG_AUTHENTICATION = 0x04,
	FLAG_DEMAND = 0x02,
	FLAG_MULTIPOINT = 0x01,
};

static uint32_t packet_read_32(const uint8_t *octets)
{
	return (uint32_t)octets[0] << 24 | (uint32_t)octets[1] << 16 | (uint32_t)octets[2] << 8 |
	       octets[3];
}

static void packet_write_32(uint8_t *octets, uint32_t value)
{
	octets[0] = (uint8_t)(value >> 24);
	octets[1] = (uint8_t)(value >> 16);
	octets[2] = (uint8_t)(value >> 8);
	octets[3] = (uint8_t)value;
}

/* The checks of section 6.8.6 up to where a session is looked for, in its order. */
static enum bfd_packet_error packet_check(const uint8_t *octets, size_t size)
{
	if (size < BFD_PACKET_SIZE)
		return BFD_PACKET_SHORT;
	if (octets[0] >> 5 != PACKET_VERSION)
		return BFD_PACKET_VERSION;
	if (octets[3] < BFD_PACKET_SIZE || octets[3] > size)
		return BFD_PACKET_LENGTH;
	if (octets[2] == 0)
		return BFD_PACKET_MULTIPLIER;
	if (octets[1] & FLAG_MULTIPOINT)
		return BFD_PACKET_MULTIPOINT;
	/* "If the A bit is set and no authentication is in use": never is, for any session. */
	if (octets[1] & FLAG_AUTHENTICATION)
		return BFD_PACKET_AUTHENTICATED;
	if (packet_read_32(octets + 4) == 0)
		return BFD_PACKET_DISCRIMINATOR;
	if (packet_read_32(octets + 8) == 0 && octets[1] >> 6 > BFD_DOWN)
		return BFD_PACKET_NO_SESSION;
	return BFD_PACKET_GOOD;
}

enum bfd_packet_error bfd_packet_parse(const uint8_t *octets, size_t size, struct bfd_packet *out)
{
	enum bfd_packet_error error = packet_check(octets, size);

	if (error != BFD_PACKET_GOOD)
		return error;
	*out = (struct bfd_packet){
		.diagnostic = octets[0] & 0x1f,
		.state = (enum bfd_state)(octets[1] >> 6),
		.poll = octets[1] & FLAG_POLL,
		.final = octets[1] & FLAG_FINAL,
		.control_plane_independent = octets[1] & FLAG_INDEPENDENT,
		.demand = octets[1] & FLAG_DEMAND,
		.multiplier = octets[2],
		.my_discriminator = packet_read_32(octets + 4),
		.your_discriminator = packet_read_32(octets + 8),
		.desired_min_tx_us = packet_read_32(octets + 12),
		.required_min_rx_us = packet_read_32(octets + 16),
		.required_min_echo_rx_us = packet_read_32(octets + 20),
	};
	return BFD_PACKET_GOOD;
}

void bfd_packet_build(const struct bfd_packet *packet, uint8_t out[BFD_PACKET_SIZE])
{
	out[0] = (uint8_t)(PACKET_VERSION << 5 | (packet->diagnostic & 0x1f));
	out[1] = (uint8_t)(packet->state << 6 | (packet->poll ? FLAG_POLL : 0) |
			   (packet->final ? FLAG_FINAL : 0) |
			   (packet->control_plane_independent ? FLAG_INDEPENDENT : 0) |
			   (packet->demand ? FLAG_DEMAND : 0));
	out[2] = packet->multiplier;
	out[3] = BFD_PACKET_SIZE;
	packet_write_32(out + 4, packet->my_discriminator);
	packet_write_32(out + 8, packet->your_discriminator);
	packet_write_32(out + 12, packet->desired_min_tx_us);
	packet_write_32(out + 16, packet->required_min_rx_us);
	packet_write_32(out + 20, packet->required_min_echo_rx_us);
}

const char *bfd_packet_error_text(enum bfd_packet_error error)
{
	switch (error) {
	case BFD_PACKET_GOOD:
		return "good";
	case BFD_PACKET_SHORT:
		return "shorter than 24 octets";
	case BFD_PACKET_VERSION:
		return "not BFD version 1";
	case BFD_PACKET_LENGTH:
		return "its length field is wrong";
	case BFD_PACKET_AUTHENTICATED:
		return "authenticated, which is not used here";
	case BFD_PACKET_MULTIPOINT:
		return "the multipoint bit is set";
	case BFD_PACKET_MULTIPLIER:
		return "its detection multiplier is 0";
	case BFD_PACKET_DISCRIMINATOR:
		return "its discriminator is 0";
	case BFD_PACKET_NO_SESSION:
		return "its state needs our discriminator, which is 0";
	}
	return "unknown error";
}

const char *bfd_state_name(enum bfd_state state)
{
	static const char *const names[] = {"admin down", "down", "init", "up"};
	return (unsigned int)state < 4 ? names[state] : "unknown";
}

const char *bfd_diagnostic_name(uint8_t diagnostic)
{
	static const char *const names[] = {
		"no diagnostic",
		"control detection time expired",
		"echo function failed",
		"neighbor signaled session down",
		"forwarding plane reset",
		"path down",
		"concatenated path down",
		"administratively down",
		"reverse concatenated path down",
	};
	return diagnostic < sizeof(names) / sizeof(names[0]) ? names[diagnostic] : "reserved";
}
