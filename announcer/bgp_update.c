/*
 * UPDATE, written and read: see the header.
 *
 *     Length of withdrawn routes (2) | Withdrawn IPv4 routes
 *     Total length of attributes (2) | Attributes
 *     IPv4 routes, to the message's end
 */
#include "announcer/bgp_update.h"

#include "announcer/bgp_message.h"
#include "announcer/bgp_octets.h"

#include <stdio.h>
#include <sys/socket.h>

#define BGP_UPDATE_SIZE_MIN (BGP_HEADER_SIZE + 4) /* both lengths and nothing else */

/* Begins an attribute of IPv6 routes: the first of all (RFC 7606 section 5.1), its length open. */
static void bgp_update_begin_ipv6(struct bgp_update_writer *writer, uint8_t type)
{
	uint8_t *p = writer->out + BGP_UPDATE_SIZE_MIN;

	p = bgp_put8(bgp_put8(p, BGP_FLAG_OPTIONAL | BGP_FLAG_EXTENDED), type);
	writer->multiprotocol_size = p;
	writer->nlri = bgp_put8(bgp_put16(p + 2, BGP_AFI_IPV6), BGP_SAFI_UNICAST);
}

void bgp_update_begin_withdrawal(struct bgp_update_writer *writer, int family,
				 uint8_t out[BGP_MESSAGE_MAX])
{
	writer->out = out;
	writer->nlri = out + BGP_HEADER_SIZE + 2;
	writer->multiprotocol_size = NULL;
	writer->withdraws_ipv4 = family == AF_INET;
	writer->attributes_size = 0;
	if (family == AF_INET6)
		bgp_update_begin_ipv6(writer, BGP_ATTRIBUTE_MP_UNREACH);
}

void bgp_update_begin_routes(struct bgp_update_writer *writer, const struct bgp_route *route,
			     const struct bgp_agreement *agreement, uint8_t out[BGP_MESSAGE_MAX])
{
	writer->out = out;
	writer->multiprotocol_size = NULL;
	writer->withdraws_ipv4 = false;
	writer->attributes_size = 0;
	if (route->prefix.family == AF_INET) {
		uint8_t *attributes = out + BGP_UPDATE_SIZE_MIN;
		size_t size = bgp_attributes_write(route, agreement, attributes);
		bgp_put16(attributes - 2, (uint16_t)size);
		writer->nlri = attributes + size;
		return;
	}
	/* RFC 4760 section 3: next hop and a reserved octet before the prefixes. */
	bgp_update_begin_ipv6(writer, BGP_ATTRIBUTE_MP_REACH);
	writer->nlri = bgp_put_octets(bgp_put8(writer->nlri, 16), route->next_hop, 16);
	writer->nlri = bgp_put8(writer->nlri, 0);
	writer->attributes_size = bgp_attributes_write(route, agreement, writer->attributes);
}

bool bgp_update_add(struct bgp_update_writer *writer, const struct prefix *prefix)
{
	size_t used = (size_t)(writer->nlri - writer->out);
	size_t behind = writer->attributes_size + (writer->withdraws_ipv4 ? 2 : 0);

	if (used + bgp_nlri_size(prefix) + behind > BGP_MESSAGE_MAX)
		return false;
	writer->nlri = bgp_nlri_put(writer->nlri, prefix);
	return true;
}

size_t bgp_update_finish(struct bgp_update_writer *writer)
{
	uint8_t *lengths = writer->out + BGP_HEADER_SIZE;
	uint8_t *end = writer->nlri;

	if (writer->withdraws_ipv4) {
		bgp_put16(lengths, (uint16_t)(end - lengths - 2));
		end = bgp_put16(end, 0);
	} else {
		bgp_put16(lengths, 0);
	}
	if (writer->multiprotocol_size) {
		uint8_t *value = writer->multiprotocol_size + 2;
		bgp_put16(writer->multiprotocol_size, (uint16_t)(end - value));
		end = bgp_put_octets(end, writer->attributes, writer->attributes_size);
		bgp_put16(lengths + 2, (uint16_t)(end - lengths - 4));
	}

	size_t size = (size_t)(end - writer->out);
	bgp_message_put_header(writer->out, BGP_MESSAGE_UPDATE, size);
	return size;
}

int bgp_update_read(const uint8_t *message, size_t size, const struct bgp_agreement *agreement,
		    struct bgp_update *out, struct bgp_fault *fault)
{
	const uint8_t *p = message + BGP_HEADER_SIZE;
	size_t left = size - BGP_UPDATE_SIZE_MIN; /* without the two lengths */
	size_t withdrawn_size = bgp_get16(p);
	struct bgp_attributes attributes;

	*out = (struct bgp_update){0};
	/* RFC 4271 section 6.3: lengths that reach beyond the message. */
	if (withdrawn_size > left)
		return bgp_fault_set(fault, BGP_ERROR_UPDATE, BGP_UPDATE_MALFORMED_LIST,
				     "peer's UPDATE has withdrawn routes beyond its end");
	const uint8_t *withdrawn_nlri = p + 2;
	left -= withdrawn_size;
	p = withdrawn_nlri + withdrawn_size;
	size_t attributes_size = bgp_get16(p);
	if (attributes_size > left)
		return bgp_fault_set(fault, BGP_ERROR_UPDATE, BGP_UPDATE_MALFORMED_LIST,
				     "peer's UPDATE has attributes beyond its end");
	left -= attributes_size;
	p += 2;

	/* RFC 7606 section 3(j): routes that cannot be read cannot be withdrawn either. */
	int withdrawn = bgp_nlri_count(withdrawn_nlri, withdrawn_size, AF_INET);
	int announced = bgp_nlri_count(p + attributes_size, left, AF_INET);
	if (withdrawn < 0 || announced < 0)
		return bgp_fault_set(fault, BGP_ERROR_UPDATE, BGP_UPDATE_BAD_NETWORK,
				     "peer's UPDATE has %s prefix that cannot be",
				     withdrawn < 0 ? "a withdrawn" : "a");
	if (bgp_attributes_check(p, attributes_size, announced > 0, agreement, &attributes,
				 fault) != 0)
		return -1;
	out->announced = (size_t)announced + attributes.announced;
	out->withdrawn = (size_t)withdrawn + attributes.withdrawn;
	snprintf(out->problem, sizeof(out->problem), "%s", attributes.problem);
	return 0;
}
