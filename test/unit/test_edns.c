/* Options found in queries and added to replies. */
#include "dns/edns.h"
#include "dns/protocol.h"
#include "suite.h"

#include <string.h>

/* "www A" without EDNS; with_opt adds an OPT with these options behind it. */
static size_t make_message(uint8_t *out, const uint8_t *options, size_t size)
{
	static const uint8_t plain[] = "\x12\x34\x01\x00\0\1\0\0\0\0\0\1\3www\0\0\1\0\1";
	const uint8_t opt[] = {0, 0, 41, 4, 208, 0, 0, 0, 0, 0, (uint8_t)size};
	memcpy(out, plain, sizeof(plain) - 1);
	memcpy(out + sizeof(plain) - 1, opt, sizeof(opt));
	if (size > 0)
		memcpy(out + sizeof(plain) - 1 + sizeof(opt), options, size);
	return sizeof(plain) - 1 + sizeof(opt) + size;
}

static void test_finds_options_of_a_query(void)
{
	static const uint8_t options[] = {0, 10, 0, 2, 7, 7, 0, 12, 0, 0};
	uint8_t message[512];
	struct dns_query query;
	size_t size = make_message(message, options, sizeof(options));
	CU_ASSERT_EQUAL_FATAL(dns_query_parse(message, size, &query), 0);
	CU_ASSERT(dns_edns_has_option(&query, 10));
	CU_ASSERT(dns_edns_has_option(&query, DNS_OPTION_PADDING));
	CU_ASSERT(!dns_edns_has_option(&query, DNS_OPTION_KEEPALIVE));
	size = make_message(message, NULL, 0);
	CU_ASSERT_EQUAL_FATAL(dns_query_parse(message, size, &query), 0);
	CU_ASSERT(!dns_edns_has_option(&query, DNS_OPTION_PADDING));
}

static void test_adds_options_behind_those_there(void)
{
	static const uint8_t options[] = {0, 15, 0, 2, 0, 3};
	static const uint8_t timeout[] = {1, 44};
	uint8_t message[512];
	struct dns_query query;
	size_t size = make_message(message, options, sizeof(options));
	size_t longer = dns_edns_add_option(message, size, sizeof(message), DNS_OPTION_KEEPALIVE,
					    timeout, sizeof(timeout));
	CU_ASSERT_EQUAL(longer, size + 6);
	CU_ASSERT_EQUAL_FATAL(dns_query_parse(message, longer, &query), 0);
	CU_ASSERT_EQUAL(query.edns.options_size, sizeof(options) + 6);
	CU_ASSERT_EQUAL(memcmp(query.edns.options, options, sizeof(options)), 0);
	CU_ASSERT_EQUAL(memcmp(query.edns.options + sizeof(options), "\0\13\0\2\1\54", 6), 0);
}

static void test_leaves_alone_what_has_no_room_or_no_opt(void)
{
	uint8_t message[512];
	uint8_t before[512];
	size_t size = make_message(message, NULL, 0);
	memcpy(before, message, size);
	CU_ASSERT_EQUAL(dns_edns_add_option(message, size, size + 3, 12, NULL, 0), size);
	CU_ASSERT_EQUAL(memcmp(message, before, size), 0);
	size -= 11; /* without its OPT */
	message[11] = 0;
	CU_ASSERT_EQUAL(dns_edns_pad(message, size, sizeof(message)), size);
	/* another record behind the OPT */
	size = make_message(message, NULL, 0);
	memcpy(message + size, "\0\0\1\0\1\0\0\0\0\0\0", 11);
	message[11] = 2;
	CU_ASSERT_EQUAL(dns_edns_pad(message, size + 11, sizeof(message)), size + 11);
}

static void test_pads_to_whole_blocks(void)
{
	static uint8_t message[65535];
	struct dns_query query;
	size_t size = make_message(message, NULL, 0);
	size_t padded = dns_edns_pad(message, size, sizeof(message));
	CU_ASSERT_EQUAL(padded, DNS_EDNS_PADDING_BLOCK);
	CU_ASSERT_EQUAL_FATAL(dns_query_parse(message, padded, &query), 0);
	CU_ASSERT(dns_edns_has_option(&query, DNS_OPTION_PADDING));
	for (size_t i = 4; i < query.edns.options_size; i++)
		CU_ASSERT_EQUAL_FATAL(query.edns.options[i], 0);
	/* no room for a whole block: as far as it goes */
	size = make_message(message, NULL, 0);
	CU_ASSERT_EQUAL(dns_edns_pad(message, size, 200), 200);
	size = make_message(message, NULL, 0);
	CU_ASSERT_EQUAL(dns_edns_pad(message, size, size + 3), size);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"finds options of a query", test_finds_options_of_a_query},
		{"adds options behind those there", test_adds_options_behind_those_there},
		{"leaves alone what has no room or no OPT",
		 test_leaves_alone_what_has_no_room_or_no_opt},
		{"pads to whole blocks", test_pads_to_whole_blocks},
	};
	return SUITE_RUN("edns", tests);
}
