/* What clients send: well-formed, unsupported, broken and hostile. */
#include "dns/protocol.h"
#include "dns/query.h"
#include "suite.h"

#include <stdlib.h>
#include <string.h>

/* A query under construction. */
struct message {
	uint8_t bytes[512];
	size_t size;
};

static void add(struct message *message, const void *bytes, size_t size)
{
	memcpy(message->bytes + message->size, bytes, size);
	message->size += size;
}

#define ADD(message, literal) add(message, literal, sizeof(literal) - 1)

static struct message make_query(uint16_t qtype, uint16_t qclass)
{
	struct message message = {.size = 0};
	uint8_t numbers[4];

	ADD(&message, "\x12\x34\x01\x00\0\1\0\0\0\0\0\0");
	ADD(&message, "\3wWw\7example\3com\0");
	dns_put16(numbers, qtype);
	dns_put16(numbers + 2, qclass);
	add(&message, numbers, 4);
	return message;
}

static void add_opt(struct message *message, uint16_t payload, uint8_t version, bool dnssec_ok,
		    const char *options, uint16_t options_size)
{
	uint8_t opt[11] = {0, 0, 41};

	dns_put16(opt + 3, payload);
	opt[6] = version;
	opt[7] = dnssec_ok ? 0x80 : 0;
	dns_put16(opt + 9, options_size);
	add(message, opt, sizeof(opt));
	if (options_size > 0)
		add(message, options, options_size);
	message->bytes[11]++;
}

static int parse(const struct message *message, struct dns_query *query)
{
	return dns_query_parse(message->bytes, message->size, query);
}

static void test_a_plain_query_is_read(void)
{
	struct message message = make_query(DNS_TYPE_A, DNS_CLASS_IN);
	struct dns_query query;

	CU_ASSERT_EQUAL_FATAL(parse(&message, &query), DNS_RCODE_NOERROR);
	CU_ASSERT_EQUAL(query.id, 0x1234);
	CU_ASSERT_EQUAL(query.flags, DNS_FLAG_RD);
	CU_ASSERT_EQUAL(query.qtype, DNS_TYPE_A);
	CU_ASSERT_EQUAL(query.qclass, DNS_CLASS_IN);
	CU_ASSERT_EQUAL(query.qname_size, 17);
	CU_ASSERT_EQUAL(memcmp(query.qname, "\3wWw\7example\3com", 17), 0);
	CU_ASSERT_EQUAL(query.question_size, 21);
	CU_ASSERT_FALSE(query.edns.present);
}

static void test_edns_is_read(void)
{
	struct message message = make_query(DNS_TYPE_A, DNS_CLASS_IN);
	struct dns_query query;

	add_opt(&message, 4096, 0, true, "\0\3\0\0\0\12\0\1x", 9);
	CU_ASSERT_EQUAL_FATAL(parse(&message, &query), DNS_RCODE_NOERROR);
	CU_ASSERT_TRUE(query.edns.present);
	CU_ASSERT_TRUE(query.edns.dnssec_ok);
	CU_ASSERT_EQUAL(query.edns.udp_payload, 4096);
	CU_ASSERT_EQUAL(query.edns.options_size, 9);
	CU_ASSERT_EQUAL(memcmp(query.edns.options, "\0\3", 2), 0);

	message = make_query(DNS_TYPE_A, DNS_CLASS_IN);
	add_opt(&message, 100, 0, false, NULL, 0);
	CU_ASSERT_EQUAL_FATAL(parse(&message, &query), DNS_RCODE_NOERROR);
	CU_ASSERT_EQUAL(query.edns.udp_payload, 512);
	CU_ASSERT_FALSE(query.edns.dnssec_ok);
}

static void test_edns_above_version_0_is_badvers(void)
{
	struct message message = make_query(DNS_TYPE_A, DNS_CLASS_IN);
	struct dns_query query;

	add_opt(&message, 1232, 1, false, NULL, 0);
	CU_ASSERT_EQUAL(parse(&message, &query), DNS_RCODE_BADVERS);
	CU_ASSERT_TRUE(query.edns.present);
}

static void test_broken_edns_is_a_format_error(void)
{
	struct message message = make_query(DNS_TYPE_A, DNS_CLASS_IN);
	struct dns_query query;

	add_opt(&message, 1232, 0, false, "\0\3\0\5ab", 6); /* the option says five octets */
	CU_ASSERT_EQUAL(parse(&message, &query), DNS_RCODE_FORMERR);

	message = make_query(DNS_TYPE_A, DNS_CLASS_IN);
	add_opt(&message, 1232, 0, false, "\0\3\0", 3);
	CU_ASSERT_EQUAL(parse(&message, &query), DNS_RCODE_FORMERR);

	message = make_query(DNS_TYPE_A, DNS_CLASS_IN);
	add_opt(&message, 1232, 0, false, NULL, 0);
	add_opt(&message, 1232, 0, false, NULL, 0); /* twice */
	CU_ASSERT_EQUAL(parse(&message, &query), DNS_RCODE_FORMERR);

	message = make_query(DNS_TYPE_A, DNS_CLASS_IN);
	add_opt(&message, 1232, 0, false, NULL, 0);
	message.bytes[11] = 0; /* among the authority records */
	message.bytes[9] = 1;
	CU_ASSERT_EQUAL(parse(&message, &query), DNS_RCODE_FORMERR);

	message = make_query(DNS_TYPE_A, DNS_CLASS_IN);
	ADD(&message, "\1x\0\0\51\4\320\0\0\0\0\0\0"); /* not owned by the root */
	message.bytes[11] = 1;
	CU_ASSERT_EQUAL(parse(&message, &query), DNS_RCODE_FORMERR);
}

static void test_what_is_no_query_is_dropped(void)
{
	struct message message = make_query(DNS_TYPE_A, DNS_CLASS_IN);
	struct dns_query query;

	for (size_t size = 0; size < DNS_HEADER_SIZE; size++)
		CU_ASSERT_EQUAL(dns_query_parse(message.bytes, size, &query), DNS_QUERY_DROP);
	message.bytes[2] |= 0x80;
	CU_ASSERT_EQUAL(parse(&message, &query), DNS_QUERY_DROP);
}

static void test_every_cut_off_query_is_a_format_error(void)
{
	struct message message = make_query(DNS_TYPE_A, DNS_CLASS_IN);
	struct dns_query query;

	add_opt(&message, 4096, 0, true, "\0\3\0\1x", 5);
	for (size_t size = DNS_HEADER_SIZE; size < message.size; size++) {
		/* A copy of exactly that size, so that a read past it is seen by the sanitizer. */
		uint8_t *copy = malloc(size);
		memcpy(copy, message.bytes, size);
		CU_ASSERT_EQUAL(dns_query_parse(copy, size, &query), DNS_RCODE_FORMERR);
		free(copy);
	}
	CU_ASSERT_EQUAL(parse(&message, &query), DNS_RCODE_NOERROR);
	ADD(&message, "!"); /* and so is one octet too many */
	CU_ASSERT_EQUAL(parse(&message, &query), DNS_RCODE_FORMERR);
}

static void test_one_question_exactly(void)
{
	struct message message = make_query(DNS_TYPE_A, DNS_CLASS_IN);
	struct dns_query query;

	message.bytes[5] = 0;
	CU_ASSERT_EQUAL(parse(&message, &query), DNS_RCODE_FORMERR);
	CU_ASSERT_EQUAL(query.question_size, 0);
	message.bytes[5] = 2;
	CU_ASSERT_EQUAL(parse(&message, &query), DNS_RCODE_FORMERR);
	message.bytes[5] = 1;
	message.bytes[4] = 1; /* 257 questions */
	CU_ASSERT_EQUAL(parse(&message, &query), DNS_RCODE_FORMERR);
}

static void test_a_compressed_question_is_a_format_error(void)
{
	struct message message = {.size = 0};
	struct dns_query query;

	ADD(&message, "\x12\x34\x01\x00\0\1\0\0\0\0\0\0\300\14\0\1\0\1");
	CU_ASSERT_EQUAL(parse(&message, &query), DNS_RCODE_FORMERR);
}

static int parse_question(uint16_t qtype, uint16_t qclass)
{
	struct message message = make_query(qtype, qclass);
	struct dns_query query;

	return parse(&message, &query);
}

static void test_what_we_do_not_do_is_said_so(void)
{
	struct dns_query query;

	CU_ASSERT_EQUAL(parse_question(DNS_TYPE_AXFR, DNS_CLASS_IN), DNS_RCODE_REFUSED);
	CU_ASSERT_EQUAL(parse_question(DNS_TYPE_IXFR, DNS_CLASS_IN), DNS_RCODE_REFUSED);
	CU_ASSERT_EQUAL(parse_question(DNS_TYPE_MAILB, DNS_CLASS_IN), DNS_RCODE_NOTIMP);
	CU_ASSERT_EQUAL(parse_question(DNS_TYPE_OPT, DNS_CLASS_IN), DNS_RCODE_FORMERR);
	CU_ASSERT_EQUAL(parse_question(DNS_TYPE_TXT, DNS_CLASS_CH), DNS_RCODE_REFUSED);
	CU_ASSERT_EQUAL(parse_question(DNS_TYPE_A, DNS_CLASS_ANY), DNS_RCODE_REFUSED);
	CU_ASSERT_EQUAL(parse_question(DNS_TYPE_ANY, DNS_CLASS_IN), DNS_RCODE_NOERROR);
	CU_ASSERT_EQUAL(parse_question(65280, DNS_CLASS_IN), DNS_RCODE_NOERROR);
	for (unsigned int opcode = 1; opcode < 16; opcode++) {
		struct message message = make_query(DNS_TYPE_SOA, DNS_CLASS_IN);
		message.bytes[2] |= (uint8_t)(opcode << 3);
		CU_ASSERT_EQUAL(parse(&message, &query), DNS_RCODE_NOTIMP);
		CU_ASSERT_EQUAL(query.opcode, opcode);
		CU_ASSERT_EQUAL(query.question_size, 21);
	}
}

static void test_records_of_other_kinds_are_passed_over(void)
{
	struct message message = make_query(DNS_TYPE_A, DNS_CLASS_IN);
	struct dns_query query;

	ADD(&message, "\300\14\0\1\0\1\0\0\0\0\0\4\1\2\3\4");
	message.bytes[11] = 1;
	add_opt(&message, 1400, 0, false, NULL, 0);
	CU_ASSERT_EQUAL(parse(&message, &query), DNS_RCODE_NOERROR);
	CU_ASSERT_EQUAL(query.edns.udp_payload, 1400);
	message.bytes[11] = 3; /* one more is promised than there is */
	CU_ASSERT_EQUAL(parse(&message, &query), DNS_RCODE_FORMERR);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"a plain query is read", test_a_plain_query_is_read},
		{"EDNS is read", test_edns_is_read},
		{"EDNS above version 0 is BADVERS", test_edns_above_version_0_is_badvers},
		{"broken EDNS is a format error", test_broken_edns_is_a_format_error},
		{"what is no query is dropped", test_what_is_no_query_is_dropped},
		{"every cut off query is a format error",
		 test_every_cut_off_query_is_a_format_error},
		{"one question exactly", test_one_question_exactly},
		{"a compressed question is a format error",
		 test_a_compressed_question_is_a_format_error},
		{"what we do not do is said so", test_what_we_do_not_do_is_said_so},
		{"records of other kinds are passed over",
		 test_records_of_other_kinds_are_passed_over},
	};
	return SUITE_RUN("query", tests);
}
