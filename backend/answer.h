/*
 * The answer algorithm: a raw query in, a raw reply out, from the mirror alone.
 *
 * Keeps RFC 1034 section 4.3.2 as amended by RFC 2308 (negative answers), RFC 4592 (wildcards), RFC
 * 6672 (DNAME), RFC 4035 section 3.1.4.1 (DS at the parent) and RFC 8482 (ANY). Replies are
 * written whole, up to 65535 octets: who sends them over UDP truncates them there. Pure but for
 * reading the mirror: no allocation, no lock, no log. Hot path.
 */
#ifndef GODWIT_BACKEND_ANSWER_H
#define GODWIT_BACKEND_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mirror;

/* Facts an answer can tell that it rests on; one that rests on more is volatile. */
#define ANSWER_FACTS_MAX 8

/* What a reply says, for metrics and for who keeps it. */
struct answer_info {
	int rcode;        /* extended, as sent */
	uint16_t qtype;   /* 0 when the question could not be read */
	bool wants_facts; /* set by the caller: fill in what follows */
	bool is_volatile; /* the facts are too many to tell: good for one use */
	/* Octets of the name of the zone that the question's name is in, which ends that name; 0:
	   in none of ours. Aliases may have led to others. */
	uint8_t zone_size;
	unsigned int fact_count;
	uint64_t facts[ANSWER_FACTS_MAX]; /* dns_fact_hash */
};

/* Longest reply answer_query writes; what `reply` must have room for. */
#define ANSWER_SIZE_MAX 65535

/*
 * Answers one query. Call between mirror_read_begin and mirror_read_end of a registered reader.
 * `udp_payload` is the EDNS payload size we announce, in octets. `info` may be NULL; when it is
 * not, `wants_facts` must be set. Returns the reply's size, or 0 when the query gets none (not a
 * query, shorter than a header).
 */
size_t answer_query(const struct mirror *mirror, const uint8_t *query, size_t size,
		    uint16_t udp_payload, uint8_t *reply, struct answer_info *info);

#endif
