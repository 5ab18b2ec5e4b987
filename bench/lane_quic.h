/*
 * DNS over QUIC (RFC 9250) for what drives a server: a client on ngtcp2 that looks at nobody's
 * certificate. Each query has a stream, and the packet it leaves in, to itself, as clients send
 * them that do not know what they will ask next; up to LANE_QUIC_BATCH packets leave by one system
 * call.
 *
 * Nothing blocks. What comes and what is due is dealt with in lane_quic_receive, which has to be
 * called again and again, whether anything has come or not: QUIC has timers. A reply is told by a
 * callback, in which the connection must not be used. The socket is the caller's. One thread.
 */
#ifndef GODWIT_BENCH_LANE_QUIC_H
#define GODWIT_BENCH_LANE_QUIC_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LANE_QUIC_BATCH 64
#define LANE_QUIC_REPLY_MAX 2048 /* octets of a reply that are kept; longer ones are cut off */

/* What connections have in common. */
struct lane_quic_context;

/* One connection. */
struct lane_quic;

enum lane_quic_state {
	LANE_QUIC_HANDSHAKING,
	LANE_QUIC_OPEN,
	LANE_QUIC_ENDED, /* by the server, by an error, or by silence */
};

/* Takes the reply to the query that was asked with `id`, and may write on it. */
typedef void (*lane_quic_reply_fn)(void *ctx, uint16_t id, uint8_t *reply, size_t size);

/* NULL: out of memory. */
struct lane_quic_context *lane_quic_create_context(void);
void lane_quic_destroy_context(struct lane_quic_context *context);

/* Later connections resume the session of this open one. False: the server gave no ticket. */
bool lane_quic_keep_session(struct lane_quic *quic, struct lane_quic_context *context);

/*
 * Begins a connection on `fd`, a UDP socket that is connected with the server. NULL with errno set.
 */
struct lane_quic *lane_quic_open(struct lane_quic_context *context, int fd,
				 lane_quic_reply_fn on_reply, void *ctx);

/* Tells the server of the end. NULL is allowed. */
void lane_quic_close(struct lane_quic *quic);

/* The same, and waits for the handshake, for 5 s at most. NULL with errno set. */
struct lane_quic *lane_quic_connect(struct lane_quic_context *context, int fd,
				    lane_quic_reply_fn on_reply, void *ctx);

/* Takes what has arrived, does what is due, and sends. */
enum lane_quic_state lane_quic_receive(struct lane_quic *quic);

/*
 * Puts a query, with any DNS ID, on a stream of its own; lane_quic_flush sends it, with ID 0. `id`
 * is for the reply. False when the server permits no more streams for now.
 */
bool lane_quic_ask(struct lane_quic *quic, uint16_t id, const uint8_t *query, size_t size);
enum lane_quic_state lane_quic_flush(struct lane_quic *quic);

bool lane_quic_is_resumed(const struct lane_quic *quic);

#endif
