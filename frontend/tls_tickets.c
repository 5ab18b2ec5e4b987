/* Session tickets as RFC 5077 section 4 recommends them: AES-256-CBC and HMAC-SHA-256. */
#include "frontend/tls_tickets.h"

#include "common/clock.h"
#include "common/log.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define KEY_NAME_SIZE 16
#define KEY_COUNT 2

struct ticket_key {
	unsigned char name[KEY_NAME_SIZE];
	unsigned char cipher[32];
	unsigned char mac[32];
};

struct tls_tickets {
	int64_t session_ms;
	pthread_mutex_t lock;
	struct ticket_key keys[KEY_COUNT]; /* the newest first */
};

static int make_key(struct ticket_key *key)
{
	return RAND_bytes((unsigned char *)key, sizeof(*key)) == 1 ? 0 : -1;
}

struct tls_tickets *tls_tickets_create(int64_t session_s)
{
	struct tls_tickets *tickets = calloc(1, sizeof(*tickets));
	if (!tickets)
		return NULL;
	tickets->session_ms = session_s * 1000;
	pthread_mutex_init(&tickets->lock, NULL);
	for (size_t i = 0; i < KEY_COUNT; i++) {
		if (make_key(&tickets->keys[i]) != 0) {
			tls_tickets_destroy(tickets);
			return NULL;
		}
	}
	return tickets;
}

void tls_tickets_destroy(struct tls_tickets *tickets)
{
	if (!tickets)
		return;
	explicit_bzero(tickets->keys, sizeof(tickets->keys));
	pthread_mutex_destroy(&tickets->lock);
	free(tickets);
}

void tls_tickets_rotate(struct tls_tickets *tickets)
{
	struct ticket_key key;
	if (make_key(&key) != 0) {
		log_error("TLS ticket key not changed", "reason=%s", "no random numbers");
		return;
	}
	pthread_mutex_lock(&tickets->lock);
	memmove(&tickets->keys[1], &tickets->keys[0], sizeof(key) * (KEY_COUNT - 1));
	tickets->keys[0] = key;
	pthread_mutex_unlock(&tickets->lock);
	explicit_bzero(&key, sizeof(key));
}

/* The key of that name; its age (0: the newest), or -1 when it is not known any more. */
static int find_key(struct tls_tickets *tickets, const unsigned char *name, struct ticket_key *out)
{
	int found = -1;
	pthread_mutex_lock(&tickets->lock);
	for (int i = 0; i < KEY_COUNT && found < 0; i++) {
		if (name && memcmp(tickets->keys[i].name, name, KEY_NAME_SIZE) != 0)
			continue;
		*out = tickets->keys[i];
		found = i;
	}
	pthread_mutex_unlock(&tickets->lock);
	return found;
}

static int set_mac(EVP_MAC_CTX *mac, struct ticket_key *key)
{
	static char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->mac, sizeof(key->mac)),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end(),
	};
	return EVP_MAC_CTX_set_params(mac, params);
}

static int ticket_context; /* its address is the index' name */

static int context_index(void)
{
	static int index = -1;
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	pthread_mutex_lock(&lock);
	if (index < 0)
		index = SSL_CTX_get_ex_new_index(0, &ticket_context, NULL, NULL, NULL);
	pthread_mutex_unlock(&lock);
	return index;
}

/*
 * OpenSSL's callback: sets up cipher and MAC to seal a ticket, or to open one. 1: done; 2: done,
 * and the client gets a new ticket; 0: not ours, a full handshake; -1: failed.
 */
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
		     EVP_MAC_CTX *mac, int sealing)
{
	struct tls_tickets *tickets = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), context_index());
	struct ticket_key key;
	int age = find_key(tickets, sealing ? NULL : name, &key);
	int result = -1;
	if (age < 0)
		return 0;
	if (sealing) {
		memcpy(name, key.name, KEY_NAME_SIZE);
		if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) == 1 &&
		    EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key.cipher, iv) == 1 &&
		    set_mac(mac, &key) == 1)
			result = 1;
	} else if (EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key.cipher, iv) == 1 &&
		   set_mac(mac, &key) == 1) {
		result = age > 0 || SSL_version(ssl) >= TLS1_3_VERSION ? 2 : 1;
	}
	explicit_bzero(&key, sizeof(key));
	return result;
}

/* OpenSSL's callback: what a ticket carries beside the session is when its full handshake was. */
static int on_new_ticket(SSL *ssl, void *arg)
{
	(void)arg;
	SSL_SESSION *session = SSL_get_session(ssl);
	const int64_t now_ms = clock_now_ms();
	if (SSL_session_reused(ssl))
		return 1; /* it came with the ticket that was shown */
	return SSL_SESSION_set1_ticket_appdata(session, &now_ms, sizeof(now_ms));
}

/* OpenSSL's callback: a ticket has been opened, or could not be. */
static SSL_TICKET_RETURN on_opened_ticket(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
					  size_t name_size, SSL_TICKET_STATUS status, void *arg)
{
	(void)ssl, (void)name, (void)name_size;
	const struct tls_tickets *tickets = arg;
	void *data;
	size_t size;
	int64_t begun_ms;
	if ((status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW) ||
	    SSL_SESSION_get0_ticket_appdata(session, &data, &size) != 1 || size != sizeof(begun_ms))
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	memcpy(&begun_ms, data, sizeof(begun_ms));
	if (clock_now_ms() - begun_ms >= tickets->session_ms)
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

int tls_tickets_attach(struct tls_tickets *tickets, SSL_CTX *context)
{
	if (SSL_CTX_set_ex_data(context, context_index(), tickets) != 1 ||
	    SSL_CTX_set_tlsext_ticket_key_evp_cb(context, on_ticket) != 1 ||
	    SSL_CTX_set_session_ticket_cb(context, on_new_ticket, on_opened_ticket, tickets) != 1)
		return -1;
	return 0;
}
