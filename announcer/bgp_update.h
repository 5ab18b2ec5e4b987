/*
 * UPDATE (RFC 4271 section 4.3): routes announced and withdrawn. IPv4 has fields of its own in it,
 * IPv6 travels inside attributes (RFC 4760), whatever the transport connection is made of.
 *
 * Ours carry either withdrawals or routes of one family with equal attributes, and are never longer
 * than BGP_MESSAGE_MAX. Those of peers are checked, counted and not kept. Pure; any octets are
 * safe.
 */
#ifndef GODWIT_ANNOUNCER_BGP_UPDATE_H
#define GODWIT_ANNOUNCER_BGP_UPDATE_H

#include "announcer/bgp_attributes.h"
#include "announcer/bgp_session.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An UPDATE in the making. */
struct bgp_update_writer {
	uint8_t *out;
	uint8_t *nlri;               /* where the next prefix goes */
	uint8_t *multiprotocol_size; /* of the IPv6 attribute, filled in at the end; NULL */
	bool withdraws_ipv4;
	uint8_t attributes[BGP_ATTRIBUTES_MAX]; /* that stand behind the IPv6 prefixes */
	size_t attributes_size;
};

/* Begins an UPDATE that withdraws prefixes of a family, AF_INET or AF_INET6. */
void bgp_update_begin_withdrawal(struct bgp_update_writer *writer, int family,
				 uint8_t out[BGP_MESSAGE_MAX]);

/* Begins one that announces prefixes with the next hop and attributes of `route`. */
void bgp_update_begin_routes(struct bgp_update_writer *writer, const struct bgp_route *route,
			     const struct bgp_agreement *agreement, uint8_t out[BGP_MESSAGE_MAX]);

/* Adds a prefix of that family. False: it has no room, and is left out. The first has room. */
bool bgp_update_add(struct bgp_update_writer *writer, const struct prefix *prefix);

/* Completes the message; returns its size. */
size_t bgp_update_finish(struct bgp_update_writer *writer);

/* What an UPDATE of a peer said. */
struct bgp_update {
	size_t announced; /* prefixes */
	size_t withdrawn;
	char problem[96]; /* what was wrong, then all of it counts as withdrawn (RFC 7606); or "" */
};

/* Reads one whose header is good. 0, or -1 with the fault when the session has to end. */
int bgp_update_read(const uint8_t *message, size_t size, const struct bgp_agreement *agreement,
		    struct bgp_update *out, struct bgp_fault *fault);

#endif
