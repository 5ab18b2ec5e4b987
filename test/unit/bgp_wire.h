/* BGP messages written down in hexadecimal, for the tests: "ff00 0a", blanks wherever they help. */
#ifndef GODWIT_TEST_UNIT_BGP_WIRE_H
#define GODWIT_TEST_UNIT_BGP_WIRE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define WIRE_MAX 8192

/* What every message begins with (RFC 4271 section 4.1). */
#define MARKER "ffffffffffffffff ffffffffffffffff "

/* Octets from their text; returns how many. */
static inline size_t wire_hex(const char *text, uint8_t *out)
{
	size_t size = 0;
	unsigned int octet;

	for (; *text; text++) {
		if (*text == ' ')
			continue;
		if (sscanf(text, "%2x", &octet) != 1)
			break;
		out[size++] = (uint8_t)octet;
		text++;
	}
	return size;
}

/* A whole message with a good header around `body`; returns its size. */
static inline size_t wire_message(uint8_t type, const char *body, uint8_t *out)
{
	size_t size = 19 + wire_hex(body, out + 19);

	memset(out, 0xff, 16);
	out[16] = (uint8_t)(size >> 8);
	out[17] = (uint8_t)size;
	out[18] = type;
	return size;
}

/* The text of octets, without blanks: for comparing what a failed test should show. */
static inline const char *wire_text(const uint8_t *octets, size_t size)
{
	static char text[2 * WIRE_MAX + 1];

	text[0] = '\0';
	for (size_t i = 0; i < size && i < WIRE_MAX; i++)
		snprintf(text + 2 * i, 3, "%02x", octets[i]);
	return text;
}

/* True when the octets are those of the text; else both are shown. */
static inline int wire_is(const uint8_t *octets, size_t size, const char *expected)
{
	uint8_t wanted[WIRE_MAX];
	size_t wanted_size = wire_hex(expected, wanted);

	if (size == wanted_size && (size == 0 || memcmp(octets, wanted, size) == 0))
		return 1;
	fprintf(stderr, "\n    is     %s\n", wire_text(octets, size));
	fprintf(stderr, "    wanted %s\n", wire_text(wanted, wanted_size));
	return 0;
}

#endif
