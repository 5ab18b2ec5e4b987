/* Record data from presentation form and back, and what is refused. */
#include "dns/protocol.h"
#include "dns/rdata.h"
#include "suite.h"

#include <stdlib.h>
#include <string.h>

static uint8_t wire[DNS_RDATA_MAX];
static char text[8192];
static char reason[256];

static int from_text(const char *type, const char *data)
{
	reason[0] = '\0';
	int number = dns_type_from_text(type);
	if (number < 0)
		return number;
	return dns_rdata_from_text((uint16_t)number, data, NULL, wire, sizeof(wire), reason,
				   sizeof(reason));
}

/* What is written comes back as `want`, and `want` gives the same octets again. */
static void assert_round_trip(const char *type, const char *data, const char *want)
{
	static uint8_t again[DNS_RDATA_MAX];
	uint16_t number = (uint16_t)dns_type_from_text(type);
	int size = from_text(type, data);

	CU_ASSERT_FATAL(size >= 0);
	CU_ASSERT_EQUAL(dns_rdata_check(number, wire, (size_t)size), 0);
	int length = dns_rdata_to_text(number, wire, (size_t)size, text, sizeof(text));
	CU_ASSERT_FATAL(length >= 0);
	CU_ASSERT_EQUAL((size_t)length, strlen(text));
	CU_ASSERT_STRING_EQUAL(text, want);
	CU_ASSERT_EQUAL(dns_rdata_from_text(number, text, NULL, again, sizeof(again), reason,
					    sizeof(reason)),
			size);
	CU_ASSERT_EQUAL(memcmp(wire, again, (size_t)size), 0);
}

static void assert_refused(const char *type, const char *data, const char *why)
{
	CU_ASSERT_TRUE(from_text(type, data) < 0);
	CU_ASSERT_STRING_EQUAL(reason, why);
}

static void test_every_common_type_is_read_and_written(void)
{
	static const char *const cases[][3] = {
		{"A", "192.0.2.1", "192.0.2.1"},
		{"AAAA", "2001:DB8:0::1", "2001:db8::1"},
		{"NS", "ns1.example.com", "ns1.example.com."},
		{"CNAME", "Target.Example.com.", "Target.Example.com."},
		{"DNAME", "example.net.", "example.net."},
		{"PTR", "host.example.com.", "host.example.com."},
		{"MX", "10 mail.example.com", "10 mail.example.com."},
		{"SRV", "1 2 5060 sip.example.com", "1 2 5060 sip.example.com."},
		{"SOA", "ns1. host. 1 2h 3 4w 5", "ns1. host. 1 7200 3 2419200 5"},
		{"TXT", "\"hello world\" \"b;c\\\"d\\200\"", "\"hello world\" \"b;c\\\"d\\200\""},
		{"TXT", "v=spf1", "\"v=spf1\""},
		{"CAA", "0 issue \"ca.example\"", "0 issue \"ca.example\""},
		{"TLSA", "3 1 1 00FF", "3 1 1 00ff"},
		{"SSHFP", "2 1 123456789ABCDEF67890", "2 1 123456789abcdef67890"},
		{"NAPTR", "100 10 \"u\" \"E2U+sip\" \"!^.*$!sip:a@b!\" .",
		 "100 10 \"u\" \"E2U+sip\" \"!^.*$!sip:a@b!\" ."},
		{"NAPTR", "1 1 \"\" \"\" \"\" a\\\"b.", "1 1 \"\" \"\" \"\" a\\\"b."},
		{"SVCB", "1 foo.example. alpn=\"h2,h3\" port=8443 ipv4hint=192.0.2.1",
		 "1 foo.example. alpn=h2,h3 port=8443 ipv4hint=192.0.2.1"},
		{"HTTPS", "1 . alpn=h2 mandatory=alpn", "1 . mandatory=alpn alpn=h2"},
		{"HTTPS", "0 cdn.example.", "0 cdn.example."},
		{"DS", "60485 5 1 2BB1", "60485 5 1 2bb1"},
		{"LOC", "52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m",
		 "52 22 23.000 N 04 53 32.000 E -2m 0.00m 10000m 10m"},
		{"RP", "a.example. b.example.", "a.example. b.example."},
		{"URI", "10 1 \"ftp://x/\"", "10 1 \"ftp://x/\""},
		{"OPENPGPKEY", "AQPSKmynfzW4", "AQPSKmynfzW4"},
		{"NSEC", "host.example.com. A MX RRSIG", "host.example.com. A MX RRSIG"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_round_trip(cases[i][0], cases[i][1], cases[i][2]);
}

static void test_unknown_types_use_the_generic_form(void)
{
	assert_round_trip("TYPE65280", "\\# 3 01 02 03", "\\# 3 010203");
	assert_round_trip("TYPE65280", "\\# 0", "\\# 0");
	assert_round_trip("A", "\\# 4 C0000201", "192.0.2.1");
	assert_round_trip("TYPE1", "192.0.2.1", "192.0.2.1");
	assert_refused("TYPE65280", "\\# 2 010203", "more hex digits than \\# 2 octets");
	assert_refused("TYPE65280", "\\# 4 010203", "3 octets of hex where \\# says 4");
	assert_refused("TYPE65280", "\\# 1 0", "not pairs of hex digits behind \\# 1");
	assert_refused("TYPE65280", "\\# x", "\\# needs a length up to 65535 behind it");
	assert_refused("A", "\\# 3 010203", "these octets are not data of this type");
	assert_refused("NS", "\\# 2 C000", "these octets are not data of this type");
	assert_refused("TXT", "\\# 3 FF6162", "these octets are not data of this type");
	assert_refused("CAA", "\\# 1 00", "these octets are not data of this type");
	assert_round_trip("WKS", "\\# 6 0A0000011980", "\\# 6 0a0000011980");
	assert_round_trip("APL", "\\# 0", "\\# 0");
	assert_round_trip("SVCB", "1 . mandatory=port,alpn port=53 alpn=dot",
			  "1 . mandatory=alpn,port alpn=dot port=53");
	assert_round_trip("SVCB", "1 . alpn=\"h(2\"", "\\# 11 0001000001000403682832");
	assert_round_trip("IPSECKEY", "\\# 1 13", "\\# 1 13");
}

static void test_relative_names_take_the_origin(void)
{
	const uint8_t *origin = (const uint8_t *)"\7example\3com";

	CU_ASSERT_EQUAL(dns_rdata_from_text(DNS_TYPE_MX, "10 mail", origin, wire, sizeof(wire),
					    reason, sizeof(reason)),
			20);
	CU_ASSERT_EQUAL(memcmp(wire, "\0\12\4mail\7example\3com", 20), 0);
	CU_ASSERT_TRUE(dns_rdata_from_text(DNS_TYPE_SOA, "ns @ 1 2 3 4 5", origin, wire,
					   sizeof(wire), reason, sizeof(reason)) > 0);
	CU_ASSERT_EQUAL(memcmp(wire, "\2ns\7example\3com\0\7example\3com", 29), 0);
}

static void test_nonsense_is_refused_with_words(void)
{
	assert_refused("A", "192.0.2", "'192.0.2' is not an IPv4 address");
	assert_refused("A", "192.0.2.1 x", "'192.0.2.1 x' is not an IPv4 address");
	assert_refused("AAAA", "192.0.2.1", "'192.0.2.1' is not an IPv6 address");
	assert_refused("A", "", "no data");
	assert_refused("MX", "mail.example.com", "needs 1 number up to 65535 and a name");
	assert_refused("MX", "65536 a.", "needs 1 number up to 65535 and a name");
	assert_refused("SRV", "1 2 a.", "needs 3 numbers up to 65535 and a name");
	assert_refused("MX", "10", "the name is missing");
	assert_refused("NS", "a. b.", "something stands behind the name 'a.'");
	assert_refused("NS", "a..b", "'a..b': an empty label or a label type that does not exist");
	assert_refused("CAA", "256 issue x", "'256' is not a number up to 255");
	assert_refused("NAPTR", "70000 1 \"\" \"\" \"\" .", "'70000' is not a number up to 65535");
	assert_refused("SOA", "a. b. 4294967296 1 1 1 1",
		       "'4294967296' is not a number up to 4294967295");
	assert_refused("TXT", "\"open", "a quote does not end");
	CU_ASSERT_TRUE(from_text("SVCB", "1") < 0);
	CU_ASSERT_TRUE(from_text("CAA", "0 issue") < 0);
	CU_ASSERT_TRUE(from_text("DNSKEY", "256 3 8") < 0);
	CU_ASSERT_TRUE(from_text("RRSIG", "A 5 3 86400 20030322173103 20030220173103 2642") < 0);
	CU_ASSERT_TRUE(from_text("TXT", "") < 0);
}

static void test_long_strings_are_refused_with_advice(void)
{
	char data[1024] = "\"";

	for (int i = 0; i < 255; i++)
		strcat(data, i % 2 ? "x" : "\\\"");
	strcat(data, "\" \"y\"");
	CU_ASSERT_EQUAL(from_text("TXT", data), 256 + 2);
	memmove(data + 2, data + 1, strlen(data));
	data[1] = 'z';
	assert_refused("TXT", data,
		       "a string longer than 255 octets: split it into several strings");
}

/* Some of these have libldns end the program when it is to write them. */
static void test_malformed_svcparams_are_refused(void)
{
	static const char *const cases[] = {
		"\\# 5 000100 0000",              /* half a parameter */
		"\\# 8 000100 FF00 0009 01",      /* a value longer than the data */
		"\\# 9 000100 FF00 0001 0102",    /* octets behind the last value */
		"\\# 7 000100 0000 0000",         /* mandatory: no key */
		"\\# 8 000100 0000 0001 01",      /* mandatory: half a key */
		"\\# 9 000100000000020000",       /* mandatory: itself */
		"\\# 11 0001000000000400030001",  /* mandatory: keys falling */
		"\\# 7 000100 0001 0000",         /* alpn: no name */
		"\\# 9 000100 0001 0002 0261",    /* alpn: a name longer than the value */
		"\\# 9 000100 0001 0002 0000",    /* alpn: an empty name */
		"\\# 8 000100 0002 0001 00",      /* no-default-alpn with a value */
		"\\# 8 000100 0003 0001 35",      /* port: one octet */
		"\\# 10 000100 0004 0003 C00002", /* ipv4hint: three octets */
		"\\# 8 000100 0006 0001 20",      /* ipv6hint: one octet */
		"\\# 15 000100 0003 0002 0035 0003 0002 0036", /* port twice */
		"\\# 13 000100 0003 0002 0035 0002 0000",      /* keys falling */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_refused("SVCB", cases[i], "these octets are not data of this type");
		assert_refused("HTTPS", cases[i], "these octets are not data of this type");
	}
	assert_round_trip("SVCB", "\\# 13 00010000010006026832026833", "1 . alpn=h2,h3");
}

/* Each ends in the middle of something; none may be read past its end. */
static void test_text_cut_short_is_refused(void)
{
	static const char *const cases[][2] = {
		{"TXT", "\\"},         {"TXT", "\\1"},          {"TXT", "\\12"},  {"TXT", "\"a\\"},
		{"TXT", "a\\25"},      {"CAA", "0 issue \\12"}, {"NS", "a\\1"},   {"NS", "a\\"},
		{"SVCB", "1 . alpn="}, {"URI", "1 1 \"\\12"},   {"TXT", "\\999"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *exact = strdup(cases[i][1]); /* so that the sanitizer sees its end */
		CU_ASSERT_FATAL(exact != NULL);
		CU_ASSERT_TRUE(from_text(cases[i][0], exact) < 0);
		if (reason[0] == '\0')
			printf("no reason for %s %s\n", cases[i][0], exact);
		CU_ASSERT_NOT_EQUAL(reason[0], '\0');
		free(exact);
	}
}

/* libldns ends the program when it is to write this. */
static void test_long_svcparams_that_need_escapes_are_written(void)
{
	char data[128] = "1 . alpn=";

	memset(data + strlen(data), 0xbc, 100);
	int size = from_text("SVCB", data);
	CU_ASSERT_EQUAL_FATAL(size, 3 + 4 + 101);
	CU_ASSERT_TRUE(dns_rdata_to_text(DNS_TYPE_SVCB, wire, (size_t)size, text, sizeof(text)) >
		       0);
	CU_ASSERT_EQUAL(strncmp(text, "\\# 108 000100", 13), 0);
}

static void test_only_types_of_data_are_data(void)
{
	CU_ASSERT_EQUAL(dns_type_from_text("aaaa"), DNS_TYPE_AAAA);
	CU_ASSERT_EQUAL(dns_type_from_text("type65280"), 65280);
	CU_ASSERT_EQUAL(dns_type_from_text("TYPE0"), DNS_ERROR_BAD_TYPE);
	CU_ASSERT_EQUAL(dns_type_from_text("TYPE65536"), DNS_ERROR_BAD_TYPE);
	CU_ASSERT_EQUAL(dns_type_from_text("TYPE1x"), DNS_ERROR_BAD_TYPE);
	CU_ASSERT_EQUAL(dns_type_from_text("NONSENSE"), DNS_ERROR_BAD_TYPE);
	CU_ASSERT_EQUAL(dns_type_from_text(""), DNS_ERROR_BAD_TYPE);
	CU_ASSERT_EQUAL(from_text("ANY", "x"), DNS_ERROR_BAD_TYPE);
	CU_ASSERT_EQUAL(from_text("OPT", "\\# 0"), DNS_ERROR_BAD_TYPE);
	CU_ASSERT_EQUAL(from_text("AXFR", "x"), DNS_ERROR_BAD_TYPE);
	for (unsigned int type = 1; type < 65536; type++) {
		char mnemonic[DNS_TYPE_TEXT_MAX];
		dns_type_to_text((uint16_t)type, mnemonic);
		if (dns_type_from_text(mnemonic) != (int)type)
			CU_FAIL_FATAL("a type's mnemonic is read as another type");
	}
}

static void test_hostile_octets_are_not_data(void)
{
	uint8_t octets[64];
	unsigned int seed = 1;

	/* Whatever octets: to_text answers with text or an error, and check agrees with it. */
	for (unsigned int round = 0; round < 20000; round++) {
		size_t size = (seed = seed * 1103515245 + 12345) >> 16 & 63;
		uint16_t type = (seed = seed * 1103515245 + 12345) >> 16 & 127;
		for (size_t i = 0; i < size; i++)
			octets[i] = (uint8_t)((seed = seed * 1103515245 + 12345) >> 16);
		int length = dns_rdata_to_text(type, octets, size, text, sizeof(text));
		if (dns_rdata_check(type, octets, size) < 0)
			CU_ASSERT_EQUAL(length, DNS_ERROR_BAD_RDATA);
		if (length >= 0)
			CU_ASSERT_EQUAL((size_t)length, strlen(text));
	}
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"every common type is read and written",
		 test_every_common_type_is_read_and_written},
		{"unknown types use the generic form", test_unknown_types_use_the_generic_form},
		{"relative names take the origin", test_relative_names_take_the_origin},
		{"nonsense is refused with words", test_nonsense_is_refused_with_words},
		{"long strings are refused with advice", test_long_strings_are_refused_with_advice},
		{"malformed SvcParams are refused", test_malformed_svcparams_are_refused},
		{"text cut short is refused", test_text_cut_short_is_refused},
		{"long SvcParams that need escapes are written",
		 test_long_svcparams_that_need_escapes_are_written},
		{"only types of data are data", test_only_types_of_data_are_data},
		{"hostile octets are not data", test_hostile_octets_are_not_data},
	};
	return SUITE_RUN("rdata", tests);
}
