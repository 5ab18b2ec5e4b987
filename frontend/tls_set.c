/* OpenSSL contexts for a list of certificates. */
#include "frontend/tls_set.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the first context leads to: the others, in order. Freed with it. */
struct tls_set {
	size_t count;
	SSL_CTX *others[];
};

static void free_set(void *parent, void *data, CRYPTO_EX_DATA *ex, int index, long arg, void *ctx)
{
	(void)parent, (void)ex, (void)index, (void)arg, (void)ctx;
	struct tls_set *set = data;
	if (!set)
		return;
	for (size_t i = 0; i < set->count; i++)
		SSL_CTX_free(set->others[i]);
	free(set);
}

static int set_index(void)
{
	static int index = -1;
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	pthread_mutex_lock(&lock);
	if (index < 0)
		index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, free_set);
	pthread_mutex_unlock(&lock);
	return index;
}

/* --- what a handshake asks -------------------------------------------------------------------- */

/* ALPN for DNS: "dot", or a client that offers nothing (RFC 7858 knows none). */
static const unsigned char dns_protocols[] = "\3dot";
static const unsigned char https_protocols[] = "\2h2\10http/1.1";

static int select_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_size,
			   const unsigned char *in, unsigned int in_size, void *arg)
{
	(void)ssl;
	enum tls_purpose purpose = (enum tls_purpose)(uintptr_t)arg;
	const unsigned char *ours = purpose == TLS_PURPOSE_DNS ? dns_protocols : https_protocols;
	unsigned int ours_size = purpose == TLS_PURPOSE_DNS ? sizeof(dns_protocols) - 1
							    : sizeof(https_protocols) - 1;
	unsigned char *selected;
	/* RFC 7301 section 3.2: nothing in common is a fatal error. */
	if (SSL_select_next_proto(&selected, out_size, ours, ours_size, in, in_size) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = selected;
	return SSL_TLSEXT_ERR_OK;
}

static bool has_name(SSL_CTX *context, const char *name)
{
	return X509_check_host(SSL_CTX_get0_certificate(context), name, 0, 0, NULL) == 1;
}

/* Goes over to the first certificate that has the name; an unknown name gets the first of all. */
static int select_certificate(SSL *ssl, int *alert, void *arg)
{
	(void)alert, (void)arg;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	SSL_CTX *context = SSL_get_SSL_CTX(ssl);
	const struct tls_set *set = SSL_CTX_get_ex_data(context, set_index());
	if (!name)
		return SSL_TLSEXT_ERR_NOACK;
	if (!set || has_name(context, name))
		return SSL_TLSEXT_ERR_OK;
	for (size_t i = 0; i < set->count; i++) {
		if (has_name(set->others[i], name)) {
			SSL_set_SSL_CTX(ssl, set->others[i]);
			break;
		}
	}
	return SSL_TLSEXT_ERR_OK;
}

/* --- making contexts -------------------------------------------------------------------------- */

/* Reads the leaf and its chain into the context. */
static int use_certificates(SSL_CTX *context, const char *text)
{
	BIO *bio = BIO_new_mem_buf(text, -1);
	X509 *certificate = bio ? PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL) : NULL;
	int result = certificate && SSL_CTX_use_certificate(context, certificate) == 1 ? 0 : -1;
	X509_free(certificate);
	while (result == 0 && (certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
		if (SSL_CTX_add0_chain_cert(context, certificate) != 1) {
			X509_free(certificate);
			result = -1;
		}
	}
	BIO_free(bio);
	ERR_clear_error(); /* the end of the text is one */
	return result;
}

static int use_key(SSL_CTX *context, const char *text)
{
	BIO *bio = BIO_new_mem_buf(text, -1);
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
	int result = key && SSL_CTX_use_PrivateKey(context, key) == 1 ? 0 : -1;
	EVP_PKEY_free(key);
	BIO_free(bio);
	return result;
}

static void set_options(SSL_CTX *context, enum tls_purpose purpose)
{
	SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
					     SSL_OP_CIPHER_SERVER_PREFERENCE |
					     SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20");
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_timeout(context, TLS_TICKET_KEY_S);
	/* One ticket is enough for a client that keeps one connection; it is a write less. */
	SSL_CTX_set_num_tickets(context, 1);
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
					  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_alpn_select_cb(context, select_protocol, (void *)(uintptr_t)purpose);
	SSL_CTX_set_session_id_context(context, (const unsigned char *)"godwit", 6);
}

static SSL_CTX *make_context(const struct tls_material *material, enum tls_purpose purpose,
			     struct tls_tickets *tickets, char *error, size_t error_size)
{
	char reason[160];
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	if (!context)
		goto failed;
	set_options(context, purpose);
	if (use_certificates(context, material->certificate) == 0 &&
	    use_key(context, material->key) == 0 && tls_tickets_attach(tickets, context) == 0)
		return context;
failed:
	ERR_error_string_n(ERR_peek_last_error(), reason, sizeof(reason));
	ERR_clear_error();
	snprintf(error, error_size, "certificate not usable: %s", reason);
	SSL_CTX_free(context);
	return NULL;
}

SSL_CTX *tls_set_create(const struct tls_material *materials, size_t count,
			enum tls_purpose purpose, struct tls_tickets *tickets, char *error,
			size_t error_size)
{
	SSL_CTX *first = make_context(&materials[0], purpose, tickets, error, error_size);
	struct tls_set *set = calloc(1, sizeof(*set) + count * sizeof(set->others[0]));
	if (!first || !set || SSL_CTX_set_ex_data(first, set_index(), set) != 1) {
		if (first)
			snprintf(error, error_size, "out of memory");
		SSL_CTX_free(first);
		free(set);
		return NULL;
	}
	SSL_CTX_set_tlsext_servername_callback(first, select_certificate);
	for (size_t i = 1; i < count; i++) {
		SSL_CTX *other = make_context(&materials[i], purpose, tickets, error, error_size);
		if (!other) {
			SSL_CTX_free(first);
			return NULL;
		}
		set->others[set->count++] = other;
	}
	return first;
}
