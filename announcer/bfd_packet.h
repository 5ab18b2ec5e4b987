/*
 * BFD control packets: their layout, the checks on receipt and building, side by side (RFC 5880
 * sections 4.1 and 6.8.6).
 *
 * Pure: octets in, octets out. Authentication is not used, so packets that carry any are refused,
 * as section 6.8.6 has it.
 */
#ifndef GODWIT_ANNOUNCER_BFD_PACKET_H
#define GODWIT_ANNOUNCER_BFD_PACKET_H

#include "announcer/bfd.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Octets of a control packet without authentication: all that is ever sent. */
#define BFD_PACKET_SIZE 24

/* The local diagnostic, RFC 5880 section 4.1: those that are used here. */
enum bfd_diagnostic {
	BFD_DIAG_NONE = 0,
	BFD_DIAG_EXPIRED = 1,          /* no packet within the detection time */
	BFD_DIAG_NEIGHBOR_DOWN = 3,    /* the peer said so */
	BFD_DIAG_ADMINISTRATIVELY = 7, /* by our own wish */
};

/* One control packet. Intervals in microseconds, numbers in host order. */
struct bfd_packet {
	enum bfd_state state;
	uint8_t diagnostic; /* 0 to 31 */
	bool poll;
	bool final;
	bool control_plane_independent;
	bool demand;
	uint8_t multiplier;          /* never 0 */
	uint32_t my_discriminator;   /* never 0 */
	uint32_t your_discriminator; /* 0 only while `state` is Down or AdminDown */
	uint32_t desired_min_tx_us;
	uint32_t required_min_rx_us;
	uint32_t required_min_echo_rx_us;
};

/* Why a packet is no good. */
enum bfd_packet_error {
	BFD_PACKET_GOOD,
	BFD_PACKET_SHORT,
	BFD_PACKET_VERSION,
	BFD_PACKET_LENGTH,
	BFD_PACKET_AUTHENTICATED,
	BFD_PACKET_MULTIPOINT,
	BFD_PACKET_MULTIPLIER,
	BFD_PACKET_DISCRIMINATOR,
	BFD_PACKET_NO_SESSION,
};

/*
 * Reads the `size` octets of a datagram and makes all the checks of RFC 5880 section 6.8.6 that
 * need no session. `out` is written only for BFD_PACKET_GOOD.
 */
enum bfd_packet_error bfd_packet_parse(const uint8_t *octets, size_t size, struct bfd_packet *out);

/* Writes `packet`. */
void bfd_packet_build(const struct bfd_packet *packet, uint8_t out[BFD_PACKET_SIZE]);

/* What is wrong, in words. */
const char *bfd_packet_error_text(enum bfd_packet_error error);

#endif
