/*
 * A TLS session on octets that somebody else carries: sealed octets from the client are taken out
 * of one buffer, those for it are put into another, and nothing here touches a socket. So many
 * records are opened after one read, and all that is to be said goes out in as few records and
 * writes as it fits into; OpenSSL on a socket reads twice for each record and writes for each
 * reply.
 *
 * One thread at a time.
 */
#ifndef GODWIT_FRONTEND_TLS_STREAM_H
#define GODWIT_FRONTEND_TLS_STREAM_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

struct evbuffer;
struct tls_stream;

enum tls_stream_state {
	TLS_STREAM_OPEN,   /* all that was there has been taken; more may come */
	TLS_STREAM_ENDED,  /* the client has said that it sends no more (RFC 8446 section 6.1) */
	TLS_STREAM_FAILED, /* no TLS, or memory is short: an alert may be among what is to be sent
			    */
};

/*
 * A server's side of a session, which it takes over. `source` and `sink`, borrowed, are the buffers
 * of sealed octets from and for the client. NULL when memory is short: the session is the caller's.
 */
struct tls_stream *tls_stream_create(SSL *ssl, struct evbuffer *source, struct evbuffer *sink);
/* NULL is allowed. */
void tls_stream_destroy(struct tls_stream *stream);

/*
 * Takes all that is in the source: the handshake goes on, and what clients say after it is appended
 * to the input. What TLS itself has to say goes to the sink.
 */
enum tls_stream_state tls_stream_receive(struct tls_stream *stream);

/* True when the handshake is over. */
bool tls_stream_is_open(const struct tls_stream *stream);

/* Plain octets from the client; and those for it, until they are sealed. */
struct evbuffer *tls_stream_input(struct tls_stream *stream);
struct evbuffer *tls_stream_output(struct tls_stream *stream);

/* Moves the whole output, sealed, to the sink. False: memory is short, and the session over. */
bool tls_stream_seal(struct tls_stream *stream);

/* Says goodbye into the sink, if the handshake is over and nothing has failed. */
void tls_stream_end(struct tls_stream *stream);

/* Borrowed. */
SSL *tls_stream_session(const struct tls_stream *stream);

#endif
