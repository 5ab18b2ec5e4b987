/* QUIC's pure parts: connection IDs, tokens, packets without a connection, a stream's one message.
 */
#include "frontend/quic_ids.h"
#include "frontend/quic_stream.h"
#include "frontend/quic_token.h"
#include "suite.h"

#include <arpa/inet.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <stdlib.h>
#include <string.h>

/* --- connection IDs --------------------------------------------------------------------------- */

static void test_ids_lead_to_their_owner(void)
{
	enum { OWNERS = 500, EACH = 20 };
	static struct quic_id_list lists[OWNERS];
	static uint8_t octets[OWNERS][EACH][QUIC_ID_MAX];
	struct quic_ids *ids = quic_ids_create();
	CU_ASSERT_FATAL(ids != NULL);
	quic_random(&octets[0][0][0], sizeof(octets));
	for (size_t i = 0; i < OWNERS; i++)
		for (size_t j = 0; j < EACH; j++) /* of all sizes that there are */
			CU_ASSERT_EQUAL(quic_ids_add(ids, &lists[i], &lists[i], octets[i][j],
						     QUIC_ID_MAX - j % 13),
					0);
	for (size_t i = 0; i < OWNERS; i++)
		for (size_t j = 0; j < EACH; j++)
			CU_ASSERT_PTR_EQUAL(quic_ids_find(ids, octets[i][j], QUIC_ID_MAX - j % 13),
					    &lists[i]);
	for (size_t i = 0; i < OWNERS; i++)
		quic_ids_remove_all(&lists[i]);
	CU_ASSERT_PTR_NULL(quic_ids_find(ids, octets[0][0], QUIC_ID_MAX));
	quic_ids_destroy(ids);
}

static void test_an_id_is_of_one_owner_and_size(void)
{
	static const uint8_t id[QUIC_ID_MAX + 1] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
	struct quic_id_list one = LIST_HEAD_INITIALIZER(one);
	struct quic_id_list two = LIST_HEAD_INITIALIZER(two);
	struct quic_ids *ids = quic_ids_create();
	CU_ASSERT_FATAL(ids != NULL);
	CU_ASSERT_EQUAL(quic_ids_add(ids, &one, &one, id, 8), 0);
	CU_ASSERT_EQUAL(quic_ids_add(ids, &two, &two, id, 8), -1);
	CU_ASSERT_EQUAL(quic_ids_add(ids, &two, &two, id, 9), 0);
	CU_ASSERT_EQUAL(quic_ids_add(ids, &two, &two, id, sizeof(id)), -1);
	CU_ASSERT_PTR_NULL(quic_ids_find(ids, id, 7));
	CU_ASSERT_PTR_NULL(quic_ids_find(ids, id, sizeof(id)));
	CU_ASSERT_PTR_EQUAL(quic_ids_find(ids, id, 9), &two);
	quic_ids_remove(&one, id, 9); /* not its own */
	CU_ASSERT_PTR_EQUAL(quic_ids_find(ids, id, 9), &two);
	quic_ids_remove(&two, id, 9);
	CU_ASSERT_PTR_NULL(quic_ids_find(ids, id, 9));
	CU_ASSERT_PTR_EQUAL(quic_ids_find(ids, id, 8), &one);
	quic_ids_remove_all(&one);
	quic_ids_destroy(ids);
}

/* --- tokens ----------------------------------------------------------------------------------- */

static const ngtcp2_tstamp now = 1000 * NGTCP2_SECONDS;

static struct sockaddr_in client_at(const char *text, uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
	inet_pton(AF_INET, text, &address.sin_addr);
	return address;
}

static ngtcp2_addr address_of(struct sockaddr_in *client)
{
	return (ngtcp2_addr){(struct sockaddr *)client, sizeof(*client)};
}

/* The token of a Retry that answers `header`, and the ID the client is told to use. */
static size_t retry_token(const struct quic_secrets *secrets, const ngtcp2_pkt_hd *header,
			  const ngtcp2_addr *client, uint8_t *token, ngtcp2_cid *next)
{
	uint8_t packet[1200];
	size_t size = quic_write_retry(secrets, header, client, now, packet, sizeof(packet));
	ngtcp2_version_cid ids;
	CU_ASSERT_FATAL(size > 23 + header->scid.datalen + QUIC_ID_SIZE);
	CU_ASSERT_EQUAL_FATAL(ngtcp2_pkt_decode_version_cid(&ids, packet, size, QUIC_ID_SIZE), 0);
	CU_ASSERT_EQUAL(ids.dcidlen, header->scid.datalen);
	CU_ASSERT_EQUAL(memcmp(ids.dcid, header->scid.data, ids.dcidlen), 0);
	ngtcp2_cid_init(next, ids.scid, ids.scidlen);
	size_t begin = (size_t)(ids.scid - packet) + ids.scidlen;
	memcpy(token, packet + begin, size - 16 - begin); /* behind it is the integrity tag */
	return size - 16 - begin;
}

static void test_a_retry_proves_one_address_for_some_seconds(void)
{
	struct quic_secrets secrets, others;
	struct sockaddr_in here = client_at("192.0.2.7", 4000);
	struct sockaddr_in there = client_at("192.0.2.8", 4000);
	const ngtcp2_addr client = address_of(&here), stranger = address_of(&there);
	ngtcp2_pkt_hd header = {.version = NGTCP2_PROTO_VER_V1};
	ngtcp2_cid original;
	uint8_t token[1200];
	CU_ASSERT_EQUAL_FATAL(quic_secrets_make(&secrets), 0);
	CU_ASSERT_EQUAL_FATAL(quic_secrets_make(&others), 0);
	ngtcp2_cid_init(&header.dcid, (const uint8_t *)"original", 8);
	ngtcp2_cid_init(&header.scid, (const uint8_t *)"client", 6);
	const ngtcp2_cid first = header.dcid;
	size_t size = retry_token(&secrets, &header, &client, token, &header.dcid);
	header.token = (ngtcp2_vec){token, size};
	CU_ASSERT_EQUAL(quic_token_check(&secrets, &header, &client, now, &original),
			QUIC_TOKEN_RETRIED);
	CU_ASSERT(ngtcp2_cid_eq(&original, &first));
	CU_ASSERT_EQUAL(quic_token_check(&secrets, &header, &stranger, now, &original),
			QUIC_TOKEN_BAD);
	CU_ASSERT_EQUAL(quic_token_check(&others, &header, &client, now, &original),
			QUIC_TOKEN_BAD);
	CU_ASSERT_EQUAL(quic_token_check(&secrets, &header, &client, now + QUIC_TOKEN_RETRY_NS + 1,
					 &original),
			QUIC_TOKEN_BAD);
	for (size_t i = 0; i < size; i++) { /* no octet of it may differ */
		token[i] ^= 1;
		CU_ASSERT_NOT_EQUAL(quic_token_check(&secrets, &header, &client, now, &original),
				    QUIC_TOKEN_RETRIED);
		token[i] ^= 1;
	}
	for (header.token.len = 0; header.token.len < size; header.token.len++)
		CU_ASSERT_NOT_EQUAL(quic_token_check(&secrets, &header, &client, now, &original),
				    QUIC_TOKEN_RETRIED);
	header.token.len = size;
	header.dcid.data[0] ^= 1; /* the ID that the Retry gave is part of it */
	CU_ASSERT_EQUAL(quic_token_check(&secrets, &header, &client, now, &original),
			QUIC_TOKEN_BAD);
}

static void test_a_token_for_later_is_good_from_that_address(void)
{
	struct quic_secrets secrets;
	struct sockaddr_in here = client_at("192.0.2.7", 4000);
	struct sockaddr_in again = client_at("192.0.2.7", 5000);
	struct sockaddr_in there = client_at("192.0.2.8", 4000);
	const ngtcp2_addr client = address_of(&here), later = address_of(&again);
	const ngtcp2_addr stranger = address_of(&there);
	ngtcp2_pkt_hd header = {.version = NGTCP2_PROTO_VER_V1};
	ngtcp2_cid original;
	uint8_t token[NGTCP2_CRYPTO_MAX_REGULAR_TOKENLEN];
	CU_ASSERT_EQUAL_FATAL(quic_secrets_make(&secrets), 0);
	CU_ASSERT_EQUAL(quic_token_check(&secrets, &header, &client, now, &original),
			QUIC_TOKEN_NONE);
	size_t size = quic_token_write(&secrets, &client, now, token);
	CU_ASSERT_FATAL(size > 0 && size <= sizeof(token));
	header.token = (ngtcp2_vec){token, size};
	CU_ASSERT_EQUAL(quic_token_check(&secrets, &header, &later, now, &original),
			QUIC_TOKEN_KNOWN);
	CU_ASSERT_EQUAL(quic_token_check(&secrets, &header, &stranger, now, &original),
			QUIC_TOKEN_NONE);
	CU_ASSERT_EQUAL(quic_token_check(&secrets, &header, &client, now + QUIC_TOKEN_KNOWN_NS + 1,
					 &original),
			QUIC_TOKEN_NONE);
	token[size - 1] ^= 1;
	CU_ASSERT_EQUAL(quic_token_check(&secrets, &header, &client, now, &original),
			QUIC_TOKEN_NONE);
}

/* --- packets ---------------------------------------------------------------------------------- */

static void test_a_reset_is_shorter_than_what_it_answers(void)
{
	struct quic_secrets secrets;
	uint8_t id[QUIC_ID_SIZE], token[NGTCP2_STATELESS_RESET_TOKENLEN], packet[1200];
	ngtcp2_cid cid;
	CU_ASSERT_EQUAL_FATAL(quic_secrets_make(&secrets), 0);
	quic_random(id, sizeof(id));
	ngtcp2_cid_init(&cid, id, sizeof(id));
	CU_ASSERT_EQUAL_FATAL(quic_reset_token(&secrets, &cid, token), 0);
	for (size_t received = 1; received < 1500; received++) {
		size_t size = quic_write_reset(&secrets, id, sizeof(id), received, packet,
					       sizeof(packet));
		CU_ASSERT(size < received);
		CU_ASSERT_EQUAL(size > 0, received > 21); /* RFC 9000 section 10.3: 21 at least */
		if (size > 0)
			CU_ASSERT_EQUAL(memcmp(packet + size - sizeof(token), token, sizeof(token)),
					0);
	}
}

static void test_other_versions_are_told_ours(void)
{
	static const uint8_t dcid[] = "server's";
	static const uint8_t scid[] = "client's one";
	const ngtcp2_version_cid asked = {0x1a2a3a4a, dcid, 8, scid, 12};
	ngtcp2_version_cid told;
	uint8_t packet[1200];
	size_t size = quic_write_versions(&asked, packet, sizeof(packet));
	CU_ASSERT_EQUAL_FATAL(size, 1 + 4 + 1 + 12 + 1 + 8 + 2 * 4);
	CU_ASSERT_EQUAL_FATAL(ngtcp2_pkt_decode_version_cid(&told, packet, size, QUIC_ID_SIZE), 0);
	CU_ASSERT_EQUAL(told.version, 0);
	CU_ASSERT_EQUAL(memcmp(told.dcid, scid, 12), 0);
	CU_ASSERT_EQUAL(memcmp(told.scid, dcid, 8), 0);
	CU_ASSERT_EQUAL(memcmp(packet + size - 4, "\0\0\0\1", 4), 0);
}

/* --- messages --------------------------------------------------------------------------------- */

static void test_a_message_is_whole_with_its_end(void)
{
	uint8_t octets[2 + 100 + 1] = {0, 100};
	for (size_t size = 0; size < 102; size++) {
		CU_ASSERT_EQUAL(quic_message_check(octets, size, false), QUIC_MESSAGE_PART);
		CU_ASSERT_EQUAL(quic_message_check(octets, size, true), QUIC_MESSAGE_BROKEN);
	}
	CU_ASSERT_EQUAL(quic_message_check(octets, 102, false), QUIC_MESSAGE_PART);
	CU_ASSERT_EQUAL(quic_message_check(octets, 102, true), QUIC_MESSAGE_WHOLE);
	CU_ASSERT_EQUAL(quic_message_check(octets, 103, false), QUIC_MESSAGE_BROKEN);
	CU_ASSERT_EQUAL(quic_message_check(octets, 103, true), QUIC_MESSAGE_BROKEN);
}

static void test_a_message_has_a_header_at_least(void)
{
	const uint8_t short_one[14] = {0, 11};
	const uint8_t shortest[14] = {0, 12};
	CU_ASSERT_EQUAL(quic_message_check(short_one, 2, false), QUIC_MESSAGE_BROKEN);
	CU_ASSERT_EQUAL(quic_message_check(short_one, 13, true), QUIC_MESSAGE_BROKEN);
	CU_ASSERT_EQUAL(quic_message_check(shortest, 2, false), QUIC_MESSAGE_PART);
	CU_ASSERT_EQUAL(quic_message_check(shortest, 14, true), QUIC_MESSAGE_WHOLE);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"IDs lead to their owner", test_ids_lead_to_their_owner},
		{"an ID is of one owner and size", test_an_id_is_of_one_owner_and_size},
		{"a Retry proves one address for some seconds",
		 test_a_retry_proves_one_address_for_some_seconds},
		{"a token for later is good from that address",
		 test_a_token_for_later_is_good_from_that_address},
		{"a reset is shorter than what it answers",
		 test_a_reset_is_shorter_than_what_it_answers},
		{"other versions are told ours", test_other_versions_are_told_ours},
		{"a message is whole with its end", test_a_message_is_whole_with_its_end},
		{"a message has a header at least", test_a_message_has_a_header_at_least},
	};
	return SUITE_RUN("quic", tests);
}
