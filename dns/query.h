/*
 * Reading a client's query: hostile bytes in, a checked question or a response code out.
 *
 * Both halves use it: the front end to route and to answer errors in place, the backend before it
 * looks anything up. Pure; any thread; no allocation. Hot path.
 */
#ifndef GODWIT_DNS_QUERY_H
#define GODWIT_DNS_QUERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The OPT record of a query (RFC 6891 section 6.1). */
struct dns_edns {
	bool present;
	bool dnssec_ok; /* the DO bit (RFC 3225) */
	uint8_t version;
	uint16_t udp_payload;   /* as sent; less than 512 counts as 512 (section 6.2.3) */
	const uint8_t *options; /* the option list, checked to be well formed; in the message */
	uint16_t options_size;
};

/* A query's parts. Pointers lead into the message it was parsed from. */
struct dns_query {
	const uint8_t *message;
	size_t size;
	uint16_t id;
	uint16_t flags; /* as sent */
	uint8_t opcode;
	const uint8_t *qname; /* as asked, uncompressed; NULL when the question could not be read */
	uint16_t qname_size;
	uint16_t qtype;
	uint16_t qclass;
	uint16_t question_size; /* octets of the question section: qname + 4; 0 without one */
	struct dns_edns edns;
};

/* dns_query_parse's word for what gets no reply: too short for a header, or a response itself. */
#define DNS_QUERY_DROP (-1)

/*
 * Parses a message. Returns DNS_QUERY_DROP; or DNS_RCODE_NOERROR, and the question is one that an
 * authoritative server may look up; or the response code to answer with: FORMERR (malformed, not
 * one question, two OPTs, bytes after the end), NOTIMP (an opcode but QUERY, a meta type but ANY,
 * AXFR and IXFR), REFUSED (AXFR, IXFR, a class other than IN), BADVERS (EDNS above version 0). But
 * for DROP, `query` always holds what could be read, enough for dns_reply_write_error.
 */
int dns_query_parse(const uint8_t *message, size_t size, struct dns_query *query);

#endif
