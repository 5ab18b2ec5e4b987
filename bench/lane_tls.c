#include "bench/lane_tls.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include <sys/time.h>

SSL_CTX *lane_tls_create_context(int version)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());

	if (!context)
		return NULL;
	SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_min_proto_version(context, version ? version : TLS1_2_VERSION);
	SSL_CTX_set_max_proto_version(context, version);
	SSL_CTX_set_read_ahead(context, 1);
	SSL_CTX_set_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF);
	return context;
}

SSL *lane_tls_connect(SSL_CTX *context, int fd)
{
	const struct timeval patience = {.tv_sec = LANE_TLS_PATIENCE_S};
	SSL *ssl = SSL_new(context);
	BIO *out = BIO_new(BIO_s_mem());

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (!ssl || !out || SSL_set_fd(ssl, fd) != 1 || SSL_connect(ssl) != 1 ||
	    fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
		SSL_free(ssl);
		BIO_free(out);
		ERR_clear_error();
		return NULL;
	}
	SSL_set0_wbio(ssl, out);
	return ssl;
}

size_t lane_tls_seal(SSL *ssl, const uint8_t *data, size_t size, uint8_t *out, size_t out_size)
{
	if (SSL_write(ssl, data, (int)size) != (int)size) {
		ERR_clear_error();
		return 0;
	}
	int sealed = BIO_read(SSL_get_wbio(ssl), out, (int)out_size);

	return sealed > 0 ? (size_t)sealed : 0;
}

ssize_t lane_tls_read(SSL *ssl, uint8_t *out, size_t size)
{
	int got = SSL_read(ssl, out, (int)size);

	if (got > 0)
		return got;
	int error = SSL_get_error(ssl, got);

	ERR_clear_error();
	if (error == SSL_ERROR_WANT_READ) {
		errno = EAGAIN;
		return -1;
	}
	errno = ECONNRESET;
	return error == SSL_ERROR_ZERO_RETURN ? 0 : -1;
}
