/* TLS between buffers: an OpenSSL client in memory on the other side. */
#include "frontend/tls_stream.h"
#include "test/unit/self_signed.h"
#include "test/unit/suite.h"

#include <event2/buffer.h>
#include <openssl/bio.h>
#include <stdint.h>
#include <string.h>

#define RECORD_HEADER_SIZE 5

/* A server's context with a key made for it. */
static SSL_CTX *make_context(void)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	EVP_PKEY *key;
	X509 *certificate;
	self_signed_make(&key, &certificate);
	SSL_CTX_use_certificate(context, certificate);
	SSL_CTX_use_PrivateKey(context, key);
	SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_RELEASE_BUFFERS);
	X509_free(certificate);
	EVP_PKEY_free(key);
	return context;
}

/* Both sides, and what carries octets between them. */
struct pair {
	SSL_CTX *server_context;
	SSL_CTX *client_context;
	struct evbuffer *source;
	struct evbuffer *sink;
	struct tls_stream *server;
	SSL *client; /* on memory */
};

static void pair_open(struct pair *pair)
{
	pair->server_context = make_context();
	pair->client_context = SSL_CTX_new(TLS_client_method());
	pair->source = evbuffer_new();
	pair->sink = evbuffer_new();
	pair->server = tls_stream_create(SSL_new(pair->server_context), pair->source, pair->sink);
	pair->client = SSL_new(pair->client_context);
	SSL_set_bio(pair->client, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	SSL_set_connect_state(pair->client);
	CU_ASSERT_PTR_NOT_NULL_FATAL(pair->server);
}

static void pair_close(struct pair *pair)
{
	tls_stream_destroy(pair->server);
	SSL_free(pair->client);
	evbuffer_free(pair->source);
	evbuffer_free(pair->sink);
	SSL_CTX_free(pair->client_context);
	SSL_CTX_free(pair->server_context);
}

/* What the client has to say arrives, `piece` octets at a time. */
static enum tls_stream_state carry_to_server(struct pair *pair, size_t piece)
{
	uint8_t octets[4096];
	enum tls_stream_state state = TLS_STREAM_OPEN;
	int size;
	while (state == TLS_STREAM_OPEN &&
	       (size = BIO_read(SSL_get_wbio(pair->client), octets, (int)piece)) > 0) {
		evbuffer_add(pair->source, octets, (size_t)size);
		state = tls_stream_receive(pair->server);
	}
	return state;
}

static void carry_to_client(struct pair *pair)
{
	uint8_t octets[4096];
	int size;
	while ((size = evbuffer_remove(pair->sink, octets, sizeof(octets))) > 0)
		BIO_write(SSL_get_rbio(pair->client), octets, size);
}

static void shake_hands(struct pair *pair, size_t piece)
{
	for (int i = 0; i < 4; i++) {
		SSL_do_handshake(pair->client);
		CU_ASSERT_EQUAL(carry_to_server(pair, piece), TLS_STREAM_OPEN);
		carry_to_client(pair);
	}
	CU_ASSERT_TRUE(SSL_is_init_finished(pair->client));
	CU_ASSERT_TRUE(tls_stream_is_open(pair->server));
}

/* The TLS records that stand in the sink. */
static unsigned int count_records(struct evbuffer *sink)
{
	size_t left = evbuffer_get_length(sink);
	const uint8_t *at = evbuffer_pullup(sink, -1);
	unsigned int count = 0;
	while (left >= RECORD_HEADER_SIZE) {
		size_t size = RECORD_HEADER_SIZE + (size_t)(at[3] << 8 | at[4]);
		if (size > left)
			break;
		at += size;
		left -= size;
		count++;
	}
	CU_ASSERT_EQUAL(left, 0);
	return count;
}

static void test_handshake(void)
{
	struct pair pair;
	pair_open(&pair);
	CU_ASSERT_FALSE(tls_stream_is_open(pair.server));
	shake_hands(&pair, 4096);
	pair_close(&pair);
}

static void test_octets_come_one_by_one(void)
{
	struct pair pair;
	pair_open(&pair);
	shake_hands(&pair, 1);
	SSL_write(pair.client, "query", 5);
	CU_ASSERT_EQUAL(carry_to_server(&pair, 1), TLS_STREAM_OPEN);
	struct evbuffer *input = tls_stream_input(pair.server);
	CU_ASSERT_EQUAL_FATAL(evbuffer_get_length(input), 5);
	CU_ASSERT_EQUAL(memcmp(evbuffer_pullup(input, -1), "query", 5), 0);
	pair_close(&pair);
}

static void test_all_records_are_opened_at_once(void)
{
	struct pair pair;
	uint8_t octets[4096];
	int size;
	pair_open(&pair);
	shake_hands(&pair, 4096);
	for (int i = 0; i < 100; i++)
		SSL_write(pair.client, "query", 5);
	while ((size = BIO_read(SSL_get_wbio(pair.client), octets, sizeof(octets))) > 0)
		evbuffer_add(pair.source, octets, (size_t)size);
	CU_ASSERT_EQUAL(tls_stream_receive(pair.server), TLS_STREAM_OPEN);
	CU_ASSERT_EQUAL(evbuffer_get_length(tls_stream_input(pair.server)), 500);
	CU_ASSERT_EQUAL(evbuffer_get_length(pair.source), 0);
	pair_close(&pair);
}

/* Writes `count` times 100 octets, and looks at what leaves, and at what arrives. */
static void check_output(struct pair *pair, size_t count, unsigned int records)
{
	static const uint8_t reply[100] = {42};
	uint8_t octets[512];
	size_t got = 0;
	int size;
	for (size_t i = 0; i < count; i++)
		evbuffer_add(tls_stream_output(pair->server), reply, sizeof(reply));
	CU_ASSERT_TRUE(tls_stream_seal(pair->server));
	CU_ASSERT_EQUAL(evbuffer_get_length(tls_stream_output(pair->server)), 0);
	CU_ASSERT_EQUAL(count_records(pair->sink), records);
	carry_to_client(pair);
	while ((size = SSL_read(pair->client, octets, sizeof(octets))) > 0)
		got += (size_t)size;
	CU_ASSERT_EQUAL(got, count * sizeof(reply));
}

static void test_replies_leave_together(void)
{
	struct pair pair;
	pair_open(&pair);
	shake_hands(&pair, 4096);
	check_output(&pair, 0, 0);
	check_output(&pair, 1, 1);
	check_output(&pair, 100, 1);
	check_output(&pair, 400, 3); /* of 16,384 octets at most */
	pair_close(&pair);
}

static void test_a_client_may_want_short_records(void)
{
	struct pair pair;
	pair_open(&pair);
	SSL_set_tlsext_max_fragment_length(pair.client, TLSEXT_max_fragment_length_512);
	shake_hands(&pair, 4096);
	check_output(&pair, 10, 2);
	pair_close(&pair);
}

static void test_a_client_says_goodbye_and_is_answered(void)
{
	struct pair pair;
	pair_open(&pair);
	shake_hands(&pair, 4096);
	SSL_write(pair.client, "query", 5);
	SSL_shutdown(pair.client);
	CU_ASSERT_EQUAL(carry_to_server(&pair, 4096), TLS_STREAM_ENDED);
	CU_ASSERT_EQUAL(evbuffer_get_length(tls_stream_input(pair.server)), 5);
	check_output(&pair, 1, 1);
	tls_stream_end(pair.server);
	carry_to_client(&pair);
	CU_ASSERT_EQUAL(SSL_shutdown(pair.client), 1); /* the server's goodbye has come */
	pair_close(&pair);
}

static void test_what_is_no_tls_fails(void)
{
	struct pair pair;
	pair_open(&pair);
	evbuffer_add_printf(pair.source, "GET / HTTP/1.1\r\n\r\n");
	CU_ASSERT_EQUAL(tls_stream_receive(pair.server), TLS_STREAM_FAILED);
	CU_ASSERT_EQUAL(tls_stream_receive(pair.server), TLS_STREAM_FAILED);
	tls_stream_end(pair.server);
	pair_close(&pair);
}

static void test_a_changed_octet_fails_and_is_told(void)
{
	struct pair pair;
	uint8_t octets[4096];
	pair_open(&pair);
	shake_hands(&pair, 4096);
	SSL_write(pair.client, "query", 5);
	int size = BIO_read(SSL_get_wbio(pair.client), octets, sizeof(octets));
	octets[size - 1] ^= 1;
	evbuffer_add(pair.source, octets, (size_t)size);
	CU_ASSERT_EQUAL(tls_stream_receive(pair.server), TLS_STREAM_FAILED);
	CU_ASSERT_EQUAL(evbuffer_get_length(tls_stream_input(pair.server)), 0);
	CU_ASSERT_EQUAL(count_records(pair.sink), 1); /* the alert */
	evbuffer_add(tls_stream_output(pair.server), "reply", 5);
	CU_ASSERT_FALSE(tls_stream_seal(pair.server));
	pair_close(&pair);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"handshake", test_handshake},
		{"octets come one by one", test_octets_come_one_by_one},
		{"all records are opened at once", test_all_records_are_opened_at_once},
		{"replies leave together", test_replies_leave_together},
		{"a client may want short records", test_a_client_may_want_short_records},
		{"a client says goodbye, and is answered",
		 test_a_client_says_goodbye_and_is_answered},
		{"what is no TLS fails", test_what_is_no_tls_fails},
		{"a changed octet fails, and is told", test_a_changed_octet_fails_and_is_told},
	};
	return SUITE_RUN("tls_stream", tests);
}
