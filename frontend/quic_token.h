/*
 * What a QUIC server says without a connection, and remembers nothing of: Retry and the tokens that
 * prove a client's address (RFC 9000 section 8.1), stateless resets (section 10.3), version
 * negotiation (section 6) and refusals. Tokens are sealed with secrets that this process makes and
 * no other knows: after a restart they are worth nothing, which costs a client one round trip.
 *
 * Nothing here touches a socket or asks for the time. Sizes of what was written are returned; 0:
 * nothing is to be said.
 */
#ifndef GODWIT_FRONTEND_QUIC_TOKEN_H
#define GODWIT_FRONTEND_QUIC_TOKEN_H

#include <ngtcp2/ngtcp2.h>
#include <stddef.h>
#include <stdint.h>

/* How long a Retry's token is good, and one given for later connections, in nanoseconds. */
#define QUIC_TOKEN_RETRY_NS (10 * NGTCP2_SECONDS)
#define QUIC_TOKEN_KNOWN_NS (3600 * NGTCP2_SECONDS)

struct quic_secrets {
	uint8_t token[32];
	uint8_t reset[32];
};

/* Random ones. 0 or -1. */
int quic_secrets_make(struct quic_secrets *secrets);

enum quic_token_verdict {
	QUIC_TOKEN_NONE, /* none, or one that does not count (any more): the address is unproved */
	QUIC_TOKEN_RETRIED, /* the client has had our Retry */
	QUIC_TOKEN_KNOWN,   /* it has been here before */
	QUIC_TOKEN_BAD,     /* pretends to have had a Retry (section 8.1.3: INVALID_TOKEN) */
};

/*
 * Looks at the token of an Initial packet. After QUIC_TOKEN_RETRIED `original` is the connection ID
 * that the client used before the Retry.
 */
enum quic_token_verdict quic_token_check(const struct quic_secrets *secrets,
					 const ngtcp2_pkt_hd *header, const ngtcp2_addr *client,
					 ngtcp2_tstamp now, ngtcp2_cid *original);

/* A token for the client's later connections; NGTCP2_CRYPTO_MAX_REGULAR_TOKENLEN octets of room. */
size_t quic_token_write(const struct quic_secrets *secrets, const ngtcp2_addr *client,
			ngtcp2_tstamp now, uint8_t *out);

/* Answers an Initial packet with a Retry. */
size_t quic_write_retry(const struct quic_secrets *secrets, const ngtcp2_pkt_hd *header,
			const ngtcp2_addr *client, ngtcp2_tstamp now, uint8_t *out, size_t size);

/* Answers it with the end of the connection: a transport error code (section 20.1). */
size_t quic_write_refusal(const ngtcp2_pkt_hd *header, uint64_t error, uint8_t *out, size_t size);

/* Answers a long header of another version than 1. */
size_t quic_write_versions(const ngtcp2_version_cid *ids, uint8_t *out, size_t size);

/* The stateless reset token of one of our connection IDs; NGTCP2_STATELESS_RESET_TOKENLEN octets.
 */
int quic_reset_token(const struct quic_secrets *secrets, const ngtcp2_cid *id, uint8_t *token);

/*
 * Answers a packet of `received` octets that is of no connection. Shorter than that packet, so that
 * two servers cannot go on resetting each other (section 10.3.3).
 */
size_t quic_write_reset(const struct quic_secrets *secrets, const uint8_t *id, size_t id_size,
			size_t received, uint8_t *out, size_t size);

/* Fills `out` with random octets; ends the program when the kernel has none. */
void quic_random(uint8_t *out, size_t size);

#endif
