/*
 * What a server sends back to the probe: the first octet says over what and what is expected, the
 * rest is the message, its ID and question made right where the second octet says so.
 */
#include "announcer/probe_query.h"
#include "fuzz.h"

#include <string.h>

static const uint8_t mx[] = "\0\12\4mail\7example";
static const uint8_t soa[] = "\2ns\0\1h\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0\5";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct probe_expectation expectation = {.name = "\7example", .type = DNS_TYPE_MX};
	struct probe_query query;
	uint8_t message[DNS_MESSAGE_MAX];
	char cause[PROBE_CAUSE_MAX] = "";

	if (size < 2 || size - 2 > sizeof(message))
		return 0;
	if (data[0] & 2)
		expectation.type = DNS_TYPE_SOA;
	if (data[0] & 4) {
		expectation.answer = expectation.type == DNS_TYPE_MX ? mx : soa;
		expectation.answer_size =
			expectation.type == DNS_TYPE_MX ? sizeof(mx) : sizeof(soa) - 1;
	}
	probe_query_write(&query, &expectation, 0);
	memcpy(message, data + 2, size - 2);
	size -= 2;
	size_t known = query.size - 11; /* header and question */
	if ((data[1] & 1) && size >= known) {
		memcpy(message + DNS_HEADER_SIZE, query.octets + DNS_HEADER_SIZE,
		       known - DNS_HEADER_SIZE);
		dns_put16(message, 0);
		message[2] |= DNS_FLAG_QR >> 8;
		dns_put16(message + 4, 1);
	}
	enum probe_verdict verdict =
		probe_query_judge(&query, &expectation, data[0] & 1, message, size, cause);
	FUZZ_CHECK(memchr(cause, 0, sizeof(cause)));
	FUZZ_CHECK(verdict == PROBE_GOOD || *cause);
	FUZZ_CHECK(verdict == PROBE_UNRELATED || size >= known);
	FUZZ_CHECK(verdict != PROBE_GOOD || !expectation.answer || dns_get16(message + 6) > 0);
	return 0;
}
