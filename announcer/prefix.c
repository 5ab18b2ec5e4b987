/* Prefixes between text and struct: see the header. */
#include "announcer/prefix.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static int prefix_fail(char *error, size_t error_size, const char *text, const char *problem)
{
	snprintf(error, error_size, "\"%s\" %s", text, problem);
	return -1;
}

/* A decimal number of bits, or -1: digits alone, no zero before another digit. */
static int prefix_parse_length(const char *text, int host_bits)
{
	size_t digits = strlen(text);
	int length = 0;

	if (digits == 0 || digits > 3 || strspn(text, "0123456789") != digits)
		return -1;
	if (text[0] == '0' && digits > 1)
		return -1;
	for (; *text; text++)
		length = length * 10 + (*text - '0');
	return length <= host_bits ? length : -1;
}

/*
 * True when a bit behind the length is set: most often a host's address with its network's length.
 */
static bool prefix_has_host_bits(const struct prefix *prefix)
{
	for (unsigned int bit = prefix->length; bit < 128; bit++) {
		if (prefix->address[bit / 8] & (0x80 >> bit % 8))
			return true;
	}
	return false;
}

int prefix_parse(const char *text, struct prefix *out, char *error, size_t error_size)
{
	char address[INET6_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	size_t size = slash ? (size_t)(slash - text) : strlen(text);

	memset(out, 0, sizeof(*out));
	if (size >= sizeof(address))
		return prefix_fail(error, error_size, text, "is no IP address or prefix");
	memcpy(address, text, size);
	address[size] = '\0';
	out->family = strchr(address, ':') ? AF_INET6 : AF_INET;
	if (inet_pton(out->family, address, out->address) != 1)
		return prefix_fail(error, error_size, text, "is no IP address or prefix");

	int host_bits = out->family == AF_INET ? 32 : 128;
	int length = slash ? prefix_parse_length(slash + 1, host_bits) : host_bits;
	if (length < 0)
		return prefix_fail(error, error_size, text,
				   out->family == AF_INET ? "needs a length from 0 to 32"
							  : "needs a length from 0 to 128");
	out->length = (uint8_t)length;
	if (prefix_has_host_bits(out))
		return prefix_fail(error, error_size, text, "has bits set behind its length");
	return 0;
}

char *prefix_format(const struct prefix *prefix, char out[PREFIX_TEXT_MAX])
{
	char address[INET6_ADDRSTRLEN] = "?";

	inet_ntop(prefix->family, prefix->address, address, sizeof(address));
	snprintf(out, PREFIX_TEXT_MAX, "%s/%u", address, prefix->length);
	return out;
}

bool prefix_equal(const struct prefix *a, const struct prefix *b)
{
	return a->family == b->family && a->length == b->length &&
	       memcmp(a->address, b->address, sizeof(a->address)) == 0;
}

bool prefix_is_host(const struct prefix *prefix)
{
	return prefix->length == (prefix->family == AF_INET ? 32 : 128);
}
