/* Errors in numbers and words: see the header. */
#include "announcer/bgp_error.h"

#include "announcer/bgp_octets.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Words by code, then by subcode; a subcode without words of its own is shown as a number. */
#define BGP_SUBCODES_MAX 12

static const struct {
	const char *words;
	const char *subcodes[BGP_SUBCODES_MAX];
} bgp_error_names[] = {
	[BGP_ERROR_HEADER] = {"bad message header",
			      {[1] = "connection not synchronized",
			       [2] = "bad message length",
			       [3] = "bad message type"}},
	[BGP_ERROR_OPEN] = {"bad OPEN",
			    {[1] = "unsupported version number",
			     [2] = "bad peer AS",
			     [3] = "bad BGP identifier",
			     [4] = "unsupported optional parameter",
			     [5] = "authentication failure",
			     [6] = "unacceptable hold time",
			     [7] = "unsupported capability",
			     [11] = "role mismatch"}},
	[BGP_ERROR_UPDATE] = {"bad UPDATE",
			      {[1] = "malformed attribute list",
			       [2] = "unrecognized well-known attribute",
			       [3] = "missing well-known attribute",
			       [4] = "attribute flags error",
			       [5] = "attribute length error",
			       [6] = "invalid ORIGIN",
			       [7] = "AS routing loop",
			       [8] = "invalid NEXT_HOP",
			       [9] = "optional attribute error",
			       [10] = "invalid network field",
			       [11] = "malformed AS_PATH"}},
	[BGP_ERROR_HOLD_TIMER] = {"hold timer expired", {NULL}},
	[BGP_ERROR_FSM] = {"unexpected message",
			   {[1] = "in OpenSent", [2] = "in OpenConfirm", [3] = "in Established"}},
	/* Cease needs no word of its own: its subcodes say it all. */
	[BGP_ERROR_CEASE] = {NULL,
			     {[0] = "ceased, no reason given",
			      [1] = "maximum number of prefixes reached",
			      [2] = "administrative shutdown",
			      [3] = "peer de-configured",
			      [4] = "administrative reset",
			      [5] = "connection rejected",
			      [6] = "other configuration change",
			      [7] = "connection collision resolution",
			      [8] = "out of resources",
			      [9] = "hard reset",
			      [10] = "BFD down"}},
	[BGP_ERROR_ROUTE_REFRESH] = {"bad ROUTE-REFRESH", {[1] = "bad message length"}},
	[BGP_ERROR_SEND_HOLD] = {"send hold timer expired", {NULL}},
};

char *bgp_error_format(uint8_t code, uint8_t subcode, char *out, size_t size)
{
	const char *words = NULL;
	const char *subwords = NULL;

	if (code > 0 && code < sizeof(bgp_error_names) / sizeof(bgp_error_names[0])) {
		words = bgp_error_names[code].words;
		if (subcode < BGP_SUBCODES_MAX)
			subwords = bgp_error_names[code].subcodes[subcode];
	}
	if (words && subwords)
		snprintf(out, size, "%s: %s", words, subwords);
	else if (subwords)
		snprintf(out, size, "%s", subwords);
	else if (words && subcode == 0)
		snprintf(out, size, "%s", words);
	else if (words)
		snprintf(out, size, "%s (%u/%u)", words, code, subcode);
	else
		snprintf(out, size, "error %u/%u", code, subcode);
	return out;
}

__attribute__((format(printf, 4, 0))) static void bgp_fault_fill(struct bgp_fault *fault,
								 uint8_t code, uint8_t subcode,
								 const char *format,
								 va_list arguments)
{
	*fault = (struct bgp_fault){.code = code, .subcode = subcode};
	vsnprintf(fault->words, sizeof(fault->words), format, arguments);
}

int bgp_fault_set(struct bgp_fault *fault, uint8_t code, uint8_t subcode, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	bgp_fault_fill(fault, code, subcode, format, arguments);
	va_end(arguments);
	return -1;
}

int bgp_fault_set_data(struct bgp_fault *fault, uint8_t code, uint8_t subcode, const uint8_t *data,
		       size_t data_size, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	bgp_fault_fill(fault, code, subcode, format, arguments);
	va_end(arguments);
	fault->data = data;
	fault->data_size = data_size;
	return -1;
}

/*
 * The octets of the UTF-8 character that `text` begins with (RFC 3629 section 4), 0 when it begins
 * with none: cut off, longer than needed, a surrogate, or beyond U+10FFFF.
 */
static size_t bgp_text_character(const uint8_t *text, size_t size, uint32_t *character)
{
	static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t octets = text[0] < 0x80           ? 1
			: (text[0] >> 5) == 0x06 ? 2
			: (text[0] >> 4) == 0x0e ? 3
			: (text[0] >> 3) == 0x1e ? 4
						 : 0;

	if (octets == 0 || octets > size)
		return 0;
	*character = octets == 1 ? text[0] : text[0] & (0x7fu >> octets);
	for (size_t i = 1; i < octets; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		*character = *character << 6 | (text[i] & 0x3f);
	}
	if (*character < smallest[octets] || *character > 0x10ffff ||
	    (*character >= 0xd800 && *character <= 0xdfff))
		return 0;
	return octets;
}

/* Line breaks, terminal controls, and marks that change the order in which a line is shown. */
static bool bgp_text_is_unsafe(uint32_t character)
{
	return character < 0x20 || (character >= 0x7f && character < 0xa0) || character == 0x061c ||
	       (character >= 0x200b && character <= 0x200f) ||
	       (character >= 0x2028 && character <= 0x202e) ||
	       (character >= 0x2066 && character <= 0x2069) || character == 0xfeff;
}

/*
 * Copies text from a peer so that it can stand in a log line: what is not UTF-8, control characters
 * and those that turn the direction of writing become "?". `out` has room for size + 1 octets.
 */
static void bgp_text_make_safe(const uint8_t *text, size_t size, char *out)
{
	for (size_t i = 0; i < size;) {
		uint32_t character = 0;
		size_t octets = bgp_text_character(text + i, size - i, &character);

		if (octets == 0 || bgp_text_is_unsafe(character)) {
			*out++ = '?';
			i += octets > 0 ? octets : 1;
			continue;
		}
		memcpy(out, text + i, octets);
		out += octets;
		i += octets;
	}
	*out = '\0';
}

char *bgp_error_format_received(uint8_t code, uint8_t subcode, const uint8_t *data, size_t size,
				char out[BGP_ERROR_MAX])
{
	char words[BGP_ERROR_MAX - sizeof("peer closed: ")];
	char message[BGP_SHUTDOWN_MESSAGE_MAX + 1] = "";
	bool has_message = code == BGP_ERROR_CEASE && (subcode == BGP_CEASE_ADMIN_SHUTDOWN ||
						       subcode == BGP_CEASE_ADMIN_RESET);

	/* RFC 9003 section 2: a length, then so many octets. One that is longer than what came is
	 * wrong; the NOTIFICATION counts all the same. */
	if (has_message && size > 0 && data[0] <= size - 1)
		bgp_text_make_safe(data + 1, data[0], message);
	bgp_error_format(code, subcode, words, sizeof(words));
	if (message[0])
		snprintf(out, BGP_ERROR_MAX, "peer closed: %.40s \"%s\"", words, message);
	else
		snprintf(out, BGP_ERROR_MAX, "peer closed: %s", words);
	return out;
}

size_t bgp_shutdown_write(const char *message, uint8_t *out)
{
	size_t size = strlen(message);

	if (size > BGP_SHUTDOWN_MESSAGE_MAX) {
		size = BGP_SHUTDOWN_MESSAGE_MAX;
		while (size > 0 && ((uint8_t)message[size] & 0xc0) == 0x80)
			size--;
	}
	bgp_put_octets(bgp_put8(out, (uint8_t)size), message, size);
	return size + 1;
}
