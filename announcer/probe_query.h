/*
 * The probe's question as octets, and the verdict on what comes back. Pure; the answer's octets are
 * trusted in nothing.
 */
#ifndef GODWIT_ANNOUNCER_PROBE_QUERY_H
#define GODWIT_ANNOUNCER_PROBE_QUERY_H

#include "dns/name.h"
#include "dns/protocol.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Header, question, OPT record without options. */
#define PROBE_QUERY_MAX (DNS_HEADER_SIZE + DNS_NAME_MAX + 4 + 11)
#define PROBE_CAUSE_MAX 160

/* What is asked and what is expected; the same for all of a probe's questions. */
struct probe_expectation {
	uint8_t name[DNS_NAME_MAX]; /* wire format; a first label "*" stands for random letters */
	uint16_t type;
	uint16_t rcode;
	const uint8_t *answer; /* uncompressed rdata of `type` that must be there; NULL: any */
	size_t answer_size;
};

/* One question, as sent. */
struct probe_query {
	size_t size;
	uint8_t octets[PROBE_QUERY_MAX];
};

enum probe_verdict {
	PROBE_GOOD,
	PROBE_BAD,       /* an answer to our question, and not a good one */
	PROBE_UNRELATED, /* not an answer to our question */
};

/*
 * Writes a question: RD set, for resolvers too are probed, EDNS with 1232 octets of UDP payload.
 * `random` is used for the ID and the letters. The name is at most DNS_NAME_MAX octets with the
 * letters in it: a "*" is replaced by PROBE_LETTERS of them, or by as many as fit.
 */
#define PROBE_LETTERS 12
void probe_query_write(struct probe_query *query, const struct probe_expectation *expectation,
		       uint64_t random);

/*
 * Judges a message that came back over UDP or (`stream`) over TCP or TLS. But for PROBE_GOOD,
 * `cause` (PROBE_CAUSE_MAX octets) says in a few words what is wrong: "SERVFAIL instead of
 * NOERROR", "the ID is another one".
 */
enum probe_verdict probe_query_judge(const struct probe_query *query,
				     const struct probe_expectation *expectation, bool stream,
				     const uint8_t *message, size_t size, char *cause);

#endif
