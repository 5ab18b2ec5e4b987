/*
 * Whole replies: errors made in place, and what a front end does to a reply before it leaves.
 * Pure; any thread; no allocation. Hot path.
 */
#ifndef GODWIT_DNS_REPLY_H
#define GODWIT_DNS_REPLY_H

#include "dns/query.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Writes a reply without records to `query`: the question if it was readable, OPT if it had one
 * with `udp_payload` octets as our limit and the extended error `ede` (a dns_ede, DNS_EDE_NONE for
 * none; text may be NULL). `out` has room for `capacity` octets, at least DNS_UDP_PAYLOAD_MIN.
 * Returns the size.
 */
size_t dns_reply_write_error(const struct dns_query *query, int rcode, uint16_t udp_payload,
			     int ede, const char *ede_text, uint8_t *out, size_t capacity);

/*
 * Writes the answer to a question for ANY that needs no look at any data (RFC 8482 section 4.2):
 * one HINFO record that says so, authoritative, to be kept for an hour. `out` as above. Returns the
 * size.
 */
size_t dns_reply_write_minimal_any(const struct dns_query *query, uint16_t udp_payload,
				   uint8_t *out, size_t capacity);

/*
 * True when a backend's message is a well-formed reply to `query`: ID, QR, opcode and, unless it
 * reports an error without one, the same question (case ignored); every record within the message,
 * and one OPT at most, where it belongs.
 */
bool dns_reply_matches(const struct dns_query *query, const uint8_t *reply, size_t size);

/* Octets a client takes over UDP: its EDNS payload size or 512, at most `ceiling`, never < 512. */
static inline size_t dns_reply_udp_limit(const struct dns_query *query, uint16_t ceiling)
{
	uint16_t payload = query->edns.present ? query->edns.udp_payload : 512;
	payload = payload < ceiling ? payload : ceiling;
	return payload > 512 ? payload : 512;
}

/*
 * Makes a reply that dns_reply_matches accepted fit `limit` octets, in place: first additional
 * RRsets are left out, whole ones from the end; where that is not enough, or where a referral would
 * lose glue (RFC 9471), all records but OPT go and TC is set (RFC 2181 section 9). OPT stays in any
 * case. Returns the new size.
 */
size_t dns_reply_truncate(uint8_t *reply, size_t size, size_t limit);

/* Sets the UDP payload size in the reply's OPT record, if it has one. */
void dns_reply_set_payload(uint8_t *reply, size_t size, uint16_t udp_payload);

/*
 * Finds the reply's OPT record: the offsets of its first octet and of the one behind it. False when
 * there is none.
 */
bool dns_reply_find_opt(const uint8_t *reply, size_t size, size_t *start, size_t *end);

/* The reply's response code, with the upper bits of its OPT record if it has one. */
int dns_reply_rcode(const uint8_t *reply, size_t size);

#endif
