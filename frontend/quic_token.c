/* QUIC without connections, made of ngtcp2's parts. */
#include "frontend/quic_token.h"

#include "frontend/quic_ids.h"

#include <ngtcp2/ngtcp2_crypto.h>
#include <stdlib.h>
#include <sys/random.h>

/* As large as a stateless reset gets: it should look like any other packet (section 10.3). */
#define QUIC_RESET_SIZE 43
#define QUIC_RESET_SIZE_MIN (NGTCP2_MIN_STATELESS_RESET_RANDLEN + NGTCP2_STATELESS_RESET_TOKENLEN)

void quic_random(uint8_t *out, size_t size)
{
	/* Up to 256 octets come whole, once the kernel has begun to have any. */
	for (size_t at = 0; at < size;) {
		size_t part = size - at < 256 ? size - at : 256;
		if (getrandom(out + at, part, 0) != (ssize_t)part)
			abort();
		at += part;
	}
}

int quic_secrets_make(struct quic_secrets *secrets)
{
	return getrandom(secrets, sizeof(*secrets), 0) == (ssize_t)sizeof(*secrets) ? 0 : -1;
}

/* --- tokens ----------------------------------------------------------------------------------- */

enum quic_token_verdict quic_token_check(const struct quic_secrets *secrets,
					 const ngtcp2_pkt_hd *header, const ngtcp2_addr *client,
					 ngtcp2_tstamp now, ngtcp2_cid *original)
{
	const uint8_t *token = header->token.base;
	size_t size = header->token.len;
	if (size == 0)
		return QUIC_TOKEN_NONE;
	if (token[0] == NGTCP2_CRYPTO_TOKEN_MAGIC_RETRY)
		return ngtcp2_crypto_verify_retry_token(
			       original, token, size, secrets->token, sizeof(secrets->token),
			       header->version, client->addr, client->addrlen, &header->dcid,
			       QUIC_TOKEN_RETRY_NS, now) == 0
			       ? QUIC_TOKEN_RETRIED
			       : QUIC_TOKEN_BAD;
	if (token[0] == NGTCP2_CRYPTO_TOKEN_MAGIC_REGULAR &&
	    ngtcp2_crypto_verify_regular_token(token, size, secrets->token, sizeof(secrets->token),
					       client->addr, client->addrlen, QUIC_TOKEN_KNOWN_NS,
					       now) == 0)
		return QUIC_TOKEN_KNOWN;
	return QUIC_TOKEN_NONE;
}

size_t quic_token_write(const struct quic_secrets *secrets, const ngtcp2_addr *client,
			ngtcp2_tstamp now, uint8_t *out)
{
	ngtcp2_ssize size = ngtcp2_crypto_generate_regular_token(
		out, secrets->token, sizeof(secrets->token), client->addr, client->addrlen, now);
	return size > 0 ? (size_t)size : 0;
}

/* --- packets ---------------------------------------------------------------------------------- */

size_t quic_write_retry(const struct quic_secrets *secrets, const ngtcp2_pkt_hd *header,
			const ngtcp2_addr *client, ngtcp2_tstamp now, uint8_t *out, size_t size)
{
	uint8_t token[NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN];
	ngtcp2_cid next = {.datalen = QUIC_ID_SIZE};
	quic_random(next.data, next.datalen);
	ngtcp2_ssize token_size = ngtcp2_crypto_generate_retry_token(
		token, secrets->token, sizeof(secrets->token), header->version, client->addr,
		client->addrlen, &next, &header->dcid, now);
	if (token_size < 0)
		return 0;
	ngtcp2_ssize written =
		ngtcp2_crypto_write_retry(out, size, header->version, &header->scid, &next,
					  &header->dcid, token, (size_t)token_size);
	return written > 0 ? (size_t)written : 0;
}

size_t quic_write_refusal(const ngtcp2_pkt_hd *header, uint64_t error, uint8_t *out, size_t size)
{
	ngtcp2_ssize written = ngtcp2_crypto_write_connection_close(
		out, size, header->version, &header->scid, &header->dcid, error, NULL, 0);
	return written > 0 ? (size_t)written : 0;
}

size_t quic_write_versions(const ngtcp2_version_cid *ids, uint8_t *out, size_t size)
{
	uint8_t unused;
	quic_random(&unused, sizeof(unused));
	/* One that nobody speaks keeps clients able to skip what they do not know (section 15). */
	const uint32_t versions[] = {NGTCP2_RESERVED_VERSION_MASK, NGTCP2_PROTO_VER_V1};
	ngtcp2_ssize written = ngtcp2_pkt_write_version_negotiation(
		out, size, unused, ids->scid, ids->scidlen, ids->dcid, ids->dcidlen, versions,
		sizeof(versions) / sizeof(versions[0]));
	return written > 0 ? (size_t)written : 0;
}

int quic_reset_token(const struct quic_secrets *secrets, const ngtcp2_cid *id, uint8_t *token)
{
	return ngtcp2_crypto_generate_stateless_reset_token(token, secrets->reset,
							    sizeof(secrets->reset), id);
}

size_t quic_write_reset(const struct quic_secrets *secrets, const uint8_t *id, size_t id_size,
			size_t received, uint8_t *out, size_t size)
{
	uint8_t token[NGTCP2_STATELESS_RESET_TOKENLEN];
	uint8_t noise[QUIC_RESET_SIZE];
	ngtcp2_cid cid;
	size_t reset_size = received > QUIC_RESET_SIZE ? QUIC_RESET_SIZE : received - 1;
	if (id_size > NGTCP2_MAX_CIDLEN || received <= QUIC_RESET_SIZE_MIN)
		return 0;
	ngtcp2_cid_init(&cid, id, id_size);
	if (quic_reset_token(secrets, &cid, token) != 0)
		return 0;
	quic_random(noise, sizeof(noise));
	ngtcp2_ssize written = ngtcp2_pkt_write_stateless_reset(
		out, size, token, noise, reset_size - NGTCP2_STATELESS_RESET_TOKENLEN);
	return written > 0 ? (size_t)written : 0;
}
