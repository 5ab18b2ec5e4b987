/*
 * Answers, rule by rule, each reply read back with libldns and compared as text:
 * "RCODE FLAGS" and then the records, answer | authority | additional.
 *
 * The conformance cases (test/integration/test_conformance.py) cover the rules in their thousands
 * of combinations; these say which rule is which.
 */
#include "backend/answer.h"
#include "backend/mirror.h"
#include "dns/protocol.h"
#include "suite.h"
#include "zone_text.h"

#include <ldns/ldns.h>
#include <stdlib.h>
#include <string.h>

static struct mirror *mirror;

static const char *const parent[][2] = {
	{"example.com", ZONE_TEXT_SOA "NS 60 ns1.example.com.\nNS 60 ns.other.test.\n"
				      "MX 60 10 mail.example.com.\n"},
	{"ns1.example.com", "A 60 192.0.2.53\nAAAA 60 2001:db8::53\n"},
	{"mail.example.com", "A 60 192.0.2.25\n"},
	{"www.example.com", "A 60 192.0.2.1\nTXT 60 \"hi\"\n"},
	{"_sip._udp.example.com", "SRV 60 1 2 5060 mail.example.com.\n"},
	{"_dns.example.com", "SVCB 60 1 mail.example.com. alpn=dot\n"},
	{"*.wild.example.com", "A 60 192.0.2.7\nMX 60 5 x.wild.example.com.\n"},
	{"host.wild.example.com", "TXT 60 \"a\"\n"},
	{"alias.example.com", "CNAME 60 WWW.example.com.\n"},
	{"out.example.com", "CNAME 60 www.example.net.\n"},
	{"into.example.com", "CNAME 60 www.child.example.com.\n"},
	{"dead.example.com", "CNAME 60 nothing.example.com.\n"},
	{"loop1.example.com", "CNAME 60 loop2.example.com.\n"},
	{"loop2.example.com", "CNAME 60 loop1.example.com.\n"},
	{"down.example.com", "CNAME 60 x.cut.example.com.\n"},
	{"old.example.com", "DNAME 60 wild.example.com.\nTXT 60 \"old\"\n"},
	{"grow.example.com", "DNAME 60 " /* 200 octets */
			     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."
			     "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb."
			     "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc."
			     "example.net.\n"},
	{"s.s.example.com", "DNAME 60 s.example.com.\n"},
	{"up.example.com", "DNAME 60 example.com.\n"},
	{"feed.example.com", "DNAME 60 x.feed.example.com.\n"},
	{"ping.example.com", "DNAME 60 x.pong.example.com.\n"},
	{"pong.example.com", "DNAME 60 x.ping.example.com.\n"},
	{"cut.example.com", "NS 60 ns.cut.example.com.\nNS 60 ns.other.test.\nDS 60 1 8 2 00\n"},
	{"ns.cut.example.com", "A 60 192.0.2.99\n"},
	{"child.example.com", "NS 60 ns.child.example.com.\nDS 60 2 8 2 11\n"},
	{"ns.child.example.com", "A 60 192.0.2.98\n"},
	{"a.b.ent.example.com", "A 60 192.0.2.1\n"},
};

static const char *const child[][2] = {
	{"child.example.com", ZONE_TEXT_SOA "NS 60 ns.child.example.com.\n"},
	{"ns.child.example.com", "A 60 192.0.2.98\n"},
	{"www.child.example.com", "A 60 192.0.2.2\n"},
};

static void put_all(const char *apex, const char *const records[][2], size_t count)
{
	zone_text_put_zone(mirror, apex);
	for (size_t i = 0; i < count; i++)
		CU_ASSERT_EQUAL(zone_text_put(mirror, apex, records[i][0], records[i][1]), 0);
}

static void fill(void)
{
	char records[8192] = "";

	mirror_write_begin(mirror, true);
	put_all("example.com", parent, sizeof(parent) / sizeof(parent[0]));
	put_all("child.example.com", child, sizeof(child) / sizeof(child[0]));
	for (int i = 0; i < 30; i++) { /* a chain longer than anybody needs */
		char owner[64];
		snprintf(owner, sizeof(owner), "c%d.example.com", i);
		snprintf(records, sizeof(records), "CNAME 60 c%d.example.com.\n", i + 1);
		CU_ASSERT_EQUAL(zone_text_put(mirror, "example.com", owner, records), 0);
	}
	mirror_write_commit(mirror);
}

static size_t make_query(uint8_t *out, const char *name, const char *type)
{
	static const uint8_t header[DNS_HEADER_SIZE] = {0x12, 0x34, 0, 0, 0, 1};

	memcpy(out, header, sizeof(header));
	zone_text_name(name, out + sizeof(header));
	size_t size = sizeof(header) + dns_name_size(out + sizeof(header));
	dns_put16(out + size, (uint16_t)dns_type_from_text(type));
	dns_put16(out + size + 2, DNS_CLASS_IN);
	return size + 4;
}

/* Appends a section's records to `out`, each as "owner TTL type data; ", owner and data as sent. */
static void print_section(char *out, size_t size, const ldns_rr_list *list)
{
	for (size_t i = 0; i < ldns_rr_list_rr_count(list); i++) {
		char *text = ldns_rr2str(ldns_rr_list_rr(list, i));
		char *in = strstr(text, "\tIN\t");
		size_t length = strlen(out);
		CU_ASSERT_PTR_NOT_NULL_FATAL(in);
		text[strlen(text) - 1] = '\0';
		for (char *tab = in; (tab = strchr(tab, '\t'));)
			*tab = ' ';
		*strchr(text, '\t') = ' ';
		snprintf(out + length, size - length, "%.*s%s; ", (int)(in - text), text, in + 3);
		free(text);
	}
}

static void assert_answer(const char *name, const char *type, const char *want)
{
	static uint8_t reply[ANSWER_SIZE_MAX];
	uint8_t query[512];
	char got[8192];
	ldns_pkt *packet = NULL;
	size_t size = make_query(query, name, type);

	mirror_read_begin();
	size = answer_query(mirror, query, size, 1232, reply, NULL);
	mirror_read_end();
	CU_ASSERT_EQUAL_FATAL(ldns_wire2pkt(&packet, reply, size), LDNS_STATUS_OK);
	ldns_lookup_table *rcode = ldns_lookup_by_id(ldns_rcodes, (int)ldns_pkt_get_rcode(packet));
	snprintf(got, sizeof(got), "%s%s: ", rcode->name, ldns_pkt_aa(packet) ? " AA" : "");
	print_section(got, sizeof(got), ldns_pkt_answer(packet));
	strcat(got, "| ");
	print_section(got, sizeof(got), ldns_pkt_authority(packet));
	strcat(got, "| ");
	print_section(got, sizeof(got), ldns_pkt_additional(packet));
	got[strlen(got) - 1] = '\0';
	if (strcmp(got, want) != 0)
		fprintf(stderr, "\n%s %s\n got: %s\nwant: %s\n", name, type, got, want);
	CU_ASSERT_STRING_EQUAL(got, want);
	ldns_pkt_free(packet);
}

#define SOA "example.com. 300 SOA ns1.test. host.test. 1 7200 3600 1209600 300; "
#define CHILD_SOA "child.example.com. 300 SOA ns1.test. host.test. 1 7200 3600 1209600 300; "

static void test_data_is_answered_in_the_case_asked(void)
{
	assert_answer("www.example.com", "A", "NOERROR AA: www.example.com. 60 A 192.0.2.1; | |");
	assert_answer("wWw.eXample.com", "A", "NOERROR AA: wWw.eXample.com. 60 A 192.0.2.1; | |");
}

static void test_nodata_and_nxdomain_carry_the_soa(void)
{
	assert_answer("www.example.com", "AAAA", "NOERROR AA: | " SOA "|");
	assert_answer("nothing.example.com", "A", "NXDOMAIN AA: | " SOA "|");
	assert_answer("x.www.example.com", "A", "NXDOMAIN AA: | " SOA "|");
}

static void test_empty_non_terminals_are_nodata(void)
{
	assert_answer("ent.example.com", "A", "NOERROR AA: | " SOA "|");
	assert_answer("b.ent.example.com", "A", "NOERROR AA: | " SOA "|");
	assert_answer("c.ent.example.com", "A", "NXDOMAIN AA: | " SOA "|");
}

static void test_wildcards_answer_for_what_is_not_there(void)
{
	assert_answer("x.wild.example.com", "A",
		      "NOERROR AA: x.wild.example.com. 60 A 192.0.2.7; | |");
	assert_answer("x.y.wild.example.com", "A",
		      "NOERROR AA: x.y.wild.example.com. 60 A 192.0.2.7; | |");
	assert_answer("*.wild.example.com", "A",
		      "NOERROR AA: *.wild.example.com. 60 A 192.0.2.7; | |");
	assert_answer("x.wild.example.com", "TXT", "NOERROR AA: | " SOA "|");
	/* Not for names that exist, nor below them. */
	assert_answer("host.wild.example.com", "A", "NOERROR AA: | " SOA "|");
	assert_answer("x.host.wild.example.com", "A", "NXDOMAIN AA: | " SOA "|");
	assert_answer("wild.example.com", "A", "NOERROR AA: | " SOA "|");
}

static void test_what_is_not_ours_is_refused(void)
{
	assert_answer("www.example.net", "A", "REFUSED: | |");
	assert_answer("com", "A", "REFUSED: | |");
	assert_answer(".", "NS", "REFUSED: | |");
}

static void test_aliases_are_followed(void)
{
	assert_answer("alias.example.com", "A",
		      "NOERROR AA: alias.example.com. 60 CNAME WWW.example.com.; "
		      "WWW.example.com. 60 A 192.0.2.1; | |");
	assert_answer("alias.example.com", "CNAME",
		      "NOERROR AA: alias.example.com. 60 CNAME WWW.example.com.; | |");
	assert_answer("alias.example.com", "MX",
		      "NOERROR AA: alias.example.com. 60 CNAME WWW.example.com.; | " SOA "|");
	assert_answer("dead.example.com", "A",
		      "NXDOMAIN AA: dead.example.com. 60 CNAME nothing.example.com.; | " SOA "|");
	assert_answer("out.example.com", "A",
		      "NOERROR AA: out.example.com. 60 CNAME www.example.net.; | |");
	assert_answer("into.example.com", "A",
		      "NOERROR AA: into.example.com. 60 CNAME www.child.example.com.; "
		      "www.child.example.com. 60 A 192.0.2.2; | |");
	assert_answer("down.example.com", "A",
		      "NOERROR AA: down.example.com. 60 CNAME x.cut.example.com.; | "
		      "cut.example.com. 60 NS ns.cut.example.com.; "
		      "cut.example.com. 60 NS ns.other.test.; | "
		      "ns.cut.example.com. 60 A 192.0.2.99;");
}

static void test_loops_of_aliases_end(void)
{
	assert_answer("loop1.example.com", "A",
		      "NOERROR AA: loop1.example.com. 60 CNAME loop2.example.com.; "
		      "loop2.example.com. 60 CNAME loop1.example.com.; | |");
}

static void test_dname_redirects_what_is_below_it(void)
{
	assert_answer("old.example.com", "TXT", "NOERROR AA: old.example.com. 60 TXT \"old\"; | |");
	assert_answer("x.old.example.com", "A",
		      "NOERROR AA: old.example.com. 60 DNAME wild.example.com.; "
		      "x.old.example.com. 60 CNAME x.wild.example.com.; "
		      "x.wild.example.com. 60 A 192.0.2.7; | |");
	assert_answer("x.old.example.com", "CNAME",
		      "NOERROR AA: old.example.com. 60 DNAME wild.example.com.; "
		      "x.old.example.com. 60 CNAME x.wild.example.com.; | |");
}

static void test_a_dname_may_be_met_again(void)
{
	assert_answer("a.s.s.s.example.com", "A",
		      "NXDOMAIN AA: s.s.example.com. 60 DNAME s.example.com.; "
		      "a.s.s.s.example.com. 60 CNAME a.s.s.example.com.; "
		      "a.s.s.example.com. 60 CNAME a.s.example.com.; | " SOA "|");
	/* Asked for itself, at the end of a chain that passed it: given once. */
	assert_answer("up.up.example.com", "DNAME",
		      "NOERROR AA: up.example.com. 60 DNAME example.com.; "
		      "up.up.example.com. 60 CNAME up.example.com.; | |");
	/* But not one that would go on for ever. */
	assert_answer("a.feed.example.com", "A",
		      "NOERROR AA: feed.example.com. 60 DNAME x.feed.example.com.; "
		      "a.feed.example.com. 60 CNAME a.x.feed.example.com.; | |");
	assert_answer("a.ping.example.com", "A",
		      "NOERROR AA: ping.example.com. 60 DNAME x.pong.example.com.; "
		      "a.ping.example.com. 60 CNAME a.x.pong.example.com.; "
		      "pong.example.com. 60 DNAME x.ping.example.com.; "
		      "a.x.pong.example.com. 60 CNAME a.x.x.ping.example.com.; | |");
}

static void test_a_name_grown_too_long_is_yxdomain(void)
{
	static const char *const longest =
		"x.yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy.grow.example.com";
	static uint8_t reply[ANSWER_SIZE_MAX];
	uint8_t query[512];
	struct answer_info info = {0};
	size_t size = make_query(query, longest, "A");

	mirror_read_begin();
	size = answer_query(mirror, query, size, 1232, reply, &info);
	mirror_read_end();
	CU_ASSERT_EQUAL(info.rcode, DNS_RCODE_YXDOMAIN);
	CU_ASSERT_EQUAL(dns_get16(reply + 6), 1); /* the DNAME alone */
}

static void test_delegations_refer_with_glue(void)
{
	static const char *const referral =
		"NOERROR: | cut.example.com. 60 NS ns.cut.example.com.; "
		"cut.example.com. 60 NS ns.other.test.; | ns.cut.example.com. 60 A 192.0.2.99;";

	assert_answer("x.cut.example.com", "A", referral);
	assert_answer("cut.example.com", "NS", referral);
	assert_answer("ns.cut.example.com", "A", referral);
	assert_answer("x.cut.example.com", "DS", referral);
}

static void test_ds_is_the_parents(void)
{
	assert_answer("cut.example.com", "DS", "NOERROR AA: cut.example.com. 60 DS 1 8 2 00; | |");
	assert_answer("child.example.com", "DS",
		      "NOERROR AA: child.example.com. 60 DS 2 8 2 11; | |");
	/* Nobody above: the zone itself denies it. */
	assert_answer("example.com", "DS", "NOERROR AA: | " SOA "|");
}

static void test_a_child_zone_answers_for_itself(void)
{
	assert_answer("www.child.example.com", "A",
		      "NOERROR AA: www.child.example.com. 60 A 192.0.2.2; | |");
	assert_answer("child.example.com", "NS",
		      "NOERROR AA: child.example.com. 60 NS ns.child.example.com.; | | "
		      "ns.child.example.com. 60 A 192.0.2.98;");
	assert_answer("x.child.example.com", "A", "NXDOMAIN AA: | " CHILD_SOA "|");
}

static void test_addresses_come_along(void)
{
	assert_answer("example.com", "NS",
		      "NOERROR AA: example.com. 60 NS ns.other.test.; "
		      "example.com. 60 NS ns1.example.com.; | | "
		      "ns1.example.com. 60 A 192.0.2.53; ns1.example.com. 60 AAAA 2001:db8::53;");
	assert_answer("example.com", "MX",
		      "NOERROR AA: example.com. 60 MX 10 mail.example.com.; | | "
		      "mail.example.com. 60 A 192.0.2.25;");
	assert_answer("_sip._udp.example.com", "SRV",
		      "NOERROR AA: _sip._udp.example.com. 60 SRV 1 2 5060 mail.example.com.; | | "
		      "mail.example.com. 60 A 192.0.2.25;");
	assert_answer("_dns.example.com", "SVCB",
		      "NOERROR AA: _dns.example.com. 60 SVCB 1 mail.example.com. alpn=dot; | | "
		      "mail.example.com. 60 A 192.0.2.25;");
	/* By wildcard too. */
	assert_answer("m.wild.example.com", "MX",
		      "NOERROR AA: m.wild.example.com. 60 MX 5 x.wild.example.com.; | | "
		      "x.wild.example.com. 60 A 192.0.2.7;");
}

static void test_any_is_one_rrset(void)
{
	assert_answer("www.example.com", "ANY", "NOERROR AA: www.example.com. 60 A 192.0.2.1; | |");
	assert_answer("alias.example.com", "ANY",
		      "NOERROR AA: alias.example.com. 60 CNAME WWW.example.com.; | |");
	assert_answer("ent.example.com", "ANY", "NOERROR AA: | " SOA "|");
	assert_answer("x.wild.example.com", "ANY",
		      "NOERROR AA: x.wild.example.com. 60 A 192.0.2.7; | |");
}

static void test_long_chains_are_cut(void)
{
	static uint8_t reply[ANSWER_SIZE_MAX];
	uint8_t query[512];
	size_t size = make_query(query, "c0.example.com", "A");

	mirror_read_begin();
	size = answer_query(mirror, query, size, 1232, reply, NULL);
	mirror_read_end();
	CU_ASSERT_TRUE(size > 0);
	CU_ASSERT_EQUAL(dns_get16(reply + 6), 16);
}

static void test_too_much_for_a_message_is_servfail(void)
{
	static uint8_t data[40 * 2002];
	static uint8_t reply[ANSWER_SIZE_MAX];
	uint8_t query[512];
	uint8_t apex[DNS_NAME_MAX];
	uint8_t owner[DNS_NAME_MAX];
	struct mirror_rrset_input rrset = {
		.ttl = 60, .size = sizeof(data), .type = DNS_TYPE_TXT, .count = 40, .data = data};
	struct answer_info info = {0};

	for (unsigned int i = 0; i < 40; i++) {
		uint16_t size = 2000;
		memcpy(data + i * 2002, &size, sizeof(size));
		memset(data + i * 2002 + 2, (int)i, size);
	}
	zone_text_name("example.com", apex);
	zone_text_name("big.example.com", owner);
	mirror_write_begin(mirror, false);
	CU_ASSERT_EQUAL(mirror_put_name(mirror, apex, owner, &rrset, 1), 0);
	mirror_write_commit(mirror);
	size_t size = make_query(query, "big.example.com", "TXT");
	mirror_read_begin();
	size = answer_query(mirror, query, size, 1232, reply, &info);
	mirror_read_end();
	CU_ASSERT_EQUAL(info.rcode, DNS_RCODE_SERVFAIL);
	CU_ASSERT_EQUAL(dns_get16(reply + 6), 0);
	CU_ASSERT_TRUE(size < 512);
}

/* Puts one record of HTTPS data, `size` octets, that leads to addresses.example.com. */
static void put_https(const char *owner, uint16_t size)
{
	static const uint8_t start[] = "\0\1\11addresses\7example\3com"; /* priority 1, target */
	static uint8_t data[2 + DNS_MESSAGE_MAX];
	uint8_t apex[DNS_NAME_MAX];
	uint8_t name[DNS_NAME_MAX];
	const struct mirror_rrset_input rrset = {
		.ttl = 60, .size = 2u + size, .type = DNS_TYPE_HTTPS, .count = 1, .data = data};

	memcpy(data, &size, sizeof(size));
	memcpy(data + 2, start, sizeof(start));
	dns_put16(data + 2 + sizeof(start), 667); /* the only parameter takes the rest */
	dns_put16(data + 4 + sizeof(start), (uint16_t)(size - sizeof(start) - 4));
	zone_text_name("example.com", apex);
	zone_text_name(owner, name);
	CU_ASSERT_EQUAL(mirror_put_name(mirror, apex, name, &rrset, 1), 0);
}

static void test_additional_rrsets_are_whole_or_absent(void)
{
	static uint8_t reply[ANSWER_SIZE_MAX];
	char addresses[2048] = "";
	uint8_t query[512];
	size_t at = 0;

	for (unsigned int i = 0; i < 50; i++)
		at += (size_t)snprintf(addresses + at, sizeof(addresses) - at, "A 60 192.0.2.%u\n",
				       i);
	mirror_write_begin(mirror, false);
	CU_ASSERT_EQUAL(zone_text_put(mirror, "example.com", "addresses.example.com", addresses),
			0);
	put_https("roomy.example.com", 60000);
	put_https("tight.example.com", 65000);
	mirror_write_commit(mirror);
	mirror_read_begin();
	size_t size = make_query(query, "roomy.example.com", "HTTPS");
	answer_query(mirror, query, size, 1232, reply, NULL);
	CU_ASSERT_EQUAL(dns_get16(reply + 10), 50);
	size = make_query(query, "tight.example.com", "HTTPS");
	size = answer_query(mirror, query, size, 1232, reply, NULL);
	mirror_read_end();
	CU_ASSERT_EQUAL(dns_get16(reply + 6), 1);
	CU_ASSERT_EQUAL(dns_get16(reply + 10), 0);
	CU_ASSERT_TRUE(size < 65200);
}

/* What an answer says its zone is, as text; NULL: none. */
static const char *zone_of(const char *name, const char *type)
{
	static char text[DNS_NAME_TEXT_MAX];
	static uint8_t reply[ANSWER_SIZE_MAX];
	uint8_t query[512];
	struct answer_info info = {.wants_facts = true, .zone_size = 99};
	size_t size = make_query(query, name, type);
	const uint8_t *end = query + size - 4;

	mirror_read_begin();
	answer_query(mirror, query, size, 1232, reply, &info);
	mirror_read_end();
	dns_name_to_text(end - info.zone_size, text);
	return info.zone_size > 0 ? text : NULL;
}

static void test_an_answer_says_the_zone_of_its_question(void)
{
	CU_ASSERT_STRING_EQUAL(zone_of("www.example.com", "A"), "example.com.");
	CU_ASSERT_STRING_EQUAL(zone_of("example.com", "SOA"), "example.com.");
	CU_ASSERT_STRING_EQUAL(zone_of("no.such.example.com", "A"), "example.com.");
	CU_ASSERT_STRING_EQUAL(zone_of("x.cut.example.com", "A"), "example.com.");
	CU_ASSERT_STRING_EQUAL(zone_of("www.child.example.com", "A"), "child.example.com.");
	/* The parent's side of a cut, and an alias into another zone: where the question is. */
	CU_ASSERT_STRING_EQUAL(zone_of("child.example.com", "DS"), "example.com.");
	CU_ASSERT_STRING_EQUAL(zone_of("into.example.com", "A"), "example.com.");
	CU_ASSERT_PTR_NULL(zone_of("www.example.net", "A"));
	CU_ASSERT_PTR_NULL(zone_of("com", "A"));
}

static void test_bad_packets_get_errors_or_nothing(void)
{
	static uint8_t reply[ANSWER_SIZE_MAX];
	uint8_t query[512];
	struct answer_info info = {0};
	size_t size = make_query(query, "www.example.com", "A");

	mirror_read_begin();
	for (size_t cut = 0; cut < size; cut++) {
		size_t reply_size = answer_query(mirror, query, cut, 1232, reply, &info);
		if (cut < DNS_HEADER_SIZE) {
			CU_ASSERT_EQUAL(reply_size, 0);
		} else {
			CU_ASSERT_EQUAL(reply_size, DNS_HEADER_SIZE);
			CU_ASSERT_EQUAL(info.rcode, DNS_RCODE_FORMERR);
			CU_ASSERT_EQUAL(info.qtype, 0);
		}
	}
	query[2] |= 0x28; /* UPDATE */
	CU_ASSERT_EQUAL(answer_query(mirror, query, size, 1232, reply, &info), size);
	CU_ASSERT_EQUAL(info.rcode, DNS_RCODE_NOTIMP);
	query[2] |= 0x80;
	CU_ASSERT_EQUAL(answer_query(mirror, query, size, 1232, reply, &info), 0);
	mirror_read_end();
}

/* Random octets behind a header that promises a question: answered or not, never a crash. */
static void test_noise_is_survived(void)
{
	static uint8_t reply[ANSWER_SIZE_MAX];
	uint8_t query[300];
	unsigned int seed = 7;

	mirror_read_begin();
	for (unsigned int round = 0; round < 200000; round++) {
		size_t size = make_query(query, "x.old.example.com", "A");
		unsigned int flips = 1 + round % 6;
		for (unsigned int i = 0; i < flips; i++) {
			seed = seed * 1103515245 + 12345;
			query[(seed >> 16) % size] = (uint8_t)(seed >> 8);
		}
		size_t reply_size = answer_query(mirror, query, size, 1232, reply, NULL);
		CU_ASSERT_TRUE(reply_size == 0 || reply_size >= DNS_HEADER_SIZE);
	}
	mirror_read_end();
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"data is answered in the case asked", test_data_is_answered_in_the_case_asked},
		{"NODATA and NXDOMAIN carry the SOA", test_nodata_and_nxdomain_carry_the_soa},
		{"empty non-terminals are NODATA", test_empty_non_terminals_are_nodata},
		{"wildcards answer for what is not there",
		 test_wildcards_answer_for_what_is_not_there},
		{"what is not ours is refused", test_what_is_not_ours_is_refused},
		{"aliases are followed", test_aliases_are_followed},
		{"loops of aliases end", test_loops_of_aliases_end},
		{"DNAME redirects what is below it", test_dname_redirects_what_is_below_it},
		{"a DNAME may be met again", test_a_dname_may_be_met_again},
		{"a name grown too long is YXDOMAIN", test_a_name_grown_too_long_is_yxdomain},
		{"delegations refer with glue", test_delegations_refer_with_glue},
		{"DS is the parent's", test_ds_is_the_parents},
		{"a child zone answers for itself", test_a_child_zone_answers_for_itself},
		{"addresses come along", test_addresses_come_along},
		{"ANY is one RRset", test_any_is_one_rrset},
		{"long chains are cut", test_long_chains_are_cut},
		{"too much for a message is SERVFAIL", test_too_much_for_a_message_is_servfail},
		{"additional RRsets are whole or absent",
		 test_additional_rrsets_are_whole_or_absent},
		{"an answer says the zone of its question",
		 test_an_answer_says_the_zone_of_its_question},
		{"bad packets get errors or nothing", test_bad_packets_get_errors_or_nothing},
		{"noise is survived", test_noise_is_survived},
	};
	mirror_reader_register();
	mirror = mirror_create();
	/* CUnit's fatal assertions jump: filling is a test of its own, the first. */
	struct suite_test all[sizeof(tests) / sizeof(tests[0]) + 1] = {{"zones are put", fill}};
	memcpy(all + 1, tests, sizeof(tests));
	int status = SUITE_RUN("answer", all);
	mirror_destroy(mirror);
	mirror_reader_unregister();
	return status;
}
