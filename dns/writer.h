/*
 * Building a message into the caller's buffer, names compressed (RFC 1035 section 4.1.4).
 *
 * Compression remembers where the labels of written names stand, in a fixed table inside the
 * writer; once that is full, later names are written out. Names inside rdata are compressed only
 * for the types of RFC 1035 itself (RFC 3597 section 4). Case is written as given: an owner name
 * that is found in the question keeps the case the client asked in.
 *
 * A record that does not fit leaves the message as it was and returns DNS_ERROR_NO_SPACE. Pure; one
 * thread at a time per writer; no allocation. Hot path.
 */
#ifndef GODWIT_DNS_WRITER_H
#define GODWIT_DNS_WRITER_H

#include "dns/protocol.h"
#include "dns/query.h"

#include <stddef.h>
#include <stdint.h>

enum dns_section { DNS_SECTION_ANSWER = 1, DNS_SECTION_AUTHORITY = 2, DNS_SECTION_ADDITIONAL = 3 };

#define DNS_WRITER_NAMES 64 /* label positions remembered for compression */

struct dns_writer {
	uint8_t *buffer;
	size_t capacity;
	size_t size;                      /* octets written so far */
	uint16_t counts[4];               /* records per section; [0] is questions */
	const uint8_t *question;          /* the query's own name; borrowed */
	size_t question_size;             /* octets of its labels; 0: the root, or there is none */
	uint16_t known_count;             /* 0: not even the question's name is remembered yet */
	uint16_t known[DNS_WRITER_NAMES]; /* offsets of suffixes already written */
	uint16_t known_tags[DNS_WRITER_NAMES]; /* and a small hash of each */
};

/*
 * Starts a reply to `query` in `buffer`: header with the query's ID, opcode and RD, and its
 * question if it could be read. `capacity` at least DNS_UDP_PAYLOAD_MIN, at most DNS_MESSAGE_MAX.
 * The query's message must outlive the writer: an owner name that is a part of that memory costs no
 * look-up.
 */
void dns_writer_init(struct dns_writer *writer, uint8_t *buffer, size_t capacity,
		     const struct dns_query *query);

/*
 * Appends one record of class IN. `owner` is an uncompressed wire name, `ttl` in seconds, `rdata`
 * uncompressed wire data of `rdata_size` octets, trusted. Sections must come in order.
 */
int dns_writer_put_record(struct dns_writer *writer, enum dns_section section, const uint8_t *owner,
			  uint16_t type, uint32_t ttl, const uint8_t *rdata, uint16_t rdata_size);

/* A place in a message to go back to. */
struct dns_writer_mark {
	size_t size;
	uint16_t counts[4];
	uint16_t known_count;
};

/* Where the message ends now. */
struct dns_writer_mark dns_writer_mark(const struct dns_writer *writer);

/* Takes back all that was written since `mark`: part of an RRset is worse than none of it. */
void dns_writer_rewind(struct dns_writer *writer, const struct dns_writer_mark *mark);

/*
 * Appends the OPT record (RFC 6891), if the query had one, as the last record: our UDP payload size
 * in octets, the upper bits of `rcode`, DO copied from the query (RFC 3225), and an extended error
 * (RFC 8914) with a short text unless `ede` is DNS_EDE_NONE. `ede_text` may be NULL.
 */
int dns_writer_put_edns(struct dns_writer *writer, const struct dns_query *query,
			uint16_t udp_payload, int rcode, int ede, const char *ede_text);

/* Fills in flags (DNS_FLAG_AA, ...), response code and counts; returns the message's size. */
size_t dns_writer_finish(struct dns_writer *writer, uint16_t flags, int rcode);

#endif
