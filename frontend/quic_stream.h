/*
 * A stream of a DoQ connection (RFC 9250 section 4.2): one query with its length before it, the
 * client's end of stream, one reply, our end. What breaks that - an ID that is not 0, an
 * edns-tcp-keepalive option, octets missing or too many - breaks the connection
 * (DOQ_PROTOCOL_ERROR, section 4.3.3).
 *
 * A client has CONNECTION_QUERIES_MAX streams; it gets another for each that has been closed and
 * whose query, if it has one, is answered: giving queries up is no way to have more of them. With
 * CONNECTION_OUTPUT_MAX octets of replies not acknowledged yet, queries wait in their streams.
 */
#ifndef GODWIT_FRONTEND_QUIC_STREAM_H
#define GODWIT_FRONTEND_QUIC_STREAM_H

#include "frontend/quic_connection.h"

#include <ngtcp2/ngtcp2.h>

/* As far as a stream has been read. */
enum quic_message {
	QUIC_MESSAGE_PART,
	QUIC_MESSAGE_WHOLE,
	QUIC_MESSAGE_BROKEN, /* will never be a query */
};

/* Looks at the first `size` octets of a stream; `end`: there are no others. Pure. */
enum quic_message quic_message_check(const uint8_t *octets, size_t size, bool end);

/* --- ngtcp2's callbacks; user data is the connection, stream user data the stream ------------- */

int quic_stream_on_open(ngtcp2_conn *conn, int64_t id, void *user_data);
int quic_stream_on_data(ngtcp2_conn *conn, uint32_t flags, int64_t id, uint64_t offset,
			const uint8_t *data, size_t size, void *user_data, void *stream_user_data);
int quic_stream_on_reset(ngtcp2_conn *conn, int64_t id, uint64_t final_size, uint64_t error,
			 void *user_data, void *stream_user_data);
int quic_stream_on_close(ngtcp2_conn *conn, uint32_t flags, int64_t id, uint64_t error,
			 void *user_data, void *stream_user_data);

/* --- for the connection ----------------------------------------------------------------------- */

/* Makes streams that flow control held back sendable, if it lets them go on. */
void quic_streams_unblock(struct quic_connection *connection);

/*
 * Writes a packet of whatever the connection has to say, stream data included, into `out`. Its
 * size, with the path it is for; 0: nothing can be said now; or ngtcp2's error.
 */
ngtcp2_ssize quic_streams_write(struct quic_connection *connection, ngtcp2_path *path, uint8_t *out,
				size_t size, ngtcp2_tstamp now);

/* Frees all streams. Replies to queries in flight go nowhere. */
void quic_streams_free(struct quic_connection *connection);

#endif
