#include "dns/query.h"

#include "dns/name.h"
#include "dns/protocol.h"

#include <string.h>

/* Fixed part of a record behind its owner name: type, class, TTL, data length. */
#define RECORD_FIXED_SIZE 10

/* The question (RFC 1035 section 4.1.2). A compressed name has nothing to point back to there. */
static bool query_parse_question(struct dns_query *query, size_t *offset)
{
	const uint8_t *name = query->message + *offset;
	size_t left = query->size - *offset;
	size_t length = 0;

	for (;;) {
		if (length >= left || name[length] > DNS_LABEL_MAX)
			return false;
		uint8_t octet = name[length];
		length += 1u + octet;
		if (length > DNS_NAME_MAX)
			return false;
		if (octet == 0)
			break;
	}
	if (length + 4 > left)
		return false;
	query->qname = name;
	query->qname_size = (uint16_t)length;
	query->qtype = dns_get16(name + length);
	query->qclass = dns_get16(name + length + 2);
	query->question_size = (uint16_t)(length + 4);
	*offset += length + 4;
	return true;
}

/* Every option whole: code, length, data (RFC 6891 section 6.1.2). */
static bool options_are_whole(const uint8_t *options, size_t size)
{
	while (size >= 4) {
		size_t length = 4u + dns_get16(options + 2);
		if (length > size)
			return false;
		options += length;
		size -= length;
	}
	return size == 0;
}

/* `record` stands behind the owner name; all of the record is within the message. */
static bool query_parse_opt(struct dns_query *query, const uint8_t *owner, const uint8_t *record)
{
	struct dns_edns *edns = &query->edns;
	uint32_t ttl = dns_get32(record + 4);

	if (edns->present || *owner != 0)
		return false;
	edns->options_size = dns_get16(record + 8);
	edns->options = record + RECORD_FIXED_SIZE;
	if (!options_are_whole(edns->options, edns->options_size))
		return false;
	edns->present = true;
	edns->udp_payload = dns_get16(record + 2);
	if (edns->udp_payload < DNS_UDP_PAYLOAD_MIN)
		edns->udp_payload = DNS_UDP_PAYLOAD_MIN;
	edns->version = (uint8_t)(ttl >> 16);
	edns->dnssec_ok = (ttl & 0x8000) != 0;
	return true;
}

/* Walks the records behind the question; OPT may stand among the additional ones only. */
static bool query_parse_records(struct dns_query *query, size_t *offset)
{
	unsigned int before = dns_get16(query->message + 6) + dns_get16(query->message + 8);
	unsigned int total = before + dns_get16(query->message + 10);

	for (unsigned int i = 0; i < total; i++) {
		const uint8_t *owner = query->message + *offset;
		if (dns_name_skip(query->message, query->size, offset) < 0 ||
		    query->size - *offset < RECORD_FIXED_SIZE)
			return false;
		const uint8_t *record = query->message + *offset;
		size_t size = RECORD_FIXED_SIZE + (size_t)dns_get16(record + 8);
		if (query->size - *offset < size)
			return false;
		if (dns_get16(record) == DNS_TYPE_OPT &&
		    (i < before || !query_parse_opt(query, owner, record)))
			return false;
		*offset += size;
	}
	return true;
}

/* What a well-formed question may be asked of an authoritative server without transfers. */
static int query_check_question(const struct dns_query *query)
{
	switch (query->qtype) {
	case DNS_TYPE_AXFR:
	case DNS_TYPE_IXFR:
		return DNS_RCODE_REFUSED;
	case DNS_TYPE_OPT: /* a pseudo type: nobody can ask for it (RFC 6891 section 6.1.1) */
		return DNS_RCODE_FORMERR;
	case DNS_TYPE_TKEY:
	case DNS_TYPE_TSIG:
	case DNS_TYPE_MAILA:
	case DNS_TYPE_MAILB:
		return DNS_RCODE_NOTIMP;
	default:
		return query->qclass == DNS_CLASS_IN ? DNS_RCODE_NOERROR : DNS_RCODE_REFUSED;
	}
}

int dns_query_parse(const uint8_t *message, size_t size, struct dns_query *query)
{
	size_t offset = DNS_HEADER_SIZE;

	memset(query, 0, sizeof(*query));
	if (size < DNS_HEADER_SIZE || (dns_get16(message + 2) & DNS_FLAG_QR))
		return DNS_QUERY_DROP;
	query->message = message;
	query->size = size;
	query->id = dns_get16(message);
	query->flags = dns_get16(message + 2);
	query->opcode = query->flags >> DNS_OPCODE_SHIFT & 0xf;
	/*
	 * Other opcodes lay out their sections differently, so their messages are not looked into,
	 * but a question where one is expected goes back as it came.
	 */
	bool one_question = dns_get16(message + 4) == 1;
	bool readable = one_question && query_parse_question(query, &offset);
	if (query->opcode != DNS_OPCODE_QUERY)
		return DNS_RCODE_NOTIMP;
	if (!readable || !query_parse_records(query, &offset) || offset != size)
		return DNS_RCODE_FORMERR;
	if (query->edns.present && query->edns.version != 0)
		return DNS_RCODE_BADVERS;
	return query_check_question(query);
}
