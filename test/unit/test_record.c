/* Stored text into wire format, PowerDNS's conventions included. */
#include "storage/record.h"
#include "suite.h"

#include "dns/rdata.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint8_t rdata[DNS_RDATA_MAX];

/* Parses and writes it again as text; "" when it is refused. */
static void parse(const char *type, const char *content, char *out, size_t capacity, char *reason)
{
	struct storage_record record = {.type = type, .content = content, .key = "records.id=1"};
	uint16_t number = 0;
	int size = storage_record_parse(&record, &number, rdata, sizeof(rdata), reason, 256);

	out[0] = '\0';
	if (size >= 0)
		CU_ASSERT(dns_rdata_to_text(number, rdata, (size_t)size, out, capacity) >= 0);
}

static void expect(const char *type, const char *content, const char *expected)
{
	char text[1024], reason[256] = "";

	parse(type, content, text, sizeof(text), reason);
	if (strcmp(text, expected) != 0)
		fprintf(stderr, "\n%s %s: \"%s\" instead of \"%s\" %s\n", type, content, text,
			expected, reason);
	CU_ASSERT_STRING_EQUAL(text, expected);
}

static void expect_refused(const char *type, const char *content, const char *why)
{
	char text[1024], reason[256] = "";

	parse(type, content, text, sizeof(text), reason);
	CU_ASSERT_STRING_EQUAL(text, "");
	if (strstr(reason, why) == NULL)
		fprintf(stderr, "\n%s %s: no \"%s\" in \"%s\"\n", type, content, why, reason);
	CU_ASSERT_PTR_NOT_NULL(strstr(reason, why));
	CU_ASSERT_NOT_EQUAL(reason[0], '\0');
}

static void test_types(void)
{
	expect("A", "192.0.2.1", "192.0.2.1");
	expect("aaaa", "2001:db8::1", "2001:db8::1");
	expect("MX", "10 mail.example.com", "10 mail.example.com.");
	expect("MX", "10 mail.example.com.", "10 mail.example.com.");
	expect("SRV", "1 2 3 .", "1 2 3 .");
	expect("TXT", "\"a b\" \"c\"", "\"a b\" \"c\"");
	expect("TYPE1", "192.0.2.1", "192.0.2.1");
	expect("TYPE65280", "\\# 2 0a0b", "\\# 2 0a0b");
}

static void test_soa(void)
{
	expect("SOA", "ns.example hm.example 7 1 2 3 4", "ns.example. hm.example. 7 1 2 3 4");
	expect("SOA", "ns.example. hm.example. 7",
	       "ns.example. hm.example. 7 10800 3600 604800 3600");
	expect("SOA", "ns.example hm.example", "ns.example. hm.example. 0 10800 3600 604800 3600");
	expect("SOA", "  ns.example\thm@example 7 1 2 3 4 ", "ns.example. hm.example. 7 1 2 3 4");
	expect("SOA", "ns.example host.master@example 7 1 2 3 4",
	       "ns.example. host\\.master.example. 7 1 2 3 4");
	expect("SOA", "ns.example host\\.master@example 7 1 2 3 4",
	       "ns.example. host\\.master.example. 7 1 2 3 4");
	expect_refused("SOA", "ns.example", "");
	expect_refused("SOA", "", "");
	expect_refused("SOA", "ns.example hm.example 7 1 2 3 4 5", "");
	expect_refused("SOA", "ns.example hm.example x", "");
}

static void test_refused(void)
{
	expect_refused("", "192.0.2.1", "not a record type");
	expect_refused("ALIAS", "www.example.com", "not a record type");
	expect_refused("ANY", "192.0.2.1", "no record can have");
	expect_refused("AXFR", "", "no record can have");
	expect_refused("OPT", "", "no record can have");
	expect_refused("A", "192.0.2.256", "");
	expect_refused("A", "192.0.2.1\\000junk", "");
	expect_refused("A", "", "");
	expect_refused("MX", "mail.example.com", "");
	expect_refused("TYPE65536", "\\# 0", "not a record type");
}

/* Any text at all: it parses, or there is a reason; ASan and UBSan look on. */
static void test_noise(void)
{
	static const char *const types[] = {"A",   "NS",    "SOA", "MX",    "TXT",       "SRV",
					    "CAA", "HTTPS", "DS",  "RRSIG", "TYPE65280", "NAPTR"};
	static const char alphabet[] = "a0.1 \\\"@#();\t\n-_:=,\xff/";
	char content[64], reason[256];
	uint16_t type;

	srand(1);
	for (int i = 0; i < 50000; i++) {
		size_t size = (size_t)rand() % sizeof(content);
		for (size_t j = 0; j < size; j++)
			content[j] = alphabet[(size_t)rand() % (sizeof(alphabet) - 1)];
		content[size] = '\0';
		struct storage_record record = {
			.type = types[(size_t)rand() % (sizeof(types) / sizeof(types[0]))],
			.content = content,
			.key = "k"};
		reason[0] = '\0';
		int result = storage_record_parse(&record, &type, rdata, sizeof(rdata), reason,
						  sizeof(reason));
		if (result < 0)
			CU_ASSERT_NOT_EQUAL_FATAL(reason[0], '\0')
		else
			CU_ASSERT_EQUAL_FATAL(dns_rdata_check(type, rdata, (size_t)result), 0);
	}
	/* Far longer than an SOA can be. */
	char *text = malloc(100001);
	CU_ASSERT_PTR_NOT_NULL_FATAL(text);
	memset(text, 'a', 100000);
	text[100000] = '\0';
	expect_refused("SOA", text, "");
	memset(text, '@', 100000);
	expect_refused("SOA", text, "");
	free(text);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"types of all kinds, names with and without a trailing dot", test_types},
		{"an SOA with PowerDNS's defaults and its mailbox", test_soa},
		{"what is no record is refused with a reason", test_refused},
		{"noise is refused, too", test_noise},
	};

	return SUITE_RUN("record", tests);
}
