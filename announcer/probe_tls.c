/*
 * TLS for questions over a stream: OpenSSL on a non-blocking socket. Errors are turned into words
 * and an errno: what is called does not tell plain sockets from these.
 */
#include "announcer/probe_question.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

/* The oldest error in OpenSSL's queue, in words; empties the queue. */
static const char *tls_describe_error(void)
{
	unsigned long error = ERR_get_error();
	const char *reason = error ? ERR_reason_error_string(error) : NULL;
	ERR_clear_error();
	return reason ? reason : "failed";
}

int question_setup_load_tls(struct question_setup *setup, char *error, size_t error_size)
{
	const char *ca = setup->config->tls_ca;
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	if (!context || !SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION)) {
		snprintf(error, error_size, "TLS: %s", tls_describe_error());
		SSL_CTX_free(context);
		return -1;
	}
	if (ca && !SSL_CTX_load_verify_file(context, ca)) {
		snprintf(error, error_size, "%s cannot be used as CA certificates: %s", ca,
			 tls_describe_error());
		SSL_CTX_free(context);
		return -1;
	}
	SSL_CTX_set_verify(context, ca ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
	SSL_CTX_free(setup->tls);
	setup->tls = context;
	setup->tls_distrusted = false;
	return 0;
}

/* The name the certificate must have, which is asked for by it (RFC 6066: no addresses there). */
static bool tls_set_name(SSL *tls, const char *name)
{
	uint8_t address[sizeof(struct in6_addr)];
	if (inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls), name);
	return SSL_set_tlsext_host_name(tls, name) && SSL_set1_host(tls, name);
}

bool question_tls_start(struct question *question)
{
	const char *name = question->setup->config->tls_server_name;
	ERR_clear_error();
	question->tls = SSL_new(question->setup->tls);
	if (question->tls && SSL_set_fd(question->tls, question->fd) &&
	    (!name || tls_set_name(question->tls, name)))
		return true;
	snprintf(question->cause, sizeof(question->cause), "TLS: %s", tls_describe_error());
	return false;
}

/* Whether the loop can help, and by waiting for what. */
static bool tls_must_wait(struct question *question, int error)
{
	if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
		return false;
	question->wanted = error == SSL_ERROR_WANT_READ ? EV_READ : EV_WRITE;
	return true;
}

enum question_state question_tls_handshake(struct question *question)
{
	ERR_clear_error();
	int result = SSL_connect(question->tls);
	int system = errno;
	if (result == 1)
		return QUESTION_GOOD;
	int error = SSL_get_error(question->tls, result);
	if (tls_must_wait(question, error))
		return QUESTION_WAITING;
	long trust = SSL_get_verify_result(question->tls);
	const char *reason = trust != X509_V_OK ? X509_verify_cert_error_string(trust)
			     : error == SSL_ERROR_SYSCALL && system != 0 ? strerror(system)
									 : tls_describe_error();
	/* Perhaps the CA's file has changed: see probe.c. */
	question->setup->tls_distrusted |= trust != X509_V_OK;
	snprintf(question->cause, sizeof(question->cause), "TLS handshake: %s", reason);
	return QUESTION_FAILED;
}

/* Turns OpenSSL's answer into read(2)'s and write(2)'s. */
static ssize_t tls_finish(struct question *question, int result)
{
	int system = errno;
	if (result > 0)
		return result;
	int error = SSL_get_error(question->tls, result);
	bool ended = ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
	ERR_clear_error();
	if (error == SSL_ERROR_ZERO_RETURN || ended)
		return 0;
	errno = tls_must_wait(question, error)              ? EAGAIN
		: error == SSL_ERROR_SYSCALL && system != 0 ? system
							    : EPROTO;
	return -1;
}

ssize_t question_tls_read(struct question *question, void *octets, size_t size)
{
	ERR_clear_error();
	return tls_finish(question, SSL_read(question->tls, octets, (int)size));
}

ssize_t question_tls_write(struct question *question, const void *octets, size_t size)
{
	ERR_clear_error();
	return tls_finish(question, SSL_write(question->tls, octets, (int)size));
}
