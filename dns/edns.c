/* Options added to replies, and found in queries. */
#include "dns/edns.h"

#include "dns/protocol.h"
#include "dns/reply.h"

#include <string.h>

/* Octets of an OPT record before its options: root name, type, class, TTL, RDLENGTH. */
#define OPT_FIXED_SIZE 11

/* Octets of an option before its data: code and length. */
#define OPTION_HEAD_SIZE 4

bool dns_edns_has_option(const struct dns_query *query, uint16_t code)
{
	const uint8_t *options = query->edns.options;
	size_t size = query->edns.present ? query->edns.options_size : 0;

	for (size_t at = 0; at + OPTION_HEAD_SIZE <= size;
	     at += OPTION_HEAD_SIZE + dns_get16(options + at + 2))
		if (dns_get16(options + at) == code)
			return true;
	return false;
}

size_t dns_edns_add_option(uint8_t *reply, size_t size, size_t capacity, uint16_t code,
			   const uint8_t *data, uint16_t length)
{
	size_t start, end;
	size_t added = OPTION_HEAD_SIZE + (size_t)length;

	if (!dns_reply_find_opt(reply, size, &start, &end) || end != size ||
	    size + added > capacity)
		return size;
	size_t options_size = dns_get16(reply + start + OPT_FIXED_SIZE - 2) + added;
	if (options_size > UINT16_MAX)
		return size;
	dns_put16(reply + start + OPT_FIXED_SIZE - 2, (uint16_t)options_size);
	dns_put16(reply + end, code);
	dns_put16(reply + end + 2, length);
	if (data)
		memcpy(reply + end + OPTION_HEAD_SIZE, data, length);
	else
		memset(reply + end + OPTION_HEAD_SIZE, 0, length);
	return size + added;
}

size_t dns_edns_pad(uint8_t *reply, size_t size, size_t capacity)
{
	size_t least = size + OPTION_HEAD_SIZE;
	size_t target = (least + DNS_EDNS_PADDING_BLOCK - 1) / DNS_EDNS_PADDING_BLOCK *
			DNS_EDNS_PADDING_BLOCK;

	if (target > capacity)
		target = capacity;
	if (target < least)
		return size;
	return dns_edns_add_option(reply, size, capacity, DNS_OPTION_PADDING, NULL,
				   (uint16_t)(target - least));
}
