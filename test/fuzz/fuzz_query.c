/* A client's octets: read as a query, and answered with an error. */
#include "dns/protocol.h"
#include "dns/query.h"
#include "dns/reply.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t reply[DNS_UDP_PAYLOAD_MIN];
	struct dns_query query;
	int rcode = dns_query_parse(data, size, &query);

	if (rcode == DNS_QUERY_DROP)
		return 0;
	FUZZ_CHECK(query.id == dns_get16(data));
	FUZZ_CHECK(rcode != DNS_RCODE_NOERROR || query.question_size > 0);
	FUZZ_CHECK(query.question_size == 0 || query.qname + query.question_size <= data + size);
	FUZZ_CHECK(!query.edns.present ||
		   query.edns.options + query.edns.options_size <= data + size);

	/* Whatever could be read is enough for an error that the one who asked recognises. */
	int error = rcode == DNS_RCODE_NOERROR ? DNS_RCODE_SERVFAIL : rcode;
	size_t reply_size = dns_reply_write_error(&query, error, 1232, DNS_EDE_OTHER, "why not",
						  reply, sizeof(reply));
	FUZZ_CHECK(reply_size <= sizeof(reply));
	FUZZ_CHECK(dns_reply_matches(&query, reply, reply_size));
	FUZZ_CHECK(dns_reply_rcode(reply, reply_size) == (query.edns.present ? error : error & 15));
	return 0;
}
