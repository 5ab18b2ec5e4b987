/*
 * OPEN (RFC 4271 section 4.2): who a speaker is and, as capabilities (RFC 5492), what it can do. We
 * offer IPv4 and IPv6 unicast (RFC 4760), route refresh (RFC 2918) and 4-octet AS numbers (RFC
 * 6793). What a peer offers beyond that is ignored, as RFC 5492 wants it.
 *
 * Pure; any octets are safe.
 */
#ifndef GODWIT_ANNOUNCER_BGP_OPEN_H
#define GODWIT_ANNOUNCER_BGP_OPEN_H

#include "announcer/bgp_error.h"
#include "announcer/bgp_session.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A peer's OPEN. */
struct bgp_open {
	uint32_t as; /* the true one, of 4 octets where it says it */
	uint16_t hold_time_s;
	uint32_t router_id; /* host order */
	bool as4;           /* AS numbers have 4 octets in its AS_PATH */
	bool ipv4;          /* families it offers; IPv4 alone when it names none at all */
	bool ipv6;
};

/* Writes our OPEN. Returns its size. */
size_t bgp_open_write(const struct bgp_session_options *options, uint8_t out[BGP_MESSAGE_MAX]);

/*
 * Reads a peer's OPEN, whose header is good, and checks it against what we expect of the peer (RFC
 * 4271 section 6.2, RFC 6286). 0, or -1 with the fault.
 */
int bgp_open_read(const uint8_t *message, size_t size, const struct bgp_session_options *options,
		  struct bgp_open *out, struct bgp_fault *fault);

#endif
