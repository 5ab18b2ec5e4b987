/*
 * Datagrams of QUIC, each with both of its addresses: received in batches, gathered and sent in
 * batches, from the address that the client sent to, also on wildcard sockets. They are never
 * fragmented (RFC 9000 section 14), and what ICMP says about a path's MTU is not believed: it is
 * easily forged, and 1200 octets are few enough. What the kernel does not take at once is lost, as
 * on the way: QUIC sends it again.
 *
 * An ngtcp2_path's user_data is its struct quic_socket. Used by one thread.
 */
#ifndef GODWIT_FRONTEND_QUIC_SOCKET_H
#define GODWIT_FRONTEND_QUIC_SOCKET_H

#include <ngtcp2/ngtcp2.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;
struct metrics_shard;
struct quic_sockets;

/* Octets of a datagram sent (section 14.1), and of one received: longer ones are ignored. */
#define QUIC_SEND_MAX NGTCP2_MAX_UDP_PAYLOAD_SIZE
#define QUIC_RECEIVE_MAX 1500

struct quic_socket_handler {
	void *ctx;
	void (*receive)(void *ctx, const ngtcp2_path *path, const uint8_t *data, size_t size);
	void (*done)(void *ctx); /* after each batch */
};

/* Without sockets. All are borrowed. NULL when memory is short. */
struct quic_sockets *quic_sockets_create(struct event_base *base, struct metrics_shard *shard,
					 const struct quic_socket_handler *handler);
/* Closes the sockets; what has not been flushed is lost. NULL is allowed. */
void quic_sockets_destroy(struct quic_sockets *sockets);

/* Takes over a socket of listen_open_udp and reads from it. 0, or -1: the socket is closed. */
int quic_sockets_add(struct quic_sockets *sockets, int fd);

/* QUIC_SEND_MAX octets of room for the next datagram; good until the next call of any function. */
uint8_t *quic_sockets_next(struct quic_sockets *sockets);

/* Lets `size` octets there leave on a path with the others, at the next flush. */
void quic_sockets_send(struct quic_sockets *sockets, const ngtcp2_path *path, size_t size);

void quic_sockets_flush(struct quic_sockets *sockets);

#endif
