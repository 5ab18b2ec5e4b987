/*
 * What ends a BGP session: NOTIFICATION codes (RFC 4271 section 4.5 and IANA's "BGP Error
 * Subcodes") in numbers and in words, and the message an operator may send along with a shutdown
 * (RFC 9003). What a peer wrote is shown only after it was made safe for one line of a log.
 */
#ifndef GODWIT_ANNOUNCER_BGP_ERROR_H
#define GODWIT_ANNOUNCER_BGP_ERROR_H

#include "announcer/bgp_session.h"

#include <stddef.h>
#include <stdint.h>

enum bgp_error_code {
	BGP_ERROR_HEADER = 1,
	BGP_ERROR_OPEN = 2,
	BGP_ERROR_UPDATE = 3,
	BGP_ERROR_HOLD_TIMER = 4,
	BGP_ERROR_FSM = 5,
	BGP_ERROR_CEASE = 6,
	BGP_ERROR_ROUTE_REFRESH = 7, /* RFC 7313 */
	BGP_ERROR_SEND_HOLD = 8,     /* RFC 9687 */
};

/* Subcodes of BGP_ERROR_HEADER (RFC 4271 section 6.1). */
enum bgp_header_error {
	BGP_HEADER_NOT_SYNCHRONIZED = 1,
	BGP_HEADER_BAD_LENGTH = 2,
	BGP_HEADER_BAD_TYPE = 3,
};

/* Subcodes of BGP_ERROR_OPEN (RFC 4271 section 6.2, RFC 5492). */
enum bgp_open_error {
	BGP_OPEN_UNSPECIFIC = 0,
	BGP_OPEN_BAD_VERSION = 1,
	BGP_OPEN_BAD_PEER_AS = 2,
	BGP_OPEN_BAD_IDENTIFIER = 3,
	BGP_OPEN_UNSUPPORTED_PARAMETER = 4,
	BGP_OPEN_BAD_HOLD_TIME = 6,
	BGP_OPEN_UNSUPPORTED_CAPABILITY = 7,
};

/* Subcodes of BGP_ERROR_UPDATE (RFC 4271 section 6.3), as far as RFC 7606 has left them in use. */
enum bgp_update_error {
	BGP_UPDATE_MALFORMED_LIST = 1,
	BGP_UPDATE_UNKNOWN_WELL_KNOWN = 2,
	BGP_UPDATE_BAD_FLAGS = 4,
	BGP_UPDATE_BAD_ATTRIBUTE_LENGTH = 5,
	BGP_UPDATE_BAD_ORIGIN = 6,
	BGP_UPDATE_BAD_OPTIONAL = 9,
	BGP_UPDATE_BAD_NETWORK = 10,
	BGP_UPDATE_BAD_AS_PATH = 11,
};

/* Subcodes of BGP_ERROR_FSM (RFC 6608): a message that the state does not expect. */
enum bgp_fsm_error {
	BGP_FSM_OPEN_SENT = 1,
	BGP_FSM_OPEN_CONFIRM = 2,
	BGP_FSM_ESTABLISHED = 3,
};

/* Subcodes of BGP_ERROR_CEASE (RFC 4486, RFC 9384). */
enum bgp_cease {
	BGP_CEASE_ADMIN_SHUTDOWN = 2,
	BGP_CEASE_PEER_DECONFIGURED = 3,
	BGP_CEASE_ADMIN_RESET = 4,
	BGP_CEASE_REJECTED = 5,
	BGP_CEASE_CONFIG_CHANGE = 6,
	BGP_CEASE_COLLISION = 7,
	BGP_CEASE_OUT_OF_RESOURCES = 8,
	BGP_CEASE_BFD_DOWN = 10,
};

/* Longest shutdown message, octets of UTF-8 (RFC 9003 section 2). */
#define BGP_SHUTDOWN_MESSAGE_MAX 255

/* Why a message is refused, for the peer and for people. */
struct bgp_fault {
	uint8_t code;
	uint8_t subcode;
	const uint8_t *data; /* for the NOTIFICATION; part of the message refused, or static */
	size_t data_size;
	char words[BGP_ERROR_MAX];
};

/* Fills in all but the data. Returns -1, so that a check can end with it. */
__attribute__((format(printf, 4, 5))) int bgp_fault_set(struct bgp_fault *fault, uint8_t code,
							uint8_t subcode, const char *format, ...);

/* The same with data for the NOTIFICATION, which must live as long as the fault. */
__attribute__((format(printf, 6, 7))) int bgp_fault_set_data(struct bgp_fault *fault, uint8_t code,
							     uint8_t subcode, const uint8_t *data,
							     size_t data_size, const char *format,
							     ...);

/*
 * "hold timer expired", "bad OPEN: bad peer AS", "administrative shutdown"; numbers for what is not
 * known: "error 9/3". Returns `out`.
 */
char *bgp_error_format(uint8_t code, uint8_t subcode, char *out, size_t size);

/*
 * A NOTIFICATION that was received, its data behind code and subcode: "peer closed: " and
 * bgp_error_format's words, an operator's message behind them in quotes. Any octets are safe.
 */
char *bgp_error_format_received(uint8_t code, uint8_t subcode, const uint8_t *data, size_t size,
				char out[BGP_ERROR_MAX]);

/*
 * The data of an Administrative Shutdown or Reset: `message` behind its length (RFC 9003 section
 * 2), cut between characters when it is too long. `out` has room for BGP_SHUTDOWN_MESSAGE_MAX + 1
 * octets. Returns the octets written.
 */
size_t bgp_shutdown_write(const char *message, uint8_t *out);

#endif
