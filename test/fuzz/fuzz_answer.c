/*
 * Any octets as a query to a small mirror that has something of everything: parent and child zone,
 * delegations, wildcards, CNAMEs and DNAMEs in circles, an RRset larger than a message.
 */
#include "backend/answer.h"
#include "backend/mirror.h"
#include "dns/name.h"
#include "dns/protocol.h"
#include "dns/query.h"
#include "dns/rdata.h"
#include "dns/reply.h"
#include "fuzz.h"

#include <ldns/ldns.h>
#include <stdbool.h>
#include <string.h>

static const struct {
	const char *apex;
	const char *owner;
	const char *type;
	const char *data;
} records[] = {
	{"e.", "e.", "SOA", "ns.e. h.e. 1 2 3 4 5"},
	{"e.", "ns.e.", "A", "192.0.2.1"},
	{"e.", "*.e.", "TXT", "wild"},
	{"e.", "*.w.e.", "CNAME", "x.w.e."},
	{"e.", "*.v.e.", "CNAME", "a.*.u.e."},
	{"e.", "m.e.", "MX", "1 ns.e."},
	{"e.", "s.e.", "SRV", "1 2 3 ns.c.e."},
	{"e.", "h.e.", "HTTPS", "1 . alpn=h2"},
	{"e.", "1.e.", "CNAME", "2.e."},
	{"e.", "2.e.", "CNAME", "1.e."},
	{"e.", "d.e.", "DNAME", "f.d.e."},
	{"e.", "f.e.", "DNAME", "c.e."},
	{"e.", "g.e.", "DNAME",
	 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."
	 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."
	 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.g.e."},
	{"e.", "c.e.", "NS", "ns.c.e."},
	{"e.", "c.e.", "DS", "1 8 2 00"},
	{"e.", "ns.c.e.", "A", "192.0.2.2"},
	{"e.", "z.e.", "NS", "ns.z.e."},
	{"e.", "z.e.", "NS", "ns.e."},
	{"e.", "ns.z.e.", "AAAA", "2001:db8::1"},
	{"c.e.", "c.e.", "SOA", "ns.c.e. h.e. 1 2 3 4 5"},
	{"c.e.", "c.e.", "NS", "ns.c.e."},
	{"c.e.", "ns.c.e.", "A", "192.0.2.2"},
	{"c.e.", "1.c.e.", "CNAME", "1.f.e."},
	{"c.e.", "b.c.e.", "TYPE65280", "\\# 3 010203"},
};

static struct mirror *mirror;

static void put_rrset(const char *apex, const char *owner, const char *type, const char *data)
{
	static uint8_t block[70000];
	uint8_t apex_name[DNS_NAME_MAX];
	uint8_t owner_name[DNS_NAME_MAX];
	char reason[256];
	int number = dns_type_from_text(type);
	int size = dns_rdata_from_text((uint16_t)number, data, NULL, block + 2, DNS_RDATA_MAX,
				       reason, sizeof(reason));

	FUZZ_CHECK(number > 0 && size >= 0);
	FUZZ_CHECK(dns_name_from_text(apex, strlen(apex), NULL, apex_name) > 0);
	FUZZ_CHECK(dns_name_from_text(owner, strlen(owner), NULL, owner_name) > 0);
	uint16_t octets = (uint16_t)size;
	memcpy(block, &octets, sizeof(octets));
	const struct mirror_rrset_input rrset = {.ttl = 60,
						 .size = 2u + octets,
						 .type = (uint16_t)number,
						 .count = 1,
						 .data = block};
	FUZZ_CHECK(mirror_put_name(mirror, apex_name, owner_name, &rrset, 1) == 0);
}

/* Data of 65000 octets fits a reply of its own, but not together with much else. */
static void put_long_rrset(void)
{
	static char data[2 * 65000 + 32];
	int length = sprintf(data, "\\# 65000 ");

	memset(data + length, '0', (size_t)2 * 65000);
	put_rrset("e.", "l.e.", "TYPE65281", data);
	memset(data + length, '1', (size_t)2 * 65000);
	put_rrset("e.", "l.e.", "TYPE65281", data);
	put_rrset("e.", "k.e.", "TYPE65281", data);
}

static void fill_mirror(void)
{
	const char *apex = "";
	uint8_t name[DNS_NAME_MAX];

	mirror_reader_register();
	mirror = mirror_create();
	FUZZ_CHECK(mirror);
	mirror_write_begin(mirror, true);
	for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
		if (strcmp(apex, records[i].apex) != 0) {
			apex = records[i].apex;
			dns_name_from_text(apex, strlen(apex), NULL, name);
			mirror_put_zone(mirror, name);
		}
		put_rrset(apex, records[i].owner, records[i].type, records[i].data);
	}
	put_long_rrset();
	mirror_write_commit(mirror);
}

/* Others can read it: libldns, all of it. */
static void check_readable(const uint8_t *reply, size_t size)
{
	ldns_pkt *packet = NULL;
	ldns_status status = ldns_wire2pkt(&packet, reply, size);

	if (status != LDNS_STATUS_OK)
		fprintf(stderr, "libldns: %s\n", ldns_get_errorstr_by_id(status));
	FUZZ_CHECK(status == LDNS_STATUS_OK);
	ldns_pkt_free(packet);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t reply[ANSWER_SIZE_MAX];
	struct answer_info info = {.wants_facts = true};
	struct dns_query query;
	int verdict = dns_query_parse(data, size, &query);

	if (!mirror)
		fill_mirror();
	mirror_read_begin();
	size_t reply_size = answer_query(mirror, data, size, 1232, reply, &info);
	mirror_read_end();
	FUZZ_CHECK((reply_size == 0) == (verdict == DNS_QUERY_DROP));
	if (reply_size == 0)
		return 0;
	FUZZ_CHECK(dns_reply_matches(&query, reply, reply_size));
	FUZZ_CHECK(verdict == DNS_RCODE_NOERROR || info.rcode == verdict);
	FUZZ_CHECK(verdict == DNS_RCODE_NOERROR ? info.zone_size <= query.qname_size
						: info.zone_size == 0);
	FUZZ_CHECK(dns_reply_rcode(reply, reply_size) ==
		   (query.edns.present ? info.rcode : info.rcode & 15));
	if (query.opcode == DNS_OPCODE_QUERY)
		check_readable(reply, reply_size);
	reply_size = dns_reply_truncate(reply, reply_size, DNS_UDP_PAYLOAD_MIN);
	FUZZ_CHECK(reply_size <= DNS_UDP_PAYLOAD_MIN);
	FUZZ_CHECK(dns_reply_matches(&query, reply, reply_size));
	if (query.opcode == DNS_OPCODE_QUERY)
		check_readable(reply, reply_size);
	return 0;
}
