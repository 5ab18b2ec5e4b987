/*
 * Options of the OPT record (RFC 6891 section 6.1.2) that are about the transport: asked for by the
 * client, added to a reply by the server that holds the connection. Pure; any thread; no
 * allocation.
 */
#ifndef GODWIT_DNS_EDNS_H
#define GODWIT_DNS_EDNS_H

#include "dns/query.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Replies are padded to a multiple of so many octets (RFC 8467 section 4.1). */
#define DNS_EDNS_PADDING_BLOCK 468

/* True when the query's OPT has an option of this code (enum dns_option). */
bool dns_edns_has_option(const struct dns_query *query, uint16_t code);

/*
 * Adds an option to a reply's OPT record: `length` octets of `data`, or of zeros when it is NULL.
 * Returns the reply's new size; or `size`, and nothing is changed, when there is no OPT, another
 * record stands behind it, or `capacity` does not suffice.
 */
size_t dns_edns_add_option(uint8_t *reply, size_t size, size_t capacity, uint16_t code,
			   const uint8_t *data, uint16_t length);

/*
 * Pads a reply to a multiple of DNS_EDNS_PADDING_BLOCK, or as near to `capacity` as that allows.
 * Returns the new size. Only for encrypted transports, and only for who has asked (RFC 7830
 * section 4).
 */
size_t dns_edns_pad(uint8_t *reply, size_t size, size_t capacity);

#endif
