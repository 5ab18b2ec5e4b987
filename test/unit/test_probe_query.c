/* The probe's question, and which messages are a good answer to it. */
#include "announcer/probe_query.h"
#include "dns/rdata.h"
#include "suite.h"

#include <stdlib.h>
#include <string.h>

static struct probe_expectation expectation;
static struct probe_query query;
static uint8_t answer_data[512];
static uint8_t message[1024]; /* an answer being made */
static size_t size;
static char cause[PROBE_CAUSE_MAX];

static void ask(const char *name, uint16_t type)
{
	memset(&expectation, 0, sizeof(expectation));
	CU_ASSERT_FATAL(dns_name_from_text(name, strlen(name), NULL, expectation.name) > 0);
	expectation.type = type;
	probe_query_write(&query, &expectation, 0x123456789abcdef0);
}

static void expect(const char *text)
{
	char reason[160];
	int length = dns_rdata_from_text(expectation.type, text, NULL, answer_data,
					 sizeof(answer_data), reason, sizeof(reason));
	CU_ASSERT_FATAL(length >= 0);
	expectation.answer = answer_data;
	expectation.answer_size = (size_t)length;
}

/* Begins an answer with the question in it. */
static void begin(uint16_t rcode)
{
	size = query.size - 11;
	memcpy(message, query.octets, size);
	dns_put16(message + 2, (uint16_t)(DNS_FLAG_QR | DNS_FLAG_AA | DNS_FLAG_RD | rcode));
	dns_put16(message + 10, 0);
}

/* Adds a record of the question's name to a section whose count stands at `count_at`. */
static void put(size_t count_at, uint16_t type, uint32_t ttl, const void *data, size_t data_size)
{
	uint8_t *at = message + size;
	dns_put16(at, 0xc00c);
	dns_put16(at + 2, type);
	dns_put16(at + 4, DNS_CLASS_IN);
	dns_put32(at + 6, ttl);
	dns_put16(at + 10, (uint16_t)data_size);
	memcpy(at + 12, data, data_size);
	size += 12 + data_size;
	dns_put16(message + count_at, (uint16_t)(dns_get16(message + count_at) + 1));
}

static enum probe_verdict judge(bool stream)
{
	return probe_query_judge(&query, &expectation, stream, message, size, cause);
}

static void test_the_question_is_whole(void)
{
	uint8_t name[DNS_NAME_MAX];
	size_t offset = DNS_HEADER_SIZE;
	ask("health.example.", DNS_TYPE_SOA);
	CU_ASSERT_EQUAL(dns_get16(query.octets), 0xdef0);
	CU_ASSERT_EQUAL(dns_get16(query.octets + 2), DNS_FLAG_RD);
	CU_ASSERT_FATAL(dns_name_parse(query.octets, query.size, &offset, name) > 0);
	CU_ASSERT_TRUE(dns_name_equal(name, expectation.name));
	CU_ASSERT_EQUAL(dns_get16(query.octets + offset), DNS_TYPE_SOA);
	CU_ASSERT_EQUAL(dns_get16(query.octets + offset + 2), DNS_CLASS_IN);
	CU_ASSERT_EQUAL(query.size, offset + 4 + 11);
}

static void test_an_asterisk_is_another_name_each_time(void)
{
	uint8_t other[PROBE_QUERY_MAX];
	char text[300];
	ask("*.example.", DNS_TYPE_A);
	memcpy(other, query.octets, sizeof(other));
	CU_ASSERT_EQUAL(query.octets[DNS_HEADER_SIZE], PROBE_LETTERS);
	CU_ASSERT_EQUAL(query.size, DNS_HEADER_SIZE + 1 + PROBE_LETTERS + 9 + 4 + 11);
	probe_query_write(&query, &expectation, 0x3456789abcdef012);
	CU_ASSERT_NOT_EQUAL(memcmp(query.octets + 12, other + 12, 1 + PROBE_LETTERS), 0);
	CU_ASSERT_EQUAL(memcmp(query.octets + 13 + PROBE_LETTERS, other + 13 + PROBE_LETTERS, 24),
			0);
	/* As many letters as a name has room for. */
	snprintf(text, sizeof(text), "*.%063d.%063d.%063d.%055d.", 0, 0, 0, 0);
	ask(text, DNS_TYPE_A);
	CU_ASSERT_EQUAL(query.octets[DNS_HEADER_SIZE], 5);
	CU_ASSERT_EQUAL(dns_name_size(query.octets + DNS_HEADER_SIZE), DNS_NAME_MAX);
	/* Elsewhere, or with other letters, an asterisk is one. */
	ask("a.*.example.", DNS_TYPE_A);
	CU_ASSERT_TRUE(dns_name_equal(query.octets + DNS_HEADER_SIZE, expectation.name));
}

static void test_a_plain_answer_is_good(void)
{
	ask("health.example.", DNS_TYPE_A);
	begin(DNS_RCODE_NOERROR);
	CU_ASSERT_EQUAL(judge(false), PROBE_GOOD);
	put(6, DNS_TYPE_A, 300, "\300\0\2\1", 4);
	CU_ASSERT_EQUAL(judge(false), PROBE_GOOD);
	CU_ASSERT_EQUAL(judge(true), PROBE_GOOD);
	/* Letters of the question in another case are the same question. */
	message[DNS_HEADER_SIZE + 1] ^= 0x20;
	CU_ASSERT_EQUAL(judge(false), PROBE_GOOD);
}

static void test_other_messages_are_no_answer(void)
{
	ask("health.example.", DNS_TYPE_A);
	begin(DNS_RCODE_NOERROR);
	message[0] ^= 1;
	CU_ASSERT_EQUAL(judge(false), PROBE_UNRELATED);
	CU_ASSERT_STRING_EQUAL(cause, "the ID is another one");
	begin(DNS_RCODE_NOERROR);
	message[2] &= 0x7f; /* our own query, come back */
	CU_ASSERT_EQUAL(judge(false), PROBE_UNRELATED);
	begin(DNS_RCODE_NOERROR);
	message[DNS_HEADER_SIZE + 1] = 'w';
	CU_ASSERT_EQUAL(judge(false), PROBE_UNRELATED);
	CU_ASSERT_STRING_EQUAL(cause, "the question is another one");
	begin(DNS_RCODE_NOERROR);
	message[size - 3] = DNS_TYPE_AAAA;
	CU_ASSERT_EQUAL(judge(false), PROBE_UNRELATED);
	begin(DNS_RCODE_NOERROR);
	message[5] = 0; /* no question */
	CU_ASSERT_EQUAL(judge(false), PROBE_UNRELATED);
	size = 11;
	CU_ASSERT_EQUAL(judge(false), PROBE_UNRELATED);
}

static void test_the_rcode_must_be_the_expected_one(void)
{
	ask("health.example.", DNS_TYPE_A);
	begin(DNS_RCODE_SERVFAIL);
	CU_ASSERT_EQUAL(judge(false), PROBE_BAD);
	CU_ASSERT_STRING_EQUAL(cause, "SERVFAIL instead of NOERROR");
	expectation.rcode = DNS_RCODE_SERVFAIL;
	CU_ASSERT_EQUAL(judge(false), PROBE_GOOD);
	/* Its upper bits are in the OPT record. */
	expectation.rcode = DNS_RCODE_NOERROR;
	begin(DNS_RCODE_NOERROR);
	put(10, DNS_TYPE_OPT, 1 << 24, "", 0);
	CU_ASSERT_EQUAL(judge(false), PROBE_BAD);
	CU_ASSERT_STRING_EQUAL(cause, "response code 16 instead of NOERROR");
}

static void test_truncated_is_good_over_udp_alone(void)
{
	ask("health.example.", DNS_TYPE_A);
	begin(DNS_RCODE_NOERROR);
	message[2] |= DNS_FLAG_TC >> 8;
	CU_ASSERT_EQUAL(judge(false), PROBE_GOOD);
	CU_ASSERT_EQUAL(judge(true), PROBE_BAD);
	CU_ASSERT_STRING_EQUAL(cause, "the answer is truncated");
	expect("192.0.2.1");
	CU_ASSERT_EQUAL(judge(false), PROBE_BAD);
}

static void test_the_expected_record_must_be_in_the_answer(void)
{
	ask("health.example.", DNS_TYPE_A);
	expect("192.0.2.1");
	begin(DNS_RCODE_NOERROR);
	CU_ASSERT_EQUAL(judge(false), PROBE_BAD);
	CU_ASSERT_STRING_EQUAL(cause, "the expected record is not in the answer");
	put(6, DNS_TYPE_A, 300, "\300\0\2\2", 4);
	CU_ASSERT_EQUAL(judge(false), PROBE_BAD);
	put(6, DNS_TYPE_A, 300, "\300\0\2\1", 4);
	CU_ASSERT_EQUAL(judge(false), PROBE_GOOD);
	/* In the authority section it does not count, nor with more behind it. */
	begin(DNS_RCODE_NOERROR);
	put(8, DNS_TYPE_A, 300, "\300\0\2\1", 4);
	CU_ASSERT_EQUAL(judge(false), PROBE_BAD);
	begin(DNS_RCODE_NOERROR);
	put(6, DNS_TYPE_A, 300, "\300\0\2\1\0", 5);
	CU_ASSERT_EQUAL(judge(false), PROBE_BAD);
}

static void test_names_are_compared_as_names(void)
{
	ask("example.", DNS_TYPE_MX);
	expect("10 Mail.Example.");
	begin(DNS_RCODE_NOERROR);
	put(6, DNS_TYPE_MX, 300, "\0\12\4mail\300\14", 9); /* compressed */
	CU_ASSERT_EQUAL(judge(false), PROBE_GOOD);
	message[size - 8] = 20; /* preference */
	CU_ASSERT_EQUAL(judge(false), PROBE_BAD);

	static const uint8_t soa[] =
		"\2ns\300\14\1h\300\14\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0\5";
	ask("example.", DNS_TYPE_SOA);
	expect("ns.example. h.example. 1 2 3 4 5");
	begin(DNS_RCODE_NOERROR);
	put(6, DNS_TYPE_SOA, 300, soa, sizeof(soa) - 1);
	CU_ASSERT_EQUAL(judge(false), PROBE_GOOD);
	message[size - 1] = 6;
	CU_ASSERT_EQUAL(judge(false), PROBE_BAD);

	ask("example.", DNS_TYPE_TXT);
	expect("\"fine\"");
	begin(DNS_RCODE_NOERROR);
	put(6, DNS_TYPE_TXT, 300, "\4fine", 5);
	CU_ASSERT_EQUAL(judge(false), PROBE_GOOD);
}

static void test_every_cut_is_survived(void)
{
	static const uint8_t mx[] = "\0\12\4mail\300\14";
	ask("example.", DNS_TYPE_MX);
	expect("10 mail.example.");
	begin(DNS_RCODE_NOERROR);
	put(6, DNS_TYPE_MX, 300, mx, sizeof(mx) - 1);
	size_t whole = size;
	for (size = 0; size < whole; size++) {
		uint8_t *copy = malloc(size + 1); /* its end is watched by a sanitizer */
		memcpy(copy, message, size);
		CU_ASSERT_NOT_EQUAL(
			probe_query_judge(&query, &expectation, true, copy, size, cause),
			PROBE_GOOD);
		free(copy);
	}
}

static void test_garbage_is_survived(void)
{
	static const uint8_t mx[] = "\0\12\4mail\300\14";
	uint8_t copy[sizeof(message)];
	unsigned int good = 0;
	srandom(1);
	ask("example.", DNS_TYPE_MX);
	expect("10 mail.example.");
	begin(DNS_RCODE_NOERROR);
	put(6, DNS_TYPE_MX, 300, mx, sizeof(mx) - 1);
	put(8, DNS_TYPE_MX, 300, mx, sizeof(mx) - 1);
	memcpy(copy, message, size);
	for (int round = 0; round < 20000; round++) {
		memcpy(message, copy, size);
		for (int i = 0; i < 3; i++)
			message[(size_t)random() % size] = (uint8_t)random();
		good += judge(round & 1) == PROBE_GOOD;
	}
	CU_ASSERT(good > 0 && good < 10000);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"the question is whole", test_the_question_is_whole},
		{"an asterisk is another name each time",
		 test_an_asterisk_is_another_name_each_time},
		{"a plain answer is good", test_a_plain_answer_is_good},
		{"other messages are no answer", test_other_messages_are_no_answer},
		{"the rcode must be the expected one", test_the_rcode_must_be_the_expected_one},
		{"truncated is good over UDP alone", test_truncated_is_good_over_udp_alone},
		{"the expected record must be in the answer",
		 test_the_expected_record_must_be_in_the_answer},
		{"names are compared as names", test_names_are_compared_as_names},
		{"an answer cut anywhere is survived", test_every_cut_is_survived},
		{"garbage is survived", test_garbage_is_survived},
	};
	return SUITE_RUN("probe_query", tests);
}
