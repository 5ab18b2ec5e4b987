#include "dns/name.h"

#include <string.h>

/* The two upper bits of a length octet (RFC 1035 section 4.1.4). */
#define LABEL_TYPE_MASK 0xc0
#define LABEL_POINTER 0xc0

int dns_name_parse(const uint8_t *message, size_t size, size_t *offset, uint8_t *out)
{
	size_t at = *offset;
	size_t part = at; /* where the part being read began: a pointer must lead before it */
	size_t length = 0;
	bool jumped = false;

	for (;;) {
		if (at >= size)
			return DNS_ERROR_TRUNCATED;
		uint8_t octet = message[at];
		if ((octet & LABEL_TYPE_MASK) == LABEL_POINTER) {
			if (at + 2 > size)
				return DNS_ERROR_TRUNCATED;
			size_t target = (size_t)(octet & ~LABEL_TYPE_MASK) << 8 | message[at + 1];
			if (target >= part)
				return DNS_ERROR_BAD_POINTER;
			if (!jumped)
				*offset = at + 2;
			jumped = true;
			at = part = target;
			continue;
		}
		if (octet & LABEL_TYPE_MASK)
			return DNS_ERROR_BAD_LABEL;
		if (at + 1 + octet > size)
			return DNS_ERROR_TRUNCATED;
		if (length + 1 + octet > DNS_NAME_MAX)
			return DNS_ERROR_NAME_TOO_LONG;
		memcpy(out + length, message + at, 1u + octet);
		length += 1u + octet;
		at += 1u + octet;
		if (octet == 0)
			break;
	}
	if (!jumped)
		*offset = at;
	return (int)length;
}

int dns_name_skip(const uint8_t *message, size_t size, size_t *offset)
{
	size_t at = *offset;
	size_t length = 0;

	for (;;) {
		if (at >= size)
			return DNS_ERROR_TRUNCATED;
		uint8_t octet = message[at];
		if ((octet & LABEL_TYPE_MASK) == LABEL_POINTER) {
			if (at + 2 > size)
				return DNS_ERROR_TRUNCATED;
			*offset = at + 2;
			return 0;
		}
		if (octet & LABEL_TYPE_MASK)
			return DNS_ERROR_BAD_LABEL;
		at += 1u + octet;
		length += 1u + octet;
		if (length > DNS_NAME_MAX)
			return DNS_ERROR_NAME_TOO_LONG;
		if (octet == 0) {
			*offset = at;
			return 0;
		}
	}
}

/* Appends `suffix` to `length` octets of labels in `out`. */
static int name_append(uint8_t *out, size_t length, const uint8_t *suffix)
{
	static const uint8_t root[1] = {0};
	const uint8_t *end = suffix ? suffix : root;
	size_t size = dns_name_size(end);

	if (length + size > DNS_NAME_MAX)
		return DNS_ERROR_NAME_TOO_LONG;
	memmove(out + length, end, size);
	return (int)(length + size);
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/*
 * Reads one octet of a label at text[*at], escaped or not, and moves `*at` past it. Returns the
 * octet or DNS_ERROR_BAD_ESCAPE.
 */
static int text_read_octet(const char *text, size_t length, size_t *at)
{
	if (text[*at] != '\\')
		return (uint8_t)text[(*at)++];
	if (*at + 1 >= length)
		return DNS_ERROR_BAD_ESCAPE;
	if (!is_digit(text[*at + 1])) {
		*at += 2;
		return (uint8_t)text[*at - 1];
	}
	if (*at + 3 >= length || !is_digit(text[*at + 2]) || !is_digit(text[*at + 3]))
		return DNS_ERROR_BAD_ESCAPE;
	int octet =
		(text[*at + 1] - '0') * 100 + (text[*at + 2] - '0') * 10 + (text[*at + 3] - '0');
	*at += 4;
	return octet <= 255 ? octet : DNS_ERROR_BAD_ESCAPE;
}

int dns_name_from_text(const char *text, size_t length, const uint8_t *origin, uint8_t *out)
{
	size_t size = 0;

	if (length == 1 && text[0] == '@')
		return name_append(out, 0, origin);
	if (length == 1 && text[0] == '.')
		return name_append(out, 0, NULL);
	if (length == 0)
		return DNS_ERROR_BAD_LABEL;
	for (size_t at = 0; at < length;) {
		size_t label = size++; /* where the label's length octet goes */
		if (label >= DNS_NAME_MAX)
			return DNS_ERROR_NAME_TOO_LONG;
		while (at < length && text[at] != '.') {
			int octet = text_read_octet(text, length, &at);
			if (octet < 0)
				return octet;
			if (size - label > DNS_LABEL_MAX)
				return DNS_ERROR_LABEL_TOO_LONG;
			if (size >= DNS_NAME_MAX)
				return DNS_ERROR_NAME_TOO_LONG;
			out[size++] = (uint8_t)octet;
		}
		if (size - label == 1)
			return DNS_ERROR_BAD_LABEL;
		out[label] = (uint8_t)(size - label - 1);
		if (at < length && ++at == length) /* the trailing dot */
			return name_append(out, size, NULL);
	}
	return name_append(out, size, origin);
}

size_t dns_name_to_text(const uint8_t *name, char *out)
{
	char *p = out;

	if (*name == 0)
		*p++ = '.';
	for (; *name != 0; name += 1 + *name) {
		for (unsigned int i = 1; i <= *name; i++) {
			uint8_t c = name[i];
			if (c <= ' ' || c >= 0x7f) {
				*p++ = '\\';
				*p++ = (char)('0' + c / 100);
				*p++ = (char)('0' + c / 10 % 10);
				*p++ = (char)('0' + c % 10);
				continue;
			}
			if (strchr(".\\\"();@$", c))
				*p++ = '\\';
			*p++ = (char)c;
		}
		*p++ = '.';
	}
	*p = '\0';
	return (size_t)(p - out);
}

size_t dns_name_size(const uint8_t *name)
{
	const uint8_t *p = name;

	while (*p != 0)
		p += 1 + *p;
	return (size_t)(p - name) + 1;
}

unsigned int dns_name_count_labels(const uint8_t *name)
{
	unsigned int count = 0;

	for (; *name != 0; name += 1 + *name)
		count++;
	return count;
}

unsigned int dns_name_find_labels(const uint8_t *name, uint8_t *offsets)
{
	unsigned int count = 0;

	for (const uint8_t *p = name; *p != 0; p += 1 + *p)
		offsets[count++] = (uint8_t)(p - name);
	return count;
}

bool dns_name_equal(const uint8_t *a, const uint8_t *b)
{
	/*
	 * Length octets are below 64, so lowering them changes nothing: one pass over all
	 * octets.
	 */
	size_t size = dns_name_size(a);

	if (dns_name_size(b) != size)
		return false;
	for (size_t i = 0; i < size; i++) {
		if (dns_lower(a[i]) != dns_lower(b[i]))
			return false;
	}
	return true;
}

bool dns_name_is_within(const uint8_t *name, const uint8_t *apex)
{
	unsigned int have = dns_name_count_labels(name);
	unsigned int want = dns_name_count_labels(apex);

	if (have < want)
		return false;
	for (; have > want; have--)
		name += 1 + *name;
	return dns_name_equal(name, apex);
}

/* Lowers eight octets at once. */
static uint64_t lower_word(uint64_t word)
{
	const uint64_t ones = 0x0101010101010101u;
	uint64_t low = word & 0x7f * ones;
	uint64_t from_a = low + (0x80 - 'A') * ones; /* the upper bit of an octet: it is >= 'A' */
	uint64_t past_z = low + (0x7f - 'Z') * ones; /* and > 'Z' */
	uint64_t upper = (from_a ^ past_z) & ~word & 0x80 * ones;

	return word | upper >> 2;
}

static void copy_lower_word(const uint8_t *from, uint8_t *to)
{
	uint64_t word;

	memcpy(&word, from, sizeof(word));
	word = lower_word(word);
	memcpy(to, &word, sizeof(word));
}

size_t dns_name_copy_lower(const uint8_t *name, uint8_t *out)
{
	size_t size = dns_name_size(name);
	size_t at = 0;

	for (; at + sizeof(uint64_t) <= size; at += sizeof(uint64_t))
		copy_lower_word(name + at, out + at);
	if (at > 0 && at < size) { /* the rest, and some of what is done already */
		copy_lower_word(name + size - sizeof(uint64_t), out + size - sizeof(uint64_t));
		return size;
	}
	for (; at < size; at++)
		out[at] = dns_lower(name[at]);
	return size;
}

int dns_name_replace_suffix(const uint8_t *name, const uint8_t *from, const uint8_t *to,
			    uint8_t *out)
{
	size_t kept = dns_name_size(name) - dns_name_size(from);

	memcpy(out, name, kept);
	return name_append(out, kept, to);
}
