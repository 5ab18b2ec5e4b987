/*
 * OPEN, read and written: see the header.
 *
 *     Version (1) | My AS (2) | Hold time (2) | BGP identifier (4) | Length of what follows (1)
 *     any number of: Parameter type (1) | Length (1) | Value             RFC 4271 section 4.2
 *     of parameter 2, any number of: Capability (1) | Length (1) | Value RFC 5492 section 4
 *
 * More than 255 octets of parameters (RFC 9072): the first length is followed by type 255 and a
 * length of 2 octets for all, and each parameter's own length has 2 octets.
 */
#include "announcer/bgp_open.h"

#include "announcer/bgp_message.h"
#include "announcer/bgp_octets.h"

#define BGP_VERSION 4
#define BGP_OPEN_FIXED_SIZE 10 /* up to and with the length of the parameters */
#define BGP_HOLD_TIME_MIN_S 3
#define BGP_PARAMETER_CAPABILITIES 2
#define BGP_PARAMETER_EXTENDED 255

enum bgp_capability {
	BGP_CAPABILITY_MULTIPROTOCOL = 1,
	BGP_CAPABILITY_ROUTE_REFRESH = 2,
	BGP_CAPABILITY_AS4 = 65,
};

/* RFC 4760 section 8: AFI (2), reserved (1), SAFI (1). */
#define BGP_FAMILY_SIZE 6
static const uint8_t bgp_offer_families[] = {
	BGP_CAPABILITY_MULTIPROTOCOL, 4, 0, BGP_AFI_IPV4, 0, BGP_SAFI_UNICAST,
	BGP_CAPABILITY_MULTIPROTOCOL, 4, 0, BGP_AFI_IPV6, 0, BGP_SAFI_UNICAST,
};
static const uint8_t bgp_offer_refresh[] = {BGP_CAPABILITY_ROUTE_REFRESH, 0};

/* The capabilities for the families that are configured: a part of the table above. */
static const uint8_t *bgp_open_families(const struct bgp_session_options *options)
{
	return bgp_offer_families + (options->ipv4 ? 0 : BGP_FAMILY_SIZE);
}

static size_t bgp_open_families_size(const struct bgp_session_options *options)
{
	return BGP_FAMILY_SIZE * (size_t)(options->ipv4 + options->ipv6);
}

size_t bgp_open_write(const struct bgp_session_options *options, uint8_t out[BGP_MESSAGE_MAX])
{
	uint16_t as = options->local_as > UINT16_MAX ? BGP_AS_TRANS : (uint16_t)options->local_as;
	uint8_t *body = out + BGP_HEADER_SIZE;
	uint8_t *p = bgp_put8(body, BGP_VERSION);

	p = bgp_put16(p, as);
	p = bgp_put16(p, options->hold_time_s);
	p = bgp_put32(p, options->router_id);

	/* All capabilities in one parameter, as RFC 5492 section 4 asks for. */
	uint8_t *parameters_size = p;
	uint8_t *capabilities = p + 3;
	p = capabilities;
	p = bgp_put_octets(p, bgp_open_families(options), bgp_open_families_size(options));
	p = bgp_put_octets(p, bgp_offer_refresh, sizeof(bgp_offer_refresh));
	p = bgp_put8(bgp_put8(p, BGP_CAPABILITY_AS4), 4);
	p = bgp_put32(p, options->local_as);
	parameters_size[0] = (uint8_t)(p - capabilities + 2);
	parameters_size[1] = BGP_PARAMETER_CAPABILITIES;
	parameters_size[2] = (uint8_t)(p - capabilities);

	size_t size = (size_t)(p - out);
	bgp_message_put_header(out, BGP_MESSAGE_OPEN, size);
	return size;
}

/* What the capabilities say, before it is weighed. */
struct bgp_offer {
	bool names_families;
	bool ipv4;
	bool ipv6;
	bool as4;
	uint32_t as;
};

/* One capability's value. 0, or -1 with the fault. */
static int bgp_capability_read(uint8_t code, const uint8_t *value, size_t size,
			       struct bgp_offer *offer, struct bgp_fault *fault)
{
	/* One that is known but has a length it cannot have: 2/0, as malformed parameters have in
	 * RFC 4271 section 6.2. */
	if ((code == BGP_CAPABILITY_MULTIPROTOCOL || code == BGP_CAPABILITY_AS4) && size != 4)
		return bgp_fault_set(fault, BGP_ERROR_OPEN, BGP_OPEN_UNSPECIFIC,
				     "peer's OPEN has a capability %u of %zu octets, not 4", code,
				     size);
	if (code == BGP_CAPABILITY_MULTIPROTOCOL) {
		bool unicast = value[3] == BGP_SAFI_UNICAST; /* value[2] is to be ignored */
		offer->names_families = true;
		offer->ipv4 |= unicast && bgp_get16(value) == BGP_AFI_IPV4;
		offer->ipv6 |= unicast && bgp_get16(value) == BGP_AFI_IPV6;
	} else if (code == BGP_CAPABILITY_AS4) {
		offer->as4 = true;
		offer->as = bgp_get32(value);
	}
	return 0;
}

/* The value of a capabilities parameter. 0, or -1 with the fault. */
static int bgp_capabilities_read(const uint8_t *p, size_t size, struct bgp_offer *offer,
				 struct bgp_fault *fault)
{
	while (size > 0) {
		if (size < 2 || (size_t)p[1] + 2 > size)
			return bgp_fault_set(fault, BGP_ERROR_OPEN, BGP_OPEN_UNSPECIFIC,
					     "peer's OPEN has a capability that is cut off");
		if (bgp_capability_read(p[0], p + 2, p[1], offer, fault) != 0)
			return -1;
		size -= (size_t)p[1] + 2;
		p += (size_t)p[1] + 2;
	}
	return 0;
}

/* All optional parameters: `p` at their length, `size` the octets from there. */
static int bgp_parameters_read(const uint8_t *p, size_t size, struct bgp_offer *offer,
			       struct bgp_fault *fault)
{
	size_t left = p[0];
	size_t head = 2; /* of each parameter: its type and length */

	if (left > 0 && size > 1 && p[1] == BGP_PARAMETER_EXTENDED) {
		/* RFC 9072 section 2: the first length is not looked at, unless it is 0. */
		if (size < 4)
			return bgp_fault_set(fault, BGP_ERROR_OPEN, BGP_OPEN_UNSPECIFIC,
					     "peer's OPEN has a parameter that is cut off");
		left = bgp_get16(p + 2);
		head = 3;
		size -= 4;
		p += 4;
	} else {
		size -= 1;
		p += 1;
	}
	if (left != size)
		return bgp_fault_set(fault, BGP_ERROR_OPEN, BGP_OPEN_UNSPECIFIC,
				     "peer's OPEN and its optional parameters differ in length");
	while (left > 0) {
		size_t value = left < head ? 0 : head == 2 ? p[1] : bgp_get16(p + 1);
		if (left < head || value > left - head)
			return bgp_fault_set(fault, BGP_ERROR_OPEN, BGP_OPEN_UNSPECIFIC,
					     "peer's OPEN has a parameter that is cut off");
		if (p[0] != BGP_PARAMETER_CAPABILITIES)
			return bgp_fault_set(fault, BGP_ERROR_OPEN, BGP_OPEN_UNSUPPORTED_PARAMETER,
					     "peer's OPEN has optional parameter %u, which is not "
					     "supported",
					     p[0]);
		if (bgp_capabilities_read(p + head, value, offer, fault) != 0)
			return -1;
		left -= head + value;
		p += head + value;
	}
	return 0;
}

/* RFC 4271 section 6.2, RFC 6793, RFC 7607: the AS number that was configured, and no other. */
static int bgp_open_check_as(uint16_t my_as, const struct bgp_offer *offer, uint32_t expected,
			     uint32_t *as, struct bgp_fault *fault)
{
	*as = offer->as4 ? offer->as : my_as;
	if (offer->as4 && my_as != BGP_AS_TRANS && my_as != offer->as)
		return bgp_fault_set(fault, BGP_ERROR_OPEN, BGP_OPEN_BAD_PEER_AS,
				     "bad peer AS: its OPEN says both %u and %u", my_as, offer->as);
	if (*as == 0 || *as != expected)
		return bgp_fault_set(fault, BGP_ERROR_OPEN, BGP_OPEN_BAD_PEER_AS,
				     "bad peer AS: its OPEN says %u, expected %u%s", *as, expected,
				     !offer->as4 && expected > UINT16_MAX
					     ? " (it cannot do 4-octet AS numbers)"
					     : "");
	return 0;
}

/* Hold time, identifier and families: what is left once it is known who the peer is. */
static int bgp_open_check(const struct bgp_open *open, const struct bgp_session_options *options,
			  struct bgp_fault *fault)
{
	if (open->hold_time_s > 0 && open->hold_time_s < BGP_HOLD_TIME_MIN_S)
		return bgp_fault_set(fault, BGP_ERROR_OPEN, BGP_OPEN_BAD_HOLD_TIME,
				     "unacceptable hold time: peer offers %u s", open->hold_time_s);
	/* RFC 6286 section 2.2: any number but 0 will do, if it is not ours within one AS. */
	if (open->router_id == 0)
		return bgp_fault_set(fault, BGP_ERROR_OPEN, BGP_OPEN_BAD_IDENTIFIER,
				     "bad BGP identifier: peer's is 0.0.0.0");
	if (options->peer_as == options->local_as && open->router_id == options->router_id)
		return bgp_fault_set(fault, BGP_ERROR_OPEN, BGP_OPEN_BAD_IDENTIFIER,
				     "bad BGP identifier: internal peer has the same as we");
	if ((open->ipv4 && options->ipv4) || (open->ipv6 && options->ipv6))
		return 0;
	/* RFC 5492 section 3; the data is what we would have needed. */
	return bgp_fault_set_data(fault, BGP_ERROR_OPEN, BGP_OPEN_UNSUPPORTED_CAPABILITY,
				  bgp_open_families(options), bgp_open_families_size(options),
				  "unsupported capability: peer does not offer %s unicast",
				  options->ipv4 && options->ipv6 ? "IPv4 or IPv6"
				  : options->ipv4                ? "IPv4"
								 : "IPv6");
}

int bgp_open_read(const uint8_t *message, size_t size, const struct bgp_session_options *options,
		  struct bgp_open *out, struct bgp_fault *fault)
{
	/* The data of a version that is not supported: the largest that is (section 6.2). */
	static const uint8_t version[] = {0, BGP_VERSION};
	const uint8_t *body = message + BGP_HEADER_SIZE;
	struct bgp_offer offer = {0};

	*out = (struct bgp_open){0};
	if (body[0] != BGP_VERSION)
		return bgp_fault_set_data(fault, BGP_ERROR_OPEN, BGP_OPEN_BAD_VERSION, version,
					  sizeof(version), "peer speaks BGP version %u, not 4",
					  body[0]);
	if (bgp_parameters_read(body + BGP_OPEN_FIXED_SIZE - 1,
				size - BGP_HEADER_SIZE - BGP_OPEN_FIXED_SIZE + 1, &offer,
				fault) != 0)
		return -1;
	if (bgp_open_check_as(bgp_get16(body + 1), &offer, options->peer_as, &out->as, fault) != 0)
		return -1;
	out->hold_time_s = bgp_get16(body + 3);
	out->router_id = bgp_get32(body + 5);
	out->as4 = offer.as4;
	out->ipv4 = offer.ipv4 || !offer.names_families; /* what BGP-4 had before RFC 4760 */
	out->ipv6 = offer.ipv6;
	return bgp_open_check(out, options, fault);
}
