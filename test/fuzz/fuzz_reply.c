/*
 * A backend's octets as the reply to a question: believed or not, cut to size, stamped.
 *
 * Input: two octets, the size that the client takes; then the reply. The question is the reply's
 * own, so that many inputs get past it.
 */
#include "dns/protocol.h"
#include "dns/query.h"
#include "dns/reply.h"
#include "fuzz.h"

#include <string.h>

/* The query that the message would be the reply to. False when it has none that can be read. */
static bool query_from_reply(const uint8_t *reply, size_t size, uint8_t *message,
			     struct dns_query *query)
{
	if (size < DNS_HEADER_SIZE)
		return false;
	memcpy(message, reply, size);
	message[2] &= 0x7f;
	dns_query_parse(message, size, query);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t message[DNS_MESSAGE_MAX];
	static uint8_t reply[DNS_MESSAGE_MAX];
	struct dns_query query;

	if (size < 2 || size - 2 > DNS_MESSAGE_MAX)
		return 0;
	size_t limit =
		dns_get16(data) < DNS_UDP_PAYLOAD_MIN ? DNS_UDP_PAYLOAD_MIN : dns_get16(data);
	data += 2;
	size -= 2;
	if (!query_from_reply(data, size, message, &query) ||
	    !dns_reply_matches(&query, data, size))
		return 0;

	memcpy(reply, data, size);
	int rcode = dns_reply_rcode(reply, size);
	dns_reply_set_payload(reply, size, 1232);
	FUZZ_CHECK(dns_reply_rcode(reply, size) == rcode);
	size_t cut = dns_reply_truncate(reply, size, limit);
	FUZZ_CHECK(cut <= size && cut <= limit);
	FUZZ_CHECK(dns_reply_matches(&query, reply, cut));
	FUZZ_CHECK(dns_reply_rcode(reply, cut) == rcode);
	FUZZ_CHECK(dns_reply_truncate(reply, cut, limit) == cut);
	return 0;
}
