/*
 * DNS over QUIC (RFC 9250): QUIC version 1 (RFC 9000) by ngtcp2, TLS by GnuTLS (quic_tls.h), a
 * query per stream (quic_stream.h). A server belongs to one worker and is used by its thread alone.
 *
 * Datagrams must find the thread that has their connection, also after the client's address has
 * changed, and the kernel, which spreads them by address, cannot do that. So one worker of a front
 * end, the first secure one, serves QUIC for all.
 *
 * What keeps clients in bounds is what does for TLS (connection.h): connections in all and per
 * client, time for the handshake, time without a query, queries and octets in flight. Besides:
 *  - an address that is not proved yet costs little: QUIC_UNPROVED_MAX handshakes with such are
 *    let begin, and none at the limit of connections; then new clients get a Retry, which takes
 *    nothing to remember, and is answered only by those who really have their address;
 *  - until its address is proved a client is sent three times what it sent at most (RFC 9000
 *    section 8), and is not counted to that address, which may be somebody else's.
 *
 * Clients may change their address: a new one is used once it is proved. Connections end with
 * DOQ_NO_ERROR when idle, when they make room for others and when the server stops.
 */
#ifndef GODWIT_FRONTEND_QUIC_H
#define GODWIT_FRONTEND_QUIC_H

#include "frontend/clients.h"
#include "frontend/serve.h"
#include "frontend/tls.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#define QUIC_UNPROVED_MAX 128

struct event_base;
struct quic_server;

/* All borrowed. */
struct quic_options {
	struct event_base *base;
	struct serve *serve;
	struct tls *tls;
	_Atomic unsigned *open; /* encrypted connections of all workers */
	unsigned int limit;     /* of them */
	int idle_s;
	int handshake_s;
	struct clients *clients;
};

/* Makes a server without sockets. NULL with a reason. */
struct quic_server *quic_server_create(const struct quic_options *options, char *error,
				       size_t error_size);
/* Ends all connections, and says so to their clients. NULL is allowed. */
void quic_server_destroy(struct quic_server *server);

/* Takes over a socket of listen_open_udp and serves it. 0, or -1: the socket is closed. */
int quic_server_listen(struct quic_server *server, int fd);

/*
 * Takes no more connections and queries, ends connections that are idle, and the others once they
 * have got their replies.
 */
void quic_server_stop(struct quic_server *server);

/* True when no connection is left. */
bool quic_server_is_empty(const struct quic_server *server);

#endif
