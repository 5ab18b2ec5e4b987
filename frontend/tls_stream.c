/* OpenSSL between event buffers. */
#include "frontend/tls_stream.h"

#include <event2/buffer.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

struct tls_stream {
	SSL *ssl;
	struct evbuffer *source;
	struct evbuffer *sink;
	struct evbuffer *input;
	struct evbuffer *output;
	bool failed;
};

/* --- what OpenSSL reads from and writes to ---------------------------------------------------- */

static int carrier_read(BIO *bio, char *out, int size)
{
	struct tls_stream *stream = BIO_get_data(bio);
	int got = size > 0 ? evbuffer_remove(stream->source, out, (size_t)size) : 0;
	BIO_clear_retry_flags(bio);
	if (got > 0)
		return got;
	BIO_set_retry_read(bio);
	return -1;
}

static int carrier_write(BIO *bio, const char *data, int size)
{
	struct tls_stream *stream = BIO_get_data(bio);
	BIO_clear_retry_flags(bio);
	return size > 0 && evbuffer_add(stream->sink, data, (size_t)size) == 0 ? size : -1;
}

static long carrier_control(BIO *bio, int command, long number, void *pointer)
{
	(void)bio, (void)number, (void)pointer;
	return command == BIO_CTRL_FLUSH; /* there is nothing to flush, which is a success */
}

static BIO_METHOD *carrier;

/* Once in a process, and for its life. */
static void carrier_make(void)
{
	carrier = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "event buffers");
	if (!carrier)
		return;
	BIO_meth_set_read(carrier, carrier_read);
	BIO_meth_set_write(carrier, carrier_write);
	BIO_meth_set_ctrl(carrier, carrier_control);
}

static BIO *carrier_open(struct tls_stream *stream)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, carrier_make);
	BIO *bio = carrier ? BIO_new(carrier) : NULL;
	if (!bio)
		return NULL;
	BIO_set_data(bio, stream);
	BIO_set_init(bio, 1);
	return bio;
}

/* --- life and death --------------------------------------------------------------------------- */

struct tls_stream *tls_stream_create(SSL *ssl, struct evbuffer *source, struct evbuffer *sink)
{
	struct tls_stream *stream = calloc(1, sizeof(*stream));
	if (!stream)
		return NULL;
	stream->source = source;
	stream->sink = sink;
	stream->input = evbuffer_new();
	stream->output = evbuffer_new();
	BIO *bio = carrier_open(stream);
	if (!stream->input || !stream->output || !bio) {
		BIO_free(bio);
		tls_stream_destroy(stream);
		ERR_clear_error();
		return NULL;
	}
	SSL_set_bio(ssl, bio, bio); /* takes over one reference for both */
	SSL_set_accept_state(ssl);
	stream->ssl = ssl;
	return stream;
}

void tls_stream_destroy(struct tls_stream *stream)
{
	if (!stream)
		return;
	SSL_free(stream->ssl);
	if (stream->input)
		evbuffer_free(stream->input);
	if (stream->output)
		evbuffer_free(stream->output);
	free(stream);
}

/* --- the session ------------------------------------------------------------------------------ */

/* What a call of OpenSSL's that has not succeeded means. */
static enum tls_stream_state tls_stream_conclude(struct tls_stream *stream, int result)
{
	int error = SSL_get_error(stream->ssl, result);
	ERR_clear_error();
	if (error == SSL_ERROR_WANT_READ)
		return TLS_STREAM_OPEN;
	if (error == SSL_ERROR_ZERO_RETURN)
		return TLS_STREAM_ENDED;
	stream->failed = true;
	return TLS_STREAM_FAILED;
}

enum tls_stream_state tls_stream_receive(struct tls_stream *stream)
{
	uint8_t plain[SSL3_RT_MAX_PLAIN_LENGTH];
	int result;
	if (stream->failed)
		return TLS_STREAM_FAILED;
	ERR_clear_error(); /* SSL_get_error would take what others have left for its own */
	if (!tls_stream_is_open(stream) && (result = SSL_do_handshake(stream->ssl)) != 1)
		return tls_stream_conclude(stream, result);
	while ((result = SSL_read(stream->ssl, plain, sizeof(plain))) > 0) {
		if (evbuffer_add(stream->input, plain, (size_t)result) != 0) {
			stream->failed = true;
			return TLS_STREAM_FAILED;
		}
	}
	return tls_stream_conclude(stream, result);
}

bool tls_stream_is_open(const struct tls_stream *stream)
{
	return SSL_is_init_finished(stream->ssl);
}

struct evbuffer *tls_stream_input(struct tls_stream *stream)
{
	return stream->input;
}

struct evbuffer *tls_stream_output(struct tls_stream *stream)
{
	return stream->output;
}

bool tls_stream_seal(struct tls_stream *stream)
{
	size_t size;
	while (!stream->failed && (size = evbuffer_get_length(stream->output)) > 0) {
		if (size > SSL3_RT_MAX_PLAIN_LENGTH)
			size = SSL3_RT_MAX_PLAIN_LENGTH;
		const void *plain = evbuffer_pullup(stream->output, (ev_ssize_t)size);
		/* The sink takes everything, a record at a time, unless memory is short. */
		int sealed = plain ? SSL_write(stream->ssl, plain, (int)size) : -1;
		stream->failed = sealed <= 0;
		if (!stream->failed)
			evbuffer_drain(stream->output, (size_t)sealed);
	}
	ERR_clear_error();
	return !stream->failed;
}

void tls_stream_end(struct tls_stream *stream)
{
	if (!stream->failed && tls_stream_is_open(stream))
		SSL_shutdown(stream->ssl);
	ERR_clear_error();
}

SSL *tls_stream_session(const struct tls_stream *stream)
{
	return stream->ssl;
}
