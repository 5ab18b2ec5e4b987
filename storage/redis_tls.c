/*
 * TLS for Redis connections: certificates are always checked, against the CAs of the URL or the
 * system's, and for the name or address that was connected to or is given by server_name.
 */
#include "storage/redis_link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

/* The reason OpenSSL gives for its oldest error, the one behind the others. */
static const char *reason_text(void)
{
	unsigned long error = ERR_get_error();
	const char *reason = ERR_reason_error_string(error);

	if (reason)
		return reason;
	return ERR_SYSTEM_ERROR(error) ? strerror(ERR_GET_REASON(error)) : "TLS failed";
}

/* One line about why the last call of OpenSSL failed. */
static void describe(const SSL *tls, char *out, size_t size)
{
	long verified = SSL_get_verify_result(tls);

	if (verified != X509_V_OK)
		snprintf(out, size, "its certificate: %s (see ca and server_name of the URL)",
			 X509_verify_cert_error_string(verified));
	else
		snprintf(out, size, "%s", reason_text());
	ERR_clear_error();
}

static int load_files(SSL_CTX *tls, const struct redis_url *url, const char **failed)
{
	*failed = url->ca ? url->ca : "the system's certificates";
	if (url->ca ? SSL_CTX_load_verify_file(tls, url->ca) != 1
		    : SSL_CTX_set_default_verify_paths(tls) != 1)
		return -1;
	if (!url->certificate)
		return 0;
	*failed = url->certificate;
	if (SSL_CTX_use_certificate_chain_file(tls, url->certificate) != 1)
		return -1;
	*failed = url->key;
	return SSL_CTX_use_PrivateKey_file(tls, url->key, SSL_FILETYPE_PEM) == 1 ? 0 : -1;
}

SSL_CTX *redis_tls_create(struct storage *storage, const struct redis_url *url)
{
	SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
	const char *failed = "TLS";

	ERR_clear_error();
	if (tls && load_files(tls, url, &failed) == 0) {
		SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION);
		SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
		SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE |
					      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
		return tls;
	}
	storage_fail(storage, STORAGE_UNAVAILABLE, "redis: %s cannot be used: %s", failed,
		     reason_text());
	SSL_CTX_free(tls);
	return NULL;
}

/* --- one connection --------------------------------------------------------------------------- */

/* Says what the certificate must be for. */
static bool expect_name(SSL *tls, const char *name)
{
	struct in6_addr address;

	if (inet_pton(AF_INET, name, &address) == 1 || inet_pton(AF_INET6, name, &address) == 1)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls), name) == 1;
	return SSL_set1_host(tls, name) == 1 && SSL_set_tlsext_host_name(tls, name) == 1;
}

SSL *redis_tls_start(struct redis_link *link, SSL_CTX *context, const char *server_name)
{
	SSL *tls = SSL_new(context);

	ERR_clear_error();
	if (tls && SSL_set_fd(tls, link->fd) == 1 && expect_name(tls, server_name)) {
		SSL_set_connect_state(tls);
		return tls;
	}
	redis_link_fail(link, "TLS cannot be used: %s", reason_text());
	SSL_free(tls);
	return NULL;
}

/*
 * OpenSSL writes to its socket without MSG_NOSIGNAL, and godwitctl has to die of SIGPIPE like any
 * program in a pipe: the signal is held back here, and taken away if it came.
 */
static void hold_sigpipe(sigset_t *before)
{
	sigset_t pipe;

	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe, before);
}

static void release_sigpipe(const sigset_t *before)
{
	const struct timespec now = {0};
	sigset_t pipe;

	if (!sigismember(before, SIGPIPE)) {
		sigemptyset(&pipe);
		sigaddset(&pipe, SIGPIPE);
		while (sigtimedwait(&pipe, NULL, &now) == SIGPIPE)
			;
	}
	pthread_sigmask(SIG_SETMASK, before, NULL);
}

/*
 * A connection that failed under a write may still hold the server's last word, the alert that says
 * why: that it wants a certificate, for one, which with TLS 1.3 comes after the handshake.
 */
static void describe_reset(SSL *tls, int failed_errno, char *out, size_t size)
{
	char octet;

	snprintf(out, size, "%s", strerror(failed_errno));
	ERR_clear_error();
	if (SSL_get_error(tls, SSL_read(tls, &octet, 1)) == SSL_ERROR_SSL)
		describe(tls, out, size);
}

/* Octets that were moved, 0: not now, -1: failed. */
static ssize_t finish(struct redis_link *link, int result)
{
	char reason[256];
	int failed_errno = errno, code = SSL_get_error(link->tls, result);

	link->tls_wants_write = code == SSL_ERROR_WANT_WRITE;
	if (result > 0)
		return result;
	if (code == SSL_ERROR_WANT_READ || code == SSL_ERROR_WANT_WRITE)
		return 0;
	if (code == SSL_ERROR_ZERO_RETURN || (code == SSL_ERROR_SYSCALL && failed_errno == 0)) {
		redis_link_fail(link, "the server closed the connection");
		return -1;
	}
	if (code == SSL_ERROR_SYSCALL)
		describe_reset(link->tls, failed_errno, reason, sizeof(reason));
	else
		describe(link->tls, reason, sizeof(reason));
	redis_link_fail(link, "%s", reason);
	return -1;
}

ssize_t redis_tls_read(struct redis_link *link, char *data, size_t size)
{
	sigset_t before;

	hold_sigpipe(&before);
	ERR_clear_error();
	errno = 0;
	ssize_t moved =
		finish(link, SSL_read(link->tls, data, size > INT_MAX ? INT_MAX : (int)size));
	release_sigpipe(&before);
	return moved;
}

ssize_t redis_tls_write(struct redis_link *link, const char *data, size_t size)
{
	sigset_t before;

	hold_sigpipe(&before);
	ERR_clear_error();
	errno = 0;
	ssize_t moved =
		finish(link, SSL_write(link->tls, data, size > INT_MAX ? INT_MAX : (int)size));
	release_sigpipe(&before);
	return moved;
}

int redis_tls_shake(struct redis_link *link)
{
	sigset_t before;

	hold_sigpipe(&before);
	ERR_clear_error();
	errno = 0;
	ssize_t moved = finish(link, SSL_do_handshake(link->tls));
	release_sigpipe(&before);
	return (int)moved;
}
