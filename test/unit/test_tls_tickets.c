/* Session tickets: an OpenSSL client that comes again, and a server that has them open its tickets.
 */
#include "frontend/tls_tickets.h"
#include "test/unit/self_signed.h"
#include "test/unit/suite.h"

#include <openssl/bio.h>
#include <stdbool.h>
#include <string.h>

struct world {
	struct tls_tickets *tickets;
	SSL_CTX *server;
	SSL_CTX *client;
	SSL_SESSION *session; /* the newest that the client has been given */
	unsigned int given;   /* how many, in all */
};

static void world_open(struct world *world, int64_t session_s)
{
	EVP_PKEY *key;
	X509 *certificate;
	*world = (struct world){.tickets = tls_tickets_create(session_s)};
	CU_ASSERT_PTR_NOT_NULL_FATAL(world->tickets);
	self_signed_make(&key, &certificate);
	world->server = SSL_CTX_new(TLS_server_method());
	SSL_CTX_use_certificate(world->server, certificate);
	SSL_CTX_use_PrivateKey(world->server, key);
	SSL_CTX_set_session_cache_mode(world->server, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(world->server, 1);
	CU_ASSERT_EQUAL_FATAL(tls_tickets_attach(world->tickets, world->server), 0);
	X509_free(certificate);
	EVP_PKEY_free(key);
	world->client = SSL_CTX_new(TLS_client_method());
}

static void world_close(struct world *world)
{
	SSL_SESSION_free(world->session);
	SSL_CTX_free(world->client);
	SSL_CTX_free(world->server);
	tls_tickets_destroy(world->tickets);
}

static bool has_ticket_of(const SSL_SESSION *one, const SSL_SESSION *other)
{
	const unsigned char *ticket;
	const unsigned char *others;
	size_t size;
	size_t others_size;
	SSL_SESSION_get0_ticket(one, &ticket, &size);
	SSL_SESSION_get0_ticket(other, &others, &others_size);
	return size == others_size && memcmp(ticket, others, size) == 0;
}

/* Keeps a session that has come with a new ticket. */
static void world_take_session(struct world *world, SSL *client)
{
	SSL_SESSION *session = SSL_get1_session(client);
	CU_ASSERT_TRUE(SSL_SESSION_has_ticket(session));
	if (world->session && has_ticket_of(session, world->session)) {
		SSL_SESSION_free(session);
		return;
	}
	SSL_SESSION_free(world->session);
	world->session = session;
	world->given++;
}

/* A connection with the client's newest session. True: it was resumed. */
static bool connect_again(struct world *world, int version)
{
	char octet;
	BIO *near;
	BIO *far;
	SSL *server = SSL_new(world->server);
	SSL *client = SSL_new(world->client);
	CU_ASSERT_EQUAL_FATAL(BIO_new_bio_pair(&near, 0, &far, 0), 1);
	SSL_set_bio(server, near, near);
	SSL_set_bio(client, far, far);
	SSL_set_min_proto_version(client, version);
	SSL_set_max_proto_version(client, version);
	SSL_set_accept_state(server);
	SSL_set_connect_state(client);
	if (world->session)
		SSL_set_session(client, world->session);
	for (int i = 0; i < 10; i++) {
		SSL_do_handshake(client);
		SSL_do_handshake(server);
	}
	SSL_read(client, &octet, 1); /* tickets of TLS 1.3 */
	CU_ASSERT_TRUE(SSL_is_init_finished(client) && SSL_is_init_finished(server));
	bool resumed = SSL_session_reused(server);
	CU_ASSERT_EQUAL(resumed, (bool)SSL_session_reused(client));
	world_take_session(world, client);
	SSL_shutdown(client);
	SSL_free(client);
	SSL_free(server);
	return resumed;
}

static void test_each_brings_another(void)
{
	struct world world;
	world_open(&world, 60);
	CU_ASSERT_FALSE(connect_again(&world, TLS1_3_VERSION));
	CU_ASSERT_EQUAL(world.given, 1);
	for (unsigned int i = 2; i < 6; i++) {
		CU_ASSERT_TRUE(connect_again(&world, TLS1_3_VERSION));
		CU_ASSERT_EQUAL(world.given, i);
	}
	world_close(&world);
}

static void test_tls_1_2_keeps_its_own(void)
{
	struct world world;
	world_open(&world, 60);
	CU_ASSERT_FALSE(connect_again(&world, TLS1_2_VERSION));
	CU_ASSERT_TRUE(connect_again(&world, TLS1_2_VERSION));
	CU_ASSERT_TRUE(connect_again(&world, TLS1_2_VERSION));
	CU_ASSERT_EQUAL(world.given, 1);
	tls_tickets_rotate(world.tickets); /* the key is going to be forgotten */
	CU_ASSERT_TRUE(connect_again(&world, TLS1_2_VERSION));
	CU_ASSERT_EQUAL(world.given, 2);
	world_close(&world);
}

static void test_keys_are_forgotten(int version)
{
	struct world world;
	world_open(&world, 60);
	connect_again(&world, version);
	tls_tickets_rotate(world.tickets);
	tls_tickets_rotate(world.tickets);
	CU_ASSERT_FALSE(connect_again(&world, version));
	CU_ASSERT_TRUE(connect_again(&world, version));
	world_close(&world);
}

static void test_keys_are_forgotten_1_2(void)
{
	test_keys_are_forgotten(TLS1_2_VERSION);
}

static void test_keys_are_forgotten_1_3(void)
{
	test_keys_are_forgotten(TLS1_3_VERSION);
}

/* A limit of no time at all: what is shown is that it is looked at, and a new ticket given. */
static void test_sessions_end(void)
{
	static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
	for (size_t i = 0; i < 2; i++) {
		struct world world;
		world_open(&world, 0);
		for (unsigned int given = 1; given < 4; given++) {
			CU_ASSERT_FALSE(connect_again(&world, versions[i]));
			CU_ASSERT_EQUAL(world.given, given);
		}
		world_close(&world);
	}
}

/* New tickets do not make a session younger. */
static void test_time_counts_from_the_first(void)
{
	struct world world;
	world_open(&world, 1);
	CU_ASSERT_FALSE(connect_again(&world, TLS1_3_VERSION));
	unsigned int resumed = 0;
	do {
		while (connect_again(&world, TLS1_3_VERSION) && resumed < 1000 * 1000)
			resumed++;
	} while (resumed == 0); /* the machine was busy for a second */
	CU_ASSERT_TRUE(resumed < 1000 * 1000);
	world_close(&world);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"in TLS 1.3 each resumption brings another ticket", test_each_brings_another},
		{"in TLS 1.2 a ticket is good until its key goes", test_tls_1_2_keeps_its_own},
		{"TLS 1.2: a forgotten key makes a full handshake", test_keys_are_forgotten_1_2},
		{"TLS 1.3: a forgotten key makes a full handshake", test_keys_are_forgotten_1_3},
		{"a session that is too old is not resumed", test_sessions_end},
		{"new tickets do not make a session younger", test_time_counts_from_the_first},
	};
	return SUITE_RUN("tls tickets", tests);
}
