/* GnuTLS for QUIC: credentials, tickets, sessions. */
#include "frontend/quic_tls.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/tls_files.h"
#include "frontend/quic_key.h"

#include <gnutls/x509.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUIC_CHAIN_MAX 64 /* certificates in a file: the leaf and those that lead to its root */

static const char quic_priorities[] =
	"NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:"
	"-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1:+GROUP-SECP521R1:"
	"%DISABLE_TLS13_COMPAT_MODE";

struct quic_certificate {
	gnutls_certificate_credentials_t credentials;
	gnutls_x509_crt_t leaf; /* for the names it has */
};

/* The certificates in use at one time. */
struct quic_credentials {
	unsigned int holders;
	size_t count;
	struct quic_certificate certificates[];
};

struct quic_tls {
	struct tls *tls;
	uint64_t generation; /* of tls' certificates, those that were last looked at */
	struct quic_credentials *credentials;
	gnutls_priority_t priorities;
	gnutls_datum_t ticket_key;
	int64_t rotate_ms;
	char *error; /* of quic_tls_create's caller; NULL later */
	size_t error_size;
};

/* --- credentials ------------------------------------------------------------------------------ */

static void quic_credentials_release(struct quic_credentials *credentials)
{
	if (!credentials || --credentials->holders > 0)
		return;
	for (size_t i = 0; i < credentials->count; i++) {
		if (credentials->certificates[i].credentials)
			gnutls_certificate_free_credentials(
				credentials->certificates[i].credentials);
		if (credentials->certificates[i].leaf)
			gnutls_x509_crt_deinit(credentials->certificates[i].leaf);
	}
	free(credentials);
}

static gnutls_datum_t quic_datum_of(char *text)
{
	return (gnutls_datum_t){(unsigned char *)text, (unsigned int)strlen(text)};
}

/*
 * Gives the key and its certificates to the credentials, which they are a part of then. That they
 * belong together has been found by OpenSSL. 0, or GnuTLS' error.
 */
static int quic_certificate_set_key(struct quic_certificate *out, gnutls_privkey_t key,
				    const gnutls_datum_t *certificates)
{
	gnutls_pcert_st chain[QUIC_CHAIN_MAX];
	unsigned int size = QUIC_CHAIN_MAX;
	int result = gnutls_pcert_list_import_x509_raw(chain, &size, certificates,
						       GNUTLS_X509_FMT_PEM, 0);
	if (result < 0)
		return result;
	gnutls_certificate_set_flags(out->credentials, GNUTLS_CERTIFICATE_SKIP_KEY_CERT_MATCH);
	result = gnutls_certificate_set_key(out->credentials, NULL, 0, chain, (int)size, key);
	for (unsigned int i = 0; result < 0 && i < size; i++)
		gnutls_pcert_deinit(&chain[i]);
	return result;
}

/* 0, or GnuTLS' error. */
static int quic_certificate_init(struct quic_certificate *out, const struct tls_material *material)
{
	const gnutls_datum_t certificates = quic_datum_of(material->certificate);
	gnutls_privkey_t key;
	int result = gnutls_certificate_allocate_credentials(&out->credentials);
	if (result < 0)
		return result;
	result = quic_key_read(material->key, &key);
	if (result < 0)
		return result;
	result = quic_certificate_set_key(out, key, &certificates);
	if (result < 0) {
		gnutls_privkey_deinit(key);
		return result;
	}
	result = gnutls_x509_crt_init(&out->leaf);
	if (result < 0)
		return result;
	/* Reads the first of them. */
	result = gnutls_x509_crt_import(out->leaf, &certificates, GNUTLS_X509_FMT_PEM);
	return result < 0 ? result : 0;
}

/* A tls_materials_fn. */
static void quic_tls_take(void *ctx, const struct tls_material *materials, size_t count)
{
	struct quic_tls *quic_tls = ctx;
	int result = GNUTLS_E_MEMORY_ERROR;
	size_t size = sizeof(struct quic_credentials) + count * sizeof(struct quic_certificate);
	struct quic_credentials *credentials = calloc(1, size);
	if (!credentials)
		goto failed;
	credentials->holders = 1;
	credentials->count = count;
	for (size_t i = 0; i < count; i++) {
		result = quic_certificate_init(&credentials->certificates[i], &materials[i]);
		if (result < 0)
			goto failed;
	}
	quic_credentials_release(quic_tls->credentials);
	quic_tls->credentials = credentials;
	return;
failed:
	quic_credentials_release(credentials);
	if (quic_tls->error)
		snprintf(quic_tls->error, quic_tls->error_size,
			 "tls: a certificate is not usable for QUIC: %s", gnutls_strerror(result));
	else
		log_error("certificates not reloaded for QUIC: those in use stay", "reason=%s",
			  gnutls_strerror(result));
}

/* --- tickets ---------------------------------------------------------------------------------- */

static void quic_tls_forget_ticket_key(struct quic_tls *quic_tls)
{
	if (quic_tls->ticket_key.data) {
		explicit_bzero(quic_tls->ticket_key.data, quic_tls->ticket_key.size);
		gnutls_free(quic_tls->ticket_key.data);
	}
	quic_tls->ticket_key = (gnutls_datum_t){NULL, 0};
}

/* A new key when it is time. Without random numbers there are no tickets for so long. */
static void quic_tls_rotate(struct quic_tls *quic_tls)
{
	int64_t now_ms = clock_now_ms();
	if (now_ms < quic_tls->rotate_ms)
		return;
	quic_tls_forget_ticket_key(quic_tls);
	quic_tls->rotate_ms = now_ms + (int64_t)TLS_TICKET_KEY_S * 1000;
	int result = gnutls_session_ticket_key_generate(&quic_tls->ticket_key);
	if (result < 0)
		log_error("no QUIC session tickets", "reason=%s", gnutls_strerror(result));
}

/* --- sessions --------------------------------------------------------------------------------- */

static int quic_session_choose(struct quic_session *session, const char *name)
{
	const struct quic_credentials *credentials = session->credentials;
	size_t chosen = 0;
	for (size_t i = 0; name[0] != '\0' && i < credentials->count; i++) {
		if (gnutls_x509_crt_check_hostname(credentials->certificates[i].leaf, name)) {
			chosen = i;
			break;
		}
	}
	return gnutls_credentials_set(session->tls, GNUTLS_CRD_CERTIFICATE,
				      credentials->certificates[chosen].credentials);
}

/* The ClientHello has been read: it must want DoQ, and may say which certificate it wants. */
static int quic_session_on_hello(gnutls_session_t tls)
{
	struct quic_session *session = gnutls_session_get_ptr(tls);
	gnutls_datum_t protocol;
	char name[256];
	size_t size = sizeof(name);
	unsigned int type = GNUTLS_NAME_DNS;
	if (gnutls_alpn_get_selected_protocol(tls, &protocol) != 0)
		return GNUTLS_E_NO_APPLICATION_PROTOCOL;
	if (gnutls_server_name_get(tls, name, &size, &type, 0) != 0)
		name[0] = '\0';
	return quic_session_choose(session, name);
}

/*
 * The ClientHello has been dealt with, extensions and all. One without QUIC's transport parameters
 * must be refused here (RFC 9001 section 8.2): GnuTLS would go on, and ngtcp2 0.12 ends the whole
 * program by an assertion when it writes to a client of which it has none.
 */
static int quic_session_on_hello_done(gnutls_session_t tls, unsigned int type, unsigned int when,
				      unsigned int incoming, const gnutls_datum_t *message)
{
	(void)type;
	(void)when;
	(void)message;
	struct quic_session *session = gnutls_session_get_ptr(tls);
	ngtcp2_conn *conn = session->ref.get_conn(&session->ref);
	if (!incoming || ngtcp2_conn_get_remote_transport_params(conn))
		return 0;
	return GNUTLS_E_MISSING_EXTENSION;
}

static int quic_session_set_up(struct quic_tls *quic_tls, struct quic_session *session)
{
	static unsigned char doq[] = "doq";
	const gnutls_datum_t protocol = {doq, sizeof(doq) - 1};
	gnutls_session_t tls = session->tls;
	if (gnutls_priority_set(tls, quic_tls->priorities) != 0 ||
	    ngtcp2_crypto_gnutls_configure_server_session(tls) != 0 ||
	    gnutls_alpn_set_protocols(tls, &protocol, 1, GNUTLS_ALPN_MANDATORY) != 0 ||
	    quic_session_choose(session, "") != 0)
		return -1;
	if (quic_tls->ticket_key.data &&
	    gnutls_session_ticket_enable_server(tls, &quic_tls->ticket_key) != 0)
		return -1;
	gnutls_db_set_cache_expiration(tls, TLS_TICKET_KEY_S);
	gnutls_session_set_ptr(tls, session);
	gnutls_handshake_set_post_client_hello_function(tls, quic_session_on_hello);
	gnutls_handshake_set_hook_function(tls, GNUTLS_HANDSHAKE_CLIENT_HELLO, GNUTLS_HOOK_POST,
					   quic_session_on_hello_done);
	return 0;
}

int quic_session_open(struct quic_tls *quic_tls, struct quic_session *session)
{
	quic_tls_rotate(quic_tls);
	tls_look_at_materials(quic_tls->tls, &quic_tls->generation, quic_tls_take, quic_tls);
	if (gnutls_init(&session->tls, GNUTLS_SERVER) != 0) {
		session->tls = NULL;
		return -1;
	}
	session->credentials = quic_tls->credentials;
	session->credentials->holders++;
	if (quic_session_set_up(quic_tls, session) == 0)
		return 0;
	quic_session_close(session);
	return -1;
}

void quic_session_close(struct quic_session *session)
{
	if (!session->tls)
		return;
	gnutls_deinit(session->tls);
	session->tls = NULL;
	quic_credentials_release(session->credentials);
	session->credentials = NULL;
}

bool quic_session_is_resumed(const struct quic_session *session)
{
	return gnutls_session_is_resumed(session->tls) != 0;
}

/* --- life and death --------------------------------------------------------------------------- */

struct quic_tls *quic_tls_create(struct tls *tls, char *error, size_t error_size)
{
	snprintf(error, error_size, "tls: out of memory for QUIC");
	struct quic_tls *quic_tls = calloc(1, sizeof(*quic_tls));
	if (!quic_tls)
		return NULL;
	quic_tls->tls = tls;
	quic_tls->error = error;
	quic_tls->error_size = error_size;
	tls_look_at_materials(tls, &quic_tls->generation, quic_tls_take, quic_tls);
	quic_tls->error = NULL;
	if (!quic_tls->credentials)
		goto failed;
	const char *where;
	int result = gnutls_priority_init(&quic_tls->priorities, quic_priorities, &where);
	if (result == 0)
		return quic_tls;
	/* A system's policy may forbid what QUIC needs. */
	quic_tls->priorities = NULL;
	snprintf(error, error_size, "tls: GnuTLS cannot do what QUIC needs: %s",
		 gnutls_strerror(result));
failed:
	quic_tls_destroy(quic_tls);
	return NULL;
}

void quic_tls_destroy(struct quic_tls *quic_tls)
{
	if (!quic_tls)
		return;
	quic_tls_forget_ticket_key(quic_tls);
	if (quic_tls->priorities)
		gnutls_priority_deinit(quic_tls->priorities);
	quic_credentials_release(quic_tls->credentials);
	free(quic_tls);
}
