/*
 * The header and the small messages: see the header file.
 *
 *     Marker (16, all ones) | Length (2) | Type (1)                      RFC 4271 section 4.1
 *     KEEPALIVE: nothing more                                            section 4.4
 *     NOTIFICATION: Error code (1) | Error subcode (1) | Data            section 4.5
 *     ROUTE-REFRESH: AFI (2) | Subtype (1) | SAFI (1)                    RFC 2918, RFC 7313
 */
#include "announcer/bgp_message.h"

#include "announcer/bgp_octets.h"

#include <string.h>

#define BGP_MARKER_SIZE 16

/* Sizes with the header; 0: no type of ours. */
static const struct {
	const char *name;
	uint16_t smallest;
	uint16_t largest;
} bgp_message_kinds[] = {
	[BGP_MESSAGE_OPEN] = {"OPEN", 29, BGP_MESSAGE_MAX},
	[BGP_MESSAGE_UPDATE] = {"UPDATE", 23, BGP_MESSAGE_MAX},
	[BGP_MESSAGE_NOTIFICATION] = {"NOTIFICATION", 21, BGP_MESSAGE_MAX},
	[BGP_MESSAGE_KEEPALIVE] = {"KEEPALIVE", 19, 19},
	[BGP_MESSAGE_ROUTE_REFRESH] = {"ROUTE-REFRESH", 23, BGP_MESSAGE_MAX},
};

#define BGP_KINDS (sizeof(bgp_message_kinds) / sizeof(bgp_message_kinds[0]))

int bgp_message_check_header(const uint8_t header[BGP_HEADER_SIZE], struct bgp_fault *fault)
{
	uint16_t size = bgp_get16(header + BGP_MARKER_SIZE);
	uint8_t type = header[BGP_MARKER_SIZE + 2];

	for (size_t i = 0; i < BGP_MARKER_SIZE; i++) {
		if (header[i] != 0xff)
			return bgp_fault_set(fault, BGP_ERROR_HEADER, BGP_HEADER_NOT_SYNCHRONIZED,
					     "peer sent no BGP: a message without its marker");
	}
	/* The data of a bad length is that length, of a bad type the type (section 6.1). */
	if (size < BGP_HEADER_SIZE || size > BGP_MESSAGE_MAX)
		return bgp_fault_set_data(fault, BGP_ERROR_HEADER, BGP_HEADER_BAD_LENGTH,
					  header + BGP_MARKER_SIZE, 2,
					  "peer sent a message of %u octets", size);
	if (type == 0 || type >= BGP_KINDS)
		return bgp_fault_set_data(fault, BGP_ERROR_HEADER, BGP_HEADER_BAD_TYPE,
					  header + BGP_MARKER_SIZE + 2, 1,
					  "peer sent a message of unknown type %u", type);
	if (size < bgp_message_kinds[type].smallest || size > bgp_message_kinds[type].largest)
		return bgp_fault_set_data(
			fault, BGP_ERROR_HEADER, BGP_HEADER_BAD_LENGTH, header + BGP_MARKER_SIZE, 2,
			"peer sent a message %s of %u octets", bgp_message_kinds[type].name, size);
	return size;
}

enum bgp_message_type bgp_message_type(const uint8_t *message)
{
	return (enum bgp_message_type)message[BGP_MARKER_SIZE + 2];
}

const char *bgp_message_name(enum bgp_message_type type)
{
	return type > 0 && type < BGP_KINDS ? bgp_message_kinds[type].name : "unknown";
}

uint8_t *bgp_message_put_header(uint8_t *out, enum bgp_message_type type, size_t size)
{
	memset(out, 0xff, BGP_MARKER_SIZE);
	return bgp_put8(bgp_put16(out + BGP_MARKER_SIZE, (uint16_t)size), (uint8_t)type);
}

size_t bgp_message_write_keepalive(uint8_t out[BGP_MESSAGE_MAX])
{
	bgp_message_put_header(out, BGP_MESSAGE_KEEPALIVE, BGP_HEADER_SIZE);
	return BGP_HEADER_SIZE;
}

size_t bgp_message_write_notification(uint8_t out[BGP_MESSAGE_MAX], uint8_t code, uint8_t subcode,
				      const uint8_t *data, size_t data_size)
{
	if (data_size > BGP_MESSAGE_MAX - BGP_HEADER_SIZE - 2)
		data_size = BGP_MESSAGE_MAX - BGP_HEADER_SIZE - 2;

	size_t size = BGP_HEADER_SIZE + 2 + data_size;
	uint8_t *p = bgp_message_put_header(out, BGP_MESSAGE_NOTIFICATION, size);

	bgp_put_octets(bgp_put8(bgp_put8(p, code), subcode), data, data_size);
	return size;
}

void bgp_message_read_refresh(const uint8_t *message, struct bgp_refresh *out)
{
	const uint8_t *body = message + BGP_HEADER_SIZE;

	out->afi = bgp_get16(body);
	out->subtype = body[2];
	out->safi = body[3];
}
