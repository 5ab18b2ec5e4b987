/* Messages built, checked and made to fit; read back with libldns, which nobody here wrote. */
#include "dns/error.h"
#include "dns/name.h"
#include "dns/protocol.h"
#include "dns/query.h"
#include "dns/reply.h"
#include "dns/writer.h"
#include "suite.h"

#include <ldns/ldns.h>
#include <string.h>

static const uint8_t *const www = (const uint8_t *)"\3www\7example\3com";
static const uint8_t *const apex = (const uint8_t *)"\7example\3com";
static const uint8_t *const ns1 = (const uint8_t *)"\3ns1\7eXample\3com";

static uint8_t query_bytes[512];
static size_t query_size;
static struct dns_query query;
static uint8_t buffer[65535];
static struct dns_writer writer;

/* A query for wWw.example.com A, with EDNS of that payload unless it is 0, and a fresh writer. */
static void begin(uint16_t payload)
{
	static const uint8_t plain[] =
		"\x12\x34\x01\x00\0\1\0\0\0\0\0\0\3wWw\7example\3com\0\0\1\0\1";

	query_size = sizeof(plain) - 1;
	memcpy(query_bytes, plain, query_size);
	if (payload > 0) {
		uint8_t opt[11] = {0, 0, 41, (uint8_t)(payload >> 8), (uint8_t)payload, 0, 0, 0x80};
		memcpy(query_bytes + query_size, opt, sizeof(opt));
		query_size += sizeof(opt);
		query_bytes[11] = 1;
	}
	CU_ASSERT_EQUAL_FATAL(dns_query_parse(query_bytes, query_size, &query), 0);
	dns_writer_init(&writer, buffer, sizeof(buffer), &query);
}

static void put_addresses(enum dns_section section, const uint8_t *owner, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		uint8_t address[4] = {10, 0, (uint8_t)(i >> 8), (uint8_t)i};
		CU_ASSERT_EQUAL(
			dns_writer_put_record(&writer, section, owner, DNS_TYPE_A, 60, address, 4),
			0);
	}
}

static size_t finish(uint16_t flags)
{
	CU_ASSERT_EQUAL(dns_writer_put_edns(&writer, &query, 1232, 0, DNS_EDE_NONE, NULL), 0);
	return dns_writer_finish(&writer, flags, DNS_RCODE_NOERROR);
}

static ldns_pkt *read_back(size_t size)
{
	ldns_pkt *packet = NULL;

	CU_ASSERT_EQUAL_FATAL(ldns_wire2pkt(&packet, buffer, size), LDNS_STATUS_OK);
	return packet;
}

static void test_names_are_compressed_and_keep_the_case_asked(void)
{
	begin(0);
	CU_ASSERT_EQUAL(
		dns_writer_put_record(&writer, DNS_SECTION_ANSWER, www, DNS_TYPE_NS, 60, ns1, 17),
		0);
	/* Owner: a pointer. Data: a label and a pointer into the question. */
	CU_ASSERT_EQUAL(writer.size, 12 + 21 + 2 + 10 + 6);
	CU_ASSERT_EQUAL(dns_get16(buffer + 33), 0xc00c);
	CU_ASSERT_EQUAL(dns_get16(buffer + writer.size - 2), 0xc010);

	ldns_pkt *packet = read_back(finish(DNS_FLAG_AA));
	ldns_rr *rr = ldns_rr_list_rr(ldns_pkt_answer(packet), 0);
	char *text = ldns_rr2str(rr);
	CU_ASSERT_STRING_EQUAL(text, "wWw.example.com.\t60\tIN\tNS\tns1.example.com.\n");
	CU_ASSERT_TRUE(ldns_pkt_aa(packet));
	CU_ASSERT_TRUE(ldns_pkt_rd(packet));
	CU_ASSERT_EQUAL(ldns_pkt_id(packet), 0x1234);
	free(text);
	ldns_pkt_free(packet);
}

static void test_names_in_newer_types_are_not_compressed(void)
{
	uint8_t srv[6 + 17] = {0, 1, 0, 2, 0, 53};

	memcpy(srv + 6, ns1, 17);
	begin(0);
	CU_ASSERT_EQUAL(dns_writer_put_record(&writer, DNS_SECTION_ANSWER, www, DNS_TYPE_SRV, 60,
					      srv, sizeof(srv)),
			0);
	CU_ASSERT_EQUAL(writer.size, 12 + 21 + 2 + 10 + sizeof(srv));
}

static void test_many_names_stay_right_when_the_table_is_full(void)
{
	begin(0);
	for (unsigned int i = 0; i < 200; i++) {
		uint8_t owner[DNS_NAME_MAX];
		char text[64];
		int length = snprintf(text, sizeof(text), "h%u.d%u.example.com.", i, i % 7);
		CU_ASSERT_TRUE(dns_name_from_text(text, (size_t)length, NULL, owner) > 0);
		put_addresses(DNS_SECTION_ANSWER, owner, 1);
	}
	ldns_pkt *packet = read_back(finish(0));
	CU_ASSERT_EQUAL(ldns_pkt_ancount(packet), 200);
	for (unsigned int i = 0; i < 200; i++) {
		char want[64];
		snprintf(want, sizeof(want), "h%u.d%u.example.com.", i, i % 7);
		char *owner =
			ldns_rdf2str(ldns_rr_owner(ldns_rr_list_rr(ldns_pkt_answer(packet), i)));
		CU_ASSERT_STRING_EQUAL(owner, want);
		free(owner);
	}
	ldns_pkt_free(packet);
}

/* Beyond 16383 octets nothing can be pointed to; names there must come out whole. */
static void test_long_messages_do_not_point_too_far(void)
{
	begin(0);
	put_addresses(DNS_SECTION_ANSWER, www, 1200);
	uint8_t other[] = "\5other\4test";
	put_addresses(DNS_SECTION_ANSWER, other, 2);
	ldns_pkt *packet = read_back(finish(0));
	char *owner = ldns_rdf2str(ldns_rr_owner(ldns_rr_list_rr(ldns_pkt_answer(packet), 1201)));
	CU_ASSERT_STRING_EQUAL(owner, "other.test.");
	free(owner);
	ldns_pkt_free(packet);
}

static void test_a_record_that_does_not_fit_changes_nothing(void)
{
	begin(0);
	dns_writer_init(&writer, buffer, 64, &query);
	put_addresses(DNS_SECTION_ANSWER, www, 1);
	size_t size = writer.size;
	uint16_t known = writer.known_count;
	uint8_t text[40] = {39};
	CU_ASSERT_EQUAL(dns_writer_put_record(&writer, DNS_SECTION_ANSWER, ns1, DNS_TYPE_TXT, 60,
					      text, sizeof(text)),
			DNS_ERROR_NO_SPACE);
	CU_ASSERT_EQUAL(writer.size, size);
	CU_ASSERT_EQUAL(writer.known_count, known);
	CU_ASSERT_EQUAL(writer.counts[DNS_SECTION_ANSWER], 1);
}

static void test_errors_carry_question_edns_and_words(void)
{
	begin(4096);
	size_t size = dns_reply_write_error(&query, DNS_RCODE_BADVERS, 1232,
					    DNS_EDE_NO_REACHABLE_AUTHORITY, "no backend", buffer,
					    sizeof(buffer));
	ldns_pkt *packet = read_back(size);
	CU_ASSERT_EQUAL(ldns_pkt_qdcount(packet), 1);
	CU_ASSERT_EQUAL(ldns_pkt_edns_extended_rcode(packet), 1);
	CU_ASSERT_EQUAL(ldns_pkt_get_rcode(packet), 0);
	CU_ASSERT_EQUAL(ldns_pkt_edns_udp_size(packet), 1232);
	CU_ASSERT_TRUE(ldns_pkt_edns_do(packet));
	CU_ASSERT_EQUAL(dns_reply_rcode(buffer, size), DNS_RCODE_BADVERS);
	CU_ASSERT_EQUAL(memcmp(buffer + size - 16, "\0\17\0\14\0\26no backend", 16), 0);
	CU_ASSERT_TRUE(dns_reply_matches(&query, buffer, size));
	ldns_pkt_free(packet);
}

static void test_minimal_any_is_one_hinfo(void)
{
	begin(1232);
	query_bytes[30] = DNS_TYPE_ANY;
	CU_ASSERT_EQUAL_FATAL(dns_query_parse(query_bytes, query_size, &query), 0);
	size_t size = dns_reply_write_minimal_any(&query, 1400, buffer, DNS_UDP_PAYLOAD_MIN);
	ldns_pkt *packet = read_back(size);
	CU_ASSERT_TRUE(ldns_pkt_aa(packet));
	CU_ASSERT_EQUAL(ldns_pkt_edns_udp_size(packet), 1400);
	CU_ASSERT_EQUAL_FATAL(ldns_pkt_ancount(packet), 1);
	char *text = ldns_rr2str(ldns_rr_list_rr(ldns_pkt_answer(packet), 0));
	CU_ASSERT_STRING_EQUAL(text, "wWw.example.com.\t3600\tIN\tHINFO\t\"RFC8482\" \"\"\n");
	CU_ASSERT_TRUE(dns_reply_matches(&query, buffer, size));
	free(text);
	ldns_pkt_free(packet);
}

static void test_only_replies_to_the_query_match(void)
{
	begin(1232);
	put_addresses(DNS_SECTION_ANSWER, www, 3);
	size_t size = finish(DNS_FLAG_AA);

	CU_ASSERT_TRUE(dns_reply_matches(&query, buffer, size));
	/* Cut off anywhere, or with something behind it, it is not a reply. */
	for (size_t cut = 0; cut < size; cut++)
		CU_ASSERT_FALSE(dns_reply_matches(&query, buffer, cut));
	buffer[size] = 0;
	CU_ASSERT_FALSE(dns_reply_matches(&query, buffer, size + 1));
	static const struct {
		size_t offset;
		uint8_t flip;
		const char *what;
	} changes[] = {
		{1, 1, "another ID"},    {2, 0x80, "a query"},      {2, 0x08, "another opcode"},
		{5, 1, "no question"},   {5, 2, "three questions"}, {15, 1, "another name"},
		{30, 1, "another type"}, {32, 1, "another class"},  {7, 4, "more records"},
	};
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		buffer[changes[i].offset] ^= changes[i].flip;
		CU_ASSERT_FALSE(dns_reply_matches(&query, buffer, size));
		buffer[changes[i].offset] ^= changes[i].flip;
	}
	buffer[13] ^= 0x20; /* the case of a letter */
	CU_ASSERT_TRUE(dns_reply_matches(&query, buffer, size));
}

static void test_replies_with_odd_opt_records_are_refused(void)
{
	static const uint8_t opt[11] = {0, 0, 41, 4, 208};
	size_t size;

	begin(1232);
	size = finish(0);
	CU_ASSERT_TRUE(dns_reply_matches(&query, buffer, size));
	memcpy(buffer + size, opt, sizeof(opt));
	buffer[11] = 2; /* a second one */
	CU_ASSERT_FALSE(dns_reply_matches(&query, buffer, size + sizeof(opt)));
	buffer[11] = 0;
	buffer[9] = 1; /* in the authority section */
	CU_ASSERT_FALSE(dns_reply_matches(&query, buffer, size));
	buffer[11] = 1;
	buffer[9] = 0;
	memmove(buffer + size - 9, buffer + size - 10, 10);
	dns_put16(buffer + size - 11, 0xc00c); /* of another name than the root */
	CU_ASSERT_FALSE(dns_reply_matches(&query, buffer, size + 1));
}

static void test_what_fits_is_left_alone(void)
{
	begin(1232);
	put_addresses(DNS_SECTION_ANSWER, www, 3);
	size_t size = finish(DNS_FLAG_AA);
	CU_ASSERT_EQUAL(dns_reply_truncate(buffer, size, size), size);
	CU_ASSERT_EQUAL(dns_get16(buffer + 2) & DNS_FLAG_TC, 0);
}

static void test_additional_rrsets_go_first(void)
{
	begin(1232);
	put_addresses(DNS_SECTION_ANSWER, www, 20);
	put_addresses(DNS_SECTION_ADDITIONAL, ns1, 10);
	put_addresses(DNS_SECTION_ADDITIONAL, apex, 10);
	size_t size = finish(DNS_FLAG_AA);

	/* One octet too few: the last RRset goes, whole. */
	size_t fits = dns_reply_truncate(buffer, size, size - 1);
	ldns_pkt *packet = read_back(fits);
	CU_ASSERT_FALSE(ldns_pkt_tc(packet));
	CU_ASSERT_EQUAL(ldns_pkt_ancount(packet), 20);
	CU_ASSERT_EQUAL(ldns_pkt_arcount(packet), 10); /* libldns takes OPT out of them */
	CU_ASSERT_TRUE(ldns_pkt_edns(packet));
	CU_ASSERT_TRUE(dns_reply_matches(&query, buffer, fits));
	ldns_pkt_free(packet);

	/* Then the other. */
	packet = read_back(dns_reply_truncate(buffer, fits, fits - 1));
	CU_ASSERT_FALSE(ldns_pkt_tc(packet));
	CU_ASSERT_EQUAL(ldns_pkt_ancount(packet), 20);
	CU_ASSERT_EQUAL(ldns_pkt_arcount(packet), 0);
	CU_ASSERT_TRUE(ldns_pkt_edns(packet));
	ldns_pkt_free(packet);
}

static void test_a_cut_answer_says_so(void)
{
	begin(1232);
	put_addresses(DNS_SECTION_ANSWER, www, 100);
	put_addresses(DNS_SECTION_ADDITIONAL, ns1, 10);
	size_t size = dns_reply_truncate(buffer, finish(DNS_FLAG_AA), 1232);
	ldns_pkt *packet = read_back(size);
	CU_ASSERT_TRUE(ldns_pkt_tc(packet));
	CU_ASSERT_EQUAL(ldns_pkt_qdcount(packet), 1);
	CU_ASSERT_EQUAL(ldns_pkt_ancount(packet), 0);
	CU_ASSERT_EQUAL(ldns_pkt_nscount(packet), 0);
	CU_ASSERT_TRUE(ldns_pkt_edns(packet));
	CU_ASSERT_TRUE(size <= 1232);
	ldns_pkt_free(packet);
}

static void test_a_referral_that_loses_glue_says_so(void)
{
	begin(0);
	CU_ASSERT_EQUAL(dns_writer_put_record(&writer, DNS_SECTION_AUTHORITY, www, DNS_TYPE_NS, 60,
					      ns1, 17),
			0);
	put_addresses(DNS_SECTION_ADDITIONAL, ns1, 40);
	ldns_pkt *packet = read_back(dns_reply_truncate(buffer, finish(0), 512));
	CU_ASSERT_TRUE(ldns_pkt_tc(packet));
	CU_ASSERT_FALSE(ldns_pkt_edns(packet));
	ldns_pkt_free(packet);
}

static void test_every_limit_is_kept(void)
{
	for (size_t limit = 512; limit < 2200; limit++) {
		begin(4096);
		put_addresses(DNS_SECTION_ANSWER, www, 40);
		put_addresses(DNS_SECTION_ADDITIONAL, ns1, 60);
		put_addresses(DNS_SECTION_ADDITIONAL, apex, 20);
		size_t size = dns_reply_truncate(buffer, finish(DNS_FLAG_AA), limit);
		CU_ASSERT_TRUE(size <= limit);
		CU_ASSERT_TRUE(dns_reply_matches(&query, buffer, size));
	}
}

static void test_the_payload_size_is_ours_to_set(void)
{
	begin(4096);
	put_addresses(DNS_SECTION_ANSWER, www, 1);
	size_t size = finish(0);
	dns_reply_set_payload(buffer, size, 1400);
	ldns_pkt *packet = read_back(size);
	CU_ASSERT_EQUAL(ldns_pkt_edns_udp_size(packet), 1400);
	ldns_pkt_free(packet);

	CU_ASSERT_EQUAL(dns_reply_udp_limit(&query, 1232), 1232);
	CU_ASSERT_EQUAL(dns_reply_udp_limit(&query, 8000), 4096);
	begin(0);
	CU_ASSERT_EQUAL(dns_reply_udp_limit(&query, 1232), 512);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"names are compressed and keep the case asked",
		 test_names_are_compressed_and_keep_the_case_asked},
		{"names in newer types are not compressed",
		 test_names_in_newer_types_are_not_compressed},
		{"many names stay right when the table is full",
		 test_many_names_stay_right_when_the_table_is_full},
		{"long messages do not point too far", test_long_messages_do_not_point_too_far},
		{"a record that does not fit changes nothing",
		 test_a_record_that_does_not_fit_changes_nothing},
		{"errors carry question, EDNS and words",
		 test_errors_carry_question_edns_and_words},
		{"minimal ANY is one HINFO", test_minimal_any_is_one_hinfo},
		{"only replies to the query match", test_only_replies_to_the_query_match},
		{"replies with odd OPT records are refused",
		 test_replies_with_odd_opt_records_are_refused},
		{"what fits is left alone", test_what_fits_is_left_alone},
		{"additional RRsets go first", test_additional_rrsets_go_first},
		{"a cut answer says so", test_a_cut_answer_says_so},
		{"a referral that loses glue says so", test_a_referral_that_loses_glue_says_so},
		{"every limit is kept", test_every_limit_is_kept},
		{"the payload size is ours to set", test_the_payload_size_is_ours_to_set},
	};
	return SUITE_RUN("reply", tests);
}
