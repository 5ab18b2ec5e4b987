/*
 * Discovery of designated resolvers (RFC 9462): a client that knows this server's address only asks
 * it for _dns.resolver.arpa, type SVCB, and is told where it is served encrypted: one record for
 * each protocol and port that is listened on, with ALPN, port, the path of DNS over HTTPS (RFC
 * 9461) and, of listeners on one address, that address. A client then checks that the certificate
 * there carries the address it began with (section 4.2).
 *
 * The target's name is the first DNS name of the first certificate that is not a wildcard; "." is
 * not allowed here (section 4). A certificate without one cannot be told of: the answer is empty,
 * and a log line says why. New certificates are looked at when they come into use.
 *
 * The zone resolver.arpa is served here as a whole and never asked of a backend (section 6.4). One
 * object per worker, for its thread alone. Allocates only when certificates have changed.
 */
#ifndef GODWIT_FRONTEND_DISCOVERY_H
#define GODWIT_FRONTEND_DISCOVERY_H

#include "dns/name.h"
#include "dns/query.h"
#include "frontend/config.h"
#include "frontend/tls.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How long answers may be kept. */
#define DISCOVERY_TTL_S 300

/* Records of one answer; listeners beyond them are not told of. */
#define DISCOVERY_RECORDS_MAX 8

struct discovery;

/* Both are borrowed. NULL when memory is short. */
struct discovery *discovery_create(const struct frontend_config *config, struct tls *tls);
void discovery_destroy(struct discovery *discovery);

/* The zone's name in wire format. */
extern const uint8_t discovery_zone[15];

/* True for a question that discovery_answer is for. Hot path. */
static inline bool discovery_owns(const struct discovery *discovery, const struct dns_query *query)
{
	size_t size = query->qname_size;
	if (!discovery || size < sizeof(discovery_zone) || query->qname[size - 6] != 4 ||
	    dns_lower(query->qname[size - 2]) != 'a')
		return false;
	return dns_name_is_within(query->qname, discovery_zone);
}

/*
 * Writes the answer to such a question into `out`, which has room for `capacity` octets, at least
 * DNS_UDP_PAYLOAD_MIN. Returns its size; `*rcode` is its response code.
 */
size_t discovery_answer(struct discovery *discovery, const struct dns_query *query,
			uint16_t udp_payload, uint8_t *out, size_t capacity, int *rcode);

#endif
